"""BUG481: the loss, its gradient or a term has the opposite sign."""

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
    code="BUG481",
    name="sign-flipped",
    severity="error",
    summary="The gradient is the exact one with the opposite sign, or one of its terms is.",
    why="""
        Ascent instead of descent. Where loss and gradient are flipped alike the loss still falls, towards minus
        infinity, and only the accuracy tells.
    """,
    formula="""
        g = -r in all elements (the factor -1; the loss is flipped too, or is not)
        one term only:  den g = -a p + b e_y + ... in the row fit
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: the log-likelihood where its negative is due
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Minimise the negative log-likelihood; in a hand-written backward the gradient at the target is p - 1, "
        "which is negative."
    ),
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            log_p = F.log_softmax(logits, 1)
            return log_p.gather(1, targets[:, None]).mean()
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            log_p = F.log_softmax(logits, 1)
            return -log_p.gather(1, targets[:, None]).mean()
    """,
)
