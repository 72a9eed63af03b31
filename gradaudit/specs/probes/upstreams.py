"""Probes by their upstream gradient."""

from __future__ import annotations

import numpy as np

from gradaudit.specs.probes.setting import Setting
from gradaudit.specs.probes.sketch import UPSTREAM, Sketch


def vector(setting: Setting) -> bool:
    """Whether the output has more than one number."""
    return setting.output_shape(setting.shape()) != ()


def ones(sketch: Sketch) -> None:
    """Ones: what `loss.backward()` feeds."""
    sketch.upstream = np.ones_like(sketch.upstream)


def zero(sketch: Sketch) -> None:
    """Zeros: the gradient is 0."""
    sketch.upstream = np.zeros_like(sketch.upstream)


def negative(sketch: Sketch) -> None:
    """Negative numbers."""
    sketch.upstream = -np.abs(sketch.upstream)


def one_hot(sketch: Sketch) -> None:
    """A single 1, neither in the first nor in the last row: a column of the Jacobian."""
    sketch.upstream = np.zeros_like(sketch.upstream)
    row = min(4, sketch.rows - 1)
    if sketch.upstream.ndim == 1:
        sketch.upstream[row] = 1.0
    else:
        sketch.upstream[row, sketch.active[min(3, len(sketch.active) - 1)]] = 1.0


def expanded(sketch: Sketch) -> None:
    """One number for all outputs, as the backward of a sum hands it on."""
    sketch.upstream = np.full_like(sketch.upstream, UPSTREAM)
    sketch.upstream_layout = "expanded"


def strided(sketch: Sketch) -> None:
    """Every other element of a longer array."""
    sketch.upstream_layout = "strided"
