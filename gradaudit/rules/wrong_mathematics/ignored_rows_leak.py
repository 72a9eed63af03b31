"""BUG421: ignored rows take part in the loss or have a gradient."""

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
    code="BUG421",
    name="ignored-rows-leak",
    severity="error",
    summary="Rows that are to be ignored take part in the loss, or have a gradient.",
    why="""
        Padding is most of many batches. A term that forgets the mask (the uniform part of label smoothing is
        the usual one, or the softmax of a hand-written backward) trains the model on it: towards uniform
        predictions, or towards whatever class the ignore label was clamped to.
    """,
    formula="""
        an ignored row has t_ij = 0, T = 0:  its loss is 0 and its gradient T p - t_ij = 0, exactly
        leaks by their shape in the ignored rows, each over den or N:
            p (only the target term was masked);   p - e_k (the label was clamped to k);   eps (p - 1/C) (smoothing)
        only ignored rows have a gradient: the mask is inverted
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: the uniform part of the smoothing forgets the mask
        function: {name: cross_entropy, label_smoothing: 0.1}
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2, ignored: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Apply one mask to every term, forward and backward, or drop the ignored rows before anything else is "
        "computed."
    ),
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            log_p = F.log_softmax(logits, 1)
            valid = (targets != -100).sum()
            return 0.9 * F.nll_loss(log_p, targets) - 0.1 * log_p.mean(1).sum() / valid
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            kept = targets != -100
            log_p = F.log_softmax(logits, 1)[kept]
            return 0.9 * F.nll_loss(log_p, targets[kept]) - 0.1 * log_p.mean()
    """,
)
