"""SAT203: probabilities of finite logits fall below the smallest normal number."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradaudit.numerics import formats
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.saturation.surviving_gradient import reassurance
from gradaudit.rules.statement import Evidence, about_inputs
from gradaudit.rules.wording import number, setting


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each dtype and scale with an underflowed probability."""
    for facts in measured.facts:
        if facts.underflowed == 0:
            continue
        limit = formats.get(facts.dtype).smallest_normal
        probabilities = "probability" if facts.rows * facts.classes == 1 else "probabilities"
        message = (
            f"in {setting(facts.dtype, facts.scale)} {facts.underflowed:,} of {facts.rows * facts.classes:,} "
            f"{probabilities} lie below the smallest normal number {number(limit)} and {facts.zero:,} of them round "
            f"to 0: the smallest is {number(facts.smallest_probability)} (two classes: from a gap of "
            f"{number(-math.log(limit))}){reassurance(measured, facts)}"
        )
        evidence: Evidence = {
            "underflowed": facts.underflowed,
            "zero": facts.zero,
            "probabilities": facts.rows * facts.classes,
            "smallest_probability": facts.smallest_probability,
            "limit": limit,
        }
        yield about_inputs(RULE, measured, facts, message, evidence)


RULE = Rule(
    code="SAT203",
    name="probabilities-underflow",
    severity="info",
    summary="Probabilities of finite logits lie below the smallest normal number of the dtype, or round to 0.",
    why="""
        A subnormal probability has few digits left, a flushed or zero one has none, and 1/p of it overflows.
        Whoever takes the logarithm of such a probability, or divides by it, gets infinity and NaN where the
        exact logarithm is an ordinary number. Formulations that never form the probability are not touched.
    """,
    formula="""
        p_j < smallest normal number: for two classes from a gap of -log(smallest normal):
        9.7 float16, 87.3 bfloat16 and float32, 708.4 float64
        p_j rounds to 0 from -log(smallest subnormal / 2): 17.3, 93.0, 104.0, 745.1
    """,
    source="docs/numerics.md, section 6 (saturation thresholds)",
    fires="""
        version: 1
        name: a probability of exp(-100)
        function: softmax
        logits: [100.0, 0.0]
        upstream: per_output
        backends: [numpy]
    """,
    silent="""
        version: 1
        name: a probability of exp(-80)
        function: softmax
        logits: [80.0, 0.0]
        upstream: per_output
        backends: [numpy]
    """,
    advice="Work with log-probabilities (log_softmax, cross entropy) where small probabilities matter.",
    check=check,
)
