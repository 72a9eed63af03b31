"""BUG452: the normaliser, or a target term, is that of a part of the classes."""

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
    code="BUG452",
    name="partition-local-normaliser",
    severity="error",
    summary=(
        "The sum of exponentials, or a term of the targets, is taken over a part of the classes, or counted once "
        "per part."
    ),
    why="""
        Tensor-parallel losses cut the classes over ranks, and blocked kernels cut them into tiles. The
        normaliser has to be reduced over the parts exactly once: reduced twice it counts every exponential
        twice, not at all and each part is normalised by itself; a kernel whose last tile is dropped normalises
        without its tail.
    """,
    formula="""
        s = sum over all classes of exp(z);
        reduced over k ranks that each hold all: loss + log k, den g = p/k - e_y, row sums 1/k - 1
        over a part P only: log-probabilities of P's normaliser, loss = exact + log(sum over P of p)
        a mean over a part, as of smoothing: den (g - exact) is one constant in each part
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: two ranks hold all classes and add up all the same
        function: {name: cross_entropy, reduction: none}
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Reduce the sum of exponentials over all parts of the classes exactly once (and the maximum before it), "
        "and take means over all classes, not over those of a rank."
    ),
    check=check,
    fires_code="""
        import torch


        def loss(logits, targets):
            here, elsewhere = logits, logits.detach()
            top = logits.detach().max(1, keepdim=True).values
            total = sum(torch.exp(part - top).sum(1) for part in (here, elsewhere))
            at_target = (logits - top).gather(1, targets[:, None])[:, 0]
            return torch.log(total) - at_target
    """,
    silent_code="""
        import torch


        def loss(logits, targets):
            ranks = logits.split(6, dim=1)
            top = logits.detach().max(1, keepdim=True).values
            total = sum(torch.exp(part - top).sum(1) for part in ranks)
            at_target = (logits - top).gather(1, targets[:, None])[:, 0]
            return torch.log(total) - at_target
    """,
)
