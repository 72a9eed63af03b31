"""The one composition root. It reads like the way the data flows:

Case -> Plan -> Evaluation | EvaluationFailure --+
   \\--> Enclosure + Tolerance -------------------+--> Measurement -> Finding -> Report
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gradaudit import __version__
from gradaudit.records.case import FORMULA, SELF, Case
from gradaudit.records.evaluation import BackendState, Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.report import CaseReport, Environment, Report

if TYPE_CHECKING:
    from concurrent.futures import Future

    from gradaudit.measurement.audited import Audited
    from gradaudit.records.inputs import Inputs
    from gradaudit.records.measurement import InputFacts, Measurement
    from gradaudit.records.subject import Subject
    from gradaudit.reference.truth import Truth
    from gradaudit.specs.plan import Plan, PlannedInputs
    from gradaudit.workers import WorkerSettings
    from gradaudit.workers.pool import Pool

INTERRUPTED = 130
AHEAD = 2
"""How many sets of inputs are handed to the workers before the oldest is measured."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How an audit is run. `timeout` is in seconds for each evaluation and `startup_timeout` for the import of
    a framework, `max_memory` in bytes for each worker; the diagnosis of what was evaluated has a budget that is
    counted, not timed. `jobs` limits how many workers compute at once, `threads` how many threads each framework may
    use. `prove` plants every fault class into a copy of the truth, to count how many this very audit would catch."""

    seed: int = 0
    timeout: float = 60.0
    startup_timeout: float = 180.0
    max_memory: int | None = None
    jobs: int | None = None
    threads: int = 1
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str = "error"
    prove: bool = False
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """`done` of `total` evaluations are measured; `text` names what was last, or what is under way beside them."""

    done: int
    total: int
    text: str


Progress = Callable[[ProgressEvent], None]


def plan(cases: tuple[Case, ...], settings: Settings) -> Plan:
    """What an audit of the cases will evaluate; raises RequestError where an evaluation would not fit into memory."""
    from gradaudit.specs.plan import plan as planned

    return planned(cases, settings.max_memory)


def audit(
    cases: tuple[Case, ...], settings: Settings, progress: Progress | None = None, pool: Pool | None = None
) -> Report:
    """Audit the cases; what goes wrong inside an evaluation is part of the report.

    `pool` holds workers that were started already; else the audit starts its own. Ctrl-C ends the work early: the
    report then holds what was measured until then and `interrupted` is set.
    """
    if pool is None:
        with worker_pool(settings) as own:
            return audit(cases, settings, progress, own)
    cases = _with_formulas(cases, settings)
    planned = plan(cases, settings)
    # Frameworks import themselves while the inputs and their exact results are computed here.
    pool.warm(planned.backends, planned.subjects)
    measured: dict[str, _Measured] = {}
    interrupted, done = False, 0
    try:
        for group in _evaluated(planned, measured, settings, pool):
            for key in _measure(group, measured[_identity(group.planned.case)]):
                done += 1
                if progress is not None:
                    text = f"{group.planned.case.name}: {key.subject} {key.probe or key.formulation} {key.dtype}"
                    progress(ProgressEvent(done, planned.evaluations, text))
    except KeyboardInterrupt:
        interrupted = True
    begun = [(case, measured[_identity(case)]) for case in cases if _identity(case) in measured]
    # A worker that is still importing is not waited for after an interruption.
    states = () if interrupted else pool.states(planned.backends, planned.subjects)
    first_used = _first_used(cases, states)
    reports = []
    for case, known in begun:
        if progress is not None and known.audited:
            # The search for causes may take longer than all evaluations of a case.
            progress(ProgressEvent(done, planned.evaluations, f"diagnosing {case.name}"))
        reports.append(_judged(case, known, settings, first_used.get(_identity(case), ())))
    return _report(tuple(reports), settings, states, interrupted=interrupted)


def worker_pool(settings: Settings) -> Pool:
    """The workers that an audit with these settings uses; a context manager that ends them."""
    from gradaudit.workers.pool import Pool

    return Pool(_limits(settings), settings.jobs)


def _limits(settings: Settings) -> WorkerSettings:
    from gradaudit.workers import WorkerSettings

    return WorkerSettings(
        timeout=settings.timeout,
        startup_timeout=settings.startup_timeout,
        max_memory=settings.max_memory,
        threads=settings.threads,
    )


def _with_formulas(cases: tuple[Case, ...], settings: Settings) -> tuple[Case, ...]:
    """The cases, with users' Python formulas called in a worker and read."""
    if all(case.function.name != FORMULA for case in cases):
        return cases
    from gradaudit.workers.formulas import resolved

    return resolved(cases, _limits(settings))


