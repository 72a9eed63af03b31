"""Findings from evaluation failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gradaudit.records.evaluation import EvaluationFailure
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.evaluations import of_subject
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_evaluation
from gradaudit.rules.wording import label, one_line, plural


def failed(rule: Rule, measured: MeasuredCase, kind: str, statement: str) -> Iterator[Finding]:
    """One finding for each evaluation of a backend that failed in this way, and one for each subject that did.

    It quotes what the failure says. A subject is shown on the case's own inputs where it failed there.
    """
    by_subject: dict[tuple[str, str], list[EvaluationFailure]] = {}
    for failure in measured.failures:
        if failure.kind != kind:
            continue
        if of_subject(measured, failure.key):
            by_subject.setdefault((failure.key.subject, failure.key.backend), []).append(failure)
        else:
            message = f"{label(failure.key)}: {statement}: {one_line(failure.message)}"
            yield about_evaluation(rule, measured, failure.key, message, {"reason": one_line(failure.message)})
    for failures in by_subject.values():
        yield for_subject(rule, measured, failures, statement)


def for_subject(
    rule: Rule,
    measured: MeasuredCase,
    failures: Sequence[EvaluationFailure],
    statement: str,
    *,
    severity: str | None = None,
) -> Finding:
    """One finding for all failures of a subject; it holds for every dtype, scale and probe among them."""
    shown = next((each for each in failures if each.key.probe is None), failures[0])
    others = len(failures) - 1
    further = f"; {others:,} further {plural('evaluation', others)} failed so" if others else ""
    message = f"{label(shown.key)}: {statement}: {one_line(shown.message)}{further}"
    evidence: Evidence = {"reason": one_line(shown.message), "evaluations": len(failures)}
    finding = about_evaluation(rule, measured, shown.key, message, evidence, severity=severity)
    keys = [failure.key for failure in failures]
    return replace(
        finding,
        dtype=finding.dtype if len({key.dtype for key in keys}) == 1 else None,
        scale=finding.scale if len({key.scale for key in keys}) == 1 else None,
    )
