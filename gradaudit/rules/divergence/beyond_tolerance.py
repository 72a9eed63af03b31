"""DIV301: finite values that no admissible formulation explains."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Element, MeasuredCase, Measurement, Quantity
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import about_evaluation, quantities
from gradaudit.rules.wording import label, number, place, plural, share


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each evaluation with unexplained finite elements, naming the worst."""
    for measurement in measured.measurements:
        beyond = [quantity for quantity in quantities(measurement) if quantity.beyond > 0]
        if not beyond or measurement.explanation.explains or measurement.diagnoses:
            continue
        worst = max(beyond, key=lambda quantity: quantity.max_error_over_tolerance)
        element = _worst_finite(worst)
        counts = " and ".join(f"{share(each.beyond, each.elements, 'element')} of the {each.name}" for each in beyond)
        message = f"{label(measurement.key)}: {_proof(worst, element)}; beyond: {counts}; {_tried(measurement)}"
        evidence: dict[str, float | int | str | bool | None] = {
            "quantity": worst.name,
            "beyond": worst.beyond,
            "elements": worst.elements,
            "max_error_over_tolerance": worst.max_error_over_tolerance,
            "rows_tried": ", ".join(measurement.explanation.rows_tried),
        }
        if element is not None:
            evidence |= {
                "index": str(list(element.index)) if element.index else None,
                "got": element.got,
                "reference": element.reference,
                "tolerance": element.tolerance,
            }
        yield about_evaluation(RULE, measured, measurement.key, message, evidence)


def _worst_finite(quantity: Quantity) -> Element | None:
    """The first of the worst elements that is finite and ought to be; the others are DIV303's and DIV305's."""
    finite = (each for each in quantity.worst if math.isfinite(each.got) and math.isfinite(each.reference))
    return next((each for each in finite if not each.ratio <= 1), None)


def _proof(quantity: Quantity, element: Element | None) -> str:
    if element is None:
        return f"finite values of the {quantity.name} lie beyond their tolerance"
    return (
        f"{place(quantity, element)} is {number(element.got)}, the exact value {number(element.reference)}, off by "
        f"{number(element.ratio)} times the tolerance {number(element.tolerance)}"
    )


def _tried(measurement: Measurement) -> str:
    rows = measurement.explanation.rows_tried
    return f"none of {len(rows)} admissible {plural('formulation', len(rows))} explains every element"


RULE = Rule(
    code="DIV301",
    name="beyond-tolerance",
    severity="error",
    summary="A finite value lies outside its tolerance under every admissible formulation, and no known fault fits.",
    why="""
        The exact value of these input floats is enclosed, and the tolerance is the largest rounding error that a
        sound implementation of any admissible formulation can show. What lies outside is therefore not rounding:
        the implementation computes something else.
    """,
    formula="""
        fires where not |returned - exact| <= tolerance for some finite element, under every row that was tried;
        the rows are the formulations of docs/numerics.md charged with the subject's own unit roundoff, exp and
        log quality and summation order, and one row must explain all elements
    """,
    source="docs/numerics.md, sections 2 (bounds), 8b and 8c (admissible formulations)",
    fires=None,
    silent="""
        version: 1
        name: the fused cross entropy
        function: cross_entropy
        logits: [[1.0, 2.0, 4.0], [0.5, -3.0, 2.0]]
        targets: [0, 2]
        backends: [numpy]
    """,
    fires_note=(
        "No backend's own function is known to do this: it takes an implementation that is wrong. The tests plant "
        "an error of three times the tolerance in one element of a sound one."
    ),
    advice=(
        "Start from the element in the message: compare its row of logits, its label and its upstream gradient with "
        "what the formula of the function gives, then shrink the case to that row."
    ),
    check=check,
)
