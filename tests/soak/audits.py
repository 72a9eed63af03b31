"""One case of a soak: drawn, evaluated, perhaps spoilt, and audited as the pipeline would."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np

from gradaudit.errors import AuditError
from gradaudit.measurement import subjects
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.evaluation import measure
from gradaudit.records.case import Case, InlineArray, Upstream
from gradaudit.records.evaluation import Evaluation, EvaluationFailure
from gradaudit.records.measurement import MeasuredCase, Measurement
from gradaudit.reference.truth import Truth
from gradaudit.rules.judge import judge
from tests.soak.planting import planted
from tests.soak.sound_case import SoundCase, Stratum

PLANT_EVERY = 10
"""Of so many cases one is audited a second time, with a fault planted."""


@dataclass(frozen=True)
class Outcome:
    """`alarms` are the codes of errors found in sound code, `text` the first of them. `planted` is the kind of the
    fault, if one was planted, and `caught` the codes of the errors that it raised."""

    index: int
    stratum: str
    classes: int
    rows: int
    alarms: tuple[str, ...]
    text: str
    planted: str | None = None
    caught: tuple[str, ...] = ()
    skipped: str = ""


def soaked(index: int, seed: int, strata: tuple[Stratum, ...]) -> Outcome:
    """The case number `index` of the soak with that seed: always the same."""
    stratum = strata[index % len(strata)]
    case = stratum.draw(zlib.crc32(f"{seed} {index}".encode()))
    inputs = case.inputs
    plain = Outcome(index, stratum.name, inputs.logits.shape[1], inputs.logits.shape[0], (), "")
    result = case.evaluate()
    if isinstance(result, EvaluationFailure):
        return replace(plain, skipped=f"{result.kind}: {result.message}")
    truth = Truth(inputs)
    try:
        truth.prepare()
        alarms, text = _errors(case, truth, result)
    except AuditError as unsound:  # the enclosure failed its own check: told beside the alarms, and the soak goes on
        return replace(plain, alarms=("RUN606",), text=str(unsound))
    outcome = replace(plain, alarms=alarms, text=text)
    if index // len(strata) % PLANT_EVERY:
        return outcome
    fault = planted(truth, result, case.rows, np.random.default_rng([seed, index]))
    if fault is None:
        return outcome
    kind, spoilt = fault
    # Whether it is caught is asked here, not what it is called: a search for the name takes longer than a case.
    return replace(outcome, planted=kind, caught=_errors(case, truth, spoilt, named=False)[0])


def _errors(case: SoundCase, truth: Truth, result: Evaluation, *, named: bool = True) -> tuple[tuple[str, ...], str]:
    """The codes of the errors that the rules find, and what the first one says.

    What a row explains and decides has no fault to search for. Which faults an input could expose is not asked.
    """
    inputs = case.inputs
    audited = Case(
        name=case.name,
        function=inputs.function,
        logits=InlineArray(inputs.logits.astype(np.float64)),
        shape=inputs.logits.shape,
        axis=inputs.axis,
        targets=None if inputs.targets is None else InlineArray(inputs.targets),
        upstream=Upstream("values"),
        dtypes=(inputs.dtype,),
        backends=() if case.subject is not None else (case.key.backend,),
        formulations=(case.key.formulation,),
        subjects=() if case.subject is None else (case.subject,),
    )
    measurement = measure(truth, replace(result, key=case.key), case.profile, "values", case.rows)
    measured = MeasuredCase(audited, (), (measurement,), ())
    if case.subject is not None and named and _needs_a_verdict(measurement):
        entry = Audited(inputs, truth, replace(result, key=case.key), measurement)
        measured = subjects.concluded(measured, {(case.subject.name, inputs.dtype): [entry]})
    findings, _ = judge(measured, (), ())
    errors = [finding for finding in findings if finding.severity == "error"]
    return tuple(sorted({finding.code for finding in errors})), errors[0].message if errors else ""


def _needs_a_verdict(measurement: Measurement) -> bool:
    """Whether no row explains the values, or one that decides none of them."""
    present = [each for each in (measurement.output, measurement.gradient, measurement.jacobian) if each is not None]
    return not measurement.explanation.explains or all(each.undecided == each.elements for each in present)
