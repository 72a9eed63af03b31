"""CON503: the result of a row depends on other rows."""

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
    code="CON503",
    name="rows-not-independent",
    severity="error",
    summary="The loss or gradient of a row changes when the logits of another row do.",
    why="""
        Rows of a batch are independent examples: their losses are added up, and nothing else joins them. Where
        one row reaches into another (statistics over the batch, a maximum of the batch, an index that is off by
        a row) results depend on what else is in the batch, and on how it was cut.
    """,
    formula="""
        row k of the logits is changed and all others are left alone:
        their losses and gradients stay the same, within the tolerance of both
    """,
    source='docs/numerics.md, "Contract of a function"',
    fires="""
        version: 1
        name: a batch that is spread too far counts double
        function: {name: cross_entropy, reduction: none}
        logits: {random: {distribution: normal, shape: [7, 11], scale: 0.1, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Take maxima, sums and means over the class axis alone, and keep statistics of the batch out of the loss."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        def loss(logits, targets):
            losses = F.cross_entropy(logits, targets, reduction="none")
            return torch.where(logits.detach().std() < 0.1, losses, 2 * losses)
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets, reduction="none")
    """,
)
