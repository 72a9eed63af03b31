"""What still learns where the softmax itself has saturated."""

from __future__ import annotations

import numpy as np

from gradaudit.functions.registry import mathematics
from gradaudit.records.measurement import InputFacts, MeasuredCase
from gradaudit.rules.statement import derivatives
from gradaudit.rules.wording import number

_REASONS = {
    "cross_entropy": "the gradient of cross_entropy is p - y, which has no factor p (1 - p)",
    "log_softmax": "the Jacobian of log_softmax is delta_kj - p_j, which has no factor p_k",
    "logsumexp": "the gradient of logsumexp is p itself, which adds up to 1",
}


def survives(function: str) -> bool:
    """Whether the function's own gradient outlives the Jacobian of the softmax inside it."""
    return function in _REASONS


def reassurance(measured: MeasuredCase, facts: InputFacts) -> str:
    """A clause on the function's own gradient, with its largest exact entry where all values are kept; or ''."""
    reason = _REASONS.get(mathematics(measured.case.function))
    if reason is None:
        return ""
    largest = _largest_exact_entry(measured, facts)
    amount = "" if largest is None else f": its largest exact entry over the case is {number(largest)}"
    return f"; {reason}{amount}"


def _largest_exact_entry(measured: MeasuredCase, facts: InputFacts) -> float | None:
    for measurement in measured.measurements:
        key = measurement.key
        if key.probe is not None or (key.dtype, key.scale) != (facts.dtype, facts.scale):
            continue
        for quantity in derivatives(measurement):
            if quantity.values is None:
                continue
            exact = np.abs(quantity.values.reference)
            finite = exact[np.isfinite(exact)]
            if finite.size:
                return float(finite.max())
    return None
