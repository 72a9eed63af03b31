"""The commands that show a finding again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from gradaudit.records.report import Report
from gradaudit.reports.issues import Issue
from gradaudit.reports.number_format import number
from gradaudit.reports.places import in_file
from gradaudit.reports.terminal import terminal_safe


def commands(report: Report, issue: Issue) -> tuple[str, ...]:
    """Lines for a shell: the audit narrowed to what the finding is about, and what explains its code.

    A case from flags or standard input is audited by the command that was given.
    """
    case, finding = issue.case.case, issue.finding
    if not in_file(case.source):
        again = list(report.command)
    else:
        again = ["gradaudit", "check", case.source.path]
        if finding is not None:
            again += _one_of("--dtype", finding.dtype, case.dtypes)
            again += _one_of("--scale", finding.scale and number(finding.scale, 17), case.scale)
        again += ["--seed", str(report.environment.seed)] if report.environment.seed else []
    code = issue.code if finding is not None else issue.missing.code if issue.missing else ""
    return tuple(
        " ".join(shlex.quote(terminal_safe(part)) for part in line)
        for line in (again, ["gradaudit", "explain", code])
    )


def _one_of(flag: str, value: str | float | None, values: Sequence[object]) -> list[str]:
    """The flag, where the case has several of these values and the finding is about one of them."""
    return [flag, str(value)] if value and len(values) > 1 else []
