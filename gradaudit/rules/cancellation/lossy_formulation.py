"""CAN105: the values are right only by the tolerance of a formulation that loses digits."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase, Measurement
from gradaudit.rules.evaluations import groups, has_wrong_values, most_telling, shown_by
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_evaluation, largest_error
from gradaudit.rules.wording import label, number


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for the evaluations of a setting that only a looser row explains, unless a fault is named."""
    for group in groups(measured):
        showing = [each for each in group if _is_lossy(each)]
        if not showing or has_wrong_values(measured, group[0].key):
            continue
        measurement = most_telling(showing, lambda each: largest_error(each).max_ulp)
        explanation = measurement.explanation
        quantity = largest_error(measurement)
        message = (
            f"{label(measurement.key)}: digits lost by the formulation: the {quantity.name} is off by up to "
            f"{number(quantity.max_ulp)} ULP, {number(quantity.max_abs_error)} in absolute terms, which the shifted "
            f"formulation does not explain and '{explanation.formulation}' does"
            f"{shown_by(showing, group, measurement)}"
        )
        evidence: Evidence = {
            "formulation_needed": explanation.formulation,
            "quantity": quantity.name,
            "max_ulp": quantity.max_ulp,
            "max_abs_error": quantity.max_abs_error,
        }
        yield about_evaluation(RULE, measured, measurement.key, message, evidence)


def _is_lossy(measurement: Measurement) -> bool:
    explanation = measurement.explanation
    lossy = explanation.explains and explanation.looser and not explanation.common_offset
    return lossy and not measurement.diagnoses


RULE = Rule(
    code="CAN105",
    name="lossy-formulation",
    severity="warning",
    summary="The values are explained only by a formulation that loses more digits than the shifted one.",
    why="""
        The same mathematics can be spelled in ways that round differently. The logarithm of a stored
        probability, differences to the target before the shift, merged partial sums or a shift that takes part
        in backward are sound at ordinary logits and lose digits at others. The result is not wrong for what it
        is, but another spelling of it is better at the same cost.
    """,
    formula="""
        rows are tried tightest first, and one row must explain every element of the evaluation
        log(softmax(x))_j: relative error of p_j, with u_s once p_j was stored, + eta/p_j if it is subnormal
        shifted:           u t_j + sigma + u |log p_j|
        fires where the shifted row fails to explain some element and a looser one explains all
    """,
    source="docs/numerics.md, sections 8b (admissible formulations) and 8c (their rows)",
    fires="""
        version: 1
        name: the logarithm of probabilities that were rounded first
        function: log_softmax
        logits: [[2.0, 0.0], [2.5, 0.0], [3.0, 0.0], [3.5, 0.0]]
        upstream: {random: {seed: 1}}
        formulations: [unfused]
        backends: [torch]
    """,
    silent="""
        version: 1
        name: one fused function
        function: log_softmax
        logits: [[2.0, 0.0], [2.5, 0.0], [3.0, 0.0], [3.5, 0.0]]
        upstream: {random: {seed: 1}}
        formulations: [fused]
        backends: [torch]
    """,
    advice=(
        "Use the fused function, or log_softmax followed by the negative log-likelihood; the message names the "
        "formulation that the values give away."
    ),
    check=check,
)