def backend_states(settings: Settings) -> tuple[BackendState, ...]:
    """The state of every registered backend, each started to be asked."""
    from gradaudit.backends import registry

    with worker_pool(settings) as pool:
        pool.warm(registry.names())
        return pool.states(registry.names())


@dataclass(slots=True)
class _Evaluated:
    """A set of inputs on its way: its exact results, and a promise for each evaluation. `truth` is the text of an
    error where the auditor's own check of them failed."""

    planned: PlannedInputs
    inputs: Inputs
    truth: Truth | str | None
    pending: list[tuple[EvaluationKey, Future[Evaluation | EvaluationFailure]]]


@dataclass(slots=True)
class _Measured:
    """What is known of a case so far. `audited` holds what its subjects returned, and `given_up` the subjects that
    are asked no more; `unexplained` the evaluations of backends that no row accounts for, by subject, formulation and
    dtype."""

    facts: list[InputFacts] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[EvaluationFailure] = field(default_factory=list)
    audited: dict[tuple[str, str], list[Audited]] = field(default_factory=dict)
    given_up: set[str] = field(default_factory=set)
    unexplained: dict[tuple[str, str, str], list[Audited]] = field(default_factory=dict)


def _evaluated(plan: Plan, measured: dict[str, _Measured], settings: Settings, pool: Pool) -> Iterator[_Evaluated]:
    """Every set of inputs with its evaluations under way, a few ahead of the one that is yielded."""
    waiting: list[_Evaluated] = []
    for planned in plan.inputs:
        known = measured.setdefault(_identity(planned.case), _Measured())
        begun = _begun(planned, known, settings, pool)
        if begun is not None:
            waiting.append(begun)
        if len(waiting) > AHEAD:
            yield waiting.pop(0)
    yield from waiting


def _begun(planned: PlannedInputs, known: _Measured, settings: Settings, pool: Pool) -> _Evaluated | None:
    """Make the inputs, hand them to the workers, and compute the exact results meanwhile.

    None where all who would be asked are given up.
    """
    from gradaudit.functions import registry
    from gradaudit.specs.plan import materialised

    keys = [key for key in planned.keys if planned.probe is None or key.subject not in known.given_up]
    if not keys:
        return None
    inputs = materialised(planned, settings.seed, pool.draw)
    experiments = _has_experiments(planned)
    pending = []
    for key in keys:
        subject = planned.subject(key)
        if subject is None:
            pending.append((key, pool.submit(key, inputs, worker=planned.case.worker(key.backend))))
        else:
            pending.append((key, pool.submit(key, inputs, subject, experiments=experiments)))
    native = registry.translated(inputs)
    return _Evaluated(planned, native, _truth(native), pending)


def _has_experiments(planned: PlannedInputs) -> bool:
    """Subjects are tried as functions on the case's own inputs, and on the first probe."""
    case = planned.case
    return (planned.probe is None and planned.scale == case.scale[0]) or planned.probe in case.probes[:1]


def _truth(inputs: Inputs) -> Truth | str | None:
    """The exact results; the text of the error where they do not stand their own check; None where there are none."""
    from gradaudit.errors import AuditError
    from gradaudit.measurement.spot_check import spot_check
    from gradaudit.reference.truth import Truth

    if inputs.expects_error or inputs.function.name == SELF:
        return None
    try:
        truth = Truth(inputs)
        truth.prepare()
        spot_check(truth)
    except AuditError as error:
        return str(error)
    return truth


def _measure(group: _Evaluated, known: _Measured) -> Iterator[EvaluationKey]:
    """Measure the evaluations of one set of inputs as they come in, in the plan's order."""
    planned, truth = group.planned, group.truth
    own_logits = planned.probe is None and group.inputs.reading == "logits"
    if own_logits and truth is not None and not isinstance(truth, str):
        from gradaudit.measurement.facts import facts

        known.facts.append(facts(truth))
    for key, promise in group.pending:
        result = promise.result()
        subject = planned.subject(key)
        if isinstance(truth, str) and isinstance(result, Evaluation):
            result = EvaluationFailure(key, "unverified", truth)
        if isinstance(result, EvaluationFailure):
            _note_failure(group, result, subject, known)
        elif subject is None:
            _note_backend(group, result, known)
        else:
            _note_subject(group, subject, result, known)
        yield key


