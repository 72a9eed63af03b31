"""The findings of a report without its tables: what a failing test shows."""

from __future__ import annotations

import io

from rich.console import Console

from gradaudit.records.report import Report
from gradaudit.reports.console.against_lines import against_lines
from gradaudit.reports.console.finding_list import failure_list, finding_list, missing_list
from gradaudit.reports.console.styled import safe
from gradaudit.reports.findings import place
from gradaudit.reports.summary import summary
from gradaudit.reports.terminal import without_commands


def findings_text(report: Report, *, width: int = 100) -> str:
    """Each case with its findings, its failures and the expectations that were not met, what has changed since the
    baseline, and the closing line.

    Every line is one that `gradaudit.reports.console.full` prints too.
    """
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=False,
        color_system=None,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    rules = {rule.code: rule for rule in report.rules}
    with console.capture() as capture:
        for case in report.cases:
            console.print(safe("── ", case.case.name, "  ", place(case.case.source)))
            for block in (failure_list(case, verbose=False), finding_list(case, rules), missing_list(case)):
                for line in block:
                    console.print(line)
            console.print()
        for change in against_lines(report):
            console.print(change)
        console.print(safe(summary(report)[1]))
    return without_commands("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()))
