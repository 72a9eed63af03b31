"""BUG456: rows are scored against the labels of other rows, or of other classes."""

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
    code="BUG456",
    name="labels-misaligned",
    severity="error",
    summary="Rows are held against the label of another row, or against the class beside their own.",
    why="""
        Sequences are shifted by one between logits and labels exactly once. Shifted twice, the model learns to
        predict two tokens ahead; labels that count from 1 train every class as its neighbour. The loss falls
        all the same, only not as far as it should.
    """,
    formula="""
        gradient (p_i - e_k)/den with k = y_{i+s} (rows shifted by s) or k = (y_i + s) mod C (classes shifted):
        the most negative entry of row i stands at k; rows without a partner have no gradient
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: labels that count from 1
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice="Shift logits and labels against one another in one place only, and let labels count from 0.",
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, (targets + 1) % logits.shape[1])
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets)
    """,
)
