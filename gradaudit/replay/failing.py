"""Which evaluations of a report are worth saving: those with errors that nothing expects, and those that failed."""

from __future__ import annotations

from dataclasses import dataclass

from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Measurement
from gradaudit.records.report import CaseReport

ERROR = "error"

RAN = ("crashed", "timed_out", "out_of_memory", "raised", "unverified")
"""Kinds of failure of an evaluation that took place; there is nothing to replay of a backend that is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Failing:
    """An evaluation, the errors that were found in it, and what it returned or why it did not."""

    key: EvaluationKey
    findings: tuple[Finding, ...]
    measurement: Measurement | None
    failure: EvaluationFailure | None


def failing(report: CaseReport) -> tuple[Failing, ...]:
    """The failing evaluations of a case, in the order in which they were asked for.

    An error that speaks of several evaluations is shown by one of them: that one is failing. What a spec expects is
    no failure.
    """
    measured = {each.key: each for each in report.measurements}
    failed = {each.key: each for each in report.failures}
    errors: dict[EvaluationKey, list[Finding]] = {}
    excused: set[EvaluationKey] = set()
    for finding in report.findings:
        if finding.severity != ERROR or finding.subject is None:
            continue
        for key in _shown_by(finding, report):
            if finding.expected:
                excused.add(key)
            else:
                errors.setdefault(key, []).append(finding)
    return tuple(
        Failing(key, tuple(errors.get(key, ())), measured.get(key), failed.get(key))
        for key in _keys(report)
        if key in errors or (key in failed and failed[key].kind in RAN and key not in excused)
    )


def _keys(report: CaseReport) -> list[EvaluationKey]:
    # A breach of the contract may be shown by an evaluation that could not be measured: a wrong shape.
    found = [each.key for each in report.measurements] + [each.key for each in report.failures]
    return list(dict.fromkeys([*found, *(each.key for each in report.breaches)]))


def _shown_by(finding: Finding, report: CaseReport) -> list[EvaluationKey]:
    keys = _keys(report)
    return [key for key in keys if key.probe == finding.probe and _concerns(finding, key)]


def _concerns(finding: Finding, key: EvaluationKey) -> bool:
    pairs = (
        (finding.subject, key.subject),
        (finding.backend, key.backend),
        (finding.formulation, key.formulation),
        (finding.dtype, key.dtype),
        (finding.scale, key.scale),
    )
    return all(wanted is None or wanted == got for wanted, got in pairs)
