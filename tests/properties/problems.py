"""Problems on which exact results are compared: small arrays of numbers with few bits.

Logits, upstream gradients and weights are small integers times a power of two, so that what the laws do to them
(adding a constant, doubling, combining two of them) is exact in the dtype.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from hypothesis import strategies as st

from gradaudit.numerics import formats
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.reference.truth import Truth

FUNCTIONS = ("softmax", "log_softmax", "logsumexp", "cross_entropy")
PER_CLASS = ("softmax", "log_softmax")
DTYPES = ("float16", "bfloat16", "float32", "float64")
IGNORE = -100
SIZES = (-1, 1, 4, 7)
"""Binary logarithms of how large logits get."""


@dataclass(frozen=True)
class Problem:
    """A function on `logits` [rows, classes]; `labels` [rows] or `soft` [rows, classes] for cross entropy.

    `upstream` is [rows, classes], [rows, 1] or, for a mean or sum, [1, 1]; None asks for the Jacobian. All arrays are
    float64 (labels int64) with values that the dtype holds exactly.
    """

    function: str
    dtype: str
    logits: np.ndarray
    upstream: np.ndarray | None
    labels: np.ndarray | None = None
    soft: np.ndarray | None = None
    weight: np.ndarray | None = None
    temperature: float = 1.0
    logit_scale: float = 1.0
    masked: tuple[int, ...] = ()
    label_smoothing: float = 0.0
    reduction: str = "none"

    @property
    def rows(self) -> int:
        return self.logits.shape[0]

    @property
    def classes(self) -> int:
        return self.logits.shape[1]

    @property
    def active(self) -> np.ndarray:
        return np.setdiff1d(np.arange(self.classes), self.masked)

    def inputs(self) -> Inputs:
        """The problem as an audit knows it, classes on axis 1."""
        dtype = formats.dtype(self.dtype)
        upstream = self.upstream
        if upstream is not None and self.function not in PER_CLASS:
            upstream = upstream.reshape(() if self.reduction != "none" else (self.rows,))
        targets = self.labels if self.soft is None else held(self.soft, dtype)
        return Inputs(
            function=FunctionCall(self.function, MappingProxyType(self.parameters())),
            dtype=self.dtype,
            scale=1.0,
            axis=(1,),
            logits=held(self.logits, dtype),
            targets=targets,
            upstream=None if upstream is None else held(upstream, dtype),
            per_output=upstream is None,
            weight=None if self.weight is None else held(self.weight, dtype),
        )

    def parameters(self) -> dict[str, object]:
        """The function's parameters, every default filled in."""
        found: dict[str, object] = {
            "temperature": self.temperature,
            "logit_scale": self.logit_scale,
            "masked_classes": self.masked,
        }
        if self.function == "cross_entropy":
            found |= {"reduction": self.reduction, "label_smoothing": self.label_smoothing, "ignore_index": IGNORE}
        return found

    def truth(self) -> Truth:
        return Truth(self.inputs())

    def but(self, **changes: object) -> Problem:
        return replace(self, **changes)

    def with_classes(self, order: np.ndarray) -> Problem:
        """The classes in another order, or some of them; none may be masked, and no label may be left out."""
        place = {int(old): new for new, old in enumerate(order)}
        labels = self.labels
        if labels is not None:
            labels = np.array([y if y == IGNORE else place[int(y)] for y in labels], dtype=np.int64)
        return self.but(
            logits=self.logits[:, order],
            upstream=self.upstream[:, order] if self._upstream_has_classes() else self.upstream,
            labels=labels,
            soft=None if self.soft is None else self.soft[:, order],
            weight=None if self.weight is None else self.weight[order],
        )

    def with_rows(self, order: np.ndarray) -> Problem:
        """The rows in another order, or some of them."""
        shared = self.upstream is None or self.reduction != "none"
        return self.but(
            logits=self.logits[order],
            upstream=self.upstream if shared else self.upstream[order],
            labels=None if self.labels is None else self.labels[order],
            soft=None if self.soft is None else self.soft[order],
        )

    def _upstream_has_classes(self) -> bool:
        return self.upstream is not None and self.function in PER_CLASS


