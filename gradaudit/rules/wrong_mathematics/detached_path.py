"""BUG471: a path that should carry a derivative is cut off from the graph."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.wrong_mathematics.diagnosed import broken, named


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each subject and dtype that the fault explains, and for each breach of that kind."""
    yield from named(RULE, measured)
    yield from broken(RULE, measured)


RULE = Rule(
    code="BUG471",
    name="detached-path",
    severity="error",
    summary=(
        "A term of the gradient is cut off from its graph; or the first derivative is right and a second one, or "
        "that of the targets, is 0 or has no graph."
    ),
    why="""
        Gradient penalties, meta-learning and Hessian-vector products differentiate the gradient again;
        distillation and learned labels differentiate with respect to the targets. A backward that was computed
        as a constant in the forward, or a detach() on the wrong side, gives them 0 without a word.
    """,
    formula="""
        second derivative along a direction d:  H d = T (p d - p <p, d>)/den for every row,
            which is not 0 unless the softmax is saturated
        gradient of soft targets:  dL/dt_ij = -w_j log p_ij / den,
            which is not 0 for finite logits of more than one class
        fires where these are 0, missing or without a graph while loss and first gradient are right;
        where they are neither 0 nor right, BUG499 says so
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics" and "Second order"',
    fires="""
        version: 1
        name: the gradient is saved as a constant
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        derivatives: 2
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Save the logits and compute the gradient in the backward by differentiable operations; where second "
        "derivatives are not meant, mark the backward once_differentiable so that asking for them is an error."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        class Saved(torch.autograd.Function):
            @staticmethod
            def forward(ctx, logits, targets):
                one_hot = F.one_hot(targets, logits.shape[1])
                ctx.save_for_backward((torch.softmax(logits, 1) - one_hot) / len(targets))
                return F.cross_entropy(logits, targets)

            @staticmethod
            def backward(ctx, upstream):
                return upstream * ctx.saved_tensors[0], None


        def loss(logits, targets):
            return Saved.apply(logits, targets)
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets)
    """,
)
