"""Probes by their targets: ignored rows, labels that are no class, masses other than 1 and of exactly 0."""

from __future__ import annotations

from gradaudit.specs.probes.setting import Setting
from gradaudit.specs.probes.sketch import IGNORED_ROWS, Sketch

CHUNKED_ROWS = (0, 1, 2, 5, 7)
"""Of 12 rows, unequally many in the chunks whenever there are 2, 3, 4 or 6 of them."""


def ignorable(setting: Setting) -> bool:
    """Whether some rows can be ignored and others not."""
    return setting.ignore_index is not None and setting.sizes()[0] > len(IGNORED_ROWS)


def ignored(sketch: Sketch) -> None:
    """Two rows ignored, both in the first chunk."""
    sketch.ignore(IGNORED_ROWS)


def chunkable(setting: Setting) -> bool:
    """Whether 12 rows can stand one behind the other, some of them ignored."""
    return ignorable(setting) and setting.row_axes == 1


def chunks(sketch: Sketch) -> None:
    """Rows that divide evenly, ignored ones that do not."""
    sketch.ignore(CHUNKED_ROWS)
