"""One row for each evaluation: its errors in units of the tolerance, and the tolerance row that explains it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradaudit.records.measurement import Measurement
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import CUSTOM
from gradaudit.reports.console.styled import INDENT, add_name_column, add_number_column, safe, table
from gradaudit.reports.evaluation_rows import Item, Told, evaluation_rows
from gradaudit.reports.findings import setting

STYLES = {"": "", "good": "green", "doubtful": "yellow", "wrong": "bold red", "absent": "dim"}

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
    named = {item.key: row for item, row in zip(items, evaluation_rows(report, items), strict=True)}
    rows: list[tuple[Text, ...]] = []
    for (dtype, scale), group in groupby(items, key=lambda item: (item.key.dtype, item.key.scale)):
        if len(pairs) > 1:
            rows.append((safe((setting(dtype, scale), "bold")),))
        for item in group:
            told = named[item.key]
            rows.append((safe(told.name), *map(_styled, told.numbers), _styled(told.explained)))
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


def _styled(told: Told) -> Text:
    return safe((told.text, STYLES[told.tone]))
