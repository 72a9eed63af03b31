"""CON501: what the subject was given is not what it was before."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.wrong_mathematics.diagnosed import broken


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each breach of that kind."""
    yield from broken(RULE, measured)


RULE = Rule(
    code="CON501",
    name="input-mutated",
    severity="error",
    summary="The logits, targets or upstream gradient are changed by the forward or the backward.",
    why="""
        A function that works in its inputs' memory gives the right answer once. Whoever uses the logits
        afterwards (an accuracy, a second loss, a retained graph) gets what was left of them. Writes through
        `.data` or a custom kernel skip autograd's version counter, so that nothing else reports them.
    """,
    formula="""
        the bytes of logits, targets and upstream gradient, before forward and after backward, are equal
    """,
    source='docs/numerics.md, "Contract of a function"',
    fires="""
        version: 1
        name: in-place steps on the storage of the logits
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Work on a copy (clone, or an operation that makes one); casting to the dtype that the logits already "
        "have copies nothing."
    ),
    check=check,
    fires_code="""
        import torch


        def loss(logits, targets):
            work = logits.data.float()  # float32 already: no copy
            work -= work.max(1, keepdim=True).values
            at_target = logits.gather(1, targets[:, None])[:, 0]
            return (torch.logsumexp(logits, 1) - at_target).mean()
    """,
    silent_code="""
        import torch


        def loss(logits, targets):
            work = logits - logits.detach().max(1, keepdim=True).values
            at_target = work.gather(1, targets[:, None])[:, 0]
            return (torch.logsumexp(work, 1) - at_target).mean()
    """,
)
