"""CON506: the result depends on how the logits, or the upstream gradient, lie in memory."""

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
    code="CON506",
    name="layout-changes-result",
    severity="error",
    summary="Equal values in another memory layout (transposed, strided, expanded) give another result.",
    why="""
        A kernel that steps through memory as if every tensor were contiguous reads other numbers than it was
        given: a transposed activation, every other element of a buffer, an upstream gradient that is one number
        expanded by stride 0 (which is what `.sum().backward()` sends).
    """,
    formula="""
        equal logits, contiguous and not, and equal upstream gradients, contiguous, strided and expanded,
        give results within the tolerance of both
    """,
    source='docs/numerics.md, "Contract of a function"',
    fires="""
        version: 1
        name: strides are taken for those of a contiguous array
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice="Call .contiguous() before pointers and strides are computed by hand, for the upstream gradient too.",
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            rows, classes = logits.shape
            return F.cross_entropy(logits.as_strided((rows, classes), (classes, 1)), targets)
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits.contiguous(), targets)
    """,
)
