"""Measurements as rows of a CSV table: one for each array of each evaluation, one for each evaluation without any."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator
from functools import partial

from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.measurement import Measurement, Quantity
from gradaudit.records.report import CaseReport, Report
from gradaudit.reports.against import evaluation_state, evaluation_states
from gradaudit.reports.case_labels import cases_by_label
from gradaudit.reports.evaluations import ordered, status
from gradaudit.reports.terminal import terminal_safe
from gradaudit.reports.verdicts import is_sound, named_faults

KEY = ("subject", "backend", "formulation", "dtype", "scale", "execution", "probe")
COUNTS = ("elements", "beyond", "undecided", "vacuous", "non_finite", "special_mismatch", "cancelled")
ERRORS = ("max_error_over_tolerance", "max_ulp", "max_abs_error", "max_rel_error")
COLUMNS = (
    *("case", "path", "line", "function"),
    *KEY,
    *("status", "sound", "explained_by", "precision", "faults", "seconds"),
    *("quantity", "quantity_dtype", *ERRORS, *COUNTS, "row_sum", "row_sum_expected", "row_sum_tolerance"),
    *("failure_kind", "failure_message", "baseline"),
)
"""The names of the columns, which stand in the first row. Columns may be added at the end, and none is renamed."""

FORMULA = ("=", "+", "-", "@")
"""How a cell begins that spreadsheets would compute; an apostrophe before it makes it a text."""

Cell = str | int | float | bool | None


def render(report: Report) -> str:
    """The table, comma-separated, quoted where needed, lines ended by a line feed.

    Numbers have all their digits; a number that is not finite is NaN, Infinity or -Infinity, and one that does not
    exist leaves its cell empty.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    states = evaluation_states(report.baseline)
    for label, case in cases_by_label(report).items():
        for row in _rows(case, partial(evaluation_state, report, states, label)):
            table.writerow([_cell(row.get(column)) for column in COLUMNS])
    return text.getvalue()


def _rows(report: CaseReport, baseline: Callable[[EvaluationKey], str | None]) -> Iterator[dict[str, Cell]]:
    case = report.case
    shared: dict[str, Cell] = {
        "case": case.name,
        "path": case.source.path,
        "line": case.source.line,
        "function": case.function.name,
    }
    for item in ordered(report):
        named = {**shared, **_of_key(item.key), "status": status(item)}
        if isinstance(item, EvaluationFailure):
            yield {**named, "failure_kind": item.kind, "failure_message": item.message}
            continue
        measured = {**named, **_of_measurement(item, report), "baseline": baseline(item.key)}
        quantities = (("loss", item.output), ("gradient", item.gradient), ("jacobian", item.jacobian))
        for name, quantity in quantities:
            if quantity is not None:
                yield {**measured, "quantity": name, **_of_quantity(quantity)}


def _of_key(key: EvaluationKey) -> dict[str, Cell]:
    return {name: getattr(key, name) for name in KEY}


def _of_measurement(measurement: Measurement, report: CaseReport) -> dict[str, Cell]:
    explanation = measurement.explanation
    faults = [fault.fault for fault in named_faults(report, measurement.key)] if not explanation.explains else []
    faults += [diagnosis.fault for diagnosis in measurement.likely]
    return {
        "sound": is_sound(measurement),
        "explained_by": explanation.formulation if explanation.explains else None,
        "precision": explanation.precision if explanation.explains else None,
        "faults": " ".join(dict.fromkeys(faults)) or None,
        "seconds": measurement.seconds,
    }


def _of_quantity(quantity: Quantity) -> dict[str, Cell]:
    sums = quantity.sums
    return {
        "quantity_dtype": quantity.dtype,
        **{name: getattr(quantity, name) for name in (*ERRORS, *COUNTS)},
        "row_sum": None if sums is None else sums.got,
        "row_sum_expected": None if sums is None else sums.expected,
        "row_sum_tolerance": None if sums is None else sums.tolerance,
    }


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int | float):
        return repr(value)
    text = terminal_safe(value)
    return f"'{text}" if text.lstrip().startswith(FORMULA) else text
