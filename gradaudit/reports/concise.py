"""One finding a line, `path:line: CODE severity: message`, whatever the width of the terminal."""

from __future__ import annotations

from gradaudit.records.report import Report
from gradaudit.reports.findings import place
from gradaudit.reports.issues import Issue, listed
from gradaudit.reports.terminal import terminal_safe, without_commands


def render(report: Report) -> str:
    """The findings of each case, errors first, then its expectations that were not met, then evaluations that fall
    short of the baseline; "" where there is none.

    At most `report.max_findings` of all cases together, the worst ones, are there.

    What the message does not name of the evaluation follows in brackets; what a spec expects ends in "(expected)",
    and what a baseline says of a finding follows likewise: "(new)", "(known)".
    """
    lines = [f"{place(issue.location)}: {_statement(issue)}" for issue in listed(report)]
    return "".join(f"{without_commands(terminal_safe(line))}\n" for line in lines)


def _statement(issue: Issue) -> str:
    if issue.missing is not None:
        return issue.text
    return f"{issue.code} {issue.severity}: {issue.text}{f' ({issue.mark})' if issue.mark else ''}"
