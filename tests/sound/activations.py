"""Sound softmaxes, log-softmaxes and logsumexps in torch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.sound.normalisers import NORMALISERS, Normaliser

Activation = Callable[[Tensor], Tensor]


def _quotient(x: Tensor) -> Tensor:
    w = (x - x.max(1, keepdim=True).values).exp()
    return w / w.sum(1, keepdim=True)


def _reciprocal(x: Tensor) -> Tensor:
    w = (x - x.detach().max(1, keepdim=True).values).exp()
    return w * w.sum(1, keepdim=True).reciprocal()


def _fused(x: Tensor) -> Tensor:
    return F.softmax(x, 1)


def _after_the_mean(x: Tensor) -> Tensor:
    return F.softmax(x - x.mean(1, keepdim=True), 1)


def _log_p(normaliser: Normaliser) -> Activation:
    return normaliser.log_p


def _exponential(normaliser: Normaliser) -> Activation:
    return lambda x: normaliser.log_p(x).exp()


def _squeezed(normaliser: Normaliser) -> Activation:
    return lambda x: torch.squeeze(normaliser.logsumexp(x), 1)


ACTIVATIONS: dict[tuple[str, str], Activation] = {
    ("fused", "softmax"): _fused,
    ("quotient", "softmax"): _quotient,
    ("product with the reciprocal", "softmax"): _reciprocal,
    ("fused after the mean", "softmax"): _after_the_mean,
    **{(f"exp of {each.name}", "softmax"): _exponential(each) for each in NORMALISERS},
    **{(each.name, "log_softmax"): _log_p(each) for each in NORMALISERS},
    **{(each.name, "logsumexp"): _squeezed(each) for each in NORMALISERS},
}
"""(name, function) -> f(logits [rows, classes])."""
