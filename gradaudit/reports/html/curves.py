"""Curves over the scale of the logits: where errors leave their tolerance, and where the softmax saturates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

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

STEP, HEIGHT, MARGIN = 48, 120, 20
"""Pixels between two scales, of the whole range of values, and of the room around them."""
MOST = 24
"""So many evaluations of a case are drawn."""

Points = Sequence[tuple[float, float]]


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
    figures = []
    for key, found in [*errors.items()][:MOST]:
        caption = f"{about(key)}: largest error over tolerance"
        figures.append(_figure([(scale, found[scale]) for scale in scales if scale in found], caption, 1.0, "1"))
    for dtype in report.case.dtypes:
        facts = [each for each in report.facts if each.dtype == dtype and each.complement > 0]
        if len(facts) > 1:
            caption = f"{dtype}: 1 - p of the most saturated row; from u/2 down p rounds to 1"
            points = [(each.scale, each.complement) for each in facts]
            figures.append(_figure(points, caption, facts[0].unit_roundoff / 2, "u/2"))
    if figures:
        yield tag("div", figures, class_="charts")


def _errors(report: CaseReport) -> dict[EvaluationKey, dict[float, float]]:
    """Largest error over tolerance by scale, for each evaluation of the case's own inputs."""
    found: dict[EvaluationKey, dict[float, float]] = {}
    for item in ordered(report):
        if isinstance(item, Measurement) and item.key.probe is None:
            found.setdefault(replace(item.key, scale=1.0), {})[item.key.scale] = largest_ratio(item)
    return found


def _figure(points: Points, caption: str, limit: float, limit_name: str) -> Html:
    told = "; ".join(f"scale {number(scale)}: {number(value, 3)}" for scale, value in points)
    picture = curve(points, f"{caption}: {told}", limit, limit_name)
    return tag("figure", picture, tag("figcaption", caption), tabindex=0)


def curve(points: Points, label: str, limit: float, limit_name: str) -> Html:
    """Values over scales, one step a scale, on a logarithmic axis; what is infinite or NaN stands above all."""
    finite = [value for _, value in points if math.isfinite(value) and value > 0]
    low, high = math.log10(min([*finite, limit])) - 0.3, math.log10(max([*finite, limit])) + 0.3
    width, base = MARGIN * 2 + STEP * max(len(points) - 1, 1), MARGIN + HEIGHT

    def height(value: float) -> float:
        if not math.isfinite(value):
            return MARGIN / 2
        exponent = math.log10(value) if value > 0 else low
        return round(base - HEIGHT * (max(exponent, low) - low) / (high - low), 1)

    places = [(MARGIN + index * STEP, height(value)) for index, (_, value) in enumerate(points)]
    shapes = [tag("line", class_="limit", x1=0, x2=width, y1=height(limit), y2=height(limit))]
    shapes.append(tag("text", limit_name, x=width - 3, y=height(limit) - 3, text_anchor="end"))
    shapes.append(tag("polyline", class_="curve", points=" ".join(f"{x},{y}" for x, y in places)))
    for (x, y), (scale, value) in zip(places, points, strict=True):
        beyond = limit_name == "1" and not value <= limit
        dot = tag("circle", class_="beyond" if beyond else "bar", cx=x, cy=y, r=4)
        shapes.append(tag("g", tag("title", f"scale {number(scale)}: {number(value, 3)}"), dot))
        shapes.append(tag("text", number(scale, 3), x=x, y=base + MARGIN - 6, text_anchor="middle"))
    return drawing(width, base + MARGIN, label, shapes)
