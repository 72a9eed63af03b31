"""BUG454: the softmax runs over another axis than the class axis."""

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
    code="BUG454",
    name="wrong-axis",
    severity="error",
    summary="Probabilities add up to 1 over another axis than the class axis.",
    why="""
        A softmax over the batch makes every row depend on all others and lets the model lower its loss by what
        is in the batch. Defaults that changed (dim=None, ONNX before opset 13, axis=-1 on channels-first data)
        are how it comes about, and square test arrays how it goes unnoticed.
    """,
    formula="""
        due: sum over the class axis of p = 1 for every row
        seen: the function, or its gradient, is that of the same logits with other axes taken for classes;
        a change of one row changes the results of the others
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: dim=0 on a batch
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Name the class axis (dim=1 for [N, C, ...], dim=-1 for [..., C]) and test with arrays whose axes differ "
        "in length."
    ),
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.nll_loss(F.log_softmax(logits, dim=0), targets)
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.nll_loss(F.log_softmax(logits, dim=1), targets)
    """,
)
