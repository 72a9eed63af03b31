"""Pictures of arrays as inline SVG: heat maps and histograms of error over tolerance, each told in words too."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradaudit.records.measurement import HISTOGRAM_EDGES
from gradaudit.reports.html.markup import Html, tag
from gradaudit.reports.number_format import count, number

CELL, GAP = 14, 1
"""Pixels of a cell of a heat map, and between two."""
BAR, HEIGHT, BASE = 22, 90, 14
"""Pixels: the width of a bar, the height of the tallest, and the room for the numbers below."""
NAMED_CELLS = 400
"""Up to so many cells bear their value, for those who point at them."""


def heat_map(cells: np.ndarray, label: str, marked: np.ndarray | None = None) -> Html:
    """`cells` [rows, columns], finite or not: colour by sign, depth by magnitude; `marked` ones are framed.

    The label says what is seen, with the largest value and its place, for those who do not see it.
    """
    rows, columns = cells.shape
    finite = np.abs(cells[np.isfinite(cells)])
    largest = float(finite.max()) if finite.size else 0.0
    shapes = []
    for row in range(rows):
        for column in range(columns):
            value = float(cells[row, column])
            where = {"x": column * (CELL + GAP) + 1, "y": row * (CELL + GAP) + 1, "width": CELL, "height": CELL}
            shapes.append(_cell(value, largest, where, f"[{row}, {column}] {number(value, 4)}", cells.size))
            if marked is not None and marked[row, column]:
                shapes.append(tag("rect", class_="mark", **where))
    width, height = columns * (CELL + GAP) + 1, rows * (CELL + GAP) + 1
    return _svg(width, height, f"{label}; {_extreme(cells)}", shapes)


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
        shapes.append(_titled("beyond" if beyond else "bar", 1.0, where, f"{_bin(index)}: {amount:,}"))
        if amount:
            at = {"x": index * BAR + BAR // 2, "y": BASE + HEIGHT - height - 3, "text_anchor": "middle"}
            shapes.append(tag("text", _brief(amount), **at))
    base, width = BASE + HEIGHT, len(counts) * BAR
    shapes.append(tag("line", class_="limit", x1=limit * BAR, x2=limit * BAR, y1=0, y2=base))
    shapes.append(tag("text", "1", x=limit * BAR, y=base + BASE - 2, text_anchor="middle"))
    shapes.append(tag("text", "exact", x=0, y=base + BASE - 2))
    told = "; ".join(f"{_bin(index)}: {amount:,}" for index, amount in enumerate(counts) if amount)
    return _svg(width, base + BASE, f"{label}: {told or 'no elements'}", shapes)


def _cell(value: float, largest: float, where: dict[str, int], told: str, cells: int) -> Html:
    if not math.isfinite(value):
        kind, depth = "nonfinite", 1.0
    else:
        kind = "negative" if value < 0 else "positive"
        # The root shows what is small beside the largest.
        depth = math.sqrt(abs(value) / largest) if largest else 0.0
    if cells <= NAMED_CELLS:
        return _titled(kind, depth, where, told)
    return tag("rect", class_=kind, fill_opacity=f"{depth:.3f}", **where)


def _titled(kind: str, depth: float, where: dict[str, int], told: str) -> Html:
    drawn = tag("rect", class_=kind, fill_opacity=f"{depth:.3f}", **where)
    return tag("g", tag("title", told), drawn)


def _svg(width: int, height: int, label: str, shapes: Sequence[Html]) -> Html:
    frame = tag("rect", class_="frame", x=0.5, y=0.5, width=width - 1, height=height - 1)
    return tag(
        "svg",
        [frame, *shapes],
        role="img",
        aria_label=label,
        width=width,
        height=height,
        viewBox=f"0 0 {width} {height}",
        xmlns="http://www.w3.org/2000/svg",
    )


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
