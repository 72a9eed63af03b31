"""DIV305: a special value that differs from what the policy demands."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Element, MeasuredCase, Quantity
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import about_evaluation, quantities
from gradaudit.rules.wording import label, number, place, share

SPECIAL_VALUE_PROBES = frozenset(
    {"negative-infinity-logits", "all-rows-ignored", "zero-weights", "labels-out-of-range"}
)
"""Probes whose inputs nobody asked about; what only they show is a warning."""


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each evaluation with a mismatch: an error, or a warning where a special probe shows it."""
    for measurement in measured.measurements:
        wrong = [quantity for quantity in quantities(measurement) if quantity.special_mismatch > 0]
        if not wrong:
            continue
        counts = " and ".join(
            f"{share(each.special_mismatch, each.elements, 'element')} of the {each.name}" for each in wrong
        )
        evidence: dict[str, float | int | str | bool | None] = {
            f"special_mismatch_{quantity.name}": quantity.special_mismatch for quantity in wrong
        }
        example = ""
        shown = next(((quantity, each) for quantity in wrong if (each := _first(quantity)) is not None), None)
        if shown is not None:
            quantity, element = shown
            example = f"; {place(quantity, element)} is {number(element.got)}, due is {number(element.reference)}"
            evidence |= {
                "quantity": quantity.name,
                "index": str(list(element.index)) if element.index else None,
                "got": element.got,
                "reference": element.reference,
            }
        message = f"{label(measurement.key)}: not the value that is due at special inputs: {counts}{example}"
        severity = "warning" if measurement.key.probe in SPECIAL_VALUE_PROBES else RULE.severity
        yield about_evaluation(RULE, measured, measurement.key, message, evidence, severity=severity)


def _first(quantity: Quantity) -> Element | None:
    """The first of the worst elements with an infinite ratio, which is what a wrong special value has."""
    return next((each for each in quantity.worst if not each.ratio < float("inf")), None)


RULE = Rule(
    code="DIV305",
    name="special-values-differ",
    severity="error",
    summary="NaN, an infinity or a value beside a -inf logit differs from the limit that is due there.",
    why="""
        Masks are written as -inf logits, padding as ignored rows, and both reach the edge of the arithmetic:
        0 times infinity where the limit is 0 turns a masked class into a NaN for the whole row, and a number
        where NaN is due hides a batch without a single valid row.
    """,
    formula="""
        limits: exp(-inf) = 0, p_j = 0 and dL/dx_j = 0 at a -inf logit, 0 * log 0 = 0;
        undefined, so NaN: a row of -inf logits only, a NaN logit, a mean over no valid row (0/0)
        fires where the class of the returned value, or a finite value beside it, is not the one due
    """,
    source="docs/numerics.md, policy for special values; semantics of cross entropy: section 2",
    fires="""
        version: 1
        name: a masked class with a target probability of 0
        function: {name: cross_entropy, reduction: none}
        logits: [[0.5, 1.5, -.inf]]
        targets: [[0.25, 0.75, 0.0]]
        backends: [torch]
    """,
    silent="""
        version: 1
        name: a masked class beside an ordinary label
        function: {name: cross_entropy, reduction: none}
        logits: [[0.5, 1.5, -.inf]]
        targets: [1]
        backends: [torch]
    """,
    advice=(
        "Treat 0 times infinity as 0 where the factor 0 is a mask or a target (torch.where, xlogy), use a large "
        "finite negative number instead of -inf, and skip batches without a valid row."
    ),
    check=check,
)
