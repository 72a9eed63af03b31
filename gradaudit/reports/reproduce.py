"""The commands that show a finding again."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace

from gradaudit.records.report import Report
from gradaudit.reports.issues import Issue
from gradaudit.reports.number_format import number
from gradaudit.reports.places import in_file
from gradaudit.reports.terminal import terminal_safe

OF_THE_RUN = frozenset(
    {
        *("--output-format", "--report", "--max-findings", "--select", "--ignore", "--fail-on", "--fail-fast"),
        *("--no-fail-fast", "--shard", "--resume", "--baseline", "--no-baseline", "--exit-zero", "--timeout"),
        *("--startup-timeout", "--max-memory", "--jobs", "--seed", "--save-failures", "--save-limit", "--color"),
        *("-q", "--quiet", "-v", "--verbose", "--prove"),
    }
)
"""Flags of `gradaudit check` that leave what is audited as the specs have it."""


def commands(report: Report, issue: Issue) -> tuple[str, ...]:
    """Lines for a shell: what shows the finding again, and what explains its code."""
    code = issue.missing.code if issue.missing else issue.finding.code if issue.finding else ""
    explained = (_line(["gradaudit", "explain", code]),) if code else ()
    return (again(report, issue), *explained)


def again(report: Report, issue: Issue) -> str:
    """A line for a shell that shows the finding again: the replay of the evaluation that was saved, else the audit
    narrowed to what the finding is about.

    A case that flags or standard input had a part in is audited by the command that was given.
    """
    finding = issue.finding
    if finding is not None and finding.replay:
        return replay(finding.replay)
    case = None if issue.case is None else issue.case.case
    if case is None or not in_file(case.source) or _changes_specs(report.command):
        return _line(report.command)
    words = ["gradaudit", "check", _plain(case.source.path)]
    if finding is not None:
        words += _one_of("--dtype", finding.dtype, case.dtypes)
        words += _one_of("--scale", finding.scale and number(finding.scale, 17), case.scale)
    words += ["--seed", str(report.environment.seed)] if report.environment.seed else []
    words += ["--baseline", report.baseline.path] if report.baseline is not None and issue.change else []
    return _line(words)


def replay(folder: str) -> str:
    """The line for a shell that replays a saved evaluation."""
    return _line(["gradaudit", "replay", _plain(folder)])


def again_together(report: Report, found: Sequence[Issue]) -> str:
    """A line that shows all of these findings of one case again, those aside that were saved: no narrower than any of
    them; "" where there are none, or where it is the command that made the report."""
    others = [issue for issue in found if issue.finding is None or not issue.finding.replay]
    lines = {again(report, issue) for issue in others}
    if len(lines) > 1:
        lines = {again(report, replace(others[0], finding=None))}
    return "".join(lines - {_line(report.command)})


def _changes_specs(command: Sequence[str]) -> bool:
    """Whether a command audits what stands in no file: by flags that replace keys of specs, or by a replay."""
    if command[1:2] == ("replay",):
        return True
    named = (word.partition("=")[0] for word in command[2:] if word.startswith("-"))
    return command[1:2] == ("check",) and any(word not in OF_THE_RUN and word != "--" for word in named)


def _plain(path: str) -> str:
    """The path, such that no command takes it for a flag."""
    return f"./{path}" if path.startswith("-") else path


def _line(words: Sequence[str]) -> str:
    return " ".join(shlex.quote(terminal_safe(word)) for word in words)


def _one_of(flag: str, value: str | float | None, values: Sequence[object]) -> list[str]:
    """The flag, where the case has several of these values and the finding is about one of them."""
    return [flag, str(value)] if value and len(values) > 1 else []
