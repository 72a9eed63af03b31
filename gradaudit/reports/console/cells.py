"""Numbers in cells that are coloured by sign and magnitude."""

from __future__ import annotations

import math

import numpy as np
from rich.text import Text

from gradaudit.reports.number_format import number

WORST_MARK = "*"
"""Stands behind the element with the largest error in units of its tolerance."""

RESIDUE, RESIDUE_DIGITS = 2.0**-10, 3
"""Sums below this share of the largest entry are shown with this many digits."""

_SHADES = {
    "positive": ("black on color(224)", "black on color(217)", "black on color(210)"),
    "negative": ("black on color(189)", "black on color(153)", "black on color(111)"),
}
# Sixteen colours have no shades. They are chosen here and not left to Rich, which keeps the first translation of a
# style for the life of the process, whatever the terminal of the next page.
_SIXTEEN = {"positive": ("red", "red", "bold red"), "negative": ("cyan", "cyan", "bold cyan")}
_STEPS = (2.0**-8, 2.0**-2)
"""Shares of the largest exact entry at which the colour deepens."""


class Cells:
    """Cells of one table, shaded in relation to the largest finite entry of `reference`."""

    def __init__(self, reference: np.ndarray, digits: int, color_system: str | None = None) -> None:
        finite = np.abs(reference[np.isfinite(reference)])
        self._largest = float(finite.max()) if finite.size else 0.0
        self._digits = digits
        self._styles = _SIXTEEN if color_system == "standard" else _SHADES

    def cell(self, value: float, worst: bool = False) -> Text:
        """One entry; the worst one is marked and reversed, so that it is found without colours too."""
        style = self._shade(value)
        text = number(value, self._digits) + (WORST_MARK if worst else " ")
        return Text(text, f"{style} reverse" if worst else style)

    def total(self, value: float) -> Text:
        """A sum, in italics and without a shade; what rounding left of a 0 needs fewer digits."""
        digits = self._digits if abs(value) > RESIDUE * self._largest else min(self._digits, RESIDUE_DIGITS)
        return Text(f"{number(value, digits)} ", "italic")

    def _shade(self, value: float) -> str:
        if not math.isfinite(value):
            return "bold white on red"
        if value == 0:
            return "dim"
        depth = sum(abs(value) > step * self._largest for step in _STEPS)
        return self._styles["positive" if value > 0 else "negative"][depth]
