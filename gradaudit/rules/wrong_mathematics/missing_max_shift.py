"""BUG463: exponentials are taken without subtracting the row's largest logit."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.wrong_mathematics.diagnosed import diagnosed, named


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each subject that the fault explains, and for each evaluation that it explains by itself."""
    statement = "exp(x) leaves the range of the dtype because the row's largest logit is not subtracted first"
    yield from named(RULE, measured)
    yield from diagnosed(RULE, measured, statement)


RULE = Rule(
    code="BUG463",
    name="missing-max-shift",
    severity="error",
    summary="Exponentials overflow, or all vanish, because the row's largest logit was not subtracted first.",
    why="""
        Softmax and its relatives do not change when a constant is added to the logits, so the largest logit can
        always be brought to 0 and no exponential exceeds 1. Without the shift, exp overflows to infinity for
        logits that any unnormalised layer produces, inf/inf is NaN, and for very negative rows the sum of the
        exponentials is 0 and its logarithm -inf.
    """,
    formula="""
        exp(x) overflows from x = log(largest finite number): 11.1 float16, 88.7 bfloat16 and float32,
        709.8 float64; sum exp(x) = 0 below log(smallest subnormal / 2)
        shifted: p_j = exp(x_j - max x) / sum_k exp(x_k - max x), where the sum is at least 1
    """,
    source="docs/numerics.md, sections 2 (shifted and unshifted rows) and 6 (unshifted exp overflow)",
    fires="""
        version: 1
        name: exp(100) in float32
        function: softmax
        logits: [100.0, 99.0, 98.0]
        upstream: per_output
        formulations: [unshifted]
        backends: [numpy]
    """,
    silent="""
        version: 1
        name: exp(80) in float32
        function: softmax
        logits: [80.0, 79.0, 78.0]
        upstream: per_output
        formulations: [unshifted]
        backends: [numpy]
    """,
    advice="Subtract the largest logit of each row (not of the batch) before exp, or use the library's function.",
    check=check,
)
