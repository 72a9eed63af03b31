"""BUG402: the mean divides by another count, or sum of weights, than it should."""

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
    code="BUG402",
    name="mean-denominator",
    severity="error",
    summary="The mean divides by another number than the count of valid rows, or the sum of their class weights.",
    why="""
        The zeros of ignored rows are part of a plain mean, so that a batch with more padding takes smaller
        steps; and a weighted mean divides by the weights of its labels, not by the number of rows. Loss and
        gradient agree with one another, which is why no gradient check that differences the loss can see it.
    """,
    formula="""
        den(mean) = sum over valid rows of w_{y_i}          (= V, the number of valid rows, without class weights)
        loss and gradient = c times the exact ones:         c = den / (the denominator that was used)
        c = V/N: ignored rows are counted;   c = (sum w_y)/N: rows are counted instead of their weights
        probabilities as targets: den = N, the number of rows, whatever the weights
    """,
    source='docs/numerics.md, "Signatures of wrong mathematics"',
    fires="""
        version: 1
        name: two of seven rows are ignored
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2, ignored: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Divide the sum of the losses by the number of rows whose target is not ignored; with class weights by "
        "the sum of the weights of their labels."
    ),
    check=check,
    fires_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets, reduction="none").mean()
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            losses = F.cross_entropy(logits, targets, reduction="none")
            return losses.sum() / (targets != -100).sum()
    """,
)
