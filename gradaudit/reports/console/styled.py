"""Text and tables that are safe to print: nothing in them is read as markup, emoji or an escape sequence."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import Box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gradaudit.reports.terminal import terminal_safe

INDENT = 2
SEVERITY_STYLES = {"error": "bold red", "warning": "yellow", "info": "cyan"}

HEADER_LINE = Box("    \n    \n ── \n    \n    \n    \n    \n    \n")
"""A rule under the header and nothing else: what a narrow page has room for."""


def safe(*parts: str | tuple[str, str]) -> Text:
    """One text out of strings and (string, style) pairs, all of them made harmless."""
    text = Text(overflow="fold")
    for part in parts:
        content, style = (part, "") if isinstance(part, str) else part
        text.append(terminal_safe(content), style)
    return text


def indented(renderable: Text | Table, levels: int = 1) -> Padding:
    """`renderable`, set in from the left margin so that no folded name begins a line."""
    return Padding(renderable, (0, 0, 0, INDENT * levels), expand=False)


def table(gap: int = 1) -> Table:
    """An empty table in the style of the house; its columns are `gap` + 1 apart."""
    return Table(box=HEADER_LINE, show_edge=False, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")


def add_name_column(target: Table, header: str, width: int | None = None) -> None:
    """A column of names: folded where there is no room, never cut."""
    target.add_column(safe(header), overflow="fold", width=width)


def add_number_column(target: Table, header: str, width: int | None = None) -> None:
    """A column of numbers, aligned right; the header is ours and may hold line ends."""
    target.add_column(Text(header), justify="right", overflow="fold", width=width)


def add_values(target: Table, headers: Sequence[str], rows: Sequence[tuple[str | Text, Sequence[Text]]]) -> None:
    """Columns of numbers behind a column of names, and their rows: last digit under last digit, marked or not.

    Every number brings the place of its mark along, a blank where it has none.
    """
    # Aligned here: Rich takes the blanks at the end of a text away before it aligns it to the right.
    headings = [Text(f"{header} ") for header in headers]
    for index, column in enumerate(zip(headings, *(values for _, values in rows), strict=True)):
        width = max(cell.cell_len for cell in column) + (index == 0)
        for cell in column:
            cell.pad_left(width - cell.cell_len)
    for heading in headings:
        target.add_column(heading, overflow="fold")
    for name, values in rows:
        target.add_row(name, *values)
