"""A case: one entry of a spec, validated and complete, before any array exists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradaudit.records import backend_name
from gradaudit.records.evaluation import EAGER
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.location import COMMAND_LINE, Location
from gradaudit.records.subject import Subject

if TYPE_CHECKING:
    import numpy as np

DEFAULT_BACKENDS = ("numpy", "torch", "onnxruntime")
"""The backends of a case that names none and has no subjects."""


SELF = "self"
"""The function of a case whose subjects are audited against their own forward."""

FORMULA = "formula"
"""The function of a case whose mathematics is an expression of the user's."""


@dataclass(frozen=True, slots=True, eq=False)
class InlineArray:
    """Values that stand in the spec; float64 for numbers, int64 for class indices."""

    values: np.ndarray


@dataclass(frozen=True, slots=True)
class RandomArray:
    """Values drawn when the case is run.

    `distribution` is "uniform" on [0, 1) or "normal" (0, 1), both then multiplied by `scale`; "indices" and
    "probabilities" are for targets. `generator` is "numpy" (`numpy.random.default_rng(seed)`) or "torch"
    (bit-exact with `torch.manual_seed(seed); torch.rand / torch.randn`, drawn by torch in a worker).
    `ignored` rows, spread evenly, carry ignore_index as their label. Without a `seed` that of the run is used.
    """

    distribution: str
    shape: tuple[int, ...]
    seed: int | None
    scale: float = 1.0
    generator: str = "numpy"
    ignored: int = 0


@dataclass(frozen=True, slots=True)
class FileArray:
    """An array in a `.npy` file, or under `key` in an `.npz` file; memory-mapped where possible."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class GridArray:
    """A field of two-class (or two-axis) logits: one row for each point of `first` x `second`.

    Each axis is (start, stop, count), ends included. The rows are (first_i, second_j), in row-major order, so
    the logits have the shape (count_1 * count_2, 2).
    """

    first: tuple[float, float, int]
    second: tuple[float, float, int]


ArraySource = InlineArray | RandomArray | FileArray | GridArray


@dataclass(frozen=True, slots=True)
class Upstream:
    """The cotangent fed to backward.

    `kind` is "ones", "per_output" (one backward per output of a row, which gives the Jacobian rows) or
    "values"; then `source` holds where the values come from (an inline array or a random one).
    """

    kind: str
    source: InlineArray | RandomArray | None = None


@dataclass(frozen=True, slots=True)
class Expectation:
    """A finding that must occur: its code, and what further must match (None matches anything)."""

    code: str
    backend: str | None = None
    formulation: str | None = None
    dtype: str | None = None
    scale: float | None = None
    subject: str | None = None
    location: Location = COMMAND_LINE


@dataclass(frozen=True, slots=True)
class Case:
    """One entry of a spec, every default filled in.

    `shape` is the shape of the logits as given; a one-dimensional one stands for a single row, and `axis` holds
    the normalised (non-negative, ascending) class axes. `backends`, `formulations`, `dtypes` and `scale` span
    the matrix of evaluations, each in those of the `executions` that its backend offers; `backends_named` tells
    those that the user named from the default ones. `subjects` are the user's own functions. `probes` names the
    inputs that are added for them, and `derivatives: 2` audits the second order too. `padded`: the spec speaks of
    ignored rows, by `ignore_index` or by its targets. `pythons` are the interpreters that were chosen for backends,
    by name; a backend may also hold its own ("torch@/path/to/python").
    """

    name: str
    function: FunctionCall
    logits: ArraySource
    shape: tuple[int, ...]
    axis: tuple[int, ...]
    targets: ArraySource | None = None
    upstream: Upstream = field(default_factory=lambda: Upstream("ones"))
    scale: tuple[float, ...] = (1.0,)
    dtypes: tuple[str, ...] = ("float32",)
    backends: tuple[str, ...] = DEFAULT_BACKENDS
    backends_named: bool = False
    formulations: tuple[str, ...] = ("fused",)
    executions: tuple[str, ...] = (EAGER,)
    device: str = "cpu"
    pythons: tuple[tuple[str, str], ...] = ()
    padded: bool = False
    expect: tuple[Expectation, ...] = ()
    ignore: tuple[str, ...] = ()
    source: Location = COMMAND_LINE
    base_directory: str = "."
    subjects: tuple[Subject, ...] = ()
    probes: tuple[str, ...] = ()
    derivatives: int = 1

    def worker(self, backend: str) -> str:
        """`backend` with the interpreter that the case chose for it, if any: who is to run it."""
        return backend_name.at(backend, dict(self.pythons).get(backend))