def held(values: np.ndarray, dtype: np.dtype[np.generic]) -> np.ndarray:
    """`values` in the dtype, which must hold them exactly."""
    found = np.asarray(values).astype(dtype)
    assert (found.astype(np.float64) == values).all(), f"{dtype} does not hold {values}"
    return found


def bits(dtype: str) -> int:
    """Bits of a logit: two fewer than the dtype has, so that twice one plus another is exact."""
    return min(formats.get(dtype).precision - 2, 30)


def grid(dtype: str, size: int) -> float:
    """The unit of logits up to 2^size."""
    return 2.0 ** (size - bits(dtype))


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...], largest: int, smallest: int | None = None) -> np.ndarray:
    """Integers in [smallest, largest], or [-largest, largest], as float64."""
    count = int(np.prod(shape))
    numbers = st.integers(-largest if smallest is None else smallest, largest)
    return np.array(draw(st.lists(numbers, min_size=count, max_size=count)), dtype=np.float64).reshape(shape)


@st.composite
def problems(
    draw: st.DrawFn,
    functions: tuple[str, ...] = FUNCTIONS,
    *,
    reductions: tuple[str, ...] = ("none", "mean", "sum"),
    soft: bool | None = None,
    scaled: bool = True,
    masked: bool = False,
    plain: bool = False,
    sizes: tuple[int, ...] = SIZES,
) -> Problem:
    """Any problem; `plain` ones have no weights, smoothing or ignored rows. `soft` chooses the kind of targets."""
    function, dtype = draw(st.sampled_from(functions)), draw(st.sampled_from(DTYPES))
    rows, n = draw(st.integers(1, 4)), draw(st.integers(3 if masked else 2, 6))
    size = draw(st.sampled_from(sizes))
    logits = draw(arrays((rows, n), 2 ** bits(dtype))) * grid(dtype, size)
    hidden: tuple[int, ...] = ()
    if masked:
        hidden = tuple(sorted(draw(st.sets(st.integers(0, n - 1), min_size=1, max_size=n - 2))))
    found = Problem(function, dtype, logits, None, masked=hidden)
    if scaled and draw(st.booleans()):
        temperature, logit_scale = draw(st.tuples(*[st.sampled_from([1.0, 0.7, 2.0, 0.1, 3.3])] * 2))
        found = found.but(temperature=temperature, logit_scale=logit_scale)
    shape = (rows, n) if function in PER_CLASS else (rows, 1)
    if function == "cross_entropy":
        found = draw(_with_targets(found, reductions, soft, plain))
        shape = shape if found.reduction == "none" else (1, 1)
    return found.but(upstream=draw(arrays(shape, 31)) / 8.0)


@st.composite
def _with_targets(
    draw: st.DrawFn, problem: Problem, reductions: tuple[str, ...], soft: bool | None, plain: bool
) -> Problem:
    rows, n, active = problem.rows, problem.classes, problem.active
    found = problem.but(reduction=draw(st.sampled_from(reductions)))
    if draw(st.booleans()) if soft is None else soft:
        shares = draw(arrays((rows, n), 8, 0)) / 8.0
        shares[:, list(problem.masked)] = 0.0
        found = found.but(soft=shares)
    else:
        labels = draw(st.lists(st.sampled_from(list(active)), min_size=rows, max_size=rows))
        labels = np.array(labels, dtype=np.int64)
        if not plain and rows > 1:
            ignored = draw(st.sets(st.integers(0, rows - 1), max_size=rows - 1))
            labels[list(ignored)] = IGNORE
        found = found.but(labels=labels)
    if plain:
        return found
    if draw(st.booleans()):
        found = found.but(weight=draw(arrays((n,), 24, 1)) / 8.0)
    return found.but(label_smoothing=draw(st.sampled_from([0.0, 0.0, 0.1, 0.5, 1.0])))
