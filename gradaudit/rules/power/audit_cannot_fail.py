"""POW701: an all-zero gradient would have passed the audit."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.case import SELF
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase, Measurement, Quantity, SelfConsistency
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_evaluation, about_setting, derivatives
from gradaudit.rules.wording import in_full, label, setting, share

Setting = tuple[str, float]


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for a dtype and scale where no evaluation could fail, else one for each that could not.

    It is about the case's own inputs. A subject whose probes have power was audited by them.
    """
    yield from _undecided_by_differences(measured)
    probed = {_who(each) for each in measured.measurements if each.key.probe is not None and _powerless(each) is None}
    groups: dict[Setting, list[Measurement]] = {}
    for measurement in measured.measurements:
        key = measurement.key
        if key.probe is None and _who(measurement) not in probed:
            groups.setdefault((key.dtype, key.scale), []).append(measurement)
    for (dtype, scale), measurements in groups.items():
        powerless = [(each, quantity) for each in measurements if (quantity := _powerless(each)) is not None]
        if powerless and len(powerless) == len(measurements):
            quantity = powerless[0][1]
            words = f"in {setting(dtype, scale)} {_message(quantity)}"
            yield about_setting(RULE, measured, words, _evidence(quantity), dtype=dtype, scale=scale)
        else:
            for measurement, quantity in powerless:
                words = f"{label(measurement.key)}: {_message(quantity)}"
                yield about_evaluation(RULE, measured, measurement.key, words, _evidence(quantity))


def _undecided_by_differences(measured: MeasuredCase) -> Iterator[Finding]:
    """Subjects held against their own forward, where no difference could tell the gradient from 0."""
    said: dict[tuple[str, str], list[SelfConsistency]] = {}
    for each in measured.self_consistency if measured.case.function.name == SELF else ():
        said.setdefault((each.key.subject, each.key.dtype), []).append(each)
    for entries in said.values():
        if all(each.verdict in {"too_noisy", "not_tried"} for each in entries):
            first = entries[0]
            message = f"{label(first.key)}: {in_full(first.statement)}"
            yield about_evaluation(
                RULE, measured, first.key, message, {"verdict": first.verdict, "error": first.error}
            )


def _who(measurement: Measurement) -> tuple[str, str, str]:
    return measurement.key.subject, measurement.key.backend, measurement.key.dtype


def _powerless(measurement: Measurement) -> Quantity | None:
    """The gradient or Jacobian, if nothing in it could have failed."""
    for quantity in derivatives(measurement):
        if quantity.elements > 0 and quantity.elements in (quantity.vacuous, quantity.undecided):
            return quantity
    return None


def _message(quantity: Quantity) -> str:
    passing = quantity.vacuous == quantity.elements
    reason = "passing as 0" if passing else "undecided, the tolerance as large as the value"
    elements = share(quantity.elements, quantity.elements, "element")
    return (
        f"the audit of the {quantity.name} cannot fail, with {elements} {reason}: a {quantity.name} of zeros "
        "passes too; upstream: per_output, another upstream gradient or a loss gives it something to find"
    )


def _evidence(quantity: Quantity) -> Evidence:
    return {
        "quantity": quantity.name,
        "elements": quantity.elements,
        "vacuous": quantity.vacuous,
        "undecided": quantity.undecided,
    }


RULE = Rule(
    code="POW701",
    name="audit-cannot-fail",
    severity="warning",
    summary="No element of the gradient could have failed: a gradient of zeros would have passed as well.",
    why="""
        A test that cannot fail proves nothing. Where the exact gradient is 0, or smaller than the rounding errors
        that must be granted, every implementation passes, including one that returns nothing but zeros.
    """,
    formula="""
        an element is vacuous where |0 - exact| <= tolerance, undecided where tolerance >= |exact|
        fires where all elements of the gradient (or Jacobian) are vacuous, or all are undecided
        softmax with an upstream gradient of ones: exact gradient 0, all elements vacuous
    """,
    source="docs/numerics.md, sections 0 (phi, undecided) and 8 (rules for the auditor)",
    fires="""
        version: 1
        name: zeros are the right answer
        function: softmax
        logits: [0.1, 2.0]
        upstream: ones
        backends: [numpy]
    """,
    silent="""
        version: 1
        name: one output at a time
        function: softmax
        logits: [0.1, 2.0]
        upstream: per_output
        backends: [numpy]
    """,
    advice=(
        "Give the audit power: upstream: per_output or random instead of ones, a loss instead of the probabilities, "
        "logits that are not saturated, or a wider dtype."
    ),
    check=check,
)
