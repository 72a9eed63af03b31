"""Probes by their targets: ignored rows, labels that are no class, masses other than 1 and of exactly 0."""

from __future__ import annotations

import numpy as np

from gradaudit.specs.probes.setting import Setting
from gradaudit.specs.probes.sketch import Sketch

CHUNKED_ROWS = (0, 1, 2, 5, 7)
"""Of 12 rows, unequally many in the chunks whenever there are 2, 3, 4 or 6 of them."""
MASS = 2.0


def ignorable(setting: Setting) -> bool:
    """Whether some rows can be ignored and others not."""
    return setting.ignore_index is not None and setting.sizes()[0] > 2


def ignored(sketch: Sketch) -> None:
    """Two rows of seven ignored, most of them in the first chunks: of 7 rows, the second and the third."""
    count = max(2, 2 * sketch.rows // 7)
    steps = np.arange(count)
    # Ever further apart, so that no two chunks of one size have equally many.
    sketch.ignore(tuple(int(row) for row in 1 + steps + (0.3 * sketch.rows * (steps / count) ** 2).astype(np.int64)))


def chunkable(setting: Setting) -> bool:
    """Whether 12 rows can stand one behind the other, some of them ignored."""
    return ignorable(setting) and setting.row_axes == 1


def chunks(sketch: Sketch) -> None:
    """Rows that divide evenly, ignored ones that do not."""
    sketch.ignore(CHUNKED_ROWS)


def ignores(setting: Setting) -> bool:
    """Whether there is a label for rows to ignore."""
    return setting.ignore_index is not None


def all_ignored(sketch: Sketch) -> None:
    """No row takes part: a mean over nothing."""
    sketch.ignore(tuple(range(sketch.rows)))
    sketch.special = True


def labelled(setting: Setting) -> bool:
    """Whether targets are class indices."""
    return setting.labelled


def too_large(sketch: Sketch) -> None:
    """One label is a class that there is not."""
    _misplace(sketch, sketch.classes + 2)


def negative(sketch: Sketch) -> None:
    """One label is below 0 and not that of ignored rows."""
    _misplace(sketch, -2 if sketch.setting.ignore_index == -1 else -1)


def soft(setting: Setting) -> bool:
    """Whether targets are probabilities."""
    return setting.soft


def mass(sketch: Sketch) -> None:
    """Rows of target masses that add up to 2. Where the case's own add up to 1, that is a matter of policy."""
    assert sketch.masses is not None
    sketch.masses *= MASS
    sketch.special |= not sketch.setting.unnormalised


def zeros(sketch: Sketch) -> None:
    """Masses of exactly 0 beside others; the first row has its mass on one class alone."""
    assert sketch.masses is not None
    own, other = sketch.contenders()
    rows = np.arange(sketch.rows)
    sketch.masses[sketch.draws.random(sketch.masses.shape) < 0.5] = 0.0
    sketch.masses[rows, own] += 0.25
    sketch.masses[1:][rows[:-1], other[1:]] += 0.125
    sketch.masses[0] = 0.0
    sketch.masses[0, own[0]] = 1.0
    sketch.masses /= sketch.masses.sum(axis=1, keepdims=True)


def has_zero_weights(setting: Setting) -> bool:
    """Whether a class that rows can have as their label weighs nothing."""
    return setting.labelled and len(_weightless(setting)) > 0


def zero_weights(sketch: Sketch) -> None:
    """Only labels that weigh nothing: a mean over weights that add up to 0."""
    assert sketch.labels is not None
    sketch.labels[:] = np.resize(_weightless(sketch.setting), sketch.rows)
    sketch.special = True


def _weightless(setting: Setting) -> np.ndarray:
    weight = setting.parameters.get("weight")
    if not isinstance(weight, tuple):
        return np.zeros(0, dtype=np.int64)
    return np.intersect1d(np.flatnonzero(np.array(weight) == 0.0), setting.candidates(len(weight)))


def _misplace(sketch: Sketch, label: int) -> None:
    assert sketch.labels is not None
    sketch.labels[min(3, sketch.rows - 1)] = label
    sketch.special = sketch.expects_error = True
