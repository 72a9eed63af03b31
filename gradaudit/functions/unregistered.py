"""formula and self: what a spec's `function` may be beside the functions of the registry, told as theirs are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gradaudit.records.case import FORMULA, SELF


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of function without an entry: prose, and an example of a spec with the `losses.py` beside it.

    `fires` is the `losses.py` that the spec finds fault with, in the words of `found`; `silent` the one it does not.
    """

    name: str
    summary: str
    audited: str
    how: str
    spec: str
    silent: str
    fires: str
    found: str
    limits: tuple[str, ...]


_FORMULA = Kind(
    name=FORMULA,
    summary="The mathematics that you write: an expression, or a Python function over gradaudit's numbers.",
    audited="""
        Value and gradient of your subjects, against the exact value of the formula at the very floats they were
        given, and its exact gradient. Tolerances are derived from the formula, too: for its canonical form, for each
        step in which log-probabilities may be formed, and for the formula as it is written.
    """,
    how="""
        The formula is for one row, in Python's notation: z (the logits, scaled, without the masked classes),
        y (the label), q (probabilities as targets), w (weight), n (the number of classes) and your constants.
        + - * / **, exp, log, log1p, expm1, tanh and sqrt by class; sum, mean, max, logsumexp, softmax and
        log_softmax over the classes; take(a, y) or a[y] at the label. One number is a loss, which is reduced over the
        rows as cross_entropy's is; one for each class is an activation. It is parsed by a list of what is allowed
        and never run as Python. `formula: path.py:name` takes a Python function, called once in a worker with
        the same inputs and m, which has the operators (m.logsumexp(z) - m.take(z, y)), and its steps are recorded.
    """,
    spec="""
        version: 1
        name: cross entropy with a z-loss
        function: {formula: "logsumexp(z) - take(z, y) + a * logsumexp(z)**2", constants: {a: 0.1}}
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent="""
        import torch
        import torch.nn.functional as F


        def loss(logits, targets):
            rows = F.cross_entropy(logits, targets, reduction="none")
            return (rows + 0.1 * torch.logsumexp(logits, 1).square()).mean()
    """,
    fires="""
        import torch
        import torch.nn.functional as F


        def loss(logits, targets):
            rows = F.cross_entropy(logits, targets, reduction="none")
            return (rows + 0.1 * torch.logsumexp(logits, 1).square()).sum()
    """,
    found="BUG401",
    limits=(
        "what the formula says is the truth: a slip in it is found in the subject",
        "it describes one row: what mixes rows (a contrastive loss, a batch statistic) cannot be written",
        "a function's ifs and loops are taken as they went when it was recorded: they cannot depend on the numbers",
        "no backend has a formulation of it, so that it is subjects alone that are audited",
    ),
)

_SELF = Kind(
    name=SELF,
    summary="No truth at hand: the gradient that a subject returns, against the values that it returns.",
    audited="""
        Whether the backward pass is the derivative of the forward pass: the gradient in several seeded directions
        against central differences of the subject's own loss, with an estimate of each difference's error; the
        rate at which the remainder of a Taylor expansion falls; and, where the framework has forward mode, the
        product of forward and backward mode. The contract (CON5xx) is checked as for every subject.
    """,
    how="""
        <upstream, f(z + h d) - f(z - h d)> / 2h is formed for a ladder of steps h, extrapolated to h = 0, and
        compared with <gradient, d>. The subject computes in float64 where it takes float64. What lies within the
        estimated error agrees; a difference that is too noisy to tell the gradient from 0 is called noisy and is no
        finding; where the slopes from both sides differ, a point without a derivative is named. `output` says what
        the subject returns: `loss` or `activation`.
    """,
    spec="""
        version: 1
        name: a loss that nobody wrote down
        function: self
        logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}
        targets: {random: {seed: 2}}
        probes: none
        subjects:
          - torch: losses.py:loss
    """,
    silent="""
        import torch


        def loss(logits, targets):
            log_p = torch.log_softmax(logits, dim=1)
            rows = torch.arange(len(targets))
            return -(log_p[rows, targets] * (1 - log_p[rows, targets].exp()).sqrt()).mean()
    """,
    fires="""
        import torch


        def loss(logits, targets):
            log_p = torch.log_softmax(logits, dim=1)
            rows = torch.arange(len(targets))
            return -(log_p[rows, targets] * (1 - log_p[rows, targets].exp().detach()).sqrt()).mean()
    """,
    found="CON507",
    limits=(
        "a loss that is wrong in the same way forward and backward passes: write its formula to see that",
        "differences have an error: it is estimated, not enclosed, and lost digits are not measured",
        "no fault is named beyond that the gradient is not the values' own",
        "a loss that draws random numbers, or counts its calls, differs from itself",
    ),
)

UNREGISTERED: Mapping[str, Kind] = MappingProxyType({kind.name: kind for kind in (_FORMULA, _SELF)})
"""By the names that a spec gives them."""
