"""The evaluations of a case in one order, what was measured and what failed together, and their counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradaudit.records.baseline import BETTER, KNOWN
from gradaudit.records.evaluation import EvaluationFailure
from gradaudit.records.finding import SEVERITIES, Finding
from gradaudit.records.measurement import Measurement, SelfConsistency
from gradaudit.records.report import CaseReport, Report


def ordered(report: CaseReport) -> tuple[Measurement | EvaluationFailure, ...]:
    """Every evaluation of a case as the spec orders them: by dtype, scale, formulation, backend, execution, subject,
    probe."""
    case = report.case

    def order(item: Measurement | EvaluationFailure) -> tuple[object, ...]:
        key = item.key
        return (
            _rank(case.dtypes, key.dtype),
            _rank(case.scale, key.scale),
            _rank(case.formulations, key.formulation),
            _rank(case.backends, key.backend),
            _rank(case.executions, key.execution),
            key.dtype,
            key.scale,
            key.formulation,
            key.backend,
            key.subject,
            key.probe or "",
        )

    return tuple(sorted((*report.measurements, *report.failures), key=order))


def status(item: Measurement | EvaluationFailure) -> str:
    """ "evaluated", "failed", or "skipped" where the subject has no such evaluation to offer."""
    if isinstance(item, Measurement):
        return "evaluated"
    return "skipped" if item.kind in {"unsupported", "refused"} else "failed"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of each there are. Findings by severity: all of them, those that the specs expect, and those that the
    baseline holds, as severe as they are or more so."""

    cases: int
    evaluations: int
    failures: int
    skipped: int
    refused: int
    findings: dict[str, int]
    expected: dict[str, int]
    known: dict[str, int]
    missing_expectations: int


def counts(report: Report) -> Counts:
    """The counts of a whole report; `evaluations` holds the failed and the skipped too, and `skipped` the refused."""
    items = [item for case in report.cases for item in ordered(case)]
    statuses = [status(item) for item in items]
    findings = [finding for case in report.cases for finding in case.findings]
    return Counts(
        cases=len(report.cases),
        evaluations=len(statuses) + sum(len(held_alone(case)) for case in report.cases),
        failures=statuses.count("failed"),
        skipped=statuses.count("skipped"),
        refused=sum(isinstance(item, EvaluationFailure) and item.kind == "refused" for item in items),
        findings=_by_severity(findings),
        expected=_by_severity(finding for finding in findings if finding.expected),
        known=_by_severity(finding for finding in findings if finding.baseline in (KNOWN, BETTER)),
        missing_expectations=sum(len(case.missing) for case in report.cases),
    )


def _by_severity(findings: Iterable[Finding]) -> dict[str, int]:
    levels = [finding.severity for finding in findings]
    return {level: levels.count(level) for level in reversed(SEVERITIES)}


def _rank(values: Sequence[object], value: object) -> int:
    return values.index(value) if value in values else len(values)


def held_alone(report: CaseReport) -> list[SelfConsistency]:
    """What was held against its own values and against nothing else."""
    measured = {each.key for each in report.measurements}
    return [said for said in report.self_consistency if said.key not in measured]
