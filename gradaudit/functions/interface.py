"""What a function is to the rest of gradaudit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


class Formula(Protocol):
    """Mathematics spelled over an algebra: rows in, one number for every output or logit out."""

    def __call__(self, m: Algebra[N], rows: Rows[N]) -> N:
        """Evaluate on `rows` in the algebra `m`."""
        ...


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a function.

    `kind` is "float", "int", "choice", "floats" or "ints"; the two lists may be absent (None). A number lies in
    [`minimum`, `maximum`], or above `exclusive_minimum`.
    """

    name: str
    kind: str
    default: object
    doc: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """A function of logits, with its exact gradient.

    `output(m, rows)` and `gradient(m, rows)` spell the mathematics once, over an :class:`Algebra` `m`: balls of
    float64, or `arb` numbers. The texts document the same. `has_row_output` is true where the class axes are
    summed away (one output a row). `gradient_row_sum`
    is "zero" or "upstream": what the gradient of a row adds up to.
    `formulations` are the algorithms that a candidate may use for it.
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
    gradient: Formula


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
