"""Pictures of arrays as inline SVG: heat maps and histograms of error over tolerance, each told in words too."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradaudit.records.measurement import HISTOGRAM_EDGES
from gradaudit.reports.html.markup import Html, tag
from gradaudit.reports.number_format import count, number

LARGE, SMALL, GAP = 28, 14, 1
"""Pixels of a cell of a heat map with few columns, of one with many, and between two cells."""
FEW = 8
"""So many columns are few."""
BAR, HEIGHT, BASE = 22, 90, 14
"""Pixels: the width of a bar, the height of the tallest, and the room for the numbers below."""
EDGE_NAMES = ((0, "0"), (3, "1/16"), (5, "1/4"), (7, "1"), (9, "8"))
"""Those of HISTOGRAM_EDGES, by index, that a histogram has room to name."""
NARROWEST = 340
"""Pixels that a telephone has room for."""
NAMED_CELLS = 400
"""Up to so many cells bear their value, for those who point at them."""


def heat_map(cells: np.ndarray, label: str, marked: np.ndarray, *, errors: bool = False) -> Html:
    """`cells` [rows, columns], finite or not; those in `marked` are framed.

    Colour tells the sign and depth the magnitude beside the largest; `errors`, in units of their tolerance, are drawn
    on one scale in all pictures, in full colour from 1 on. The label says what is seen, with the largest value and
    its place, for those who do not see it.
    """
    rows, columns = cells.shape
    finite = np.abs(cells[np.isfinite(cells)])
    largest = 1.0 if errors else float(finite.max()) if finite.size else 0.0
    side = LARGE if columns <= FEW else SMALL
    shapes = []
    for row in range(rows):
        for column in range(columns):
            value = float(cells[row, column])
            where = {"x": column * (side + GAP) + 1, "y": row * (side + GAP) + 1, "width": side, "height": side}
            kind = _kind(value, errors=errors)
            shapes.append(
                _cell(kind, _depth(value, largest), where, f"[{row}, {column}] {number(value, 4)}", cells.size)
            )
            if marked[row, column]:
                shapes.append(tag("rect", class_="mark", **where))
    width, height = columns * (side + GAP) + 1, rows * (side + GAP) + 1
    return drawing(width, height, f"{label}; {_extreme(cells)}", shapes, label)


def histogram(counts: Sequence[int], label: str) -> Html:
    """Elements by error over tolerance, in the bins of HISTOGRAM_EDGES; those beyond 1 stand out."""
    tallest = max(counts, default=0) or 1
    shapes: list[Html] = []
    limit = 0
    for index, amount in enumerate(counts):
        beyond = HISTOGRAM_EDGES[index] >= 1
        limit = limit or (index if beyond else 0)
        height = max(round(HEIGHT * amount / tallest), 1 if amount else 0)
        where = {"x": index * BAR + 2, "y": BASE + HEIGHT - height, "width": BAR - 4, "height": height}
        if amount:
            shapes.append(_titled("beyond" if beyond else "bar", 1.0, where, f"{_bin(index)}: {amount:,}"))
            x, y = index * BAR + BAR // 2, BASE + HEIGHT - height - 3
            shapes.append(tag("text", _brief(amount), x=x, y=y, text_anchor="middle"))
    base, width = BASE + HEIGHT, len(counts) * BAR
    shapes.append(tag("line", class_="limit", x1=limit * BAR, x2=limit * BAR, y1=0, y2=base))
    for index, name in EDGE_NAMES:
        shapes.append(
            tag("text", name, x=index * BAR or 2, y=base + BASE - 3, text_anchor="middle" if index else None)
        )
    told = "; ".join(f"{_bin(index)}: {amount:,}" for index, amount in enumerate(counts) if amount)
    return drawing(width, base + BASE, f"{label}: {told or 'no elements'}", shapes, label)


def _kind(value: float, *, errors: bool) -> str:
    if not math.isfinite(value):
        return "nonfinite"
    if errors:
        return "bar" if value <= 1 else "beyond"
    return "negative" if value < 0 else "positive"


def _depth(value: float, largest: float) -> float:
    """The root shows what is small beside the largest."""
    if not math.isfinite(value):
        return 1.0
    return min(math.sqrt(abs(value) / largest), 1.0) if largest else 0.0


def _cell(kind: str, depth: float, where: dict[str, int], told: str, cells: int) -> Html:
    return _titled(kind, depth, where, told) if cells <= NAMED_CELLS else _filled(kind, depth, where)


def _titled(kind: str, depth: float, where: dict[str, int], told: str) -> Html:
    return tag("g", tag("title", told), _filled(kind, depth, where))


def _filled(kind: str, depth: float, where: dict[str, int]) -> Html:
    return tag("rect", class_=kind, fill_opacity=None if depth == 1 else f"{depth:.3g}", **where)


def drawing(width: int, height: int, label: str, shapes: Sequence[Html], caption: str) -> Html:
    """A framed picture, `width` by `height` pixels, that `label` tells those who do not see it, with its caption.

    A keyboard stops at it only where it may have to be scrolled.
    """
    frame = tag("rect", class_="frame", x=0.5, y=0.5, width=width - 1, height=height - 1)
    picture = tag(
        "svg",
        [frame, *shapes],
        role="img",
        aria_label=label,
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
        xmlns="http://www.w3.org/2000/svg",
    )
    return tag("figure", picture, tag("figcaption", caption), tabindex=0 if width > NARROWEST else None)


def _extreme(cells: np.ndarray) -> str:
    rows, columns = cells.shape
    size = f"{count(rows, 'row')}, {count(columns, 'column')}"
    broken = int((~np.isfinite(cells)).sum())
    if broken == cells.size:
        return f"{size}, no finite value"
    magnitudes = np.where(np.isfinite(cells), np.abs(cells), -1.0)
    row, column = (int(index) for index in np.unravel_index(int(magnitudes.argmax()), cells.shape))
    also = f", {broken:,} not finite" if broken else ""
    return f"{size}, largest {number(float(cells[row, column]), 4)} at [{row}, {column}]{also}"


def _bin(index: int) -> str:
    low, high = HISTOGRAM_EDGES[index], HISTOGRAM_EDGES[index + 1]
    if index == 0:
        return f"up to {number(high, 3)}"
    return f"above {number(low, 3)}" if math.isinf(high) else f"{number(low, 3)} to {number(high, 3)}"


def _brief(amount: int) -> str:
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if amount >= unit:
            return f"{amount / unit:.0f}{name}"
    return str(amount)
