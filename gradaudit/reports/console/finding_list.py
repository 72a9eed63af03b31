"""Findings worst first, each with the number that proves it and the next step; and what was not found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from itertools import groupby

from rich.padding import Padding

from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.finding import Finding, RuleSummary
from gradaudit.records.report import CaseReport
from gradaudit.reports.console.styled import SEVERITY_STYLES, indented, safe
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.findings import about, evidence, expectation, place, unsaid
from gradaudit.reports.issues import is_known, mark
from gradaudit.reports.reproduce import replay


def finding_list(
    case: CaseReport,
    rules: Mapping[str, RuleSummary],
    kept: Set[int] | None = None,
    again: str = "",
) -> Iterator[Padding]:
    """The findings in the order of the report, known ones last; neighbours of one rule share its name and its advice.

    With `kept`, those alone whose id is in it. `again` is the command that shows them once more,
    those aside that were saved.
    """
    shown = sorted((each for each in case.findings if kept is None or id(each) in kept), key=is_known)
    for (code, severity, told), group in groupby(shown, key=lambda f: (f.code, f.severity, mark(f))):
        findings = list(group)
        quiet = findings[0].expected or is_known(findings[0])
        style = "dim" if quiet else SEVERITY_STYLES.get(severity, "")
        yield indented(safe((f"{severity} {code} {findings[0].name}{f' ({told})' if told else ''}", style)))
        for finding in findings:
            yield from _statement(finding, case, "dim" if quiet else "")
        if code in rules:
            yield indented(
                safe(("next: ", "dim" if quiet else "bold"), (rules[code].advice, "dim" if quiet else "")), 2
            )
        for folder in dict.fromkeys(finding.replay for finding in findings if finding.replay):
            yield indented(safe((f"again: {replay(folder)}", "dim")), 2)
    if again:
        yield indented(safe((f"again: {again}", "dim")))


def missing_list(case: CaseReport) -> Iterator[Padding]:
    """The expectations that no finding met."""
    for missing in case.missing:
        yield indented(
            safe(
                ("expected, not found ", "bold red"),
                f"{expectation(missing)}, asked for at {place(missing.location)}",
            )
        )


def failure_list(case: CaseReport, *, verbose: bool) -> Iterator[Padding]:
    """Why evaluations returned nothing, where no finding says so; with `verbose` the details of all of them."""
    execution = [finding for finding in case.findings if finding.code.startswith("RUN")]
    printed: set[tuple[str, str]] = set()
    for item in ordered(case):
        if not isinstance(item, EvaluationFailure):
            # A subject prints the same for each of its probes.
            if verbose and item.captured and (item.key.subject, item.captured) not in printed:
                printed.add((item.key.subject, item.captured))
                yield indented(safe((f"{about(item.key)} printed ", "dim"), item.captured))
            continue
        if item.kind == "refused" and not verbose:
            continue
        named = about(item.key)
        if not any(_covers(finding, item.key) for finding in execution):
            yield indented(safe((f"{item.kind.replace('_', ' ')} ", "dim"), f"{named}: {item.message}"))
        if verbose and item.detail:
            yield indented(safe((f"{named}: details", "dim")))
            for line in item.detail.splitlines():
                yield indented(safe((line, "dim")), 2)


def _statement(finding: Finding, case: CaseReport, style: str) -> Iterator[Padding]:
    named = unsaid(finding)
    elsewhere = "" if finding.location == case.case.source else f" ({place(finding.location)})"
    yield indented(safe((f"{named}: " if named else "", "dim"), (f"{finding.message}{elsewhere}", style)), 2)
    if numbers := evidence(finding):
        yield indented(safe((numbers, "dim")), 3)


def _covers(finding: Finding, key: EvaluationKey) -> bool:
    """Whether the finding speaks of this evaluation, by itself or among others."""
    fields = ("subject", "backend", "formulation", "dtype", "scale", "probe")
    return all(getattr(finding, field) in (None, getattr(key, field)) for field in fields)