def _note_backend(group: _Evaluated, result: Evaluation, known: _Measured) -> None:
    from gradaudit.measurement import built_in

    assert not isinstance(group.truth, str), "what fails its own check was made a failure"
    if group.truth is None:
        return
    entry = built_in.audited(group.planned.case, group.inputs, group.truth, result)
    assert entry.measurement is not None
    known.measurements.append(entry.measurement)
    if built_in.needs_diagnosis(entry.measurement):
        key = result.key
        known.unexplained.setdefault((key.subject, key.formulation, key.dtype), []).append(entry)


def _note_failure(group: _Evaluated, failure: EvaluationFailure, subject: Subject | None, known: _Measured) -> None:
    """A subject that refuses an extra input has said so; one that died there is asked no more."""
    probed = group.planned.probe is not None
    if probed and group.inputs.expects_error and failure.kind == "raised":
        return
    if subject is None:
        known.failures.append(failure)
        return
    if failure.key.subject in known.given_up and probed:
        return
    if not probed or failure.kind not in {"raised", "unsupported"}:
        known.given_up.add(failure.key.subject)
    if probed and failure.kind == "raised":
        failure = replace(failure, kind="refused")
    known.failures.append(failure)


def _note_subject(group: _Evaluated, subject: Subject, result: Evaluation, known: _Measured) -> None:
    from gradaudit.measurement.subjects import audited

    assert not isinstance(group.truth, str), "what fails its own check was made a failure"
    entry = audited(group.inputs, group.truth, subject, result, group.planned.case.upstream.kind)
    known.audited.setdefault((subject.name, result.key.dtype), []).append(entry)
    if entry.measurement is not None:
        known.measurements.append(entry.measurement)


def _identity(case: Case) -> str:
    return f"{case.source} {case.name}"


def _first_used(cases: Sequence[Case], states: Sequence[BackendState]) -> dict[str, tuple[BackendState, ...]]:
    """The states of backends by the first case that uses each: what an import did is said once."""
    waiting = {state.name: state for state in states}
    found = {}
    for case in cases:
        used = [case.worker(name) for name in case.backends] + [subject.worker for subject in case.subjects]
        found[_identity(case)] = tuple(waiting.pop(name) for name in dict.fromkeys(used) if name in waiting)
    return found


def _judged(case: Case, known: _Measured, settings: Settings, states: tuple[BackendState, ...]) -> CaseReport:
    from gradaudit.records.measurement import MeasuredCase
    from gradaudit.rules.judge import judge

    measured = MeasuredCase(
        case, tuple(known.facts), tuple(known.measurements), tuple(known.failures), backends=states
    )
    if known.audited:
        from gradaudit.measurement.subjects import concluded

        measured = concluded(measured, known.audited, prove=settings.prove)
    if known.unexplained:
        from gradaudit.measurement import built_in

        measured = built_in.concluded(measured, known.unexplained)
    findings, missing = judge(measured, settings.select, settings.ignore)
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


def _report(
    reports: tuple[CaseReport, ...], settings: Settings, states: tuple[BackendState, ...], *, interrupted: bool
) -> Report:
    from gradaudit.records.finding import RuleSummary
    from gradaudit.rules import registry
    from gradaudit.rules.exit_status import exit_status

    findings = [finding for report in reports for finding in report.findings]
    missing = [expectation for report in reports for expectation in report.missing]
    rules = [registry.get(code) for code in sorted({finding.code for finding in findings})]
    return Report(
        version=__version__,
        command=settings.command,
        environment=_environment(settings, states),
        cases=reports,
        rules=tuple(RuleSummary(rule.code, rule.name, rule.severity, rule.summary, rule.advice) for rule in rules),
        exit_status=INTERRUPTED if interrupted else exit_status(findings, missing, settings.fail_on),
        interrupted=interrupted,
        fail_on=settings.fail_on,
    )


def _environment(settings: Settings, states: tuple[BackendState, ...]) -> Environment:
    import numpy as np

    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        versions=(("gradaudit", __version__), ("numpy", np.__version__)),
        backends=states,
        seed=settings.seed,
        threads=settings.threads,
    )
