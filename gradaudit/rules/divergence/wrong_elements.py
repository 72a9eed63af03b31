"""Finite elements beyond every tolerance: which they are, and the words and numbers that prove it."""

from __future__ import annotations

import math

from gradaudit.records.measurement import Element, Measurement, Quantity
from gradaudit.rules.statement import quantities
from gradaudit.rules.wording import number, place, plural, share


def is_wrong(measurement: Measurement) -> bool:
    """Whether finite elements are left that no row and no fault explains; special inputs are a matter of policy."""
    if measurement.explanation.explains or measurement.likely or measurement.special_probe:
        return False
    return bool(_beyond(measurement))


def largest_ratio(measurement: Measurement) -> float:
    """The largest error of an evaluation in units of its tolerance."""
    return max(quantity.max_error_over_tolerance for quantity in quantities(measurement))


def proof(measurement: Measurement) -> str:
    """The worst element with its exact value and tolerance, how many are beyond, and what was tried."""
    beyond = _beyond(measurement)
    worst = _worst(beyond)
    counts = " and ".join(f"{share(each.beyond, each.elements, 'element')} of the {each.name}" for each in beyond)
    rows = measurement.explanation.rows_tried
    tried = f"none of {len(rows)} admissible {plural('formulation', len(rows))} explains every element"
    return f"{_statement(worst, _worst_finite(worst))}; beyond: {counts}; {tried}"


def proving(measurement: Measurement) -> dict[str, float | int | str | bool | None]:
    """The numbers of :func:`proof`."""
    worst = _worst(_beyond(measurement))
    element = _worst_finite(worst)
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
    return evidence


def _beyond(measurement: Measurement) -> list[Quantity]:
    return [quantity for quantity in quantities(measurement) if quantity.beyond > 0]


def _worst(beyond: list[Quantity]) -> Quantity:
    return max(beyond, key=lambda quantity: quantity.max_error_over_tolerance)


def _worst_finite(quantity: Quantity) -> Element | None:
    """The first of the worst elements that is finite and ought to be; the others are DIV303's and DIV305's."""
    finite = (each for each in quantity.worst if math.isfinite(each.got) and math.isfinite(each.reference))
    return next((each for each in finite if not each.ratio <= 1), None)


def _statement(quantity: Quantity, element: Element | None) -> str:
    if element is None:
        return f"finite values of the {quantity.name} lie beyond their tolerance"
    return (
        f"{place(quantity, element)} is {number(element.got)}, the exact value {number(element.reference)}, off by "
        f"{number(element.ratio)} times the tolerance {number(element.tolerance)}"
    )
