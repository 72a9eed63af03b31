"""CAN103: a gradient was returned as 0, or without a correct digit, where the exact one is a normal number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Element, MeasuredCase, Measurement, Quantity
from gradaudit.rules.evaluations import groups, has_wrong_values, most_telling, of_subject, shown_by
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_evaluation, derivatives
from gradaudit.rules.wording import label, number, place, share


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for the evaluations of a setting that lost an element within its tolerance, shown by the worst;
    a single one for all evaluations of a subject.

    It is information where probes alone show it: the case's own inputs lose nothing.
    """
    for group in _together(measured):
        showing = [each for each in group if _lost(each) is not None]
        if any(has_wrong_values(measured, each.key) for each in showing):
            # What is wrong anyway may be 0 for that reason; what the tightest formulation explains is not.
            showing = [each for each in showing if each.explanation.explains and not each.explanation.looser]
        if not showing:
            continue
        measurement = most_telling(showing, _share)
        found = _lost(measurement)
        assert found is not None
        quantity, worst = found
        message = (
            f"{label(measurement.key)}: {share(quantity.cancelled, quantity.elements, 'element')} of the "
            f"{quantity.name} lost all digits to cancellation; worst: {place(quantity, worst)} is "
            f"{number(worst.got)}, exact is {number(worst.reference)}, a normal number of {quantity.dtype}"
            f"{shown_by(showing, group, measurement)}"
        )
        evidence: Evidence = {
            "quantity": quantity.name,
            "cancelled": quantity.cancelled,
            "elements": quantity.elements,
            "index": str(list(worst.index)) if worst.index else None,
            "got": worst.got,
            "reference": worst.reference,
            "tolerance": worst.tolerance,
        }
        severity = RULE.severity if measurement.key.probe is None else "info"
        finding = about_evaluation(RULE, measured, measurement.key, message, evidence, severity=severity)
        keys = [each.key for each in showing]
        yield replace(
            finding,
            dtype=finding.dtype if len({key.dtype for key in keys}) == 1 else None,
            scale=finding.scale if len({key.scale for key in keys}) == 1 else None,
        )


def _together(measured: MeasuredCase) -> Iterator[Sequence[Measurement]]:
    """What one finding speaks of: a setting of a backend, or all dtypes and scales of a subject."""
    of_subjects: dict[tuple[str, str], list[Measurement]] = {}
    for group in groups(measured):
        key = group[0].key
        if of_subject(measured, key):
            of_subjects.setdefault((key.subject, key.backend), []).extend(group)
        else:
            yield group
    yield from of_subjects.values()


def _lost(measurement: Measurement) -> tuple[Quantity, Element] | None:
    """The gradient or Jacobian that lost elements, and the worst of them. Beyond its tolerance an element is wrong,
    not cancelled; the DIV and BUG rules speak of it."""
    if measurement.special_probe:
        return None
    for quantity in derivatives(measurement):
        worst = quantity.worst_cancelled
        if quantity.cancelled > 0 and worst is not None and worst.ratio <= 1:
            return quantity, worst
    return None


def _share(measurement: Measurement) -> float:
    found = _lost(measurement)
    return 0.0 if found is None else found[0].cancelled / found[0].elements


RULE = Rule(
    code="CAN103",
    name="target-gradient-cancelled",
    severity="warning",
    summary=(
        "A gradient was returned as 0, or with a relative error over 1/2, though the exact value is a normal number "
        "of the dtype."
    ),
    why="""
        The gradient at the target, p_y - 1, is formed by a subtraction that leaves a multiple of u: once p_y
        rounds to 1 it is exactly 0, while the other entries of the row still push. The exact value is well
        conditioned and the sum of the other probabilities gives it to full relative accuracy, so the digits are
        lost by the algorithm and not by the problem. Libraries share this; it is within the tolerance of the
        subtraction, and worth knowing where confident rows must keep learning or gradients are compared.
    """,
    formula="""
        exact: g_y = p_y - 1 = -sum_{k != y} p_k
        relative error of p_y - 1: rho_y p_y/(1 - p_y), with rho_y the relative error of p_y
        fires where |exact| >= smallest normal number and (returned 0, or |error| > |exact|/2);
        for two classes from a gap of about -log u: 7.6 float16, 5.6 bfloat16, 16.6 float32, 36.7 float64
    """,
    source="docs/numerics.md, sections 2 (target gradient), 3 (cancellation at the target) and 6 (thresholds)",
    fires="""
        version: 1
        name: a winning label beyond the gap of 16.6
        function: cross_entropy
        logits: [[20.0, 0.0]]
        targets: [0]
        backends: [torch]
    """,
    silent="""
        version: 1
        name: a winning label well below the gap of 16.6
        function: cross_entropy
        logits: [[4.0, 0.0]]
        targets: [0]
        backends: [torch]
    """,
    advice=(
        "Where the digits matter, form the target gradient as minus the sum of the other probabilities, or as "
        "expm1(-log1p(s')) with s' the sum of the other shifted exponentials; otherwise list the code under ignore."
    ),
    check=check,
)
