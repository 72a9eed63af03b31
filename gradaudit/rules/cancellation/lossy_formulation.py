"""CAN105: the values are right only by the tolerance of a formulation that loses digits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from gradaudit.numerics import formats
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase, Measurement
from gradaudit.records.profile import Profile
from gradaudit.rules.evaluations import groups, has_wrong_values, most_telling, shown_by
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_evaluation, largest_error
from gradaudit.rules.wording import label, number

EVERY_STEP = ("declared", "declared, rows added up")
"""How precisions are called in which every operation is rounded to 16 bits, a row's statistics included:
hand-written code in such a dtype has no other."""


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for the evaluations of a setting that only a looser row explains, unless a fault is named; else one
    for those of a user's function that keeps a row's sum and logarithm in 16 bits beside steps of more."""
    for group in groups(measured):
        if has_wrong_values(measured, group[0].key):
            continue
        lossy = [each for each in group if _is_lossy(each)]
        showing = lossy or _statistics_alone(group)
        if not showing:
            continue
        measurement = most_telling(showing, lambda each: largest_error(each).max_ulp)
        explanation = measurement.explanation
        quantity = largest_error(measurement)
        loss = f"off by up to {number(quantity.max_ulp)} ULP, {number(quantity.max_abs_error)} in absolute terms"
        if lossy:
            statement = (
                f"digits lost by the formulation: the {quantity.name} is {loss}, which the shifted formulation does "
                f"not explain and '{explanation.formulation}' does"
            )
        else:
            statement = _statistics_lost(measurement.profile, quantity.name, loss)
        message = f"{label(measurement.key)}: {statement}{shown_by(showing, group, measurement)}"
        evidence: Evidence = {
            "formulation_needed": explanation.formulation,
            "precision_needed": explanation.precision,
            "quantity": quantity.name,
            "max_ulp": quantity.max_ulp,
            "max_abs_error": quantity.max_abs_error,
        }
        yield about_evaluation(RULE, measured, measurement.key, message, evidence)


def _statistics_lost(profile: Profile, quantity: str, loss: str) -> str:
    storage = formats.get(profile.storage)
    return (
        f"digits lost by storing: the {quantity} is {loss}, which is explained only with a row's sum and its "
        f"logarithm kept in {storage.name}, beside steps of higher precision: the log-probability of a winning class "
        f"rounds to 0 from a gap of {number(-math.log(storage.unit_roundoff))} on"
    )


def _statistics_alone(group: Sequence[Measurement]) -> list[Measurement]:
    """The evaluations that show a row's sum and logarithm to be kept in 16 bits, where no other one shows that every
    operation is."""
    tight = [
        (each, each.explanation.precision)
        for each in group
        if each.explanation.explains and not each.explanation.weaker and not each.explanation.looser
    ]
    if any(precision == EVERY_STEP[0] or precision.startswith(EVERY_STEP[1]) for _, precision in tight):
        return []
    return [each for each, precision in tight if _keeps_statistics(precision, each.profile)]


def _keeps_statistics(precision: str, profile: Profile) -> bool:
    wide = formats.get("float32").precision
    claimed = formats.get(profile.accumulate).precision >= wide > formats.get(profile.storage).precision
    return claimed and precision.endswith(f"row statistics in {profile.storage}")


def _is_lossy(measurement: Measurement) -> bool:
    explanation = measurement.explanation
    lossy = explanation.explains and explanation.looser and not explanation.common_offset
    return lossy and not measurement.likely


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
        fires where the shifted row fails to explain some element and a looser one explains all, and where only a
        row's statistics in 16 bits explain a user's function: error of log p grows by u_s (1 + log s)
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
