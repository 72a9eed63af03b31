"""The evaluations that one finding speaks of: those of one subject at one dtype and scale, its probes among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.measurement import UNDIAGNOSED, MeasuredCase, Measurement, NamedFault
from gradaudit.rules.wording import plural

NAMED_PROBES = 3

Setting = tuple[str, str, str, str, float]


def of_subject(measured: MeasuredCase, key: EvaluationKey) -> bool:
    """Whether the evaluation is one of a user's own function."""
    return any((key.subject, key.backend) == (each.name, each.backend) for each in measured.case.subjects)


def groups(measured: MeasuredCase) -> Iterator[tuple[Measurement, ...]]:
    """The measurements of one subject, formulation, dtype and scale together, in the order of their first ones."""
    found: dict[Setting, list[Measurement]] = {}
    for measurement in measured.measurements:
        key = measurement.key
        setting = (key.subject, key.backend, key.formulation, key.dtype, key.scale)
        found.setdefault(setting, []).append(measurement)
    yield from map(tuple, found.values())


def most_telling(showing: Sequence[Measurement], worth: Callable[[Measurement], float]) -> Measurement:
    """The case's own inputs where they show it, else the probe that is worth most (the first of equals)."""
    own = [measurement for measurement in showing if measurement.key.probe is None]
    return max(own or showing, key=worth)


def shown_by(showing: Sequence[Measurement], group: Sequence[Measurement], telling: Measurement) -> str:
    """A clause that counts the evaluations that show it and names further probes; "" where there is one in all."""
    if len(group) == 1:
        return ""
    others = (each.key.probe for each in showing if each.key.probe != telling.key.probe)
    probes = [probe for probe in dict.fromkeys(others) if probe is not None]
    named = ", ".join(probes[:NAMED_PROBES]) + (", ..." if len(probes) > NAMED_PROBES else "")
    also = f" (also {plural('probe', len(probes))} {named})" if probes else ""
    verb = "shows" if len(showing) == 1 else "show"
    return f"; {len(showing):,} of {len(group):,} evaluations {verb} it{also}"


def named_faults(measured: MeasuredCase, key: EvaluationKey) -> tuple[NamedFault, ...]:
    """The faults that explain the values of this subject at this dtype."""
    return tuple(
        fault
        for fault in measured.faults
        if fault.fault != UNDIAGNOSED and not is_of_further_derivative(fault) and _concerns(fault.key, key)
    )


def has_wrong_values(measured: MeasuredCase, key: EvaluationKey) -> bool:
    """Whether a subject's values are wrong at this dtype, by a fault that has a name or by one that has none.

    What a tolerance says of such values is no news: a wide enough one explains some of them.
    """
    if not of_subject(measured, key):
        return False
    unexplained = (
        not each.explanation.explains and not each.special_probe and _concerns(each.key, key)
        for each in measured.measurements
    )
    return bool(named_faults(measured, key)) or undiagnosed(measured, key) is not None or any(unexplained)


def undiagnosed(measured: MeasuredCase, key: EvaluationKey) -> NamedFault | None:
    """What the diagnosis says of errors of this subject at this dtype that no fault explains."""
    return next(
        (
            each
            for each in measured.faults
            if each.fault == UNDIAGNOSED and _concerns(each.key, key) and not is_of_further_derivative(each)
        ),
        None,
    )


def is_of_further_derivative(fault: NamedFault) -> bool:
    """Whether value and first derivative are right, and a second one, or that of the targets, is not."""
    return any(name == "derivative" for name, _ in fault.evidence)


def _concerns(shown: EvaluationKey, key: EvaluationKey) -> bool:
    return (shown.subject, shown.backend, shown.formulation, shown.dtype) == (
        key.subject,
        key.backend,
        key.formulation,
        key.dtype,
    )
