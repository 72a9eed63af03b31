"""What is known of a case, what the rules say of it once all its evaluations are measured, and of all of them."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradaudit import __version__
from gradaudit.records.case import Case
from gradaudit.records.evaluation import BackendState, EvaluationFailure
from gradaudit.records.report import CaseReport, Environment, NotRun, Report, Shard

if TYPE_CHECKING:
    from gradaudit.measurement.audited import Audited
    from gradaudit.records.measurement import InputFacts, Measurement

INTERRUPTED = 130


@dataclass(slots=True)
class Measured:
    """What is known of a case so far. `audited` holds what its subjects returned, and `given_up` the subjects that
    are asked no more; `unexplained` the evaluations of backends that no row accounts for, by subject, formulation and
    dtype."""

    facts: list[InputFacts] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[EvaluationFailure] = field(default_factory=list)
    audited: dict[tuple[str, str], list[Audited]] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    unexplained: dict[tuple[str, str, str], list[Audited]] = field(default_factory=dict)


def case_report(
    case: Case,
    known: Measured,
    states: tuple[BackendState, ...],
    *,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    prove: bool,
) -> CaseReport:
    """The report of a case; `states` are the backends of whose imports it tells."""
    from gradaudit.records.measurement import MeasuredCase
    from gradaudit.rules.judge import judge

    measured = MeasuredCase(
        case, tuple(known.facts), tuple(known.measurements), tuple(known.failures), backends=states
    )
    if known.audited:
        from gradaudit.measurement.subjects import concluded

        measured = concluded(measured, known.audited, prove=prove)
    if known.unexplained:
        from gradaudit.measurement import built_in

        measured = built_in.concluded(measured, known.unexplained)
    findings, missing = judge(measured, select, ignore)
    return CaseReport(
        case,
        measured.facts,
        measured.measurements,
        measured.failures,
        findings,
        missing,
        measured.faults,
        measured.breaches,
        measured.exposures,
        measured.self_consistency,
        measured.second_order,
    )


def workers_of(case: Case) -> tuple[str, ...]:
    """Who is asked in a case, each once."""
    names = [case.worker(name) for name in case.backends] + [subject.worker for subject in case.subjects]
    return tuple(dict.fromkeys(names))


def first_used(cases: Sequence[Case]) -> tuple[tuple[str, ...], ...]:
    """For each case the workers that no case before it asks: what an import did is said once."""
    seen: set[str] = set()
    found = []
    for case in cases:
        names = tuple(name for name in workers_of(case) if name not in seen)
        seen.update(names)
        found.append(names)
    return tuple(found)


def fails(report: CaseReport, fail_on: str) -> bool:
    """Whether the case makes the exit status other than 0."""
    from gradaudit.rules.exit_status import CLEAN, exit_status

    return exit_status(report.findings, report.missing, fail_on) != CLEAN


def report_of(
    reports: tuple[CaseReport, ...],
    *,
    not_run: tuple[NotRun, ...],
    shard: Shard | None,
    command: tuple[str, ...],
    environment: Environment,
    fail_on: str,
    interrupted: bool,
    max_findings: int | None = None,
) -> Report:
    """The report of an audit, with the rules that found something and what the exit status is."""
    from gradaudit.records.finding import RuleSummary
    from gradaudit.rules import registry
    from gradaudit.rules.exit_status import exit_status

    findings = [finding for report in reports for finding in report.findings]
    missing = [expectation for report in reports for expectation in report.missing]
    rules = [registry.get(code) for code in sorted({finding.code for finding in findings})]
    return Report(
        version=__version__,
        command=command,
        environment=environment,
        cases=reports,
        rules=tuple(RuleSummary(rule.code, rule.name, rule.severity, rule.summary, rule.advice) for rule in rules),
        exit_status=INTERRUPTED if interrupted else exit_status(findings, missing, fail_on),
        interrupted=interrupted,
        max_findings=max_findings,
        fail_on=fail_on,
        not_run=not_run,
        shard=shard,
    )


def environment(states: tuple[BackendState, ...], seed: int, threads: int) -> Environment:
    """Where and how this process audits."""
    import numpy as np

    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        versions=(("gradaudit", __version__), ("numpy", np.__version__)),
        backends=states,
        seed=seed,
        threads=threads,
    )
