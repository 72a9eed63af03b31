"""Findings from diagnoses: the measurement accepted a fault as the explanation, the rule names it."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import about_evaluation
from gradaudit.rules.wording import label, number, one_line

OF_FORMULATION = {"unfused": "unfused-logarithm", "unshifted": "missing-max-shift"}
"""The fault that a formulation has by its nature."""


def diagnosed(rule: Rule, measured: MeasuredCase, fault: str, statement: str) -> Iterator[Finding]:
    """One finding for each evaluation that `fault` explains: the statement, and the numbers of the evidence.

    The same NaN can fit two faults. Where one of them is the nature of the declared formulation, it is that one.
    """
    for measurement in measured.measurements:
        natural = OF_FORMULATION.get(measurement.key.formulation)
        overruled = fault != natural and any(each.fault == natural for each in measurement.diagnoses)
        for diagnosis in measurement.diagnoses:
            if diagnosis.fault != fault or overruled:
                continue
            numbers = ", ".join(f"{name.replace('_', ' ')} {_shown(value)}" for name, value in diagnosis.evidence)
            message = f"{label(measurement.key)}: {statement} ({numbers})"
            yield about_evaluation(rule, measured, measurement.key, message, dict(diagnosis.evidence))


def _shown(value: float | int | str) -> str:
    return one_line(value) if isinstance(value, str) else number(value)
