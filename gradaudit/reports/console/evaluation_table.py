"""One row for each evaluation: its errors in units of the tolerance, and the tolerance row that explains it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradaudit.records.measurement import Measurement
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import CUSTOM
from gradaudit.reports.console.styled import INDENT, add_name_column, add_number_column, safe, table
from gradaudit.reports.evaluation_rows import Item, Told, evaluation_rows
from gradaudit.reports.findings import setting

Each = TypeVar("Each")

STYLES = {"": "", "good": "green", "doubtful": "yellow", "wrong": "bold red", "absent": "dim"}

NUMBERS = ("forward\ne/t", "\nULP", "gradient\ne/t", "\nULP", "unde-\ncided", "sum\n(exact)")
"""Headers between the name of an evaluation and what explains it; the last may fold."""

FIRST, LAST = 0, len(NUMBERS) + 1
"""Columns of words. They may fold, and so may the sum, which is the last but one."""

UNFOLDED = 24
"""Words of a name up to this length are kept whole where the page allows it."""
GAP = 2
"""Blank columns between two columns of a table."""
ULP = (2, 4)
"""Columns that a narrow page has no room for: no verdict rests on them."""


def evaluation_table(report: CaseReport, items: Sequence[Item], console: Console) -> tuple[Text, Table | Text]:
    """What all evaluations share, in words, and the table of what tells them apart.

    `e/t` is the largest error in units of its tolerance, among the elements that the tolerance decides. The
    items are expected in the order of dtype and scale; where these differ, each pair heads its own rows. A page on
    which words would be broken gets no errors in ULP, and one that is narrower still gets a list.
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
    page = console.width - INDENT
    columns = [*range(len(headers))]
    widths = _widths(headers, rows, page)
    if widths is None:
        columns = [column for column in columns if column not in ULP]
        headers, rows = _only(columns, headers), [tuple(_only(columns, row)) for row in rows]
        widths = _widths(headers, rows, page)
    if widths is None:
        return safe(("evaluations ", "bold"), ", ".join(shared)), _listed(headers, rows)
    result = table()
    for column, header, width in zip(columns, headers, widths, strict=True):
        add = add_name_column if column in (FIRST, LAST) else add_number_column
        add(result, header, width)
    for row in rows:
        result.add_row(*row)
    return safe(("evaluations ", "bold"), ", ".join(shared)), result


def _only(columns: Sequence[int], row: Sequence[Each]) -> list[Each]:
    """The cells of a row in these columns; that of a heading is its only one."""
    return [row[column] for column in columns if column < len(row)]


def _listed(headers: Sequence[str], rows: Sequence[Sequence[Text]]) -> Text:
    """The rows below one another, a line for each cell."""
    lines: list[Text] = []
    for row in rows:
        lines.append(row[0])
        for header, cell in zip(headers[1:], row[1:], strict=len(row) > 1):
            words = header.replace("-\n", "").replace("\n", " ").strip()
            lines.append(Text.assemble("  ", (words, "dim"), " ", cell))
    return Text("\n", overflow="fold").join(lines)


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
    *before, _, _ = full
    for first in (full[FIRST], min(words[FIRST], UNFOLDED)):
        for total in (full[-2], words[-2]):
            widths = [first, *before[FIRST + 1 :], total]
            room = page - sum(widths) - GAP * len(widths)
            if room >= min(words[-1], UNFOLDED):
                return [*widths, min(room, full[-1])]
    return None


def _styled(told: Told) -> Text:
    return safe((told.text, STYLES[told.tone]))
