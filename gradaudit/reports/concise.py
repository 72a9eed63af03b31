"""One finding a line, `path:line: CODE severity: message`, whatever the width of the terminal."""

from __future__ import annotations

from gradaudit.records.finding import Finding
from gradaudit.records.report import Report
from gradaudit.reports.findings import place, unsaid
from gradaudit.reports.issues import listed
from gradaudit.reports.terminal import terminal_safe, without_commands


def render(report: Report) -> str:
    """The findings of each case, errors first, then its expectations that were not met; "" where there is none.

    At most `report.max_findings` of all cases together, the worst ones, are there.

    What the message does not name of the evaluation follows in brackets; what a spec expects ends in "(expected)".
    """
    lines = [
        f"{place(issue.location)}: {_statement(issue.finding) if issue.finding else issue.text}"
        for issue in listed(report)
    ]
    return "".join(f"{without_commands(terminal_safe(line))}\n" for line in lines)


def _statement(finding: Finding) -> str:
    named = unsaid(finding)
    return (
        f"{finding.code} {finding.severity}: {finding.message}{f' [{named}]' if named else ''}"
        f"{' (expected)' if finding.expected else ''}"
    )
