"""What the report changes of its baseline, below the cases."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType

from gradaudit.records.report import Report
from gradaudit.reports.against import lines
from gradaudit.reports.console.styled import indented, safe


def against_lines(report: Report) -> Iterator[RenderableType]:
    """The changes kind by kind and what to do, with an empty line behind each; nothing where nothing has changed."""
    if report.baseline is None or not (found := lines(report.baseline)):
        return
    yield safe(("against ", "bold"), (report.baseline.path, "bold"), (":", "bold"))
    for line in found:
        yield indented(safe(line.lstrip())) if line.startswith(" ") else safe(line)
