"""The one composition root. It reads like the way the data flows:

Case -> Plan -> Evaluation | EvaluationFailure --+
   \\--> Enclosure + Tolerance -------------------+--> Measurement -> Finding -> Report
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit import __version__
from gradaudit.records.case import Case
from gradaudit.records.evaluation import BackendState, Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.report import CaseReport, Environment, Report

if TYPE_CHECKING:
    import numpy as np

    from gradaudit.records.finding import RuleSummary
    from gradaudit.records.inputs import Inputs
    from gradaudit.records.measurement import MeasuredCase, Measurement
    from gradaudit.reference.truth import Truth
    from gradaudit.workers import BackendProcess

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


def audit(cases: tuple[Case, ...], settings: Settings, progress: Progress | None = None) -> Report:
    """Audit the cases; what goes wrong inside an evaluation is part of the report.

    Ctrl-C ends the work early: the report then holds what was measured until then and `interrupted` is set.
    """
    from gradaudit.rules.exit_status import exit_status

    planned = plan(cases, settings)
    with _Run(planned, settings, progress) as run:
        try:
            for group in run.evaluated():
                run.measure(group)
        except KeyboardInterrupt:
            run.interrupted = True
        reports = tuple(_judged(run.measured_case(case), settings) for case in cases if run.has_begun(case))
        environment = run.environment()
    findings = [finding for report in reports for finding in report.findings]
    missing = [expectation for report in reports for expectation in report.missing]
    return Report(
        version=__version__,
        command=settings.command,
        environment=environment,
        cases=reports,
        rules=_rules_of({finding.code for finding in findings}),
        exit_status=INTERRUPTED if run.interrupted else exit_status(findings, missing, settings.fail_on),
        interrupted=run.interrupted,
    )


def backend_states(settings: Settings) -> tuple[BackendState, ...]:
    """The state of every registered backend, each started to be asked."""
    from gradaudit.backends import registry

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gradaudit-")))
        processes = [_start(registry.get(name), settings, folder, stack) for name in registry.names()]
        return tuple(process.state() for process in processes)


@dataclass(slots=True)
class _Evaluated:
    """A set of inputs on its way: its exact results, and a promise for each evaluation."""

    planned: PlannedInputs
    truth: Truth
    pending: list[Future[Evaluation | EvaluationFailure]]


@dataclass(slots=True)
class _Run:
    """The processes of one audit and what they have returned so far."""

    plan: Plan
    settings: Settings
    progress: Progress | None
    interrupted: bool = False
    stack: ExitStack = field(default_factory=ExitStack)
    processes: dict[str, BackendProcess] = field(default_factory=dict)
    queues: dict[str, ThreadPoolExecutor] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    done: int = 0
    cases: dict[int, tuple[list[object], list[Measurement], list[EvaluationFailure]]] = field(default_factory=dict)

    def __enter__(self) -> _Run:
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="gradaudit-")))
        # Frameworks import themselves while the inputs and their exact results are computed here.
        for name in self.plan.backends:
            self.process(name)
        return self

    def __exit__(self, *exception: object) -> None:
        for queue in self.queues.values():
            queue.shutdown(wait=False, cancel_futures=True)
        self.stack.close()

    def process(self, name: str) -> BackendProcess:
        """The worker of a backend, started on first use, with a queue of its own."""
        from gradaudit.backends import registry

        if name not in self.processes:
            self.processes[name] = _start(registry.get(name), self.settings, self.folder, self.stack)
            self.queues[name] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"gradaudit-{name}")
        return self.processes[name]

    def evaluated(self) -> Iterator[_Evaluated]:
        """Every set of inputs with its evaluations under way, a few ahead of the one that is yielded."""
        waiting: list[_Evaluated] = []
        for planned in self.plan.inputs:
            waiting.append(self.begin(planned))
            if len(waiting) > AHEAD:
                yield waiting.pop(0)
        yield from waiting

    def begin(self, planned: PlannedInputs) -> _Evaluated:
        """Make the inputs, hand them to the workers, and compute the exact results meanwhile."""
        from gradaudit.reference.truth import Truth
        from gradaudit.specs.materialise import materialise

        inputs = materialise(planned.case, planned.dtype, planned.scale, self.settings.seed, self.draw)
        pending = [self.submit(key, inputs) for key in planned.keys]
        truth = Truth(inputs)
        truth.prepare()
        return _Evaluated(planned, truth, pending)

    def draw(self, distribution: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
        """Numbers drawn by torch, which lives in a worker."""
        return self.process("torch").draw(distribution, shape, seed)

    def submit(self, key: EvaluationKey, inputs: Inputs) -> Future[Evaluation | EvaluationFailure]:
        """Queue one evaluation at its backend."""
        process = self.process(key.backend)
        return self.queues[key.backend].submit(process.evaluate, key, inputs)

    def measure(self, group: _Evaluated) -> None:
        """Measure the evaluations of one set of inputs as they come in, in the plan's order."""
        from gradaudit.backends import registry
        from gradaudit.measurement.evaluation import measure
        from gradaudit.measurement.facts import facts
        from gradaudit.measurement.spot_check import spot_check

        case = group.planned.case
        known, measurements, failures = self.cases.setdefault(id(case), ([], [], []))
        spot_check(group.truth)
        known.append(facts(group.truth))
        for key, promise in zip(group.planned.keys, group.pending, strict=True):
            result = promise.result()
            if isinstance(result, EvaluationFailure):
                failures.append(result)
            else:
                profile = registry.get(key.backend).profile(case.function.name, key.formulation, key.dtype)
                measurements.append(measure(group.truth, result, profile, case.upstream.kind))
            self.done += 1
            if self.progress is not None:
                text = f"{case.name}: {key.backend} {key.formulation} {key.dtype}"
                self.progress(ProgressEvent(self.done, self.plan.evaluations, text))

    def has_begun(self, case: Case) -> bool:
        """Whether anything of the case was measured."""
        return id(case) in self.cases

    def measured_case(self, case: Case) -> MeasuredCase:
        """All that is known of a case."""
        from gradaudit.records.measurement import MeasuredCase

        known, measurements, failures = self.cases[id(case)]
        return MeasuredCase(case, tuple(known), tuple(measurements), tuple(failures))  # type: ignore[arg-type]

    def environment(self) -> Environment:
        """Versions and states; a worker that has not answered yet is not waited for after an interruption."""
        states = () if self.interrupted else tuple(process.state() for process in self.processes.values())
        return _environment(self.settings, states)


