"""BUG431: the smoothed targets follow another convention."""

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
    code="BUG431",
    name="smoothing-convention",
    severity="error",
    summary="Label smoothing puts other masses on the target and on the other classes than the function asks for.",
    why="""
        There are several label smoothings under one name: eps/C on every class (PyTorch, TensorFlow), eps/(C -
        1) on all classes but the target (the paper's text, fairseq), eps divided by something that is not the
        number of classes at all. The loss looks plausible under each; results are not comparable, and eps is
        not what was tuned.
    """,
    formula="""
        den g = a p - b e_y - c 1, fitted row by row;  due: a = 1, b = 1 - eps, c = eps/C
        eps/(C - 1) on the others: b = 1 - eps - eps/(C - 1), c = eps/(C - 1)        (b + c C = 1 as well)
        eps over another number k: b = 1 - eps, c = eps/k                            (a = b + c C is not 1)
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: eps/(C - 1) where eps/C is due
        function: {name: cross_entropy, label_smoothing: 0.1}
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Put 1 - eps + eps/C on the target and eps/C on each other class, or say in the spec which convention is "
        "meant (a formula states it exactly)."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        def loss(logits, targets):
            others = 0.1 / (logits.shape[1] - 1)
            smoothed = torch.full_like(logits, others).scatter(1, targets[:, None], 0.9)
            return F.cross_entropy(logits, smoothed)
    """,
    silent_code="""
        import torch
        import torch.nn.functional as F


        def loss(logits, targets):
            share = 0.1 / logits.shape[1]
            smoothed = torch.full_like(logits, share).scatter(1, targets[:, None], 0.9 + share)
            return F.cross_entropy(logits, smoothed)
    """,
)
