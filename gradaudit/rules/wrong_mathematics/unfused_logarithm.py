"""BUG461: the logarithm is taken of a probability that has underflowed."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.wrong_mathematics.diagnosed import diagnosed, named


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each subject that the fault explains, and for each evaluation that it explains by itself."""
    statement = "log(softmax) overflows where the logarithm of the exact probability is an ordinary number"
    yield from named(RULE, measured)
    yield from diagnosed(RULE, measured, statement)


RULE = Rule(
    code="BUG461",
    name="unfused-logarithm",
    severity="error",
    summary="The logarithm is taken of a softmax that has underflowed, so that 1/p or log p is infinite or NaN.",
    why="""
        The loss -log(p_y) is an ordinary number for any finite logits: 200 for the logits [100, 0, -100] and
        the last class. Spelled as a softmax followed by a logarithm it passes through p_y = exp(-200), which
        float32 cannot hold: the loss is infinite and the gradient NaN, for the whole row as soon as any p is 0.
        Training dies at the first confident mistake.
    """,
    formula="""
        backward of log(softmax(x)): (1/p_y) p_y (delta_jy - p_j)
        1/p_y overflows from a gap of log(largest finite number): 11.1 float16, 88.7 float32, 709.8 float64;
        p_y = 0, log p_y = -inf from -log(smallest subnormal / 2): 17.3 float16, 104.0 float32, 745.1 float64
        fused: log p_y = (x_y - max) - log sum exp(x - max), which is finite throughout
    """,
    source="docs/numerics.md, section 6 (unfused loss and gradient)",
    fires="""
        version: 1
        name: softmax, then log
        function: cross_entropy
        logits: [[100.0, 0.0, -100.0]]
        targets: [2]
        formulations: [unfused]
        backends: [numpy]
    """,
    silent="""
        version: 1
        name: one fused function
        function: cross_entropy
        logits: [[100.0, 0.0, -100.0]]
        targets: [2]
        formulations: [fused]
        backends: [numpy]
    """,
    advice=(
        "Feed the logits to the fused cross entropy, or to log_softmax; drop the softmax from the model's last "
        "layer in training."
    ),
    check=check,
)
