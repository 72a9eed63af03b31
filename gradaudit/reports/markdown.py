"""Markdown as GitHub and GitLab render it: for the summary of a workflow's step, or a comment."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set

from gradaudit.records.baseline import KINDS
from gradaudit.records.report import CaseReport, Report
from gradaudit.reports.against import TITLES, said, tone, update_command, version_line
from gradaudit.reports.case_words import call, scope
from gradaudit.reports.evaluation_rows import NUMBERS, Told, evaluation_rows
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.findings import place, setting
from gradaudit.reports.issues import Issue, issues, listed, shortened, worst_first
from gradaudit.reports.number_format import count
from gradaudit.reports.probes import probe_summaries, sentence
from gradaudit.reports.reproduce import commands
from gradaudit.reports.standing import standing
from gradaudit.reports.subject_verdicts import subject_verdicts
from gradaudit.reports.summary import summary
from gradaudit.reports.verdicts import verdicts

LARGEST = 900_000
"""Bytes. GitHub refuses the summary of a step that is larger than 1 MiB, whole."""
MOST_ROWS, MOST_ISSUES = 60, 40
"""So many evaluations and findings of a case are shown; the JSON report has all of them."""

MARKS = {"wrong": "❌ ", "doubtful": "⚠️ ", "good": "✅ ", "absent": "", "": ""}
LEVELS = {"error": "❌", "warning": "⚠️", "info": "ℹ️"}

_SPECIAL = re.compile(r"([\\`*_\[\]|~$#@{}!^])")
_ADDRESS = re.compile(r"(?<=:)(?=//)|(?<=[wW]{3})(?=\.)")


def render(report: Report) -> str:
    """A verdict and a table of the cases, then each case with its evaluations and findings, worst first.

    Names of others are text wherever they stand: no markup, no HTML, no links, on one line. Cases beyond LARGEST
    bytes are counted and left out.
    """
    by_case: dict[int, list[Issue]] = {id(case): [] for case in report.cases}
    for issue in issues(report):
        by_case.setdefault(id(issue.case), []).append(issue)
    kept = {issue.fingerprint for issue in listed(report)}
    standings = [standing(by_case[id(case)]) for case in report.cases]
    mark = MARKS["wrong" if report.exit_status else "good"]
    head = [f"# {mark}gradaudit", text(summary(report)[1]), *_against(report), *_overview(report, standings)]
    blocks, size, left = ["\n\n".join(head)], len("\n\n".join(head).encode()), 0
    for case, told in zip(report.cases, standings, strict=True):
        block = "\n\n".join(_case(report, case, by_case[id(case)], kept, told))
        size += len(block.encode()) + 2
        if size > LARGEST:
            left += 1
        else:
            blocks.append(block)
    if left:
        blocks.append(f"{count(left, 'further case')} stand in the JSON report; there is no room for them here.")
    return "\n\n".join(blocks) + "\n"


def text(given: str) -> str:
    """`given` as text that Markdown shows as it is: one line, harmless, at most 1,000 characters."""
    escaped = _SPECIAL.sub(r"\\\1", shortened(given).replace("&", "&amp;"))
    return _ADDRESS.sub(r"\\", escaped.replace("<", "&lt;").replace(">", "&gt;"))


def _against(report: Report) -> Iterator[str]:
    """What is not as the baseline has it: of each kind at most MOST_ISSUES, the gravest kinds first."""
    held = report.baseline
    if held is None or not (held.changes or held.versions):
        return
    yield f"## Against {text(held.path)}"
    lines = []
    for kind in KINDS:
        changes = held.of_kind(kind)
        shown = ((MARKS[tone(change)], said(change)) for change in changes[:MOST_ISSUES])
        lines += [f"- {mark}**{TITLES[kind]}**: {text(words)}" for mark, words in shown]
        if len(changes) > MOST_ISSUES:
            lines.append(f"- {len(changes) - MOST_ISSUES:,} more {TITLES[kind]}; the JSON report has all of them.")
    if held.versions:
        lines.append(f"- {text(version_line(held.versions))}")
    yield "\n".join(lines)
    yield f"Update: {_code(update_command(held.path))}"


def _overview(report: Report, standings: Sequence[Told]) -> Iterator[str]:
    if len(report.cases) > 1:
        rows = [
            (text(case.case.name), text(place(case.case.source)), f"{MARKS[told.tone]}{told.text}")
            for case, told in zip(report.cases, standings, strict=True)
        ]
        shown = rows[: MOST_ROWS * 5]
        yield _table(("case", "where", "verdict"), shown)
        if len(rows) > len(shown):
            yield f"{len(rows) - len(shown):,} more cases."


def _case(report: Report, case: CaseReport, found: Sequence[Issue], kept: Set[str], told: Told) -> Iterator[str]:
    yield f"## {MARKS[told.tone]}{text(case.case.name) or '(no name)'}"
    yield f"{text(place(case.case.source))}: {text(call(case.case.function))}; {text(scope(case.case))}. {told.text}."
    items = [item for item in ordered(case) if item.key.probe is None]
    if items:
        rows = [
            (
                text(row.name),
                text(setting(item.key.dtype, item.key.scale)),
                *(text(each.text) for each in row.numbers),
                f"{MARKS[row.explained.tone]}{text(row.explained.text)}",
            )
            for item, row in zip(items[:MOST_ROWS], evaluation_rows(case, items)[:MOST_ROWS], strict=True)
        ]
        yield _table(("evaluation", "dtype", *NUMBERS, "explained by"), rows, numbers=range(2, 2 + len(NUMBERS)))
        if len(items) > MOST_ROWS:
            yield f"{len(items) - MOST_ROWS:,} more evaluations stand in the JSON report."
    said = [Told(verdict.text, "good" if verdict.sound else "wrong") for verdict in verdicts(case)]
    said += subject_verdicts(case)
    said += [Told(sentence(each), "good" if each.is_sound else "wrong") for each in probe_summaries(case)]
    if said:
        yield "\n".join(f"- {MARKS[each.tone]}{text(each.text)}" for each in said)
    # What falls short of the baseline is listed above, with what else has changed.
    found = [issue for issue in found if issue.change is None]
    shown = [issue for issue in worst_first(found) if issue.fingerprint in kept][:MOST_ISSUES]
    if found:
        yield "### Findings"
        if shown:
            yield "\n".join(line for issue in shown for line in _issue(report, issue))
        if len(found) > len(shown):
            yield f"{len(found) - len(shown):,} more findings stand in the JSON report."


def _issue(report: Report, issue: Issue) -> Iterator[str]:
    mark = f" ({issue.mark})" if issue.mark else ""
    title = f"{issue.severity} {text(issue.code)} {text(issue.name)}{mark}"
    yield f"- {LEVELS['info' if issue.known else issue.severity]} **{title}**: {text(issue.text)}  "
    yield f"  at {text(place(issue.location))}"
    if issue.advice:
        yield f"  - next: {text(issue.advice)}"
    for command in commands(report, issue):
        yield f"  - {_code(command)}"


def _code(command: str) -> str:
    """A code span, between more backticks than stand in it."""
    longest = max((len(run) for run in re.findall("`+", command)), default=0)
    fence = "`" * (longest + 1)
    space = " " if command.startswith("`") or command.endswith("`") else ""
    return f"{fence}{space}{command}{space}{fence}"


def _table(headers: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    rule = ["---:" if index in numbers else "---" for index in range(len(headers))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (headers, rule, *rows))
