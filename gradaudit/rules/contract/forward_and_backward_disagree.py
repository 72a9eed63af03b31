"""CON507: the gradient is not the derivative of the subject's own forward."""

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
    code="CON507",
    name="forward-and-backward-disagree",
    severity="error",
    summary="The gradient that the backward returns is not the derivative of what the forward returns.",
    why="""
        Where no formula is given, a loss can still be held against itself: its gradient has to predict how its
        own values change. A hand-written backward, a detach() inside the loss or a rounding with a straight-
        through gradient breaks that. Where it is meant, the finding may be ignored; where it is not, training
        minimises something else than the loss that is plotted.
    """,
    formula="""
        R(h) = f(x + h v) - f(x) - h <g, v>, along a direction v:
            falls like h^2 where g is the gradient, like h where it is not
        difference quotients D are extrapolated, their truncation and rounding errors estimated from the values;
        fires where |D - <g, v>| exceeds what these errors allow, in some seeded direction;
        differences that are too noisy to tell say so and are no finding
    """,
    source='docs/numerics.md, "Contract of a function"',
    fires="""
        version: 1
        name: a forgotten factor in a hand-written backward
        function: self
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Let autograd differentiate the forward, or derive the backward from the forward as it is written; where "
        "the two differ on purpose, list CON507 under ignore."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        class Tempered(torch.autograd.Function):
            @staticmethod
            def forward(ctx, logits, targets):
                one_hot = F.one_hot(targets, logits.shape[1])
                ctx.save_for_backward((torch.softmax(logits / 2.0, 1) - one_hot) / len(targets))
                return F.cross_entropy(logits / 2.0, targets)

            @staticmethod
            def backward(ctx, upstream):
                return upstream * ctx.saved_tensors[0], None


        def loss(logits, targets):
            return Tempered.apply(logits, targets)
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits / 2.0, targets)
    """,
)
