"""The one composition root. It reads like the way the data flows:

Case -> Plan -> Evaluation | EvaluationFailure --+
   \\--> Enclosure + Tolerance -------------------+--> Measurement -> Finding -> Report
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gradaudit.judged import Measured, case_report, environment, fails, first_used, report_of, workers_of
from gradaudit.records.case import FORMULA, SELF, Case
from gradaudit.records.evaluation import BackendState, Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.report import FAIL_FAST, INTERRUPTION, CaseReport, NotRun, Report, Shard

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from gradaudit.records.inputs import Inputs
    from gradaudit.records.subject import Subject
    from gradaudit.reference.truth import Truth
    from gradaudit.regression.baseline import Baseline
    from gradaudit.resumption import Journal
    from gradaudit.specs.plan import Plan, PlannedInputs
    from gradaudit.workers import WorkerSettings
    from gradaudit.workers.pool import Pool

AHEAD = 2
"""How many sets of inputs are handed to the workers before the oldest is measured."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How an audit is run. `timeout` is in seconds for each evaluation and `startup_timeout` for the import of
    a framework, `max_memory` in bytes for each worker; the diagnosis of what was evaluated has a budget that is
    counted, not timed. `jobs` limits how many workers compute at once, `threads` how many threads each framework may
    use. `prove` plants every fault class into a copy of the truth, to count how many this very audit would catch.
    `fail_fast` ends the audit after the first case that fails, by `fail_on` or short of the `baseline`; `shard`
    (i, n) audits one of n parts; `resume` is a folder that keeps finished cases, which are not run again while
    nothing about them changes. `max_findings` is how many the report lists for people."""

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
    max_findings: int | None = None
    fail_fast: bool = False
    shard: tuple[int, int] | None = None
    resume: Path | None = None
    baseline: Baseline | None = None


DECISIVE = ("seed", "timeout", "startup_timeout", "max_memory", "threads", "select", "ignore", "prove")
"""The settings on which the report of a case depends."""


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """`done` of `total` evaluations are measured; `text` names what was last, or what is under way beside them."""

    done: int
    total: int
    text: str


Progress = Callable[[ProgressEvent], None]


def part(cases: tuple[Case, ...], settings: Settings) -> tuple[Case, ...]:
    """The cases that an audit of `cases` is about: those of its shard, or all."""
    shard = _shard(cases, settings)
    return cases if shard is None else tuple(cases[position] for position in shard.positions)


def plan(cases: tuple[Case, ...], settings: Settings) -> Plan:
    """What an audit of the cases will evaluate; raises RequestError where an evaluation would not fit into memory."""
    from gradaudit.specs.plan import plan as planned

    return planned(cases, settings.max_memory)


def audit(
    cases: tuple[Case, ...], settings: Settings, progress: Progress | None = None, pool: Pool | None = None
) -> Report:
    """Audit the cases; what goes wrong inside an evaluation is part of the report.

    `pool` holds workers that were started already; else the audit starts its own. Ctrl-C ends the work early: the
    report then holds what was measured until then and `interrupted` is set. With `settings.shard` it is about that
    part of the cases, and with `settings.resume` finished cases are taken from there.
    """
    from gradaudit.reports.findings import about

    if pool is None:
        with worker_pool(settings) as own:
            return audit(cases, settings, progress, own)
    shard = _shard(cases, settings)
    positions = range(len(cases)) if shard is None else shard.positions
    told = first_used(cases)
    asked = _with_formulas(part(cases, settings), settings)
    whole = plan(asked, settings)
    # Frameworks import themselves while the inputs and their exact results are computed here.
    pool.warm(whole.backends, whole.subjects)
    journal = _journal(whole, [told[position] for position in positions], settings, pool)
    reports = dict(journal.finished)
    waiting = [index for index in range(len(asked)) if index not in reports]
    if settings.fail_fast:
        failed = min(
            (i for i, report in reports.items() if _fails(report, cases, positions[i], settings)), default=None
        )
        waiting = [index for index in waiting if failed is None or index < failed]
    remaining = whole if len(waiting) == len(asked) else plan(tuple(asked[index] for index in waiting), settings)
    measured: dict[int, Measured] = {}
    ending = FAIL_FAST if settings.fail_fast and len(waiting) + len(reports) < len(asked) else ""
    done = 0

    def finish(index: int) -> bool:
        """Judge a case; whether the audit goes on."""
        known, case = measured.get(id(asked[index]), Measured()), asked[index]
        if progress is not None and known.audited:
            # The search for causes may take longer than all evaluations of a case.
            progress(ProgressEvent(done, remaining.evaluations, f"diagnosing {case.name}"))
        named = _states(whole, told[positions[index]], pool)
        reports[index] = _judged(case, known, settings, named)
        journal.keep(index, reports[index])
        return not (settings.fail_fast and _fails(reports[index], cases, positions[index], settings))

    try:
        going = True
        for group in _evaluated(remaining, measured, settings, pool):
            while going and asked[waiting[0]] is not group.planned.case:
                going = finish(waiting.pop(0))
            if not going:
                break
            for key in _measure(group, measured[id(group.planned.case)]):
                done += 1
                if progress is not None:
                    progress(ProgressEvent(done, remaining.evaluations, f"{group.planned.case.name}: {about(key)}"))
        while going and waiting:
            going = finish(waiting.pop(0))
        ending = ending if going else FAIL_FAST
    except KeyboardInterrupt:
        ending = INTERRUPTION
        for index in waiting:
            known = measured.get(id(asked[index]))
            if known is not None and (known.measurements or known.failures or known.audited):
                reports[index] = _judged(asked[index], known, settings, ())
    # A worker that is still importing is not waited for after an interruption.
    told_of = [asked[index] for index in sorted(reports)] if ending != INTERRUPTION else []
    used = {name for case in told_of for name in workers_of(case)}
    states = _states(whole, [name for name in whole.workers if name in used], pool)
    return report_of(
        tuple(reports[index] for index in sorted(reports)),
        not_run=tuple(NotRun(case.name, case.source, ending) for i, case in enumerate(asked) if i not in reports),
        shard=shard and replace(shard, positions=tuple(positions[index] for index in sorted(reports))),
        command=settings.command,
        environment=environment(states, settings.seed, settings.threads),
        fail_on=settings.fail_on,
        interrupted=ending == INTERRUPTION,
        max_findings=settings.max_findings,
    )


def _fails(report: CaseReport, cases: tuple[Case, ...], position: int, settings: Settings) -> bool:
    """Whether the case at this place among all of them fails the audit."""
    if settings.baseline is None:
        return fails(report, settings.fail_on)
    from gradaudit.regression.marking import falls_short

    names = tuple(case.name for case in cases)
    return falls_short(report, settings.baseline, settings.fail_on, names, position)


def _shard(cases: tuple[Case, ...], settings: Settings) -> Shard | None:
    from gradaudit.specs.shards import shard

    return None if settings.shard is None else shard(cases, *settings.shard)


def _journal(whole: Plan, told: list[tuple[str, ...]], settings: Settings, pool: Pool) -> Journal:
    """What is finished of the plan's cases, and where to keep what will be; `told` are the workers whose imports each
    of them tells of."""
    from gradaudit.resumption import Journal, journal

    if settings.resume is None:
        return Journal()
    states = {name: _states(whole, [name], pool) for name in whole.workers}
    run = {name: getattr(settings, name) for name in DECISIVE}
    about = [
        [run, names, [states[name] for name in workers_of(case)]]
        for case, names in zip(whole.cases, told, strict=True)
    ]
    return journal(settings.resume, whole.cases, about, settings.shard)


def _states(whole: Plan, names: Sequence[str], pool: Pool) -> tuple[BackendState, ...]:
    """The states of these workers of the plan; waits until each has answered."""
    backends = [name for name in names if name in whole.backends]
    return pool.states(backends, [subject for subject in whole.subjects if subject.worker in names])


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


def _evaluated(plan: Plan, measured: dict[int, Measured], settings: Settings, pool: Pool) -> Iterator[_Evaluated]:
    """Every set of inputs with its evaluations under way, a few ahead of the one that is yielded."""
    waiting: list[_Evaluated] = []
    for planned in plan.inputs:
        known = measured.setdefault(id(planned.case), Measured())
        begun = _begun(planned, known, settings, pool)
        if begun is not None:
            waiting.append(begun)
        if len(waiting) > AHEAD:
            yield waiting.pop(0)
    yield from waiting


def _begun(planned: PlannedInputs, known: Measured, settings: Settings, pool: Pool) -> _Evaluated | None:
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


def _measure(group: _Evaluated, known: Measured) -> Iterator[EvaluationKey]:
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


def _note_backend(group: _Evaluated, result: Evaluation, known: Measured) -> None:
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


def _note_failure(group: _Evaluated, failure: EvaluationFailure, subject: Subject | None, known: Measured) -> None:
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


def _note_subject(group: _Evaluated, subject: Subject, result: Evaluation, known: Measured) -> None:
    from gradaudit.measurement.subjects import audited

    assert not isinstance(group.truth, str), "what fails its own check was made a failure"
    entry = audited(group.inputs, group.truth, subject, result, group.planned.case.upstream.kind)
    known.audited.setdefault((subject.name, result.key.dtype), []).append(entry)
    if entry.measurement is not None:
        known.measurements.append(entry.measurement)


def _judged(case: Case, known: Measured, settings: Settings, states: tuple[BackendState, ...]) -> CaseReport:
    return case_report(case, known, states, select=settings.select, ignore=settings.ignore, prove=settings.prove)
