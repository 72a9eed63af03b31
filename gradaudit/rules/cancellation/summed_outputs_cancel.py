"""CAN101: the upstream gradient adds up per-output gradients that cancel."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradaudit.functions.registry import mathematics
from gradaudit.records.case import Case, InlineArray
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_inputs
from gradaudit.rules.wording import number, setting, share


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each dtype and scale at which a row's per-output gradients cancel."""
    function = measured.case.function.name
    for facts in measured.facts:
        if not facts.sums_outputs or facts.cancelled_rows == 0:
            continue
        always = _always_cancels(measured.case)
        reason = ", as under any constant upstream gradient, since the outputs of a row always add up to 1"
        total = 0.0 if always else facts.cancelled_sum
        message = (
            f"{function} in {setting(facts.dtype, facts.scale)}: the per-output gradients of "
            f"{share(facts.cancelled_rows, facts.rows, 'row')} cancel: their exact sum is "
            f"{number(total)} beside magnitudes that add up to {number(facts.cancelled_magnitude)}"
            f"{reason if always else ''}; one output, each output (upstream: per_output) "
            "or a loss has a gradient to audit"
        )
        evidence: Evidence = {
            "cancelled_rows": facts.cancelled_rows,
            "rows": facts.rows,
            "sum": total,
            "magnitude": facts.cancelled_magnitude,
            "unit_roundoff": facts.unit_roundoff,
        }
        yield about_inputs(RULE, measured, facts, message, evidence)


def _always_cancels(case: Case) -> bool:
    """Whether the sum is 0 for any logits: softmax under an upstream gradient with one value throughout."""
    if mathematics(case.function) != "softmax":
        return False
    source = case.upstream.source
    constant = isinstance(source, InlineArray) and np.unique(source.values).size == 1
    return case.upstream.kind == "ones" or constant


RULE = Rule(
    code="CAN101",
    name="summed-outputs-cancel",
    severity="warning",
    summary="The gradients of the single outputs cancel in the sum that the upstream gradient asks for.",
    why="""
        Backward does not return a Jacobian; it returns the sum of the Jacobian's rows, weighted by the upstream
        gradient. The rows of a softmax Jacobian add up to 0, so an upstream gradient of ones (which is what
        calling backward on the probabilities, or on their sum, amounts to) has an exact gradient of 0 whatever
        the logits are. Such a result says nothing about the implementation: the zeros are right, and what is
        printed instead of them is rounding.
    """,
    formula="""
        g_j = sum_k v_k dy_k/dx_j          (v: upstream gradient, y: outputs)
        fires where, in some row, nothing but rounding is left:
            |sum of the per-output gradients| <= u * sum of their magnitudes > 0
        softmax: dy_k/dx_j = p_k (delta_kj - p_j), and sum_k dy_k/dx_j = p_j - p_j sum_k p_k = 0
    """,
    source="docs/numerics.md, section 2 (softmax VJP and its row sum)",
    fires="""
        version: 1
        name: the sum of all probabilities
        function: softmax
        logits: [0.1, 2.0]
        upstream: ones
        backends: [numpy]
    """,
    silent="""
        version: 1
        name: every probability by itself
        function: softmax
        logits: [0.1, 2.0]
        upstream: per_output
        backends: [numpy]
    """,
    advice=(
        "Ask for the gradient of one output (upstream: {values: [1, 0]}), for all of them (upstream: per_output), "
        "or audit the loss that the training uses; its gradient is p - y and does not cancel."
    ),
    check=check,
)
