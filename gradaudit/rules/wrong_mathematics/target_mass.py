"""BUG432: a row of targets does not add up to 1, or the backward assumes that it does."""

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
    code="BUG432",
    name="target-mass",
    severity="error",
    summary="A row of targets has a mass other than 1 where 1 is due, or has one and the backward takes it for 1.",
    why="""
        The gradient of a cross entropy is T p - t with T the sum of the targets. Smoothing that adds to every
        class what it does not take from the target makes T larger than 1 and pushes all logits of the row in
        one direction; a backward that returns p - t for unnormalised targets leaves a part of the gradient out.
    """,
    formula="""
        den g = a p - b e_y - c 1  with  b + c C = T, the mass of the row
        forward and backward agree on the wrong mass:  a = T, T is not 1;   row sums of den g are 0
        the backward assumes T = 1:                    a = 1;               row sums of den g are 1 - T
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: the target keeps 1 - eps/C, and every class gets eps/C
        function: {name: cross_entropy, label_smoothing: 0.1}
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice="Let the rows of the targets add up to 1; where they may have any mass T, the backward is T p - t.",
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            classes = logits.shape[1]
            one_hot = F.one_hot(targets, classes)
            smoothed = one_hot * (1 - 0.1 / classes) + 0.1 / classes
            return -(smoothed * F.log_softmax(logits, 1)).sum(1).mean()
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            classes = logits.shape[1]
            one_hot = F.one_hot(targets, classes)
            smoothed = one_hot * (1 - 0.1) + 0.1 / classes
            return -(smoothed * F.log_softmax(logits, 1)).sum(1).mean()
    """,
)
