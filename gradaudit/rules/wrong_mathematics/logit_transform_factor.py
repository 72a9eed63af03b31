"""BUG453: the factor of a temperature, scale or cap is missing or another one."""

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
    code="BUG453",
    name="logit-transform-factor",
    severity="error",
    summary=(
        "A transform of the logits (temperature, scale, softcap) is left out, another one, or left out of the "
        "backward."
    ),
    why="""
        The chain rule through x/T brings a factor 1/T. A hand-written backward that stops at the scaled logits
        makes the temperature a learning-rate multiplier, and a fused path that does not know the scale at all
        optimises another loss than the one that is reported.
    """,
    formula="""
        z = x logit_scale / temperature (then c tanh(z/c) with a softcap);   dL/dx = dL/dz dz/dx
        loss right, g = exact x temperature (or / logit_scale): the factor dz/dx is missing in the backward
        loss and gradient are those of another scale k: fitted as one number, then all elements refitted with its p
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: the backward stops at the scaled logits
        function: {name: cross_entropy, temperature: 2.0}
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Carry the transform's derivative through the backward: divide by the temperature, multiply by the scale, "
        "and by 1 - tanh(z/c)^2 for a softcap."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        class Tempered(torch.autograd.Function):
            @staticmethod
            def forward(ctx, logits, targets):
                scaled = logits / 2.0
                one_hot = F.one_hot(targets, logits.shape[1])
                ctx.save_for_backward((torch.softmax(scaled, 1) - one_hot) / len(targets))
                return F.cross_entropy(scaled, targets)

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
