"""GitHub's workflow commands: annotations on the lines of specs and losses, for the log of a step."""

from __future__ import annotations

from gradaudit.records.report import Report
from gradaudit.reports.issues import Issue, listed, shortened, worst_first
from gradaudit.reports.places import file_path, in_file, in_repository
from gradaudit.reports.summary import summary
from gradaudit.reports.terminal import terminal_safe, without_commands

COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
SHOWN = 10
"""GitHub shows so many annotations of each level for a step, and drops the rest without a word."""


def render(report: Report) -> str:
    """The annotations, worst first and at most SHOWN of each level, then what was left out and the summary.

    What the specs expect is left out, and what the baseline holds is a notice. No name of others ever begins a line
    or a property, so that none is obeyed.
    """
    lines: list[str] = []
    left: dict[str, int] = {}
    unexpected = worst_first(issue for issue in listed(report) if not issue.expected)
    for severity, command in COMMANDS.items():
        of_level = [issue for issue in unexpected if _level(issue) == severity]
        lines += [_annotation(command, issue, report) for issue in of_level[:SHOWN]]
        if len(of_level) > SHOWN:
            left[severity] = len(of_level) - SHOWN
    if left:
        counted = ", ".join(f"{amount} of severity {severity}" for severity, amount in left.items())
        lines.append(f"Further findings, for which GitHub has no room beside the code: {counted}.")
    lines.append(without_commands(terminal_safe(summary(report)[1])))
    return "".join(f"{line}\n" for line in lines)


def _level(issue: Issue) -> str:
    return "info" if issue.known else issue.severity


def _annotation(command: str, issue: Issue, report: Report) -> str:
    properties = []
    mark = f" ({issue.mark})" if issue.mark else ""
    if in_file(issue.location):
        properties.append(f"file={_property(file_path(in_repository(report, issue.location)))}")
        if issue.location.line:
            properties.append(f"line={issue.location.line}")
        if issue.location.line and issue.location.column:
            properties.append(f"col={issue.location.column}")
    properties.append(f"title={_property(f'{issue.code} {issue.name}{mark}')}")
    # The words of a change begin with the name of its case.
    text = issue.text if issue.change else f"{issue.case_name}: {issue.text}"
    advice = f"%0ANext: {_data(issue.advice)}" if issue.advice else ""
    return f"::{command} {','.join(properties)}::{_data(text)}{advice}"


def _data(text: str) -> str:
    return shortened(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
