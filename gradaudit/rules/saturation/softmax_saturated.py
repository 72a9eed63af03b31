"""SAT201: the largest probability of a row rounds to 1."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.saturation.surviving_gradient import reassurance
from gradaudit.rules.statement import Evidence, about_inputs
from gradaudit.rules.wording import number, setting, share


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each dtype and scale with a saturated row."""
    for facts in measured.facts:
        if facts.saturated_rows == 0:
            continue
        u = facts.unit_roundoff
        gap = math.log(2 / u - 1)
        message = (
            f"in {setting(facts.dtype, facts.scale)} the softmax of {share(facts.saturated_rows, facts.rows, 'row')} "
            f"is saturated: 1 - p = {number(facts.complement)} <= u/2 = {number(u / 2)}, so that the largest "
            f"probability rounds to 1 (two classes: from a gap of {number(gap)}){reassurance(measured, facts)}"
        )
        evidence: Evidence = {
            "saturated_rows": facts.saturated_rows,
            "rows": facts.rows,
            "max_probability": facts.max_probability,
            "complement": facts.complement,
            "limit": u / 2,
            "gap_of_two_classes": gap,
        }
        yield about_inputs(RULE, measured, facts, message, evidence)


RULE = Rule(
    code="SAT201",
    name="softmax-saturated",
    severity="warning",
    summary="The largest probability of a row rounds to 1 in the dtype.",
    why="""
        From there on the output of softmax no longer answers to the logits: moving them changes nothing that the
        dtype can hold, and the gradient through the probabilities shrinks with 1 - p. A loss that is fed the
        probabilities learns nothing from such rows, right or wrong; cross entropy on the logits still learns,
        because its gradient p - y is about -1 at a label that is losing.
    """,
    formula="""
        fires where 1 - p_max <= u/2, that is, p_max correctly rounded is 1
        two classes: p_max = 1/(1 + exp(-gap)), so from gap = log(2/u - 1):
        8.32 float16, 6.24 bfloat16, 17.33 float32, 37.43 float64; K equally far classes: + log(K - 1)
    """,
    source="docs/numerics.md, section 6 (saturation thresholds)",
    fires="""
        version: 1
        name: hundreds apart
        function: softmax
        logits: [300.0, 400.0, 500.0]
        upstream: per_output
        backends: [numpy]
    """,
    silent="""
        version: 1
        name: near, and not saturated
        function: softmax
        logits: [490.0, 495.0, 500.0]
        upstream: per_output
        backends: [numpy]
    """,
    advice=(
        "Train on the logits with cross entropy rather than on probabilities; where probabilities are needed, "
        "scale the logits down (a temperature, a normalised last layer) or take a wider dtype."
    ),
    check=check,
)
