"""Cases -> what will be evaluated: every set of inputs, and who is asked about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradaudit.records.case import Case
from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.kept import KeptCase
from gradaudit.records.subject import Subject
from gradaudit.specs import executions
from gradaudit.specs.wording import counted

if TYPE_CHECKING:
    from gradaudit.records.inputs import Inputs
    from gradaudit.specs.materialise import Draw


@dataclass(frozen=True, slots=True)
class PlannedInputs:
    """One set of inputs of a case, and every evaluation that is made of it.

    `probe` names the probe, or is None for the case's own inputs; `reading` is what the subjects of `keys` are fed.
    """

    case: Case
    dtype: str
    scale: float
    keys: tuple[EvaluationKey, ...]
    probe: str | None = None
    reading: str = "logits"

    def subject(self, key: EvaluationKey) -> Subject | None:
        """The subject that `key` asks for; None for a backend's own formulation."""
        return next((each for each in self.case.subjects if _asks_for(key, each)), None)


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
        """The backends whose own formulations take part, each once."""
        return tuple(dict.fromkeys(case.worker(name) for case in self.cases for name in case.backends))

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """The users' own functions, one for each place where they are asked for."""
        return tuple(subject for case in self.cases for subject in case.subjects)

    @property
    def workers(self) -> tuple[str, ...]:
        """Who takes part: the backends, then those that only users' functions need."""
        return tuple(dict.fromkeys((*self.backends, *(subject.worker for subject in self.subjects))))

    def describe(self) -> list[str]:
        """The plan in lines of text: each case, its evaluations, its probes and what they hold."""
        from gradaudit.specs.estimate import estimate, size_text

        lines = []
        for case in self.cases:
            needed = estimate(case)
            lines.append(
                f"{case.name} ({case.source}): {case.function.name}, logits {list(case.shape)}, "
                f"{counted(needed.evaluations, 'evaluation')}, {size_text(needed.per_evaluation)} each at most"
            )
            own = [planned for planned in self.inputs if planned.case is case]
            for planned in own:
                if planned.probe is None:
                    lines += [f"  {_line(key)}" for key in planned.keys]
            probed = [planned for planned in own if planned.probe is not None]
            if probed:
                names = dict.fromkeys(planned.probe for planned in probed)
                count = sum(len(planned.keys) for planned in probed)
                tried = f"{counted(count, 'evaluation')} of {counted(len(names), 'probe')}"
                lines.append(f"  {tried}: {', '.join(map(str, names))}")
        total = counted(self.evaluations, "evaluation")
        lines.append(f"{total} of {counted(len(self.cases), 'case')}; nothing was started")
        return lines


def plan(cases: tuple[Case, ...], max_memory: int | None = None) -> Plan:
    """Span each case's matrix; raises RequestError where an evaluation would not fit into memory."""
    from gradaudit.specs import estimate

    estimate.require_memory(cases, max_memory or estimate.DEFAULT_LIMIT)
    return Plan(cases, tuple(planned for case in cases for planned in _planned(case)))


def materialised(planned: PlannedInputs, seed: int, draw: Draw) -> Inputs:
    """The arrays of one set of inputs; see :func:`gradaudit.specs.materialise.materialise`."""
    from gradaudit.specs.materialise import materialise
    from gradaudit.specs.reading import as_read

    if isinstance(planned.case, KeptCase):
        return planned.case.kept.inputs
    if planned.probe is None:
        inputs = materialise(planned.case, planned.dtype, planned.scale, seed, draw)
    else:
        from gradaudit.specs import probes

        inputs = probes.inputs(planned.case, planned.probe, planned.dtype, seed)
    return as_read(inputs, planned.reading)


def _planned(case: Case) -> list[PlannedInputs]:
    if isinstance(case, KeptCase):
        key = case.kept.key
        return [PlannedInputs(case, key.dtype, key.scale, (key,), key.probe, case.kept.inputs.reading)]
    readings = dict.fromkeys(subject.input for subject in case.subjects)
    result = []
    for dtype in case.dtypes:
        for scale in case.scale:
            built_in = _built_in(case, dtype, scale, None)
            for reading in dict.fromkeys(("logits", *readings)):
                keys = (built_in if reading == "logits" else ()) + _keys(case, reading, dtype, scale, None)
                if keys:
                    result.append(PlannedInputs(case, dtype, scale, keys, None, reading))
        result += [
            PlannedInputs(case, dtype, 1.0, _keys(case, reading, dtype, 1.0, probe), probe, reading)
            for probe in case.probes
            for reading in readings
        ]
        # Backends are probed where that was asked for and there is nothing else to probe.
        if not case.subjects:
            result += [
                PlannedInputs(case, dtype, 1.0, _built_in(case, dtype, 1.0, probe), probe) for probe in case.probes
            ]
    return result


def _built_in(case: Case, dtype: str, scale: float, probe: str | None) -> tuple[EvaluationKey, ...]:
    return tuple(
        EvaluationKey(executions.shown(backend, execution), backend, formulation, dtype, scale, probe, execution)
        for formulation in case.formulations
        for backend in case.backends
        for execution in executions.offered(case.executions, backend)
    )


def _keys(case: Case, reading: str, dtype: str, scale: float, probe: str | None) -> tuple[EvaluationKey, ...]:
    return tuple(
        EvaluationKey(subject.name, subject.backend, subject.formulation, dtype, scale, probe, subject.execution)
        for subject in case.subjects
        if subject.input == reading
    )


def _asks_for(key: EvaluationKey, subject: Subject) -> bool:
    return (key.subject, key.backend, key.formulation) == (subject.name, subject.backend, subject.formulation)


def _line(key: EvaluationKey) -> str:
    who = key.subject if key.says_backend else f"{key.subject} ({key.backend})"
    return f"{who} {key.formulation} {key.dtype} scale {key.scale:g}"
