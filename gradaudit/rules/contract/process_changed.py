"""CON508: the subject changes the process that all other code computes in."""

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
    code="CON508",
    name="process-changed",
    severity="error",
    summary="Importing or calling the subject changes the process: functions replaced, switches set, threads left.",
    why="""
        A loss is called at every step of somebody's training. If it replaces torch.exp, sets the default dtype,
        seeds the random generators (every dropout mask is the same from then on), closes standard output or leaves a
        thread behind at each call, code that has nothing to do with it computes something else, and nobody will look
        for the cause in a loss.
    """,
    formula="""
        after every call, against the state before the user's code was imported: the functions of torch, torch.Tensor,
        torch.nn.functional, numpy, math and builtins; the default dtype, the number of threads, whether gradients are
        enabled, whether algorithms are deterministic, the precision of matrix products, whether subnormals are
        flushed; Python's threads, sys.stdout and sys.stderr and their descriptors, the working directory
        random generators that two calls leave in one state although they began in different ones: the loss seeds them
    """,
    source='docs/numerics.md, "Contract of a function"',
    fires="""
        version: 1
        name: a switch that is set for everybody
        function: cross_entropy
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent=None,
    advice=(
        "Pass dtype= and device= where they are needed, keep changed switches within a with block, and join threads; "
        "where the change is meant for the whole program, make it there and not in the loss."
    ),
    check=check,
    fires_code="""
        import torch
        import torch.nn.functional as F


        def loss(logits, targets):
            torch.set_default_dtype(torch.float64)
            return F.cross_entropy(logits, targets)
    """,
    silent_code="""
        import torch.nn.functional as F


        def loss(logits, targets):
            return F.cross_entropy(logits.double(), targets).to(logits.dtype)
    """,
)