def _start(backend: object, settings: Settings, folder: Path, stack: ExitStack) -> BackendProcess:
    from gradaudit import workers

    worker_settings = workers.WorkerSettings(
        timeout=settings.timeout, max_memory=settings.max_memory, threads=settings.threads
    )
    process = workers.start(backend, worker_settings, folder)  # type: ignore[arg-type]
    stack.callback(process.close)
    return process


def _judged(measured: MeasuredCase, settings: Settings) -> CaseReport:
    from gradaudit.rules.judge import judge

    findings, missing = judge(measured, settings.select, settings.ignore)
    return CaseReport(measured.case, measured.facts, measured.measurements, measured.failures, findings, missing)


def _rules_of(codes: set[str]) -> tuple[RuleSummary, ...]:
    from gradaudit.records.finding import RuleSummary
    from gradaudit.rules import registry

    rules = (registry.get(code) for code in sorted(codes))
    return tuple(RuleSummary(rule.code, rule.name, rule.severity, rule.summary, rule.advice) for rule in rules)


def _environment(settings: Settings, states: tuple[BackendState, ...]) -> Environment:
    import numpy as np

    versions = (("gradaudit", __version__), ("numpy", np.__version__))
    return Environment(
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        versions=versions,
        backends=states,
        seed=settings.seed,
        threads=settings.threads,
    )


def cpu_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform.startswith("linux") else os.cpu_count() or 1
