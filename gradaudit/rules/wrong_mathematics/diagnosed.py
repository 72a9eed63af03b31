"""Findings from diagnoses: the measurement accepted a fault as the explanation, the rule names it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Diagnosis, MeasuredCase, Measurement, NamedFault
from gradaudit.rules.evaluations import groups, most_telling, named_faults, of_subject, shown_by, undiagnosed
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import about_evaluation
from gradaudit.rules.wording import in_full, label, number, one_line

BACKWARD_ALONE = "forward-and-backward-disagree"
CONSEQUENCES = frozenset({BACKWARD_ALONE, "rows-not-independent"})
"""Breaches that a fault of the mathematics brings with it."""

OF_FORMULATION = {"unfused": "unfused-logarithm", "unshifted": "missing-max-shift"}
"""The fault that a formulation has by its nature."""


def named(rule: Rule, measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each subject, formulation and dtype that the fault explains, in one way or in several."""
    found: dict[tuple[str, str, str, str], list[NamedFault]] = {}
    for fault in measured.faults:
        if fault.fault == rule.name:
            key = fault.key
            found.setdefault((key.subject, key.backend, key.formulation, key.dtype), []).append(fault)
    for faults in found.values():
        first = faults[0]
        yield about_evaluation(rule, measured, first.key, _statement(measured, faults), dict(first.evidence))


def broken(rule: Rule, measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each breach of a function's contract that goes by the rule's name.

    None where it is what a named fault comes down to: rows that reach into one another through a wrong axis, a
    backward that is not that of its forward.
    """
    for breach in measured.breaches:
        follows = breach.fault in CONSEQUENCES and named_faults(measured, breach.key)
        if breach.fault == rule.name and not follows:
            message = f"{_who(measured, breach.key)}: {in_full(breach.statement)}"
            yield about_evaluation(rule, measured, breach.key, message, dict(breach.evidence))


def diagnosed(rule: Rule, measured: MeasuredCase, statement: str) -> Iterator[Finding]:
    """One finding for each evaluation that the rule's fault explains by itself: the statement and its numbers.

    The evaluations of a subject are one finding, and none where the diagnosis has spoken of all of them together, be
    it to say that no fault explains them. The same
    NaN can fit two faults; where one of them is the nature of the declared formulation, it is that one.
    """
    for group in groups(measured):
        showing = [each for each in group if _diagnosis(rule, each) is not None]
        if not showing or named_faults(measured, group[0].key) or undiagnosed(measured, group[0].key) is not None:
            continue
        alone = of_subject(measured, group[0].key) or any(each.key.probe is not None for each in group)
        for shown in [most_telling(showing, lambda _: 0.0)] if alone else showing:
            diagnosis = _diagnosis(rule, shown)
            assert diagnosis is not None
            numbers = ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in diagnosis.evidence)
            message = f"{label(shown.key)}: {statement} ({numbers}){shown_by(showing, group, shown)}"
            yield about_evaluation(rule, measured, shown.key, message, dict(diagnosis.evidence))


def _diagnosis(rule: Rule, measurement: Measurement) -> Diagnosis | None:
    natural = OF_FORMULATION.get(measurement.key.formulation)
    if rule.name != natural and any(each.fault == natural for each in measurement.diagnoses):
        return None
    return next((each for each in measurement.likely if each.fault == rule.name), None)


def _statement(measured: MeasuredCase, faults: Sequence[NamedFault]) -> str:
    """What was found, what to do, and where it stands; then what else it may be, with what would tell them apart."""
    first = faults[0]
    parts = [f"{_who(measured, first.key)}: {in_full(first.statement)}"]
    parts += [in_full(first.advice)] if first.advice else []
    parts += [
        in_full(breach.statement)
        for breach in measured.breaches
        if breach.fault == BACKWARD_ALONE and first in named_faults(measured, breach.key)
    ]
    others = {in_full(other): probe for fault in faults for other, probe in fault.alternatives}
    others |= {in_full(fault.statement): others.get(in_full(fault.statement), "") for fault in faults[1:]}
    for other, probe in others.items():
        apart = f"probe {one_line(probe)} would tell them apart" if probe else "no probe tells them apart"
        parts.append(f"or: {other} ({apart})")
    return "; ".join(parts)


def _who(measured: MeasuredCase, key: EvaluationKey) -> str:
    """The subject and its setting; what shows it is told where there were probes to show it."""
    if key.probe is not None:
        return f"{label(replace(key, probe=None))} (shown by probe {one_line(key.probe)})"
    return f"{label(key)} (shown by the case's own inputs)" if measured.case.probes else label(key)


def _shown(value: float | int | str) -> str:
    return one_line(value) if isinstance(value, str) else number(value)
