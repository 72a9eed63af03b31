"""The one composition root. It reads like the way the data flows:

Case -> Plan -> Evaluation | EvaluationFailure --+
   \\--> Enclosure + Tolerance -------------------+--> Measurement -> Finding -> Report
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradaudit import __version__
from gradaudit.records.case import Case
from gradaudit.records.evaluation import BackendState, Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.report import CaseReport, Environment, Report

if TYPE_CHECKING:
    from concurrent.futures import Future

    from gradaudit.records.measurement import InputFacts, Measurement
    from gradaudit.reference.truth import Truth
    from gradaudit.workers.pool import Pool

INTERRUPTED = 130
AHEAD = 2
"""How many sets of inputs are handed to the workers before the oldest is measured."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How an audit is run. `timeout` is in seconds for each evaluation, `max_memory` in bytes for each worker;
    `jobs` limits how many workers compute at once, `threads` how many threads each framework may use."""

    seed: int = 0
    timeout: float = 60.0
    max_memory: int | None = None
    jobs: int | None = None
    threads: int = 1
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    fail_on: str = "error"
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedInputs:
    """One set of inputs of a case, and every evaluation that is made of it."""

    case: Case
    dtype: str
    scale: float
    keys: tuple[EvaluationKey, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be evaluated, in order."""

    cases: tuple[Case, ...]
    inputs: tuple[PlannedInputs, ...]

    @property
    def evaluations(self) -> int:
        """Number of evaluations."""
        return sum(len(planned.keys) for planned in self.inputs)

    @property
    def backends(self) -> tuple[str, ...]:
        """The backends that take part, each once."""
        return tuple(dict.fromkeys(name for case in self.cases for name in case.backends))

    def describe(self) -> list[str]:
        """The plan in lines of text: each case, its evaluations and what they hold."""
        from gradaudit.specs.estimate import estimate, size_text

        lines = []
        for case in self.cases:
            needed = estimate(case)
            lines.append(
                f"{case.name} ({case.source}): {case.function.name}, logits {list(case.shape)}, "
                f"{needed.evaluations} evaluations, {size_text(needed.per_evaluation)} each at most"
            )
            for planned in self.inputs:
                if planned.case is case:
                    lines += [
                        f"  {key.backend} {key.formulation} {key.dtype} scale {key.scale:g}" for key in planned.keys
                    ]
        lines.append(f"{self.evaluations} evaluations of {len(self.cases)} cases; nothing was started")
        return lines


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """`done` of `total` evaluations are measured; `text` names what was last."""

    done: int
    total: int
    text: str


Progress = Callable[[ProgressEvent], None]


def plan(cases: tuple[Case, ...], settings: Settings) -> Plan:
    """Span each case's matrix; raises RequestError where an evaluation would not fit into memory."""
    from gradaudit.specs import estimate

    estimate.require_memory(cases, settings.max_memory or estimate.DEFAULT_LIMIT)
    planned = tuple(
        PlannedInputs(
            case,
            dtype,
            scale,
            tuple(
                EvaluationKey(backend, backend, formulation, dtype, scale)
                for formulation in case.formulations
                for backend in case.backends
            ),
        )
        for case in cases
        for dtype in case.dtypes
        for scale in case.scale
    )
    return Plan(cases, planned)


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
    planned = plan(cases, settings)
    # Frameworks import themselves while the inputs and their exact results are computed here.
    pool.warm(planned.backends)
    measured: dict[str, _Measured] = {}
    interrupted, done = False, 0
    try:
        for group in _evaluated(planned, settings, pool):
            known = measured.setdefault(_identity(group.planned.case), _Measured())
            for key in _measure(group, known):
                done += 1
                if progress is not None:
                    text = f"{group.planned.case.name}: {key.backend} {key.formulation} {key.dtype}"
                    progress(ProgressEvent(done, planned.evaluations, text))
    except KeyboardInterrupt:
        interrupted = True
    begun = [(case, measured[_identity(case)]) for case in cases if _identity(case) in measured]
    reports = tuple(_judged(case, known, settings) for case, known in begun)
    # A worker that is still importing is not waited for after an interruption.
    return _report(reports, settings, () if interrupted else pool.states(planned.backends), interrupted=interrupted)


def worker_pool(settings: Settings) -> Pool:
    """The workers that an audit with these settings uses; a context manager that ends them."""
    from gradaudit.workers import WorkerSettings
    from gradaudit.workers.pool import Pool

    limits = WorkerSettings(timeout=settings.timeout, max_memory=settings.max_memory, threads=settings.threads)
    return Pool(limits, settings.jobs)


def backend_states(settings: Settings) -> tuple[BackendState, ...]:
    """The state of every registered backend, each started to be asked."""
    from gradaudit.backends import registry

    with worker_pool(settings) as pool:
        pool.warm(registry.names())
        return pool.states(registry.names())


@dataclass(slots=True)
class _Evaluated:
    """A set of inputs on its way: its exact results, and a promise for each evaluation."""

    planned: PlannedInputs
    truth: Truth
    pending: list[Future[Evaluation | EvaluationFailure]]


@dataclass(slots=True)
class _Measured:
    """What is known of a case so far."""

    facts: list[InputFacts] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    failures: list[EvaluationFailure] = field(default_factory=list)


def _evaluated(plan: Plan, settings: Settings, pool: Pool) -> Iterator[_Evaluated]:
    """Every set of inputs with its evaluations under way, a few ahead of the one that is yielded."""
    waiting: list[_Evaluated] = []
    for planned in plan.inputs:
        waiting.append(_begun(planned, settings, pool))
        if len(waiting) > AHEAD:
            yield waiting.pop(0)
    yield from waiting


def _begun(planned: PlannedInputs, settings: Settings, pool: Pool) -> _Evaluated:
    """Make the inputs, hand them to the workers, and compute the exact results meanwhile."""
    from gradaudit.measurement.spot_check import spot_check
    from gradaudit.reference.truth import Truth
    from gradaudit.specs.materialise import materialise

    inputs = materialise(planned.case, planned.dtype, planned.scale, settings.seed, pool.draw)
    pending = [pool.submit(key, inputs) for key in planned.keys]
    truth = Truth(inputs)
    truth.prepare()
    spot_check(truth)
    return _Evaluated(planned, truth, pending)


def _measure(group: _Evaluated, known: _Measured) -> Iterator[EvaluationKey]:
    """Measure the evaluations of one set of inputs as they come in, in the plan's order."""
    from gradaudit.backends import registry
    from gradaudit.measurement.evaluation import measure
    from gradaudit.measurement.facts import facts

    case = group.planned.case
    known.facts.append(facts(group.truth))
    for key, promise in zip(group.planned.keys, group.pending, strict=True):
        result = promise.result()
        if isinstance(result, EvaluationFailure):
            known.failures.append(result)
        else:
            last = case.axis == tuple(range(len(case.shape) - len(case.axis), len(case.shape)))
            declare = registry.get(key.backend).profile
            profile = declare(case.function.name, key.formulation, key.dtype, classes_last=last)
            known.measurements.append(measure(group.truth, result, profile, case.upstream.kind))
        yield key


def _identity(case: Case) -> str:
    return f"{case.source} {case.name}"


def _judged(case: Case, known: _Measured, settings: Settings) -> CaseReport:
    from gradaudit.records.measurement import MeasuredCase
    from gradaudit.rules.judge import judge

    measured = MeasuredCase(case, tuple(known.facts), tuple(known.measurements), tuple(known.failures))
    findings, missing = judge(measured, settings.select, settings.ignore)
    return CaseReport(case, measured.facts, measured.measurements, measured.failures, findings, missing)


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
