"""DIV305: a special value that differs from what the policy demands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Element, MeasuredCase, Measurement, Quantity
from gradaudit.rules.evaluations import groups, has_wrong_values, most_telling, shown_by
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import about_evaluation, quantities
from gradaudit.rules.wording import in_full, label, number, place, share

INDETERMINATE = " (a NaN comes of 0 times an infinity, as 0 * log 0, or of two that cancel: the limit is a number)"


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for the evaluations of a setting with a mismatch; a warning where special probes alone show it.

    Values that are to be refused, and were not, are breaches of that name.
    """
    for breach in measured.breaches:
        if breach.fault == RULE.name:
            message = f"{label(breach.key)}: {in_full(breach.statement)}"
            severity = RULE.severity if breach.key.probe is None else "warning"
            yield about_evaluation(RULE, measured, breach.key, message, dict(breach.evidence), severity=severity)
    for group in groups(measured):
        # What is wrong anyway shows under special probes too, and is the first thing to mend.
        known = has_wrong_values(measured, group[0].key)
        showing = [each for each in group if _wrong(each) and not (known and each.special_probe)]
        if not showing:
            continue
        ordinary = [each for each in showing if not each.special_probe]
        measurement = most_telling(ordinary or showing, lambda each: sum(map(_mismatches(each), _wrong(each))))
        wrong, mismatches = _wrong(measurement), _mismatches(measurement)
        counts = " and ".join(
            f"{share(mismatches(each), each.elements, 'element')} of the {each.name}" for each in wrong
        )
        evidence: dict[str, float | int | str | bool | None] = {
            f"special_mismatch_{quantity.name}": mismatches(quantity) for quantity in wrong
        }
        example = ""
        shown = next(((quantity, each) for quantity in wrong if (each := _first(quantity)) is not None), None)
        if shown is not None:
            quantity, element = shown
            example = f"; {place(quantity, element)} is {number(element.got)}, due is {number(element.reference)}"
            if math.isnan(element.got) and math.isfinite(element.reference):
                example += INDETERMINATE
            evidence |= {
                "quantity": quantity.name,
                "index": str(list(element.index)) if element.index else None,
                "got": element.got,
                "reference": element.reference,
            }
        message = (
            f"{label(measurement.key)}{_fed(measurement)}: not the value that is due at special inputs: {counts}"
            f"{example}{shown_by(showing, group, measurement)}"
        )
        severity = "warning" if measurement.special_probe else RULE.severity
        yield about_evaluation(RULE, measured, measurement.key, message, evidence, severity=severity)


def _fed(measurement: Measurement) -> str:
    """What the probe feeds, in brackets; "" for the case's own inputs."""
    from gradaudit.specs import probes  # most audits have none

    name = measurement.key.probe
    return f" ({probes.summary(name)})" if name in probes.KNOWN else ""


def _mismatches(measurement: Measurement) -> Callable[[Quantity], int]:
    """How many elements of a quantity differ. Under a special probe all that is wrong is a matter of policy."""
    if not measurement.special_probe:
        return lambda quantity: quantity.special_mismatch
    explained = measurement.explanation.explains
    return lambda each: each.special_mismatch + each.non_finite + (0 if explained else each.beyond)


def _wrong(measurement: Measurement) -> list[Quantity]:
    mismatches = _mismatches(measurement)
    return [quantity for quantity in quantities(measurement) if mismatches(quantity) > 0]


def _first(quantity: Quantity) -> Element | None:
    """The first of the worst elements with an infinite ratio, which is what a wrong special value has; else the first
    beyond its tolerance."""
    infinite = (each for each in quantity.worst if not each.ratio < float("inf"))
    return next(infinite, next((each for each in quantity.worst if not each.ratio <= 1), None))


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
        fires where the class of the returned value, or a finite value beside it, is not the one due;
        a probe of special values (nobody asked about them) makes it a warning, whatever it is that differs there,
        and so does one with labels out of range, where an exception is due and a number comes back
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
