"""BUG455: softmax is applied twice, or not at all."""

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
    code="BUG455",
    name="softmax-applied-twice",
    severity="error",
    summary="The loss takes the softmax of probabilities, or takes logits for probabilities.",
    why="""
        A model that ends in a softmax, in front of a loss that has one of its own, trains slowly and never
        becomes confident: the second softmax of probabilities is nearly uniform, and its loss cannot fall below
        log(e + C - 1) - 1. The other way round, logits that are taken for probabilities give a gradient at the
        target alone.
    """,
    formula="""
        CE(softmax(x)):  log(e + C - 1) - 1 <= loss <= log(e + C - 1) whatever the logits;
            gradient: the softmax VJP of (q - e_y)/den with q = softmax(softmax(x))
        -log(x_y) of raw logits: gradient -1/x_y at the target and 0 elsewhere
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: probabilities are fed to a loss that expects logits
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Feed the logits to a loss that has its own softmax; take the softmax out of the model's last layer in "
        "training."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(torch.softmax(logits, 1), targets)
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets)
    """,
)
