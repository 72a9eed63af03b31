"""One case on the page: what is said of it, its evaluations, its values, its inputs and its findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from gradaudit.records.evaluation import EvaluationFailure
from gradaudit.records.measurement import Measurement
from gradaudit.records.report import CaseReport, Report
from gradaudit.reports.case_words import call, scope
from gradaudit.reports.evaluation_rows import NUMBERS, Told, evaluation_rows
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.facts_statements import facts_statements
from gradaudit.reports.findings import about, place, setting
from gradaudit.reports.html.curves import scale_curves
from gradaudit.reports.html.markup import Html, tag
from gradaudit.reports.html.tables import SIGNS, bulleted, named, table, told
from gradaudit.reports.html.value_views import value_views
from gradaudit.reports.issues import Issue, worst_first
from gradaudit.reports.number_format import number, quantity
from gradaudit.reports.power import power_sentences
from gradaudit.reports.probes import probe_summaries, sentence
from gradaudit.reports.reproduce import commands
from gradaudit.reports.standing import standing
from gradaudit.reports.subject_verdicts import subject_verdicts
from gradaudit.reports.verdicts import verdicts

TONES = {"error": "wrong", "warning": "doubtful", "info": "info"}
MOST_ROWS = 300
"""So many evaluations of a case stand in its table; the JSON report has all of them."""
MOST_SAID = 6
"""So many statements about what is right stand beside what is wrong before they are folded."""


def case_section(report: Report, case: CaseReport, found: Sequence[Issue], kept: Set[str], name: str) -> Html:
    """The section with the id `name`; of the issues of the case those are listed whose fingerprint is in `kept`."""
    stands = standing(found)
    # What falls short of the baseline is listed above the cases, with what else has changed.
    found = [issue for issue in found if issue.change is None]
    shown = [issue for issue in worst_first(found) if issue.fingerprint in kept]
    parts: list[Html] = [
        tag("h2", case.case.name or "(no name)", id=f"{name}-title"),
        tag("p", told(stands), f". {place(case.case.source)}"),
        tag("p", tag("code", call(case.case.function)), f"; {scope(case.case)}"),
        *_said(case),
        *_evaluations(case),
        *_findings(report, shown),
        *_left_out(len(found) - len(shown)),
        *_folded("Scales: where errors leave their tolerance, where the softmax saturates", [*scale_curves(case)]),
        *_folded("Values: histograms, heat maps, small arrays", [*value_views(case)]),
        *_folded("Inputs: saturation, cancellation, conditioning", [*_facts(case)]),
        *_folded("Power: which kinds of fault these inputs could expose", [*_power(case)]),
        *_folded("Evaluations that returned nothing", [*_failures(case)]),
        *_way_back(report),
    ]
    return tag("section", parts, class_="case", id=name, aria_labelledby=f"{name}-title")


def _folded(summary: str, parts: Sequence[Html]) -> Iterator[Html]:
    if parts:
        yield tag("details", tag("summary", summary), parts)


def _left_out(amount: int) -> Iterator[Html]:
    if amount:
        yield tag("p", f"{amount:,} more findings stand in the JSON report.", class_="quiet")


def _way_back(report: Report) -> Iterator[Html]:
    if len(report.cases) > 1:
        yield tag("p", tag("a", "All cases", href="#overview"))


def _said(case: CaseReport) -> Iterator[Html]:
    """What each evaluation amounts to: what is wrong first, and what is right folded where that is much."""
    said = [*subject_verdicts(case)]
    said += [Told(verdict.text, "good" if verdict.sound else "wrong") for verdict in verdicts(case)]
    said += [Told(sentence(each), "good" if each.is_sound else "wrong") for each in probe_summaries(case)]
    wrong = [told(each) for tone in ("wrong", "doubtful") for each in said if each.tone == tone]
    good = [told(each) for each in said if each.tone == "good"]
    if wrong and len(good) > MOST_SAID:
        yield bulleted(wrong)
        yield from _folded(f"{len(good)} statements about what is within tolerance", [bulleted(good)])
    elif said:
        yield bulleted([*wrong, *good])


def _evaluations(case: CaseReport) -> Iterator[Html]:
    items = [item for item in ordered(case) if item.key.probe is None]
    if not items:
        return
    scaled = len({item.key.scale for item in items}) > 1
    rows = [
        (
            row.name,
            item.key.dtype,
            *([number(item.key.scale)] if scaled else []),
            *(told(each) for each in row.numbers),
            told(row.explained),
        )
        for item, row in zip(items[:MOST_ROWS], evaluation_rows(case, items[:MOST_ROWS]), strict=True)
    ]
    caption = "Evaluations of the case's own inputs; e/t is the largest error in units of its tolerance"
    derivative = "Jacobian" if any(isinstance(item, Measurement) and item.jacobian for item in items) else "gradient"
    numbers = [header.replace("gradient", derivative) for header in NUMBERS]
    headers = ("evaluation", "dtype", *(["scale"] if scaled else []), *numbers, "explained by")
    yield table(caption, headers, rows, numbers=range(2, len(headers) - 1))
    if len(items) > MOST_ROWS:
        yield tag("p", f"{len(items) - MOST_ROWS:,} more evaluations stand in the JSON report.", class_="quiet")


def _findings(report: Report, shown: Sequence[Issue]) -> Iterator[Html]:
    """The findings; what a rule flags is told once, and the first command stands open."""
    summaries = {rule.code: rule.summary for rule in report.rules}
    for index, issue in enumerate(shown):
        yield _finding(report, issue, summaries.pop(issue.code, ""), index)


def _finding(report: Report, issue: Issue, summary: str, index: int) -> Html:
    tone = TONES["info" if issue.known else issue.severity]
    mark = ", expected by the spec" if issue.expected else f", {issue.mark}" if issue.mark else ""
    parts: list[Html] = [
        tag("p", f"{SIGNS[tone]}{issue.severity}{mark}", class_="severity"),
        tag("h3", f"{issue.code} {issue.name}"),
        tag("p", issue.text),
        tag("p", f"at {place(issue.location)}", class_="quiet"),
    ]
    if issue.finding is not None and issue.finding.evidence:
        evidence = sorted(issue.finding.evidence.items())
        parts.append(named((name, quantity(value)) for name, value in evidence if value is not None))
    if summary:
        parts.append(tag("p", tag("strong", "What it flags: "), summary))
    if issue.advice:
        parts.append(tag("p", tag("strong", "Next: "), issue.advice))
    lines = "\n".join(commands(report, issue))
    # The lines are harmless one by one already; line ends have to stay.
    block = tag("pre", tag("code", [part for line in lines.split("\n") for part in (line, Html("\n"))]))
    parts.append(tag("details", tag("summary", "Reproduce"), block, open_="" if index == 0 else None))
    return tag("article", parts, class_=f"finding {tone}")


def _facts(case: CaseReport) -> Iterator[Html]:
    for facts in case.facts:
        yield tag("h3", f"{setting(facts.dtype, facts.scale)}")
        yield named(facts_statements(facts))


def _power(case: CaseReport) -> Iterator[Html]:
    for exposure, words in power_sentences(case):
        yield tag("p", words)
        if exposure.hidden:
            yield tag("p", f"hidden: {', '.join(exposure.hidden)}")


def _failures(case: CaseReport) -> Iterator[Html]:
    failures = [item for item in ordered(case) if isinstance(item, EvaluationFailure)]
    if failures:
        rows = [(about(each.key), each.kind.replace("_", " "), each.message) for each in failures[:MOST_ROWS]]
        yield table("Why evaluations returned nothing", ("evaluation", "what happened", "message"), rows)
