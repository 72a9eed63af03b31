"""BUG451: a term of the Jacobian of softmax or log-softmax is missing or has the wrong sign."""

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
    code="BUG451",
    name="truncated-jacobian",
    severity="error",
    summary=(
        "The backward of a softmax or log-softmax leaves a term of its Jacobian out, or adds it with the wrong sign."
    ),
    why="""
        The derivative of softmax is not p (1 - p): that is the diagonal of a full matrix. A backward without
        the other entries passes every test with one class or an upstream gradient that happens to be one-hot,
        and turns the step in another direction everywhere else.
    """,
    formula="""
        softmax:      g_j = p_j (v_j - <v, p>)        row sums are 0
            seen instead: v_j p_j (1 - p_j)  (diagonal only),   v_j p_j  (no inner product),   p_j (v_j + <v, p>)
        log-softmax:  g_j = v_j - p_j sum_k v_k       row sums are 0
            seen instead: v_j + p_j  (sum v taken for -1),   v_j,   v_j + p_j sum_k v_k
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: the diagonal of the Jacobian
        function: softmax
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        upstream: random
        probes: none
        subjects:
          - torch: losses.py:activation
    """,
    silent=None,
    advice=(
        "Write the vector-Jacobian product in full, v being the upstream gradient: p (v - sum(v p)) for softmax, "
        "v - p sum(v) for log-softmax, "
        "both sums over the class axis."
    ),
    check=check,
    fires_code="""
        import torch


        class Softmax(torch.autograd.Function):
            @staticmethod
            def forward(ctx, logits):
                p = torch.softmax(logits, 1)
                ctx.save_for_backward(p)
                return p

            @staticmethod
            def backward(ctx, upstream):
                (p,) = ctx.saved_tensors
                return upstream * p * (1 - p)


        def activation(logits):
            return Softmax.apply(logits)
    """,
    silent_code="""
        import torch


        class Softmax(torch.autograd.Function):
            @staticmethod
            def forward(ctx, logits):
                p = torch.softmax(logits, 1)
                ctx.save_for_backward(p)
                return p

            @staticmethod
            def backward(ctx, upstream):
                (p,) = ctx.saved_tensors
                return p * (upstream - (upstream * p).sum(1, keepdim=True))


        def activation(logits):
            return Softmax.apply(logits)
    """,
)
