"""DIV303: NaN or infinity where a finite value is due."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Element, MeasuredCase, Measurement, Quantity
from gradaudit.rules.evaluations import groups, most_telling, named_faults, shown_by
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import about_evaluation, quantities
from gradaudit.rules.wording import label, number, place, share


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for the evaluations of a setting with a NaN or infinity that no fault explains."""
    for group in groups(measured):
        showing = [each for each in group if _unexplained(each)]
        if not showing or named_faults(measured, group[0].key):
            continue
        measurement = most_telling(showing, lambda each: sum(quantity.non_finite for quantity in _wrong(each)))
        wrong = _wrong(measurement)
        counts = " and ".join(
            f"{share(each.non_finite, each.elements, 'element')} of the {each.name}" for each in wrong
        )
        evidence: dict[str, float | int | str | bool | None] = {
            f"non_finite_{quantity.name}": quantity.non_finite for quantity in wrong
        }
        example = ""
        shown = next(((quantity, each) for quantity in wrong if (each := _first(quantity)) is not None), None)
        if shown is not None:
            quantity, element = shown
            example = (
                f"; {place(quantity, element)} is {number(element.got)}, the exact value {number(element.reference)}"
            )
            evidence |= {
                "quantity": quantity.name,
                "index": str(list(element.index)) if element.index else None,
                "got": element.got,
                "reference": element.reference,
            }
        message = (
            f"{label(measurement.key)}: not finite where a finite value is due: {counts}{example}"
            f"{shown_by(showing, group, measurement)}"
        )
        yield about_evaluation(RULE, measured, measurement.key, message, evidence)


def _wrong(measurement: Measurement) -> list[Quantity]:
    return [quantity for quantity in quantities(measurement) if quantity.non_finite > 0]


def _unexplained(measurement: Measurement) -> bool:
    return bool(_wrong(measurement)) and not measurement.likely and not measurement.special_probe


def _first(quantity: Quantity) -> Element | None:
    """The first of the worst elements that is not finite where its exact value is."""
    return next(
        (each for each in quantity.worst if not math.isfinite(each.got) and math.isfinite(each.reference)), None
    )


RULE = Rule(
    code="DIV303",
    name="non-finite",
    severity="error",
    summary="NaN or infinity was returned where the exact value, tolerance included, is a finite number.",
    why="""
        One NaN in a gradient spreads through the next step into every weight. Here the exact result is an
        ordinary number, so the NaN or infinity arose on the way: a sum that overflowed, a difference of
        infinities, 0 times infinity.
    """,
    formula="""
        fires where the returned value is NaN or infinite and |exact| + tolerance <= largest finite number
        (beyond that an infinite result is right), and no diagnosed fault explains it
    """,
    source="docs/numerics.md, section 8b (overflow)",
    fires="""
        version: 1
        name: a smoothed loss whose inner sum overflows in float16
        function: {name: cross_entropy, label_smoothing: 0.1}
        logits: {random: {distribution: normal, shape: [1, 16384], seed: 7}}
        targets: [0]
        dtypes: [float16]
        backends: [torch]
    """,
    silent="""
        version: 1
        name: the same loss over fewer classes
        function: {name: cross_entropy, label_smoothing: 0.1}
        logits: {random: {distribution: normal, shape: [1, 128], seed: 7}}
        targets: [0]
        dtypes: [float16]
        backends: [torch]
    """,
    advice=(
        "Look for a sum or product on the way that leaves the range of the dtype; accumulate in float32, or divide "
        "before adding up."
    ),
    check=check,
)
