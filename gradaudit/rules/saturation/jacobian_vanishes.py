"""SAT202: every entry of a row's softmax Jacobian is below the unit roundoff."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradaudit.functions.registry import mathematics
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.saturation.surviving_gradient import reassurance, survives
from gradaudit.rules.statement import Evidence, about_inputs
from gradaudit.rules.wording import number, setting, share


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each dtype and scale with a vanished row; info where the function learns on without it."""
    severity = "info" if survives(mathematics(measured.case.function)) else "warning"
    for facts in measured.facts:
        if facts.vanished_rows == 0:
            continue
        u = facts.unit_roundoff
        gap = math.acosh(1 / (2 * u) - 1)
        message = (
            f"in {setting(facts.dtype, facts.scale)} the softmax Jacobian of "
            f"{share(facts.vanished_rows, facts.rows, 'row')} vanishes: its largest entry is "
            f"{number(facts.largest_jacobian_entry)}, below u = {number(u)} (two classes: from a gap of "
            f"{number(gap)}){reassurance(measured, facts)}"
        )
        evidence: Evidence = {
            "vanished_rows": facts.vanished_rows,
            "rows": facts.rows,
            "largest_jacobian_entry": facts.largest_jacobian_entry,
            "limit": u,
            "gap_of_two_classes": gap,
        }
        yield about_inputs(RULE, measured, facts, message, evidence, severity=severity)


RULE = Rule(
    code="SAT202",
    name="jacobian-vanishes",
    severity="warning",
    summary="Every entry of a row's softmax Jacobian is below the unit roundoff of the dtype.",
    why="""
        A gradient that passes through the probabilities is multiplied by these entries. Below u it changes no
        weight of ordinary size, in 16 bits it is soon below the smallest number, and loss scaling cannot bring
        back what is already 0. Where the function is cross entropy, log_softmax or logsumexp the statement is
        for information: their own gradients do not contain the factor.
    """,
    formula="""
        dp_k/dx_j = p_k (delta_kj - p_j); the largest entry is p_max (1 - p_max)
        fires where max_kj |dp_k/dx_j| < u
        two classes: 1/(2 + 2 cosh gap) < u, so from gap = acosh(1/(2u) - 1), about -log u:
        7.6 float16, 5.5 bfloat16, 16.6 float32, 36.7 float64
    """,
    source="docs/numerics.md, sections 2 (softmax VJP) and 6 (saturation thresholds)",
    fires="""
        version: 1
        name: nothing passes through
        function: softmax
        logits: [300.0, 400.0, 500.0]
        upstream: per_output
        backends: [numpy]
    """,
    silent="""
        version: 1
        name: the same logits, a hundred times smaller
        function: softmax
        logits: [3.0, 4.0, 5.0]
        upstream: per_output
        backends: [numpy]
    """,
    advice=(
        "Let the loss see the logits (cross entropy) instead of the probabilities, or bring the logits closer "
        "together with a temperature; the table shows how far each row is from the limit."
    ),
    check=check,
)
