"""Probes by their logits: their layout in memory, offsets, gaps, special values."""

from __future__ import annotations

from gradaudit.specs.probes.setting import Setting
from gradaudit.specs.probes.sketch import Sketch


def strided(sketch: Sketch) -> None:
    """Every other element along the last axis."""
    sketch.layout = "strided"


def transposable(setting: Setting) -> bool:
    """Whether there are axes to reverse."""
    return len(setting.case.shape) > 1


def transposed(sketch: Sketch) -> None:
    """The axes lie in memory in reversed order."""
    sketch.layout = "transposed"
