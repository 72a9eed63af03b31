"""One finding a line, `path:line: CODE severity: message`, whatever the width of the terminal."""

from __future__ import annotations

from gradaudit.records.finding import Finding
from gradaudit.records.report import Report
from gradaudit.reports.findings import expectation, place, unsaid
from gradaudit.reports.terminal import terminal_safe, without_commands


def render(report: Report) -> str:
    """The findings of each case, errors first, then its expectations that were not met; "" where there is none.

    What the message does not name of the evaluation follows in brackets; what a spec expects ends in "(expected)".
    """
    lines = []
    for case in report.cases:
        lines += [f"{place(finding.location)}: {_statement(finding)}" for finding in case.findings]
        lines += [
            f"{place(missing.location)}: {expectation(missing)} expected, not found" for missing in case.missing
        ]
    return "".join(f"{without_commands(terminal_safe(line))}\n" for line in lines)


def _statement(finding: Finding) -> str:
    named = unsaid(finding)
    return (
        f"{finding.code} {finding.severity}: {finding.message}{f' [{named}]' if named else ''}"
        f"{' (expected)' if finding.expected else ''}"
    )
