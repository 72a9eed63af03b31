"""CON505: loss or gradient have another shape or dtype than is due."""

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
    code="CON505",
    name="wrong-shape-or-dtype",
    severity="error",
    summary=(
        "The loss or the gradient has another shape, or a narrower dtype, than the function and its inputs ask for."
    ),
    why="""
        A loss of shape [1] or () where one a row is due broadcasts, without a word, against the mask or the
        weights that follow. A loss that comes back in half precision has been rounded where nobody asked for
        it.
    """,
    formula="""
        reduction none: the shape of the logits without the class axes;  mean, sum: ();
        softmax, log_softmax: the shape of the logits
        gradient: the shape of the logits;  dtype: that of the logits, or wider
    """,
    source='docs/numerics.md, "Contract of a function"',
    fires="""
        version: 1
        name: the sum where one loss a row is due
        function: {name: cross_entropy, reduction: none}
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Return the shape of the reduction that is documented and the dtype of the logits (or a wider one); "
        "squeeze or unsqueeze nothing that a caller has to guess."
    ),
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets, reduction="sum")
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets, reduction="none")
    """,
)
