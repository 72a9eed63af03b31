"""CON502: two calls with equal inputs return different results."""

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
    code="CON502",
    name="nondeterministic",
    severity="error",
    summary="A second call with the same inputs returns another loss or gradient.",
    why="""
        Nothing that is measured once can be relied on then: a regression cannot be told from chance, and a run
        cannot be repeated. Random order, atomics, uninitialised memory and state that is kept from call to call
        are the usual reasons.
    """,
    formula="""
        f(x) and its gradient, computed twice in one process from equal bytes, are equal byte for byte
    """,
    source='docs/numerics.md, "Contract of a function"',
    fires="""
        version: 1
        name: classes are added up in an order of chance
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [64, 257], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Find what differs between two calls: random numbers, an order that is not fixed, a buffer that is read "
        "before it is written, a counter or running mean inside the module."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        def loss(logits, targets):
            order = torch.randperm(logits.shape[1])
            place = torch.argsort(order)
            return F.cross_entropy(logits[:, order], place[targets])
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits, targets)
    """,
)
