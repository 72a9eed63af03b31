"""What a function is to the rest of gradaudit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N
from gradaudit.records.inputs import Inputs


class Formula(Protocol):
    """Mathematics spelled over an algebra: rows in, one number for every output or logit out."""

    def __call__(self, m: Algebra[N], rows: Rows[N]) -> N:
        """Evaluate on `rows` in the algebra `m`."""
        ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function.

    `kind` is "bool", "float", "int", "choice", "floats" or "ints"; the two lists may be absent (None). A number lies
    in [`minimum`, `maximum`], or above `exclusive_minimum`.
    """

    name: str
    kind: str
    default: object
    doc: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None


def always(parameters: Mapping[str, object]) -> bool:  # noqa: ARG001 - the predicate's signature
    """A spelling that serves whatever the parameters are."""
    return True


@dataclass(frozen=True, slots=True)
class Spelling:
    """An order of operations that sound code may use: over balls charged with its arithmetic, `output` gives the
    tolerance of its value, and a tape over them that of its gradient.

    `looser`: it loses digits that the function's tightest spelling keeps; `common_offset`: among them those of an
    offset common to the row. `applies(parameters)` tells the parameters that it is a spelling for; `targets` is
    "any", "indices" or "probabilities": what it needs, and `reading` what it must be fed: "any", or as
    `Inputs.reading`. One that is `alone` is tried over the plain primitives only.
    """

    name: str
    output: Formula
    looser: bool = False
    common_offset: bool = False
    applies: Callable[[Mapping[str, object]], bool] = always
    targets: str = "any"
    reading: str = "any"
    alone: bool = False


Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """What another framework's function is about to be used at: the call's parameters, the logits' shape, the class
    axes (none yet where the function is asked for them), and "indices" or "probabilities" (None: no targets)."""

    parameters: Mapping[str, object]
    shape: Shape
    axis: Shape
    targets: str | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an operator of another framework is said in gradaudit's own words.

    `mathematics(parameters)` names the function of gradaudit whose truth, tolerances and findings are those of the
    operator, and `inputs` turns what the operator is fed into what that function is fed. `class_axis(setting)` is
    the axis that the operator's options choose (None: the case chooses), `output_shape(setting)` the shape of what it
    returns (None: as any function's), and `problems(setting)` yields what does not fit: a parameter, and a message.
    """

    mathematics: Callable[[Mapping[str, object]], str]
    inputs: Callable[[Inputs], Inputs]
    problems: Callable[[Setting], Iterable[tuple[str, str]]]
    class_axis: Callable[[Setting], int] | None = None
    output_shape: Callable[[Setting], Shape] | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A function of logits, with its exact gradient.

    `output(m, rows)` and `gradient(m, rows)` spell the mathematics once, over an :class:`Algebra` `m`: balls of
    float64, or `arb` numbers; without a `gradient` it is taken from the output by a tape
    (`by_tape.gradient_of`). The texts document the same. `has_row_output` is true where the class axes are
    summed away (one output a row). `gradient_row_sum` is what the gradient of a row adds up to: "zero" or "upstream"
    whatever the parameters are, else "varies". `formulations` are the algorithms that a backend may use for it and
    `spellings` those of users' code, tightest first. `targets` names the kinds it is defined for: "any", "indices" or
    "probabilities"; `readings` what a subject may be fed (`Inputs.reading`), where `given_logits_only` names the
    parameters that need logits. `native(parameters)` tells what backends' own formulations compute. `cap` names the
    parameter that bounds the logits, if there is one: infinite ones are then as good as any. `dialect` is given for
    an operator of another framework, registered as FRAMEWORK.NAME.
    """

    name: str
    summary: str
    formula: str
    gradient_formula: str
    jacobian: str
    invariants: tuple[str, ...]
    source: str
    parameters: tuple[Parameter, ...]
    formulations: tuple[str, ...]
    takes_targets: bool
    has_row_output: bool
    gradient_row_sum: str
    output: Formula
    gradient: Formula | None = None
    spellings: tuple[Spelling, ...] = ()
    targets: str = "any"
    readings: tuple[str, ...] = ("logits",)
    given_logits_only: tuple[str, ...] = ()
    native: Callable[[Mapping[str, object]], bool] = always
    cap: str | None = None
    dialect: Dialect | None = None


LOGIT_PARAMETERS = (
    Parameter("temperature", "float", 1.0, "the logits are divided by it", exclusive_minimum=0.0),
    Parameter("logit_scale", "float", 1.0, "the logits are multiplied by it", exclusive_minimum=0.0),
    Parameter(
        "masked_classes",
        "ints",
        (),
        "classes (counted along the flattened class axes) that take no part: probability 0, gradient 0",
        minimum=0,
    ),
)
"""Parameters that every function of logits has."""
