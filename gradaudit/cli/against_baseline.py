"""`gradaudit check --baseline`: the report with what the baseline says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradaudit.cli.streams import say

if TYPE_CHECKING:
    from gradaudit.records.report import Report
    from gradaudit.regression.baseline import Baseline


def held_against(report: Report, baseline: Baseline, path: str) -> Report:
    """The report with its exit status against the baseline of `path`, and with what is known and what is not."""
    from gradaudit.cli import report_formats
    from gradaudit.regression import marking

    return marking.held_against(report, baseline, path, report_formats.as_saved(report))


def tell(report: Report) -> None:
    """Say on standard error what has changed, where the page is of a format that does not say it all."""
    from gradaudit.reports import against

    held = report.baseline
    if held is not None and (found := against.lines(held)):
        say(f"against {held.path}:")
        for line in found:
            say(line or " ")
