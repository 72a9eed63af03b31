"""Sound losses beyond cross entropy, spelled as people do in torch; `meaning` holds the function's parameters.

A loss gets logits [rows, classes] and targets and returns one number a row (an activation: one a logit); `reduced`
averages over the rows that count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Meaning = Mapping[str, Any]
Loss = Callable[[Meaning, Tensor, Any], Tensor]
IGNORED = -100


def _own(values: Tensor, labels: Tensor) -> Tensor:
    return values.gather(1, labels[:, None])[:, 0]


def _focal(meaning: Meaning, log_p: Tensor, remainder: Tensor, labels: Tensor) -> Tensor:
    rows = remainder ** meaning["gamma"] * -log_p
    return rows if meaning["alpha"] is None else rows.new_tensor(meaning["alpha"])[labels] * rows


def focal_by_exp(meaning: Meaning, logits: Tensor, labels: Tensor) -> Tensor:
    log_p = _own(F.log_softmax(logits, 1), labels)
    return _focal(meaning, log_p, 1 - log_p.exp(), labels)


def focal_by_expm1(meaning: Meaning, logits: Tensor, labels: Tensor) -> Tensor:
    log_p = _own(F.log_softmax(logits, 1), labels)
    return _focal(meaning, log_p, -torch.expm1(log_p), labels)


def focal_by_cross_entropy(meaning: Meaning, logits: Tensor, labels: Tensor) -> Tensor:
    losses = F.cross_entropy(logits, labels, reduction="none")
    return _focal(meaning, -losses, 1 - torch.exp(-losses), labels)


def focal_by_softmax(meaning: Meaning, logits: Tensor, labels: Tensor) -> Tensor:
    return _focal(meaning, _own(F.log_softmax(logits, 1), labels), 1 - _own(F.softmax(logits, 1), labels), labels)


def poly_by_exp(meaning: Meaning, logits: Tensor, labels: Tensor) -> Tensor:
    losses = F.cross_entropy(logits, labels, reduction="none")
    return losses + meaning["epsilon"] * (1 - torch.exp(-losses))


def poly_by_softmax(meaning: Meaning, logits: Tensor, labels: Tensor) -> Tensor:
    p = _own(F.softmax(logits, 1), labels)
    return meaning["epsilon"] * (1 - p) + F.nll_loss(F.log_softmax(logits, 1), labels, reduction="none")


def z_loss_of_its_own(meaning: Meaning, logits: Tensor, labels: Tensor) -> Tensor:
    normaliser = torch.logsumexp(logits, 1)
    return F.cross_entropy(logits, labels, reduction="none") + meaning["coefficient"] * normaliser**2


def z_loss_shared(meaning: Meaning, logits: Tensor, labels: Tensor) -> Tensor:
    normaliser = torch.logsumexp(logits, 1)
    return normaliser - _own(logits, labels) + meaning["coefficient"] * normaliser.square()


def softcap(meaning: Meaning, logits: Tensor, _: Any) -> Tensor:
    return meaning["cap"] * torch.tanh(logits / meaning["cap"])


def softcap_by_factor(meaning: Meaning, logits: Tensor, _: Any) -> Tensor:
    return torch.tanh(logits * (1 / meaning["cap"])) * meaning["cap"]


def kl_by_torch(_: Meaning, logits: Tensor, q: Tensor) -> Tensor:
    return F.kl_div(F.log_softmax(logits, 1), q, reduction="none").sum(1)


def kl_by_difference(_: Meaning, logits: Tensor, q: Tensor) -> Tensor:
    log_q = torch.where(q > 0, q, torch.ones_like(q)).log()
    return (q * (log_q - F.log_softmax(logits, 1))).sum(1)


def kl_by_two_sums(_: Meaning, logits: Tensor, q: Tensor) -> Tensor:
    return torch.xlogy(q, q).sum(1) - (q * F.log_softmax(logits, 1)).sum(1)


def margin_of_cosines(meaning: Meaning, cosines: Tensor, labels: Tensor) -> Tensor:
    hot = F.one_hot(labels, cosines.shape[1]).bool()
    moved = torch.where(hot, cosines - meaning["margin"], cosines)
    return F.cross_entropy(meaning["scale"] * moved, labels, reduction="none")


def margin_after_the_scale(meaning: Meaning, cosines: Tensor, labels: Tensor) -> Tensor:
    hot = F.one_hot(labels, cosines.shape[1]).to(cosines.dtype)
    logits = meaning["scale"] * cosines - meaning["scale"] * meaning["margin"] * hot
    return F.cross_entropy(logits, labels, reduction="none")


def margin_of_angles(meaning: Meaning, cosines: Tensor, labels: Tensor) -> Tensor:
    own = _own(cosines, labels)
    sine = torch.sqrt((1 - own) * (1 + own))
    moved = own * math.cos(meaning["margin"]) - sine * math.sin(meaning["margin"])
    logits = cosines.scatter(1, labels[:, None], moved[:, None])
    return F.cross_entropy(meaning["scale"] * logits, labels, reduction="none")


SPELLINGS: dict[str, tuple[Loss, ...]] = {
    "focal": (focal_by_exp, focal_by_expm1, focal_by_cross_entropy, focal_by_softmax),
    "poly": (poly_by_exp, poly_by_softmax),
    "z_loss": (z_loss_of_its_own, z_loss_shared),
    "softcap": (softcap, softcap_by_factor),
    "kl_divergence": (kl_by_torch, kl_by_difference, kl_by_two_sums),
    "margin": (margin_of_cosines, margin_after_the_scale, margin_of_angles),
}
"""function -> its spellings."""


def build(spelling: Loss, meaning: Meaning) -> Callable[[Tensor, Any], Tensor]:
    """loss(logits, targets) with the reduction of `meaning`; rows that are ignored take no part."""

    def loss(logits: Tensor, targets: Any) -> Tensor:
        if "reduction" not in meaning:
            return spelling(meaning, logits, targets)
        if targets.is_floating_point():
            rows = spelling(meaning, logits, targets)
            return {"none": rows, "mean": rows.mean(), "sum": rows.sum()}[meaning["reduction"]]
        kept = targets != IGNORED
        rows = spelling(meaning, logits, targets.clamp(min=0))
        rows = torch.where(kept, rows, torch.zeros_like(rows))
        if meaning["reduction"] == "none":
            return rows
        return rows.sum() if meaning["reduction"] == "sum" else rows.sum() / kept.sum()

    return loss
