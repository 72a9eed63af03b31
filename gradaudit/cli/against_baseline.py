"""`gradaudit check --baseline`: what a report changes of a baseline, after the report itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradaudit.cli.streams import say, write_lines

if TYPE_CHECKING:
    from gradaudit.records.report import Report
    from gradaudit.regression.baseline import Baseline


def tell(report: Report, baseline: Baseline, path: str, *, on_page: bool, quiet: bool) -> int:
    """The exit status against the baseline of `path`; what it rests on goes to the page, below the report.

    Where the page is another format's (`on_page` is false) it goes to standard error, if it is wanted or fails.
    """
    from gradaudit.cli import report_formats
    from gradaudit.cli.baseline import update_command
    from gradaudit.regression import told
    from gradaudit.regression.differences import differences

    # What is rounded in the JSON report, and left out of it, is so here too: a saved report says the same.
    found = differences(baseline, report_formats.as_saved(report))
    lines = ("", f"against {path}:", *told.lines(found, update_command(path)))
    if on_page:
        write_lines(lines)
    elif found.exit_status or not quiet:
        for line in lines[1:]:
            say(line or " ")
    return found.exit_status
