"""What a report says against the loss, as `gradaudit check` prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradaudit.records.report import Report

WIDTH = 100


def failure(report: Report) -> str | None:
    """The findings of a report that fails; None where it passes."""
    if report.exit_status == 0:
        return None
    from gradaudit.reports.console.verdict import findings_text

    return findings_text(report, width=WIDTH)
