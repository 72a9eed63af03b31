"""CAN104: digits were lost to an offset that all logits of a row share."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase, Measurement
from gradaudit.rules.evaluations import groups, has_wrong_values, most_telling, shown_by
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_evaluation, facts_at, largest_error
from gradaudit.rules.wording import label, number


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for the evaluations of a setting that only a row with the term u |logsumexp| explains."""
    for group in groups(measured):
        showing = [each for each in group if _loses_offset(each)]
        if not showing or has_wrong_values(measured, group[0].key):
            continue
        measurement = most_telling(showing, lambda each: largest_error(each).max_ulp)
        explanation = measurement.explanation
        quantity = largest_error(measurement)
        facts = facts_at(measured, measurement.key)
        offset = f" (an offset of {number(facts.offset)} times the row's spread)" if facts else ""
        message = (
            f"{label(measurement.key)}: digits lost to a common offset of the logits{offset}: the {quantity.name} is "
            f"off by up to {number(quantity.max_ulp)} ULP, {number(quantity.max_abs_error)} in absolute terms, which "
            f"the shifted formulation does not explain and '{explanation.formulation}', charged u |logsumexp|, does"
            f"{shown_by(showing, group, measurement)}"
        )
        evidence: Evidence = {
            "formulation_needed": explanation.formulation,
            "quantity": quantity.name,
            "max_ulp": quantity.max_ulp,
            "max_abs_error": quantity.max_abs_error,
            "offset": facts.offset if facts else None,
        }
        yield about_evaluation(RULE, measured, measurement.key, message, evidence)


def _loses_offset(measurement: Measurement) -> bool:
    explanation = measurement.explanation
    return explanation.explains and explanation.looser and explanation.common_offset


RULE = Rule(
    code="CAN104",
    name="common-offset-cancels",
    severity="warning",
    summary="Digits are lost to an offset that all logits of a row share, though the function does not depend on it.",
    why="""
        Softmax and cross entropy do not change when a constant is added to all logits of a row. A formulation
        that forms log p as x - logsumexp(x) rounds logsumexp to a multiple of its own ULP, which is that of the
        offset: at an offset of 10,000 in float32 every log-probability is off by up to 5e-4, and at 1.7e7
        nothing is left. Subtracting the largest logit first costs nothing and keeps the digits.
    """,
    formula="""
        log p_j as x_j - lse:              |error| <= ... + u |lse|          (grows with the offset)
        log p_j as (x_j - max) - log s:    |error| <= u t_j + sigma + ...    (does not)
        fires where the shifted row fails to explain some element and a row that contains u |lse| explains all
    """,
    source="docs/numerics.md, sections 2 (log p_j) and 8c (rows for the admissible formulations)",
    fires="""
        version: 1
        name: the backward pass of torch's logsumexp takes exp(x - logsumexp)
        function: logsumexp
        logits: [[10000.1, 10000.2, 10000.3], [10000.0, 10001.5, 10002.25]]
        backends: [torch]
    """,
    silent="""
        version: 1
        name: the largest logit is subtracted first
        function: logsumexp
        logits: [[10000.1, 10000.2, 10000.3], [10000.0, 10001.5, 10002.25]]
        backends: [numpy]
    """,
    advice=(
        "Subtract the row's largest logit before anything else, (x - max) - log(sum(exp(x - max))), or use the "
        "library's log_softmax or cross entropy; centre logits that drift away from 0."
    ),
    check=check,
)
