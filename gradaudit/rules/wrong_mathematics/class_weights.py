"""BUG441: the class weights are applied in the wrong place, or not at all."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.wrong_mathematics.diagnosed import named


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each subject and dtype that the fault explains."""
    yield from named(RULE, measured)


RULE = Rule(
    code="BUG441",
    name="class-weights",
    severity="error",
    summary="The class weights are missing, applied twice or to something other than the losses of the rows.",
    why="""
        Weights exist for the rare classes, and rare classes are where nobody looks at the numbers. Weights that
        multiply the logits change the softmax itself; weights that never reach the loss leave it balanced by
        accident.
    """,
    formula="""
        due: row i of the gradient is w_{y_i} (p_i - e_{y_i}) / den, den = sum over valid rows of w_{y_i}
        missing: row i = exact x (den / N) / w_{y_i};   twice: exact x w_{y_i} (times another denominator)
        inside the softmax: no factor explains a row, and row sums are not 0
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: the weights were asked for and are all ones
        function: {name: cross_entropy, weight: [0.5, 2.0, 1.25, 0.75], reduction: sum}
        logits: {random: {distribution: normal, shape: [7, 4], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Multiply the loss of every row by the weight of its label, and divide a mean by the sum of these weights."
    ),
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets, reduction="sum")
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            weight = logits.new_tensor([0.5, 2.0, 1.25, 0.75])
            return F.cross_entropy(logits, targets, weight, reduction="sum")
    """,
)
