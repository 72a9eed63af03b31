"""The whole report for people: tables, small values, findings with their numbers and the next step."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Literal

from rich.console import Console, RenderableType

from gradaudit.records.report import CaseReport, Report
from gradaudit.reports.case_words import call, scope
from gradaudit.reports.console.against_lines import against_lines
from gradaudit.reports.console.evaluation_table import evaluation_table
from gradaudit.reports.console.facts_lines import facts_lines
from gradaudit.reports.console.finding_list import failure_list, finding_list, missing_list
from gradaudit.reports.console.power_lines import power_lines
from gradaudit.reports.console.styled import SEVERITY_STYLES, indented, safe
from gradaudit.reports.console.value_tables import value_tables
from gradaudit.reports.console.verdict_lines import probe_lines, subject_lines, verdict_lines
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.findings import place
from gradaudit.reports.issues import listed
from gradaudit.reports.reproduce import again_together
from gradaudit.reports.summary import summary
from gradaudit.reports.terminal import without_commands

ColorSystem = Literal["standard", "256", "truecolor"]


def render(
    report: Report, *, width: int = 100, color_system: ColorSystem | None = None, verbose: bool = False
) -> str:
    """The report as lines of at most `width` characters, with ANSI colours where a `color_system` is given.

    With `verbose` come the details of failures and what the subjects printed.
    """
    console = Console(
        file=io.StringIO(),
        width=width,
        height=100,
        force_terminal=color_system is not None,
        color_system=color_system,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
    rules = {rule.code: rule for rule in report.rules}
    shown = listed(report)
    kept = {id(issue.finding) for issue in shown}
    with console.capture() as capture:
        for case in report.cases:
            again = again_together(report, [issue for issue in shown if issue.case is case and issue.finding])
            for renderable in _case(case, finding_list(case, rules, kept, again), console, verbose):
                console.print(renderable)
            console.print()
        for line in against_lines(report):
            console.print(line)
        level, text = summary(report)
        console.print(safe((text, SEVERITY_STYLES.get(level, "bold green"))))
    lines = (line.rstrip() for line in capture.get().splitlines())
    return without_commands("".join(f"{line}\n" for line in lines))


def _case(
    report: CaseReport, findings: Iterable[RenderableType], console: Console, verbose: bool
) -> Iterator[RenderableType]:
    case = report.case
    yield safe(("── ", "dim"), (case.name, "bold"), ("  ", ""), (place(case.source), "dim"))
    yield indented(safe(call(case.function), ("; ", "dim"), scope(case)))
    if items := [item for item in ordered(report) if item.key.probe is None]:
        shared, table = evaluation_table(report, items, console)
        yield ""
        yield indented(shared)
        yield indented(table)
    for values in value_tables(report, console):
        yield ""
        yield values
    blocks = (
        verdict_lines(report),
        probe_lines(report),
        power_lines(report),
        (line for facts in report.facts for line in facts_lines(facts)),
        failure_list(report, verbose=verbose),
        findings,
        missing_list(report),
        subject_lines(report),
    )
    for block in blocks:
        for index, renderable in enumerate(block):
            if index == 0:
                yield ""
            yield renderable
