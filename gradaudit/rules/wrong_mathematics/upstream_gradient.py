"""BUG411: the backward ignores the upstream gradient, or broadcasts it wrongly."""

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
    code="BUG411",
    name="upstream-gradient",
    severity="error",
    summary="The backward does not multiply every output's gradient by that output's own upstream gradient.",
    why="""
        A loss is rarely the end of the graph: it is weighted, masked, scaled by a mixed-precision scaler. A
        backward that takes the upstream gradient for 1, or reads its first entry for all rows, is right in
        every test that calls `loss.backward()` and wrong in training.
    """,
    formula="""
        backward is linear in the upstream gradient v:      g_i = v_i r_i, with r_i the exact gradient of output i
        v ignored: g_i = r_i;   first entry for all: g_i = v_0 r_i;   applied twice: g_i = v_i^2 r_i
        seen with an upstream gradient whose entries differ from one another and from 1
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: one loss a row, each with an upstream gradient of its own
        function: {name: cross_entropy, reduction: none}
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        upstream: random
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Multiply by the upstream gradient in the backward, one entry for each output: upstream[:, None] for "
        "losses of shape [N], upstream itself for a scalar."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        class Rows(torch.autograd.Function):
            @staticmethod
            def forward(ctx, logits, targets):
                one_hot = F.one_hot(targets, logits.shape[1])
                ctx.save_for_backward(torch.softmax(logits, 1) - one_hot)
                return F.cross_entropy(logits, targets, reduction="none")

            @staticmethod
            def backward(ctx, upstream):
                return upstream[0] * ctx.saved_tensors[0], None


        def loss(logits, targets):
            return Rows.apply(logits, targets)
    """,
    silent_code="""
        import torch
        import torch.nn.functional as F


        class Rows(torch.autograd.Function):
            @staticmethod
            def forward(ctx, logits, targets):
                one_hot = F.one_hot(targets, logits.shape[1])
                ctx.save_for_backward(torch.softmax(logits, 1) - one_hot)
                return F.cross_entropy(logits, targets, reduction="none")

            @staticmethod
            def backward(ctx, upstream):
                return upstream[:, None] * ctx.saved_tensors[0], None


        def loss(logits, targets):
            return Rows.apply(logits, targets)
    """,
)
