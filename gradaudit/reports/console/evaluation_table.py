"""One row for each evaluation: its errors in units of the tolerance, and the tolerance row that explains it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradaudit.records.evaluation import EvaluationFailure
from gradaudit.records.measurement import Measurement, Quantity
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import CUSTOM
from gradaudit.reports.console.styled import INDENT, add_name_column, add_number_column, safe, table
from gradaudit.reports.evaluations import status
from gradaudit.reports.findings import setting
from gradaudit.reports.number_format import number, share
from gradaudit.reports.verdicts import name, named_faults

Item = Measurement | EvaluationFailure

NUMBERS = ("forward\ne/t", "\nULP", "gradient\ne/t", "\nULP", "unde-\ncided", "sum\n(exact)")
"""Headers between the name of an evaluation and what explains it; the last may fold."""

FIRST, SUM, LAST = 0, len(NUMBERS), len(NUMBERS) + 1
"""Columns that may fold: the name of the evaluation, the sum, and what explains it."""

UNFOLDED = 24
"""Words of a name up to this length are kept whole where the page allows it."""
GAP = 2
"""Blank columns between two columns of a table."""


def evaluation_table(report: CaseReport, items: Sequence[Item], console: Console) -> tuple[Text, Table]:
    """What all evaluations share, in words, and the table of what tells them apart.

    `e/t` is the largest error in units of its tolerance, among the elements that the tolerance decides. The
    items are expected in the order of dtype and scale; where these differ, each pair heads its own rows.
    """
    formulations = {item.key.formulation for item in items} - {CUSTOM}
    pairs = {(item.key.dtype, item.key.scale) for item in items}
    shared = [*formulations] if len(formulations) == 1 else []
    shared += [setting(dtype, scale) for dtype, scale in pairs if len(pairs) == 1]
    rows: list[tuple[Text, ...]] = []
    for (dtype, scale), group in groupby(items, key=lambda item: (item.key.dtype, item.key.scale)):
        if len(pairs) > 1:
            rows.append((safe((setting(dtype, scale), "bold")),))
        for item in group:
            cells = _measured(item, report) if isinstance(item, Measurement) else _failed(item)
            rows.append((safe(_name(item, len(formulations) > 1)), *cells))
    jacobian = any(isinstance(item, Measurement) and item.jacobian for item in items)
    numbers = [header.replace("gradient", "Jacobian") if jacobian else header for header in NUMBERS]
    headers = ["evaluation", *numbers, "explained by"]
    widths: Sequence[int | None] = _widths(headers, rows, console.width - INDENT) or [None] * len(headers)
    result = table()
    for index, (header, width) in enumerate(zip(headers, widths, strict=True)):
        add = add_name_column if index in (FIRST, LAST) else add_number_column
        add(result, header, width)
    for row in rows:
        result.add_row(*row)
    return safe(("evaluations ", "bold"), ", ".join(shared)), result


def _widths(headers: Sequence[str], rows: Sequence[Sequence[Text]], page: int) -> list[int] | None:
    """The widths of all columns where no word need be broken on a page so wide; None where one must be.

    What explains an evaluation folds first, then its sum, then its name. Rich by itself would rather break a word,
    and cut off what it then has no room for.
    """
    columns = [
        [header, *(row[index].plain for row in rows if index < len(row))] for index, header in enumerate(headers)
    ]
    full = [max(len(line) for text in column for line in text.split("\n")) for column in columns]
    words = [max(len(word) for text in column for word in text.split()) for column in columns]
    for first in (full[FIRST], min(words[FIRST], UNFOLDED)):
        for total in (full[SUM], words[SUM]):
            widths = [first, *full[FIRST + 1 : SUM], total]
            room = page - sum(widths) - GAP * len(widths)
            if room >= min(words[LAST], UNFOLDED):
                return [*widths, min(room, full[LAST])]
    return None


def _name(item: Item, with_formulation: bool) -> str:
    probe = item.key.probe and f"probe {item.key.probe}"
    return " ".join(part for part in (name(item.key, with_formulation=with_formulation), probe) if part)


def _measured(measurement: Measurement, report: CaseReport) -> list[Text]:
    gradient = measurement.gradient or measurement.jacobian
    cells = [_ratio(measurement.output), _ulp(measurement.output)]
    if gradient is None:
        return [*cells, *_dashes(len(NUMBERS) - len(cells)), _explained(measurement, report)]
    undecided = measurement.output.undecided + gradient.undecided
    elements = measurement.output.elements + gradient.elements
    open_share = safe((share(undecided, elements), "yellow" if undecided else ""))
    return [*cells, _ratio(gradient), _ulp(gradient), open_share, _sum(gradient), _explained(measurement, report)]


def _failed(failure: EvaluationFailure) -> list[Text]:
    style = "dim" if status(failure) == "skipped" else "bold red"
    return [*_dashes(len(NUMBERS)), safe((failure.kind.replace("_", " "), style))]


def _dashes(amount: int) -> list[Text]:
    return [safe(("-", "dim")) for _ in range(amount)]


def _ratio(measured: Quantity) -> Text:
    sound = measured.beyond == 0 and not _has_wrong_special(measured)
    ratio = math.inf if _has_wrong_special(measured) else measured.max_error_over_tolerance
    return safe((_shown(ratio), "" if sound else "bold red"))


def _ulp(measured: Quantity) -> Text:
    return safe(_shown(math.inf if _has_wrong_special(measured) else measured.max_ulp))


def _has_wrong_special(measured: Quantity) -> bool:
    """Whether some value is NaN or infinite and should not be, or the other way round: no error measures that."""
    return measured.non_finite > 0 or measured.special_mismatch > 0


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else number(value, 3)


def _sum(measured: Quantity) -> Text:
    sums = measured.sums
    if sums is None:
        return safe(("-", "dim"))
    style = "" if sums.residual <= sums.tolerance else "bold red"
    # Beside an exact 0 stands what rounding left, of which the magnitude is all that counts.
    digits = 2 if sums.expected == 0 else 4
    return safe((f"{number(sums.got, digits)} ({number(sums.expected, digits)})", style))


def _explained(measurement: Measurement, report: CaseReport) -> Text:
    """The fault that was recognised, or the tolerance row that explains every element, or nothing."""
    explanation = measurement.explanation
    faults = [fault.fault for fault in named_faults(report, measurement.key)] if not explanation.explains else []
    faults = faults or [diagnosis.fault for diagnosis in measurement.diagnoses]
    if faults:
        # In words, which fold between them.
        return safe((", ".join(fault.replace("-", " ") for fault in faults), "bold red"))
    if not explanation.explains:
        quantities = (measurement.output, measurement.gradient, measurement.jacobian)
        beyond = sum(measured.beyond for measured in quantities if measured is not None)
        return safe((f"nothing: {beyond} beyond", "bold red"))
    parts = [explanation.formulation]
    if explanation.precision != "declared":
        parts.append(explanation.precision)
    return safe((", ".join(parts), "yellow" if explanation.weaker or explanation.looser else "green"))
