"""BUG404: means over blocks of rows are averaged, though the blocks are not alike."""

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
    code="BUG404",
    name="mean-of-means",
    severity="error",
    summary="The means of blocks of rows are averaged, although the blocks hold different numbers of valid rows.",
    why="""
        Gradient accumulation and data parallel training average what every micro-batch or rank has averaged
        already. With padding, or a last batch that is shorter, a row counts for more in a block with fewer
        valid rows: long sequences are weighted down, and the result depends on how the batch happens to be cut.
    """,
    formula="""
        K blocks with V_k valid rows of V in all:   mean of means = (1/K) sum_k (1/V_k) sum over block k
        a row of block k has the gradient c_k r with one c_k for the block:   c_k = V / (K V_k)
        no single factor explains all rows, and the factors of the rows of a block are equal
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: micro-batches of four and three rows
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Add up the sums of the blocks and divide once by the number of valid rows of the whole batch (over all "
        "ranks)."
    ),
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            blocks = zip(logits.chunk(2), targets.chunk(2))
            return sum(F.cross_entropy(rows, labels) for rows, labels in blocks) / 2
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            blocks = zip(logits.chunk(2), targets.chunk(2))
            total = sum(F.cross_entropy(rows, labels, reduction="sum") for rows, labels in blocks)
            return total / len(targets)
    """,
)
