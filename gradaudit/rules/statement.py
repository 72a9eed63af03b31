"""Findings about inputs, evaluations and failures, each with its place filled in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.location import COMMAND_LINE, Location
from gradaudit.records.measurement import InputFacts, MeasuredCase, Measurement, Quantity
from gradaudit.rules.interface import Rule

Evidence = Mapping[str, float | int | str | bool | None]


def about_inputs(
    rule: Rule,
    measured: MeasuredCase,
    facts: InputFacts,
    message: str,
    evidence: Evidence,
    *,
    severity: str | None = None,
) -> Finding:
    """A finding that holds for every backend at one dtype and scale."""
    return about_setting(rule, measured, message, evidence, dtype=facts.dtype, scale=facts.scale, severity=severity)


def about_setting(
    rule: Rule,
    measured: MeasuredCase,
    message: str,
    evidence: Evidence,
    *,
    dtype: str,
    scale: float,
    formulation: str | None = None,
    probe: str | None = None,
    severity: str | None = None,
) -> Finding:
    """A finding that holds for every subject at one dtype, scale and probe (and formulation, where given)."""
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=severity or rule.severity,
        message=message,
        location=measured.case.source,
        formulation=formulation,
        dtype=dtype,
        scale=scale,
        probe=probe,
        evidence=MappingProxyType(dict(evidence)),
    )


def about_evaluation(
    rule: Rule,
    measured: MeasuredCase,
    key: EvaluationKey,
    message: str,
    evidence: Evidence,
    *,
    severity: str | None = None,
) -> Finding:
    """A finding about one evaluation or evaluation failure."""
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=severity or rule.severity,
        message=message,
        location=definition(measured, key),
        subject=key.subject,
        backend=key.backend,
        formulation=key.formulation,
        dtype=key.dtype,
        scale=key.scale,
        probe=key.probe,
        evidence=MappingProxyType(dict(evidence)),
    )


def definition(measured: MeasuredCase, key: EvaluationKey) -> Location:
    """Where the subject of an evaluation is defined, else where the spec names it, else where the case stands."""
    subject = next((each for each in measured.case.subjects if each.name == key.subject), None)
    if subject is None:
        return measured.case.source
    named = measured.case.source if subject.location == COMMAND_LINE else subject.location
    return dict(measured.definitions).get(subject.name, named)


def quantities(measurement: Measurement) -> tuple[Quantity, ...]:
    """The arrays of an evaluation that were measured: the output, then its gradient or Jacobian."""
    present = (measurement.output, measurement.gradient, measurement.jacobian)
    return tuple(quantity for quantity in present if quantity is not None)


def derivatives(measurement: Measurement) -> tuple[Quantity, ...]:
    """The gradient or the Jacobian of an evaluation."""
    return tuple(quantity for quantity in (measurement.gradient, measurement.jacobian) if quantity is not None)


def largest_error(measurement: Measurement) -> Quantity:
    """The quantity of an evaluation with the largest error in units in the last place."""
    return max(quantities(measurement), key=lambda quantity: quantity.max_ulp)


def facts_at(measured: MeasuredCase, key: EvaluationKey) -> InputFacts | None:
    """What the inputs do at the dtype and scale of an evaluation; None for a probe, which has inputs of its own."""
    if key.probe is not None:
        return None
    return next((facts for facts in measured.facts if (facts.dtype, facts.scale) == (key.dtype, key.scale)), None)
