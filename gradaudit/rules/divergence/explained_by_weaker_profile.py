"""DIV304: the values are explained only by a lower precision than the declared one."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.evaluations import of_subject
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import Evidence, about_evaluation, largest_error
from gradaudit.rules.wording import declared, label, number


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each evaluation of a backend that needs a weaker precision than its profile declares.

    The same in a user's own function is diagnosed as BUG464.
    """
    for measurement in measured.measurements:
        explanation = measurement.explanation
        if not (explanation.explains and explanation.weaker) or of_subject(measured, measurement.key):
            continue
        quantity = largest_error(measurement)
        message = (
            f"{label(measurement.key)}: explained only by a lower precision than declared: {explanation.precision} "
            f"(declared: {declared(measurement.profile)}); the {quantity.name} is off by up to "
            f"{number(quantity.max_ulp)} ULP, {number(quantity.max_abs_error)} in absolute terms"
        )
        evidence: Evidence = {
            "precision_needed": explanation.precision,
            "formulation_needed": explanation.formulation,
            "declared": declared(measurement.profile),
            "quantity": quantity.name,
            "max_ulp": quantity.max_ulp,
            "max_abs_error": quantity.max_abs_error,
        }
        yield about_evaluation(RULE, measured, measurement.key, message, evidence)


RULE = Rule(
    code="DIV304",
    name="explained-by-weaker-profile",
    severity="error",
    summary="The values are explained only by arithmetic of a lower precision than the subject declares.",
    why="""
        A 16-bit function is commonly taken to compute in float32 and to round its result once. Where it keeps
        the row's sum, its logarithm or a probability in 16 bits instead, the error is orders of magnitude larger
        than one rounding and nobody is told. The precision that explains the values names the step at fault.
    """,
    formula="""
        rows are tried from the declared precision downwards, each with its own derived tolerance;
        fires where the declared precision fails to explain some element and a lower one explains all
        log_softmax with s and log s rounded to storage: error of log p_j grows by u_s + u_s log s,
        gradients by the relative error u_s |log p_j|
    """,
    source="docs/numerics.md, sections 3 (float16 and bfloat16) and 8 (profiles)",
    fires="""
        version: 1
        name: torch's float16 log_softmax over the last axis
        function: log_softmax
        logits: {random: {distribution: normal, shape: [64, 64], seed: 3}}
        upstream: random
        axis: 1
        dtypes: [float16]
        backends: [torch]
    """,
    silent="""
        version: 1
        name: the same over the first axis, which another kernel computes
        function: log_softmax
        logits: {random: {distribution: normal, shape: [64, 64], seed: 3}}
        upstream: random
        axis: 0
        dtypes: [float16]
        backends: [torch]
    """,
    advice=(
        "Compute this function in float32 (cast the logits before it, and the result after it), or declare the "
        "lower precision in the subject's profile if it is meant."
    ),
    check=check,
)
