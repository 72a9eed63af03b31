"""Curves over the scale of the logits: where errors leave their tolerance, and where the softmax saturates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.measurement import Measurement
from gradaudit.records.report import CaseReport
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.findings import about
from gradaudit.reports.html.charts import drawing
from gradaudit.reports.html.markup import Html, tag
from gradaudit.reports.html.tables import table
from gradaudit.reports.number_format import number
from gradaudit.reports.probes import largest_ratio

STEP, HEIGHT, MARGIN, LEFT = 52, 120, 24, 40
"""Pixels between two scales, of the whole range of values, of the room around them, and for the limit's name."""
MOST = 24
"""So many evaluations of a case are drawn."""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Limit:
    """A value drawn as a dashed line; where it is the `highest`, what is above is beyond it, else what is below."""

    value: float
    name: str
    highest: bool

    def passed(self, value: float) -> bool:
        """Whether `value` is beyond the limit; NaN always is."""
        return not (value <= self.value if self.highest else value > self.value)


def scale_curves(report: CaseReport) -> Iterator[Html]:
    """For a case with several scales: a table of the largest errors, a curve for each evaluation and each dtype."""
    scales = report.case.scale
    if len(scales) < 2:
        return
    errors = _errors(report)
    if errors:
        headers = ("evaluation", *(f"scale {number(scale)}" for scale in scales))
        rows = [
            (about(key), *(number(found[scale], 3) if scale in found else "-" for scale in scales))
            for key, found in errors.items()
        ]
        caption = "Largest error over tolerance by the scale of the logits; beyond 1 it is no rounding"
        yield table(caption, headers, rows, numbers=range(1, len(headers)))
    drawn = [(key, [(scale, found[scale]) for scale in scales if scale in found]) for key, found in errors.items()]
    shared = _bounds([value for _, points in drawn for _, value in points], 1.0)
    figures = [
        _figure(points, about(key), "largest error over tolerance", Limit(1.0, "1", highest=True), shared)
        for key, points in drawn[:MOST]
    ]
    if figures:
        yield tag("h3", "Breakdown: largest error over tolerance by scale")
        yield tag("div", figures, class_="charts")
        if len(drawn) > MOST:
            yield tag("p", f"{len(drawn) - MOST:,} more stand in the table above.", class_="quiet")
    yield from _saturation(report)


def _saturation(report: CaseReport) -> Iterator[Html]:
    figures = []
    for dtype in report.case.dtypes:
        facts = [each for each in report.facts if each.dtype == dtype and each.complement > 0]
        if len(facts) > 1:
            points = [(each.scale, each.complement) for each in facts]
            limit = Limit(facts[0].unit_roundoff / 2, "u/2", highest=False)
            bounds = _bounds([value for _, value in points], limit.value)
            figures.append(_figure(points, dtype, "1 - p of the most saturated row", limit, bounds))
    if figures:
        yield tag("h3", "Saturation: 1 - p of the most saturated row by scale; from u/2 down p rounds to 1")
        yield tag("div", figures, class_="charts")


def _errors(report: CaseReport) -> dict[EvaluationKey, dict[float, float]]:
    """Largest error over tolerance by scale, for each evaluation of the case's own inputs."""
    found: dict[EvaluationKey, dict[float, float]] = {}
    for item in ordered(report):
        if isinstance(item, Measurement) and item.key.probe is None:
            found.setdefault(replace(item.key, scale=1.0), {})[item.key.scale] = largest_ratio(item)
    return found


def _figure(points: Points, name: str, what: str, limit: Limit, bounds: tuple[float, float]) -> Html:
    values = "; ".join(f"scale {number(scale)}: {number(value, 3)}" for scale, value in points)
    return curve(points, f"{name}: {what}: {values}", limit, bounds, name)


def _bounds(values: Sequence[float], limit: float) -> tuple[float, float]:
    """Decimal exponents between which all that is finite lies, the limit too."""
    finite = [value for value in values if math.isfinite(value) and value > 0]
    return math.log10(min([*finite, limit])) - 0.3, math.log10(max([*finite, limit])) + 0.3


def curve(points: Points, label: str, limit: Limit, bounds: tuple[float, float], caption: str) -> Html:
    """Values over scales, one step a scale, on a logarithmic axis between the decimal exponents `bounds`.

    What is infinite or NaN stands above all, 0 at the bottom; every point bears its value.
    """
    low, high = bounds
    width, base = LEFT + MARGIN + STEP * max(len(points) - 1, 1), MARGIN + HEIGHT

    def height(value: float) -> float:
        if not math.isfinite(value):
            return MARGIN - 4
        exponent = math.log10(value) if value > 0 else low
        return round(base - HEIGHT * (max(exponent, low) - low) / (high - low), 1)

    places = [(LEFT + index * STEP, height(value)) for index, (_, value) in enumerate(points)]
    shapes = [tag("line", class_="limit", x1=0, x2=width, y1=height(limit.value), y2=height(limit.value))]
    shapes.append(tag("text", limit.name, x=3, y=height(limit.value) - 3))
    shapes.append(tag("polyline", class_="curve", points=" ".join(f"{x},{y}" for x, y in places)))
    for (x, y), (scale, value) in zip(places, points, strict=True):
        dot = tag("circle", class_="beyond" if limit.passed(value) else "bar", cx=x, cy=y, r=4)
        shapes.append(tag("g", tag("title", f"scale {number(scale)}: {number(value, 3)}"), dot))
        shapes.append(tag("text", number(value, 2), x=x, y=y - 7, text_anchor="middle"))
        shapes.append(tag("text", number(scale, 3), x=x, y=base + MARGIN - 5, text_anchor="middle"))
    return drawing(width, base + MARGIN, label, shapes, caption)
