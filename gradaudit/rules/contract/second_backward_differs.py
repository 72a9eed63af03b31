"""CON504: a second backward returns another gradient."""

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
    code="CON504",
    name="second-backward-differs",
    severity="error",
    summary="A second backward over the same graph returns another gradient than the first.",
    why="""
        Retained graphs are walked more than once: several losses over one network, gradients by parts, per-
        output gradients. A backward that overwrites what it saved, or hands out its own buffer, is right the
        first time only.
    """,
    formula="""
        forward once with the graph retained; backward twice with the same upstream gradient: equal bytes
    """,
    source='docs/numerics.md, "Contract of a function"',
    fires="""
        version: 1
        name: the backward scales what it saved in place
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        upstream: {values: 1.5}
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice="Leave saved tensors alone in the backward: multiply out of place, and return a tensor of its own.",
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        class Loss(torch.autograd.Function):
            @staticmethod
            def forward(ctx, logits, targets):
                one_hot = F.one_hot(targets, logits.shape[1])
                ctx.gradient = (torch.softmax(logits, 1) - one_hot) / len(targets)
                return F.cross_entropy(logits, targets)

            @staticmethod
            def backward(ctx, upstream):
                return ctx.gradient.mul_(upstream).clone(), None


        def loss(logits, targets):
            return Loss.apply(logits, targets)
    """,
    silent_code="""
        import torch
        import torch.nn.functional as F


        class Loss(torch.autograd.Function):
            @staticmethod
            def forward(ctx, logits, targets):
                one_hot = F.one_hot(targets, logits.shape[1])
                ctx.gradient = (torch.softmax(logits, 1) - one_hot) / len(targets)
                return F.cross_entropy(logits, targets)

            @staticmethod
            def backward(ctx, upstream):
                return ctx.gradient * upstream, None


        def loss(logits, targets):
            return Loss.apply(logits, targets)
    """,
)
