"""BUG462: a probability is clamped, or an epsilon added, before the logarithm."""

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
    code="BUG462",
    name="clamped-probability",
    severity="error",
    summary="A probability is clamped, or has an epsilon added to it, before its logarithm is taken.",
    why="""
        The clamp keeps the logarithm finite and stops the learning where it is needed most: beyond it the loss
        no longer grows and the gradient of a confidently wrong row is exactly 0. An epsilon bends every loss a
        little, and in 16 bits it is swallowed or rounds the probability away.
    """,
    formula="""
        -log(max(p_y, c)) <= -log c for a clamp at c:   16.118 for c = 1e-7, 18.421 for 1e-8, 27.631 for 1e-12;
            its gradient is 0 where p_y < c
        -log(p_y + c):  gradient p_y/(p_y + c) (p - e_y):  half of the exact one at p_y = c, vanishing below
        the loss alone is clamped: it levels off while its gradient stays p - e_y
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: confident mistakes
        function: {name: cross_entropy, reduction: none}
        logits: [[25.0, 0.0, 1.0], [0.5, 6.0, -1.0], [2.0, 0.0, 30.0], [-20.0, 0.5, 1.0]]
        targets: [1, 0, 0, 0]
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Take the logarithm of the softmax as one function of the logits (log_softmax, cross_entropy); nothing is "
        "left to clamp then."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        def loss(logits, targets):
            p = torch.softmax(logits, 1).clamp(1e-7, 1 - 1e-7)
            return F.nll_loss(torch.log(p), targets, reduction="none")
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.nll_loss(F.log_softmax(logits, 1), targets, reduction="none")
    """,
)
