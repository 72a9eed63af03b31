"""Text and tables that are safe to print: nothing in them is read as markup, emoji or an escape sequence."""

from __future__ import annotations

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


def add_name_column(target: Table, header: str, min_width: int | None = None) -> None:
    """A column of names: folded where there is no room, never cut."""
    target.add_column(safe(header), overflow="fold", min_width=min_width)


def add_number_column(target: Table, header: str, *, no_wrap: bool = False) -> None:
    """A column of numbers, aligned right; the header is ours and may hold line ends."""
    target.add_column(Text(header), justify="right", overflow="fold", no_wrap=no_wrap)
