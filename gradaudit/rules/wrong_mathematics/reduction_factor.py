"""BUG401: the gradient, or loss and gradient, is the reference times one factor of a reduction."""

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
    code="BUG401",
    name="reduction-factor",
    severity="error",
    summary="The gradient is the exact one times a factor that a reduction leaves out or applies twice.",
    why="""
        A mean without its division, a division that the backward applies whatever the reduction, the sum of the
        means of chunks: every entry is off by the same factor, so that the direction of the step is right and
        its length is not. The learning rate hides it until the batch size or the reduction changes.
    """,
    formula="""
        one c explains all elements:   g = c r,   c = <g, r> / <r, r> rounded to what the bounds allow
        c = N, 1/N: the mean over rows is missing, or taken twice;  c = V, 1/V with ignored rows
        c = K, 1/K: the means of K chunks are added up, or the sum of K chunks divided
        the loss is exact where only the backward has the factor, else it is c times the exact one as well
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: the sum where the mean is due
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Divide by the denominator of the reduction once, in the forward, and let autograd carry it into the "
        "backward; a hand-written backward needs the same factor."
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
            return F.cross_entropy(logits, targets, reduction="sum") / (targets != -100).sum()
    """,
)
