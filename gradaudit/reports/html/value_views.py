"""The values of a case: heat maps of gradients and Jacobians, and where their errors lie within the tolerance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gradaudit.records.case import Case
from gradaudit.records.measurement import Measurement, Quantity
from gradaudit.records.report import CaseReport
from gradaudit.reports.evaluation_rows import Told
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.findings import about
from gradaudit.reports.html.charts import heat_map, histogram
from gradaudit.reports.html.guide import picture_legend
from gradaudit.reports.html.markup import Html, tag
from gradaudit.reports.html.tables import table, told
from gradaudit.reports.number_format import number
from gradaudit.reports.small_arrays import by_rows, exact_row_sum, laid_out, row_sum
from gradaudit.reports.verdicts import is_sound

MOST_CELLS = 1024
"""Heat maps have at most so many cells."""
MOST_ROWS = 4
"""Jacobians of so many rows of logits are drawn."""
MOST_EVALUATIONS = 12
"""So many evaluations of a case are drawn, wrong ones first; the JSON report has the values of all of them."""


def value_views(report: CaseReport) -> Iterator[Html]:
    """For each evaluation of the case's own inputs its histograms, its heat maps, and its values if they are few."""
    measured = [item for item in ordered(report) if isinstance(item, Measurement) and item.key.probe is None]
    drawn = sorted(measured, key=is_sound)[:MOST_EVALUATIONS]
    if drawn:
        yield picture_legend()
    for measurement in drawn:
        parts = [*_histograms(measurement), *_maps(measurement, report.case)]
        listed = [*_values(measurement, report.case)]
        yield tag(
            "section", tag("h3", about(measurement.key)), tag("div", parts, class_="charts") if parts else "", listed
        )
    if len(measured) > len(drawn):
        yield tag("p", f"{len(measured) - len(drawn):,} more evaluations stand in the JSON report.", class_="quiet")


def _quantities(measurement: Measurement) -> list[tuple[str, Quantity]]:
    named = (("forward", measurement.output), ("gradient", measurement.gradient), ("Jacobian", measurement.jacobian))
    return [(name, quantity) for name, quantity in named if quantity is not None]


def _histograms(measurement: Measurement) -> Iterator[Html]:
    for name, quantity in _quantities(measurement):
        if quantity.elements > 1:
            caption = f"{name}: error over tolerance of {quantity.elements:,} elements"
            yield histogram(quantity.histogram, caption)


def _maps(measurement: Measurement, case: Case) -> Iterator[Html]:
    for name, quantity in _quantities(measurement)[1:]:
        values = quantity.values
        if values is None:
            continue
        got, reference, tolerance = (
            by_rows(array, values, case) for array in (values.got, values.reference, values.tolerance)
        )
        for label, cells in _grids(name, got):
            if cells.size > MOST_CELLS:
                continue
            exact = dict(_grids(name, reference))[label]
            ratio = _ratio(cells, exact, dict(_grids(name, tolerance))[label])
            if not is_sound(measurement):
                caption = f"{label}, exact"
                yield heat_map(exact, caption, np.zeros(exact.shape, dtype=bool))
            caption = f"{label}, as returned"
            yield heat_map(cells, caption, ~(ratio <= 1))
            caption = f"{label}: error over tolerance"
            yield heat_map(ratio, caption, ~(ratio <= 1), errors=True)


def _grids(name: str, array: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """[outputs, rows, classes] as pictures: a gradient as rows by classes, a Jacobian as outputs by classes."""
    outputs, rows, _ = array.shape
    if outputs == 1:
        return [(f"{name} (rows down, classes across)", array[0])]
    return [
        (f"{name}{f' of row {row}' if rows > 1 else ''} (outputs down, logits across)", array[:, row])
        for row in range(min(rows, MOST_ROWS))
    ]


def _ratio(got: np.ndarray, exact: np.ndarray, tolerance: np.ndarray) -> np.ndarray:
    """Error over tolerance; 0 where both agree (NaN with NaN, inf with inf), infinite where only one is finite."""
    same = (got == exact) | (np.isnan(got) & np.isnan(exact))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratio = np.abs(got - exact) / tolerance
    return np.where(same, 0.0, np.where(np.isnan(ratio), np.inf, ratio))


def _values(measurement: Measurement, case: Case) -> Iterator[Html]:
    """The exact entries, those returned and their error over tolerance, with the sums that derivatives have."""
    for name, quantity in _quantities(measurement):
        laid, values = laid_out(quantity, case), quantity.values
        if laid is None or values is None:
            continue
        ratios = _ratio(laid.got, laid.reference, by_rows(values.tolerance, values, case))
        outputs, rows, classes = laid.got.shape
        sums = name != "forward"
        lines: list[Sequence[Html | str]] = []
        for row in range(rows):
            for output in range(outputs):
                place = _place(row, rows, output, outputs)
                exact, got = laid.reference[output, row], laid.got[output, row]
                totals = [number(exact_row_sum(exact))] if sums else []
                lines.append(("exact" + place, *map(number, exact), *totals))
                totals = [number(row_sum(got), 3)] if sums else []
                lines.append(("returned" + place, *map(number, got), *totals))
                lines.append(("e/t" + place, *map(_told_ratio, ratios[output, row]), *([""] if sums else [])))
        headers = ["entry", *(f"[{index}]" for index in range(classes))] if classes > 1 else ["entry", "value"]
        headers += ["sum"] if sums else []
        yield table(f"{name}, {about(measurement.key)}", headers, lines, numbers=range(1, len(headers)))


def _told_ratio(ratio: float) -> Html:
    return told(Told(number(ratio, 3), "" if ratio <= 1 else "wrong"))


def _place(row: int, rows: int, output: int, outputs: int) -> str:
    parts = [f"row {row}"] if rows > 1 else []
    parts += [f"output {output}"] if outputs > 1 else []
    return f" {', '.join(parts)}" if parts else ""
