"""The subjects of a case: each evaluation measured, then all evaluations of a subject read together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradaudit.backends import claimed, registry
from gradaudit.measurement import contract, power, second_order, sliced
from gradaudit.measurement.agreement import agreeing
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.diagnosis import diagnose
from gradaudit.measurement.evaluation import measure
from gradaudit.measurement.self_consistency import audit_self
from gradaudit.records.case import SELF
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.location import Location
from gradaudit.records.measurement import (
    Breach,
    Exposure,
    MeasuredCase,
    Measurement,
    NamedFault,
    SecondOrder,
    SelfConsistency,
)
from gradaudit.records.subject import Subject
from gradaudit.reference import admissible
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.truth import Truth

OWN_TERMS = ("z_loss", "entropy_regularization")
"""What a cross entropy may be asked for that PyTorch's has not."""


def audited(inputs: Inputs, truth: Truth | None, subject: Subject, result: Evaluation, upstream: str) -> Audited:
    """One evaluation against the exact results of its inputs, under the admissible formulations."""
    if inputs.unasked and not _knows_padding(inputs.function, subject):
        inputs = replace(inputs, special=True)
    if truth is None or not _fits(truth, inputs, result):
        return Audited(inputs, truth, result, None)
    profile = claimed.profile_of(subject, inputs.dtype)
    rows = admissible.rows(inputs.function, inputs.dtype, profile)
    measurement = measure(truth, result, profile, "values" if inputs.probe else upstream, rows)
    return Audited(inputs, truth, result, replace(measurement, special_probe=inputs.special))


def concluded(
    measured: MeasuredCase, evaluations: Mapping[tuple[str, str], Sequence[Audited]], *, prove: bool = False
) -> MeasuredCase:
    """`measured` with what all evaluations of each subject say at each dtype, and where the subject is defined."""
    faults: list[NamedFault] = []
    breaches: list[Breach] = []
    exposures: list[Exposure] = []
    consistency: list[SelfConsistency] = []
    second: list[SecondOrder] = []
    definitions: dict[str, Location] = {}
    remeasured: dict[EvaluationKey, Measurement] = {}
    case = measured.case
    for (name, dtype), entries in evaluations.items():
        subject = next(each for each in case.subjects if each.name == name)
        place = _definition(entries[0].evaluation)
        if place is not None:
            definitions.setdefault(name, place)
        rows: tuple[ToleranceRow, ...] = ()
        if case.function.name != SELF:
            # The same evaluations, held against one another: all that is said below rests on the same measurements.
            rows = admissible.rows(case.function, dtype, claimed.profile_of(subject, dtype))
            entries = agreeing(entries, rows)  # noqa: PLW2901
        disagreements, said = audit_self(entries)  # nothing where no subject was walked around its inputs
        disagreements = disagreements or tuple(sliced.breaches(entries))
        consistency += said
        named = {breach.fault for breach in disagreements}
        breaches += [
            *(breach for breach in contract.breaches(subject, entries) if breach.fault not in named),
            *disagreements,
        ]
        if case.function.name == SELF:
            continue
        if disagreements and not _is_its_own(entries[0].evaluation):
            continue  # a gradient that others derived, and wrongly, accuses nobody
        remeasured |= {each.measurement.key: each.measurement for each in entries if each.measurement is not None}
        faults += diagnose(name, dtype, entries, rows)
        cut, said_of = second_order.judged(entries, rows)
        faults += cut
        second += said_of
        exposures += power.exposures(name, dtype, entries, rows, prove=prove)
    return replace(
        measured,
        measurements=tuple(remeasured.get(each.key, each) for each in measured.measurements),
        faults=tuple(faults),
        breaches=tuple(breaches),
        exposures=tuple(exposures),
        self_consistency=tuple(consistency),
        definitions=tuple(definitions.items()),
        second_order=tuple(second),
    )


def _knows_padding(function: FunctionCall, subject: Subject) -> bool:
    """Whether a label for padding goes without saying: in the framework, of a cross entropy as PyTorch has it."""
    if function.name != "cross_entropy" or any(function.parameters.get(term) for term in OWN_TERMS):
        return False
    return registry.get(subject.backend).padding is not None


def _is_its_own(result: Evaluation) -> bool:
    """Whether the subject itself answers for its gradient: that of an ONNX file may have been derived for it."""
    return "gradient_by" not in result.notes or bool(result.notes.get("written_by_hand"))


def _definition(result: Evaluation) -> Location | None:
    """Where the subject is defined, as the adapter tells: `losses.py:12 in right`; None where it knows no line."""
    found = re.match(r"(.+):([0-9]+) in ", str(result.notes.get("defined", "")))
    return None if found is None else Location(found[1], int(found[2]))


def _fits(truth: Truth, inputs: Inputs, result: Evaluation) -> bool:
    """Whether what was returned has the shapes that are due."""
    layout = truth.layout
    due: tuple[int, ...] = () if truth.reduced else layout.shape if truth.elementwise else layout.outer_shape
    derivative = result.gradient if result.gradient is not None else result.jacobian
    if derivative is None:
        return False
    shape = derivative.shape if result.gradient is not None else derivative.shape[1:]
    return tuple(result.output.shape) == due and tuple(shape) == tuple(inputs.logits.shape)
