"""Losses as people write them in torch, one for each spelling: loss of every row, from logits and targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch  # noqa: TID253 (what is tested)
import torch.nn.functional as F  # noqa: N812, TID253
from torch import Tensor  # noqa: TID253

Candidate = Callable[[Tensor, Tensor, Mapping[str, Any]], Tensor]
"""(logits or what is read [rows, n], targets, parameters) -> [rows], or [rows, n] for an activation."""


def _at(a: Tensor, y: Tensor) -> Tensor:
    return a.gather(1, y[:, None])[:, 0]


def _prepared(x: Tensor, p: Mapping[str, Any]) -> Tensor:
    if p.get("softcap") is not None:
        x = p["softcap"] * torch.tanh(x / p["softcap"])
    if p.get("logit_adjustment") is not None:
        x = x + torch.tensor(p["logit_adjustment"], dtype=x.dtype)
    return x


def _extras(loss: Tensor, x: Tensor, p: Mapping[str, Any], lse: Tensor | None = None) -> Tensor:
    if p.get("z_loss"):
        loss = loss + p["z_loss"] * (torch.logsumexp(x, 1) if lse is None else lse) ** 2
    if p.get("entropy_regularization"):
        loss = loss + p["entropy_regularization"] * (F.softmax(x, 1) * F.log_softmax(x, 1)).sum(1)
    return loss


def plain(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    x = _prepared(x, p)
    if y.is_floating_point():
        return _extras(-(y * F.log_softmax(x, 1)).sum(1), x, p)
    loss = F.cross_entropy(x, y, reduction="none", label_smoothing=p["label_smoothing"])
    return _extras(loss, x, p)


def two_sums(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    x, s = _prepared(x, p), p["label_smoothing"]
    log_p = F.log_softmax(x, 1)
    return _extras((1 - s) * -_at(log_p, y) + s * -log_p.mean(1), x, p)


def normaliser_less_logits(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    x, s = _prepared(x, p), p["label_smoothing"]
    lse = torch.logsumexp(x, 1)
    loss = lse - (1 - s) * _at(x, y) - s * x.mean(1) if s else lse - _at(x, y)
    return _extras(loss, x, p, lse)


def z_two(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    loss = F.cross_entropy(x, y, reduction="none", label_smoothing=p["label_smoothing"])
    return loss + p["coefficient"] * torch.logsumexp(x, 1).square()


def z_shared(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    lse = torch.logsumexp(x, 1)
    return lse - _at(x, y) + p["coefficient"] * lse * lse


def cap(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    return p["cap"] * torch.tanh(x / p["cap"])


def cap_by_reciprocal(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    return p["cap"] * torch.tanh(x * (1.0 / p["cap"]))


def _focal(rest: Tensor, log_p: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    loss = -(rest ** p["gamma"]) * log_p
    return loss if p["alpha"] is None else torch.tensor(p["alpha"], dtype=loss.dtype)[y] * loss


def focal_expm1(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    log_p = _at(F.log_softmax(x, 1), y)
    return _focal(-torch.expm1(log_p), log_p, y, p)


def focal_exp(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    ce = F.cross_entropy(x, y, reduction="none")
    return _focal(1 - torch.exp(-ce), -ce, y, p)


def focal_softmax(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    return _focal(1 - _at(F.softmax(x, 1), y), _at(F.log_softmax(x, 1), y), y, p)


def focal_normaliser(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    log_p = _at(x, y) - torch.logsumexp(x, 1)
    return _focal(1 - log_p.exp(), log_p, y, p)


def focal_logarithm(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    own = _at(F.softmax(x, 1), y)
    return _focal(1 - own, own.log(), y, p)


def poly_expm1(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    log_p = _at(F.log_softmax(x, 1), y)
    return -log_p + p["epsilon"] * -torch.expm1(log_p)


def poly_exp(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    ce = F.cross_entropy(x, y, reduction="none")
    return ce + p["epsilon"] * (1 - torch.exp(-ce))


def poly_softmax(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    return F.cross_entropy(x, y, reduction="none") + p["epsilon"] * (1 - _at(F.softmax(x, 1), y))


def poly_normaliser(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    log_p = _at(x, y) - torch.logsumexp(x, 1)
    return p["epsilon"] * (1 - log_p.exp()) - log_p


def _log_q(q: Tensor) -> Tensor:
    return torch.where(q > 0, q, torch.ones_like(q)).log()


def kl_product(x: Tensor, q: Tensor, p: Mapping[str, Any]) -> Tensor:
    return (q * (_log_q(q) - F.log_softmax(x, 1))).sum(1)


def kl_div(x: Tensor, q: Tensor, p: Mapping[str, Any]) -> Tensor:
    return F.kl_div(F.log_softmax(x, 1), q, reduction="none").sum(1)


def kl_two_sums(x: Tensor, q: Tensor, p: Mapping[str, Any]) -> Tensor:
    return (q * _log_q(q)).sum(1) - (q * F.log_softmax(x, 1)).sum(1)


def kl_normaliser(x: Tensor, q: Tensor, p: Mapping[str, Any]) -> Tensor:
    return (q * (_log_q(q) - (x - torch.logsumexp(x, 1, keepdim=True)))).sum(1)


def kl_ratio(x: Tensor, q: Tensor, p: Mapping[str, Any]) -> Tensor:
    ratio = torch.where(q > 0, q / F.softmax(x, 1), torch.ones_like(q))
    return (q * ratio.log()).sum(1)


def _moved(own: Tensor, p: Mapping[str, Any], *, squared: bool = False) -> Tensor:
    if p["kind"] == "additive":
        return own - p["margin"]
    sine = torch.sqrt(1 - own * own if squared else (1 - own) * (1 + own))
    return own * math.cos(p["margin"]) - sine * math.sin(p["margin"])


def margin(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    z = x.scatter(1, y[:, None], _moved(_at(x, y), p)[:, None]) * p["scale"]
    return F.cross_entropy(z, y, reduction="none")


def margin_scaled_first(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    hot = F.one_hot(y, x.shape[1]).to(x.dtype)
    return F.cross_entropy(x * p["scale"] - hot * (p["scale"] * p["margin"]), y, reduction="none")


def margin_by_square(x: Tensor, y: Tensor, p: Mapping[str, Any]) -> Tensor:
    z = x.scatter(1, y[:, None], _moved(_at(x, y), p, squared=True)[:, None]) * p["scale"]
    return F.cross_entropy(z, y, reduction="none")


CANDIDATES: dict[tuple[str, str], Candidate] = {
    ("cross_entropy", "-sum t log p"): plain,
    ("cross_entropy", "smoothing: two sums"): two_sums,
    ("cross_entropy", "smoothing: logsumexp - (1 - eps) z_y - eps mean z"): normaliser_less_logits,
    ("cross_entropy", "one logsumexp for the loss and the z-loss"): normaliser_less_logits,
    ("z_loss", "cross entropy and a logsumexp of its own"): z_two,
    ("z_loss", "one logsumexp for both"): z_shared,
    ("softcap", "c tanh(z / c)"): cap,
    ("softcap", "c tanh(z (1 / c))"): cap_by_reciprocal,
    ("focal", "1 - p = -expm1(log p)"): focal_expm1,
    ("focal", "p = exp(log p)"): focal_exp,
    ("focal", "p by softmax, log p by log_softmax"): focal_softmax,
    ("focal", "log p = z_y - logsumexp"): focal_normaliser,
    ("focal", "log of softmax"): focal_logarithm,
    ("poly", "1 - p = -expm1(log p)"): poly_expm1,
    ("poly", "p = exp(log p)"): poly_exp,
    ("poly", "p by softmax, log p by log_softmax"): poly_softmax,
    ("poly", "log p = z_y - logsumexp"): poly_normaliser,
    ("kl_divergence", "q (log q - log p)"): kl_product,
    ("kl_divergence", "q log q - q log p"): kl_div,
    ("kl_divergence", "sum q log q - sum q log p"): kl_two_sums,
    ("kl_divergence", "log p = z - logsumexp"): kl_normaliser,
    ("kl_divergence", "q log(q / p)"): kl_ratio,
    ("margin", "sin = sqrt((1 - c)(1 + c))"): margin,
    ("margin", "margin after the scale"): margin_scaled_first,
    ("margin", "sin = sqrt(1 - c^2)"): margin_by_square,
}
