"""The formulations that backends have built in: each evaluation measured, and what no row explains diagnosed.

What a framework offers is held to the rows of the formulation that it declares. Where none of them explains what it
returned, the cause is searched for as in a user's code: frameworks clamp probabilities and drop upstream gradients
as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gradaudit.backends import registry
from gradaudit.functions.mxnet.softmax_output import NAME as SOFTMAX_OUTPUT
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.diagnosis import diagnose, slips_of_softmax_output
from gradaudit.measurement.diagnosis.budget import MOST as MODELS
from gradaudit.measurement.evaluation import measure
from gradaudit.records.case import Case
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import UNDIAGNOSED, MeasuredCase, Measurement, NamedFault
from gradaudit.records.profile import Profile
from gradaudit.reference import admissible
from gradaudit.reference.truth import Truth


def audited(case: Case, inputs: Inputs, truth: Truth, result: Evaluation) -> Audited:
    """One evaluation of a backend against the exact results of its inputs, under the rows of what it declares."""
    key = result.key
    held_to = registry.get(key.backend).held_to(key.formulation)
    if truth.reduced and truth.samples is None and result.output.size == 1:
        # MXNet returns one number as an array of one.
        result = replace(result, output=result.output.reshape(()))
    measurement = measure(truth, result, _profile(case, key), case.upstream.kind, formulation=held_to)
    return Audited(inputs, truth, result, replace(measurement, special_probe=inputs.special))


def needs_diagnosis(measurement: Measurement) -> bool:
    """Whether no row explains the values, nor the nature of the declared formulation."""
    return not measurement.explanation.explains and not measurement.likely and not measurement.special_probe


def concluded(measured: MeasuredCase, unexplained: Mapping[tuple[str, str, str], Sequence[Audited]]) -> MeasuredCase:
    """`measured` with the faults that explain what the backends' rows do not.

    A fault without a name is left to the rules of divergence.
    """
    faults: list[NamedFault] = []
    for (subject, _, dtype), entries in unexplained.items():
        profile = _profile(measured.case, entries[0].evaluation.key)
        if entries[0].truth is not None and entries[0].truth.samples is not None:
            continue  # the models of faults know no means of samples
        if entries[0].inputs.function.name == SOFTMAX_OUTPUT:
            faults += slips_of_softmax_output(entries, profile)
            continue
        if not _is_telling(entries):
            continue
        rows = admissible.rows(entries[0].inputs.function, dtype, profile)
        faults += [each for each in diagnose(subject, dtype, entries, rows) if each.fault != UNDIAGNOSED]
    return replace(measured, faults=(*measured.faults, *faults))


def _is_telling(entries: Sequence[Audited]) -> bool:
    """Whether what is wrong can tell one cause from another: no probes were asked to tell them apart.

    A search tries up to so many models; one of them may come within a tolerance of a single wrong number by chance,
    unless that number is further off than so many tolerances.
    """
    wrong = [
        each
        for entry in entries
        if entry.measurement is not None
        for each in (entry.measurement.output, entry.measurement.gradient, entry.measurement.jacobian)
        if each is not None and each.beyond
    ]
    elements = sum(each.beyond for each in wrong)
    return elements > 1 or any(each.max_error_over_tolerance > MODELS for each in wrong)


def _profile(case: Case, key: EvaluationKey) -> Profile:
    last = case.axis == tuple(range(len(case.shape) - len(case.axis), len(case.shape)))
    return registry.get(key.backend).declared(
        case.function.name, key.formulation, key.dtype, classes_last=last, execution=key.execution
    )
