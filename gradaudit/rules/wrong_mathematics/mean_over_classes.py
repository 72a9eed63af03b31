"""BUG403: the mean is taken over the classes as well."""

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
    code="BUG403",
    name="mean-over-classes",
    severity="error",
    summary="Loss and gradient are divided by the number of classes too.",
    why="""
        A one-hot product or a divergence is an array of rows times classes, and `.mean()` divides by both. Only
        the row axis is a batch; the sum over the classes is part of the loss. The step is C times too short,
        which at 50,000 classes no learning rate makes up for.
    """,
    formula="""
        sum_j t_ij (-log p_ij) is the loss of row i;
        the mean over the rows divides by den, the mean over all elements by N C
        loss and gradient = c times the exact ones with c = 1/C, or den / (N C) with ignored rows or class weights
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: a mean over rows and classes
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice="Sum over the class axis before the mean over the rows; of kl_div ask for reduction='batchmean'.",
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            one_hot = F.one_hot(targets, logits.shape[1])
            return -(one_hot * F.log_softmax(logits, 1)).mean()
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            one_hot = F.one_hot(targets, logits.shape[1])
            return -(one_hot * F.log_softmax(logits, 1)).sum(1).mean()
    """,
)
