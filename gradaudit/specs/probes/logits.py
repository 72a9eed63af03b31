"""Probes by their logits: how they lie in memory, equal and tiny ones, offsets, infinities."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradaudit.specs.probes.setting import Setting
from gradaudit.specs.probes.sketch import Sketch

HIGH_ROWS = (0, 4)
"""Rows that stay where they are while the others go far below: the first, and one that is neither first nor last."""
INFINITE_ROW = 1

OFFSET_SMALL = dict.fromkeys(("float16", "bfloat16", "float32", "float64"), 8.0)
OFFSET_OVERFLOW = {"float16": 100.0, "bfloat16": 100.0, "float32": 1000.0, "float64": 1000.0}
"""Beyond log(max) of the dtype; for 16-bit types beyond that of float32, in which their kernels compute."""
OFFSET_LARGE = {"float16": 2048.0, "bfloat16": 256.0, "float32": 1.0e6, "float64": 1.0e6}
"""Where the spacing of the dtype is far above the unit roundoff, and 2 in 16-bit types."""
APART = {"float16": 200.0, "bfloat16": 200.0, "float32": 2000.0, "float64": 2000.0}
"""A distance between rows: e to the power of a quarter of it overflows, or its reciprocal underflows to 0, in the
dtype of the arithmetic."""
MASKED_LOGIT = 800.0


def strided(sketch: Sketch) -> None:
    """Every other element along the last axis."""
    sketch.layout = "strided"


def transposable(setting: Setting) -> bool:
    """Whether there are axes to reverse."""
    return len(setting.case.shape) > 1


def transposed(sketch: Sketch) -> None:
    """The axes lie in memory in reversed order."""
    sketch.layout = "transposed"


def unbounded(setting: Setting) -> bool:
    """Whether logits may lie anywhere."""
    return not setting.on_cosines


def equal(sketch: Sketch) -> None:
    """All logits equal: a sum of ones, which sticks where it is kept in 16 bits."""
    sketch.logits[:] = 0.5


def tiny(sketch: Sketch) -> None:
    """Magnitudes from the subnormal numbers of the dtype up to 1/128, evenly over the binades."""
    lowest = np.log2(sketch.form.smallest_subnormal) + 1.0
    size = sketch.logits.shape
    sketch.logits = np.exp2(sketch.draws.uniform(lowest, -7.0, size)) * sketch.draws.choice([-1.0, 1.0], size)


def offset(sizes: dict[str, float], sign: float = 1.0) -> Callable[[Sketch], None]:
    """A constant added to every logit; `sizes` by dtype."""

    def change(sketch: Sketch) -> None:
        sketch.logits += sign * sketch.within(sizes[sketch.form.name])

    return change


def several_rows(setting: Setting) -> bool:
    """Whether rows can lie apart from one another."""
    return setting.row_axes > 0 and unbounded(setting)


def apart(sketch: Sketch) -> None:
    """All rows but two far below these."""
    lowered = np.setdiff1d(np.arange(sketch.rows), HIGH_ROWS)
    sketch.logits[lowered] -= sketch.within(APART[sketch.form.name])


def with_infinity(setting: Setting) -> bool:
    """Whether a class may have a logit of -inf and another one is left for the labels."""
    return setting.infinite_logits and len(setting.active_classes()) > 1


def minus_infinity(sketch: Sketch) -> None:
    """The first class is out of the question in every row, and nobody's target."""
    first, second = sketch.active[:2]
    sketch.logits[:, first] = -np.inf
    if sketch.labels is not None:
        sketch.labels[sketch.labels == first] = second
    if sketch.masses is not None:
        sketch.masses[:, second] += sketch.masses[:, first]
        sketch.masses[:, first] = 0.0
    sketch.special = True


def with_infinite_row(setting: Setting) -> bool:
    """Whether a row of -inf alone can stand beside others, ignored where rows have targets."""
    without_targets = setting.case.targets is None or setting.ignore_index is not None
    return setting.infinite_logits and without_targets and setting.sizes()[0] > INFINITE_ROW + 1


def infinite_row(sketch: Sketch) -> None:
    """A row of -inf alone, as padding is often filled; where there are labels it is ignored."""
    sketch.logits[INFINITE_ROW] = -np.inf
    if sketch.labels is not None:
        sketch.ignore((INFINITE_ROW,))
    sketch.special = True


def masks(setting: Setting) -> bool:
    """Whether classes are masked."""
    return bool(setting.masked) and unbounded(setting)


def masked(sketch: Sketch) -> None:
    """Masked classes lead by far: what they hold must not matter."""
    sketch.logits[:, list(sketch.setting.masked)] = sketch.within(MASKED_LOGIT)
