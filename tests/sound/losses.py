"""Sound cross entropies in torch, put together from what people write: each is a right loss of its parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.sound.backwards import BACKWARDS
from tests.sound.normalisers import NORMALISERS, Normaliser

Loss = Callable[[Tensor, Tensor], Tensor]
IGNORED = -100


@dataclass(frozen=True)
class Meaning:
    """The parameters of the cross entropy that is meant, in the words of specs; `soft`: targets are probabilities."""

    reduction: str = "mean"
    label_smoothing: float = 0.0
    weight: tuple[float, ...] | None = None
    temperature: float = 1.0
    logit_scale: float = 1.0
    ignored: bool = False
    soft: bool = False


@dataclass(frozen=True)
class Style:
    """How it is spelled: one word for each choice, see the tables below."""

    rows: str = "fused"
    pick: str = "gather"
    smoothing: str = "two terms"
    weighting: str = "after"
    ignoring: str = "mask"
    averaging: str = "mean"
    scaling: str = "divided"

    @property
    def name(self) -> str:
        return "; ".join((self.rows, self.pick, self.smoothing, self.weighting, self.ignoring, self.averaging))


NORMALISER: dict[str, Normaliser] = {each.name: each for each in NORMALISERS}
WHOLE = "F.cross_entropy"
TARGET_RELATIVE = "differences to the target"
ROWS = (WHOLE, TARGET_RELATIVE, *BACKWARDS, *NORMALISER)
"""How the losses of the rows are made."""

LABELS_ONLY = (TARGET_RELATIVE, *BACKWARDS)
"""Those that have no log-probability of the other classes."""

LESS_LOGIT = "logsumexp less logit"
PICKS = ("gather", "nll_loss", "one-hot sum", "einsum", "index", LESS_LOGIT)
SMOOTHINGS = ("two terms", "sum over classes", "target matrix", "logsumexp form")
WEIGHTINGS = ("after", "before the sum", "coefficients")
IGNORINGS = ("mask", "select", "where")
APART = "apart"
AVERAGINGS = ("mean", "sum over count", "each over count", "matmul", APART)
SCALINGS = ("divided", "reciprocal", "tensor")


def scaled(x: Tensor, meaning: Meaning, style: Style) -> Tensor:
    """The logits as they reach the softmax."""
    scale, temperature = meaning.logit_scale, meaning.temperature
    if scale != 1.0:
        x = x * (torch.tensor(scale, dtype=x.dtype) if style.scaling == "tensor" else scale)
    if temperature == 1.0:
        return x
    if style.scaling == "reciprocal":
        return x * (1.0 / temperature)
    return x / (torch.tensor(temperature, dtype=x.dtype) if style.scaling == "tensor" else temperature)


def build(meaning: Meaning, style: Style) -> Loss:
    """loss(logits, targets) of `meaning` in the style `style`."""

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        x = scaled(logits, meaning, style)
        weight = None if meaning.weight is None else torch.tensor(meaning.weight, dtype=x.dtype)
        if style.rows == WHOLE:
            return F.cross_entropy(
                x,
                targets,
                weight,
                ignore_index=IGNORED,
                reduction=meaning.reduction,
                label_smoothing=meaning.label_smoothing,
            )
        if meaning.soft:
            return _averaged(_soft_rows(x, targets, weight, meaning, style), None, None, meaning, style)
        kept = targets != IGNORED if meaning.ignored else None
        if kept is not None and style.ignoring == "select" and meaning.reduction != "none":
            x, targets, kept = x[kept], targets[kept], None
        labels = targets if kept is None else targets.clamp(min=0)
        if averages_apart(meaning, style):
            own = x.gather(1, labels[:, None])[:, 0]
            normaliser = NORMALISER[style.rows].logsumexp(x)[:, 0]
            whole = meaning.reduction == "sum"
            return normaliser.sum() - own.sum() if whole else normaliser.mean() - own.mean()
        rows, own = _label_rows(x, labels, weight, meaning, style)
        return _averaged(rows, own, kept, meaning, style)

    return loss


def averages_apart(meaning: Meaning, style: Style) -> bool:
    """Whether normalisers and logits are averaged each for themselves."""
    plain = not (meaning.label_smoothing or meaning.ignored or meaning.soft or meaning.weight)
    chosen = style.pick == LESS_LOGIT and style.averaging == APART
    return plain and chosen and meaning.reduction != "none" and style.rows in AVERAGED_APART


AVERAGED_APART = ("fused", "shifted by the detached maximum", "logsumexp", "shifted logsumexp")


def _label_rows(
    x: Tensor, labels: Tensor, weight: Tensor | None, meaning: Meaning, style: Style
) -> tuple[Tensor, Tensor | None]:
    """Losses of the rows, and the weights that are yet to be multiplied in ("coefficients") or averaged over."""
    own = None if weight is None else weight[labels]
    eps = meaning.label_smoothing
    if style.rows == TARGET_RELATIVE:
        rows = torch.logsumexp(x - x.gather(1, labels[:, None]), 1)
    elif style.rows in BACKWARDS:
        rows = BACKWARDS[style.rows](x, labels)
    elif eps:
        return _smoothed(x, labels, weight, eps, style), own
    else:
        rows = _picked(x, labels, NORMALISER[style.rows], style)
    if own is not None and not (style.weighting == "coefficients" and meaning.reduction == "mean"):
        rows = rows * own if style.weighting == "after" else own * rows
    return rows, own


def _picked(x: Tensor, labels: Tensor, normaliser: Normaliser, style: Style) -> Tensor:
    if style.pick == LESS_LOGIT:
        return (normaliser.logsumexp(x) - x.gather(1, labels[:, None]))[:, 0]
    log_p = normaliser.log_p(x)
    if style.pick == "gather":
        return -log_p.gather(1, labels[:, None])[:, 0]
    if style.pick == "nll_loss":
        return F.nll_loss(log_p, labels, reduction="none")
    if style.pick == "index":
        return -log_p[torch.arange(len(labels)), labels]
    hot = F.one_hot(labels, x.shape[1]).to(x.dtype)
    return -(hot * log_p).sum(1) if style.pick == "one-hot sum" else -torch.einsum("ij,ij->i", hot, log_p)


def _smoothed(x: Tensor, labels: Tensor, weight: Tensor | None, eps: float, style: Style) -> Tensor:
    """Losses of smoothed labels; class weights inside, as they belong."""
    classes, normaliser = x.shape[1], NORMALISER[style.rows]
    if style.smoothing == "target matrix":
        hot = F.one_hot(labels, classes).to(x.dtype)
        t = (1.0 - eps) * hot + eps / classes
        t = t if weight is None else t * weight
        return -(t * normaliser.log_p(x)).sum(1)
    if style.smoothing == "logsumexp form" and weight is None:
        own = x.gather(1, labels[:, None])[:, 0]
        return normaliser.logsumexp(x)[:, 0] - ((1.0 - eps) * own + eps * x.mean(1))
    log_p = normaliser.log_p(x)
    nll = -log_p.gather(1, labels[:, None])[:, 0]
    if weight is None:
        if style.smoothing == "sum over classes":
            return (1.0 - eps) * nll - (eps / classes) * log_p.sum(1)
        return (1.0 - eps) * nll + eps * -log_p.mean(1)
    if style.weighting == "after":
        return (1.0 - eps) * (nll * weight[labels]) - (eps / classes) * (log_p * weight).sum(1)
    return weight[labels] * nll * (1.0 - eps) + eps * -(weight * log_p).mean(1)


def _soft_rows(x: Tensor, q: Tensor, weight: Tensor | None, meaning: Meaning, style: Style) -> Tensor:
    eps, log_p = meaning.label_smoothing, NORMALISER[style.rows].log_p(x)
    if eps:
        q = q * (1.0 - eps) + eps / x.shape[1]
    if weight is not None:
        if style.weighting == "after":
            return -(q * log_p * weight).sum(1)
        q = q * weight
    if style.pick == "einsum":
        return -torch.einsum("ij,ij->i", q, log_p)
    return -(q * log_p).sum(1)


def _averaged(rows: Tensor, own: Tensor | None, kept: Tensor | None, meaning: Meaning, style: Style) -> Tensor:
    """The reduction; `own` are the weights of the labels, `kept` the rows that count."""
    weighted = own is not None
    smooth = bool(meaning.label_smoothing)
    if kept is not None:
        mask = kept.to(rows.dtype)
        rows = torch.where(kept, rows, torch.zeros_like(rows)) if style.ignoring == "where" else rows * mask
        own = own * mask if own is not None else mask
    if meaning.reduction == "none":
        return rows
    if meaning.reduction == "sum":
        return rows.sum()
    if own is None:
        return _mean(rows, style)
    total = own.sum()
    if weighted and style.weighting == "coefficients" and not smooth and not meaning.soft:
        return ((own / total) * rows).sum()
    return (rows / total).sum() if style.averaging == "each over count" else rows.sum() / total


def _mean(rows: Tensor, style: Style) -> Tensor:
    count = rows.numel()
    if style.averaging in ("mean", APART):
        return rows.mean()
    if style.averaging == "sum over count":
        return rows.sum() / count
    if style.averaging == "each over count":
        return (rows / count).sum()
    return rows @ torch.full_like(rows, 1.0 / count)
