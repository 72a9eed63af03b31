"""Sound ways to get log-probabilities and logsumexp from logits [rows, classes], as people write them in torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Normaliser:
    """`log_p(x)` [rows, classes] and `logsumexp(x)` [rows, 1] by one algorithm."""

    name: str
    log_p: Callable[[Tensor], Tensor]
    logsumexp: Callable[[Tensor], Tensor]


def _fused(x: Tensor) -> Tensor:
    return F.log_softmax(x, 1)


def _library(x: Tensor) -> Tensor:
    return torch.logsumexp(x, 1, keepdim=True)


def _top(x: Tensor) -> Tensor:
    return x.max(1, keepdim=True).values


def _shifted(x: Tensor) -> Tensor:
    z = x - _top(x.detach())
    return z - z.exp().sum(1, keepdim=True).log()


def _shifted_logsumexp(x: Tensor) -> Tensor:
    top = _top(x.detach())
    return top + (x - top).exp().sum(1, keepdim=True).log()


def _log1p_rest(z: Tensor, place: Tensor) -> Tensor:
    return torch.log1p(z.exp().scatter(1, place, 0.0).sum(1, keepdim=True))


def _log1p(x: Tensor) -> Tensor:
    top, place = x.max(1, keepdim=True)
    # The maximum stays attached: its own gradient is what the rest leaves of 1.
    z = x - top
    return z - _log1p_rest(z, place)


def _log1p_logsumexp(x: Tensor) -> Tensor:
    top, place = x.max(1, keepdim=True)
    return top + _log1p_rest(x - top, place)


def _attached_max(x: Tensor) -> Tensor:
    z = x - _top(x)
    return z - z.exp().sum(1, keepdim=True).log()


def _attached_max_logsumexp(x: Tensor) -> Tensor:
    top = _top(x)
    return top + (x - top).exp().sum(1, keepdim=True).log()


def _less(shift: Callable[[Tensor], Tensor], inner: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: inner(x - shift(x))


def _plus(shift: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: shift(x) + _library(x - shift(x))


def _halves(x: Tensor) -> Tensor:
    left, right = x.tensor_split(2, 1)
    if not left.shape[1]:
        return _library(x)
    return torch.logaddexp(_library(left), _library(right))


def _tree(x: Tensor) -> Tensor:
    parts = list(x.split(1, 1))
    while len(parts) > 1:
        merged = [torch.logaddexp(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = merged + parts[len(merged) * 2 :]
    return parts[0]


def _fold(x: Tensor) -> Tensor:
    total = x[:, :1]
    for j in range(1, x.shape[1]):
        total = torch.logaddexp(total, x[:, j : j + 1])
    return total


def _online(chunk: int, *, detached: bool) -> Callable[[Tensor], Tensor]:
    """A running maximum and a running sum that is rescaled whenever the maximum grows."""

    def logsumexp(x: Tensor) -> Tensor:
        top = total = None
        for part in x.split(chunk, 1):
            own = _top(part.detach() if detached else part)
            if top is None:
                top, total = own, (part - own).exp().sum(1, keepdim=True)
                continue
            new = torch.maximum(top, own)
            total = total * (top - new).exp() + (part - new).exp().sum(1, keepdim=True)
            top = new
        return top + total.log()

    return logsumexp


def _minus(logsumexp: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: x - logsumexp(x)


def _from_logsumexp(name: str, logsumexp: Callable[[Tensor], Tensor]) -> Normaliser:
    return Normaliser(name, _minus(logsumexp), logsumexp)


def _first(x: Tensor) -> Tensor:
    return x[:, :1]


def _mean(x: Tensor) -> Tensor:
    return x.mean(1, keepdim=True)


NORMALISERS = (
    Normaliser("fused", _fused, _library),
    Normaliser("shifted by the detached maximum", _shifted, _shifted_logsumexp),
    Normaliser("log1p of the rest", _log1p, _log1p_logsumexp),
    _from_logsumexp("logsumexp", _library),
    _from_logsumexp("shifted logsumexp", _shifted_logsumexp),
    Normaliser("shifted by the attached maximum", _attached_max, _attached_max_logsumexp),
    Normaliser("fused after the attached maximum", _less(_top, _fused), _plus(_top)),
    Normaliser("fused after the first logit", _less(_first, _fused), _plus(_first)),
    Normaliser("fused after the mean", _less(_mean, _fused), _plus(_mean)),
    _from_logsumexp("halves", _halves),
    _from_logsumexp("tree", _tree),
    _from_logsumexp("fold", _fold),
    _from_logsumexp("online 3", _online(3, detached=True)),
    _from_logsumexp("online 64", _online(64, detached=True)),
    _from_logsumexp("online 3, attached", _online(3, detached=False)),
    _from_logsumexp("online 64, attached", _online(64, detached=False)),
)
