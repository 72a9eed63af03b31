"""Sound losses whose gradient torch differentiates again, in the words of their users, and random inputs for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from gradaudit.backends import claimed
from gradaudit.functions import registry
from gradaudit.numerics import formats
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.reference import admissible
from gradaudit.reference.ladder import ToleranceRow

DTYPES = ("float16", "bfloat16", "float32", "float64")
MERGED = "pairs merged"
"""torch.logaddexp's second derivative is NaN for operands that are far apart."""

SUBJECT = Subject("loss", "torch", "losses.py:loss")

Tensor = Any
Loss = Callable[[Tensor, Tensor, Mapping[str, Any]], Tensor]


@dataclass(frozen=True)
class Drawn:
    """Inputs, and the loss to run on them. `v` is the direction, in the candidate's dtype."""

    name: str
    inputs: Inputs
    loss: Loss
    v: np.ndarray


def rows_of(given: Inputs) -> tuple[ToleranceRow, ...]:
    """The admissible rows of a torch subject that claims nothing."""
    return admissible.rows(given.function, given.dtype, claimed.profile_of(SUBJECT, given.dtype))


def tensor(values: np.ndarray | None, dtype: str) -> Tensor:
    """An array as torch holds it; labels stay integers."""
    import torch

    if values is None:
        return None
    if values.dtype == np.int64:
        return torch.tensor(values)
    return torch.tensor(np.asarray(values, np.float64)).to(getattr(torch, dtype))


def _parts(drawn: Drawn) -> tuple[Tensor, Tensor, Tensor, dict[str, Any]]:
    given = drawn.inputs
    z, y = tensor(given.logits, given.dtype).requires_grad_(), tensor(given.targets, given.dtype)
    own = {**given.function.parameters, "weight": tensor(given.weight, given.dtype)}
    return z, y, tensor(given.upstream, given.dtype), own


def hessian(drawn: Drawn) -> tuple[np.ndarray, np.ndarray]:
    """The first gradient, and its own along the direction, in float64."""
    import torch

    z, y, u, own = _parts(drawn)
    output = drawn.loss(z, y, own)
    (first,) = torch.autograd.grad(output, z, u.to(output.dtype).reshape(output.shape), create_graph=True)
    (second,) = torch.autograd.grad((first * tensor(drawn.v, drawn.inputs.dtype)).sum(), z)
    return first.detach().double().numpy(), second.double().numpy()


def by_targets(drawn: Drawn) -> np.ndarray:
    """The gradient of soft targets, in float64."""
    import torch

    z, y, u, own = _parts(drawn)
    output = drawn.loss(z, y.requires_grad_(), own)
    (slope,) = torch.autograd.grad(output, y, u.to(output.dtype).reshape(output.shape))
    return np.asarray(slope.double().numpy())


# -- losses ----------------------------------------------------------------------------------------------------------


def _reduced(losses: Tensor, y: Tensor, own: Mapping[str, Any]) -> Tensor:
    if own["reduction"] == "none":
        return losses
    if own["reduction"] == "sum":
        return losses.sum()
    if y.is_floating_point():
        return losses.mean()
    counted = y != -100
    weight = own.get("weight")
    return losses.sum() / (counted.sum() if weight is None else (weight[y.clamp(min=0)] * counted).sum())


def _cross_entropy(negative_log_p: Callable[[Tensor], Tensor]) -> Loss:
    def loss(z: Tensor, y: Tensor, own: Mapping[str, Any]) -> Tensor:
        weight, eps, classes = own["weight"], own["label_smoothing"], z.shape[-1]
        all_of_them = negative_log_p(z / own["temperature"] if own["temperature"] != 1.0 else z)
        if y.is_floating_point():
            t = y * (1 - eps) + eps / classes if eps else y
            t = t if weight is None else t * weight
            return _reduced((t * all_of_them).sum(-1), y, own)
        labels = y.clamp(min=0)
        losses = all_of_them.gather(-1, labels[:, None])[:, 0]
        losses = losses if weight is None else losses * weight[labels]
        if eps:
            spread = all_of_them if weight is None else all_of_them * weight
            losses = (1 - eps) * losses + eps * spread.sum(-1) / classes
        return _reduced(losses * (y != -100), y, own)

    return loss


def _functional(z: Tensor, y: Tensor, own: Mapping[str, Any]) -> Tensor:
    from torch.nn import functional

    z = z / own["temperature"] if own["temperature"] != 1.0 else z
    return functional.cross_entropy(
        z, y, weight=own["weight"], reduction=own["reduction"], label_smoothing=own["label_smoothing"]
    )


def _log_softmax(z: Tensor) -> Tensor:
    return -z.log_softmax(-1)


def _logsumexp(z: Tensor) -> Tensor:
    return z.logsumexp(-1, keepdim=True) - z


def _written_out(z: Tensor) -> Tensor:
    e = (z - z.amax(-1, keepdim=True).detach()).exp()
    return -(e / e.sum(-1, keepdim=True)).log()


def _written_out_attached(z: Tensor) -> Tensor:
    e = (z - z.max(-1, keepdim=True).values).exp()
    return -(e / e.sum(-1, keepdim=True)).log()


def _normaliser_attached(z: Tensor) -> Tensor:
    shifted = z - z.max(-1, keepdim=True).values
    return shifted.exp().sum(-1, keepdim=True).log() - shifted


def _mean_taken_away(z: Tensor) -> Tensor:
    return -(z - z.mean(-1, keepdim=True)).log_softmax(-1)


def _of_softmax(z: Tensor) -> Tensor:
    return -z.softmax(-1).log()


def _in_float32(z: Tensor) -> Tensor:
    return -(z if z.itemsize >= 4 else z.float()).log_softmax(-1)


def _pairs_merged(z: Tensor) -> Tensor:
    import torch

    parts = list(z.split(1, -1))
    while len(parts) > 1:
        merged = [torch.logaddexp(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = merged + parts[len(merged) * 2 :]
    return parts[0] - z


CROSS_ENTROPIES: Mapping[str, Loss] = {
    "F.cross_entropy": _functional,
    "log_softmax": _cross_entropy(_log_softmax),
    "logsumexp - z": _cross_entropy(_logsumexp),
    "softmax written out": _cross_entropy(_written_out),
    "softmax written out, maximum attached": _cross_entropy(_written_out_attached),
    "log sum exp, maximum attached": _cross_entropy(_normaliser_attached),
    "mean taken away": _cross_entropy(_mean_taken_away),
    "log of softmax": _cross_entropy(_of_softmax),
    "float32 inside": _cross_entropy(_in_float32),
    MERGED: _cross_entropy(_pairs_merged),
}


def _z_loss(z: Tensor, y: Tensor, own: Mapping[str, Any]) -> Tensor:
    normaliser = z.logsumexp(-1)
    losses = normaliser - z.gather(-1, y.clamp(min=0)[:, None])[:, 0] + own["z_loss"] * normaliser**2
    return _reduced(losses * (y != -100), y, own)


def _focal(z: Tensor, y: Tensor, own: Mapping[str, Any]) -> Tensor:
    log_p = z.log_softmax(-1).gather(-1, y.clamp(min=0)[:, None])[:, 0]
    return _reduced(-((1 - log_p.exp()) ** own["gamma"]) * log_p * (y != -100), y, own)


def _divergence(z: Tensor, y: Tensor, own: Mapping[str, Any]) -> Tensor:
    from torch.nn import functional

    return _reduced(functional.kl_div(z.log_softmax(-1), y, reduction="none").sum(-1), y, own)


OTHERS: Mapping[str, tuple[str, Mapping[str, object], Loss]] = {
    "z-loss by hand": ("cross_entropy", {"z_loss": 1e-2}, _z_loss),
    "focal by hand": ("focal", {"gamma": 2.0}, _focal),
    "kl_div": ("kl_divergence", {}, _divergence),
    "softmax": ("softmax", {}, lambda z, y, own: z.softmax(-1)),  # noqa: ARG005
    "log_softmax alone": ("log_softmax", {}, lambda z, y, own: z.log_softmax(-1)),  # noqa: ARG005
    "logsumexp alone": ("logsumexp", {}, lambda z, y, own: z.logsumexp(-1)),  # noqa: ARG005
}


# -- inputs ----------------------------------------------------------------------------------------------------------


def drawn(name: str, dtype: str, seed: int, *, soft: bool = False) -> Drawn:
    """Random inputs of a loss: deviations 1e-3 to 300 (1e3 at times), offsets, weights, ignored rows, ..."""
    rng = np.random.default_rng([seed, *name.encode(), DTYPES.index(dtype)])
    stored = formats.dtype(dtype)
    rows, classes = int(rng.integers(1, 6)), int(rng.choice([2, 3, 10, 33]))
    deviation = 10 ** rng.uniform(-3, 2.5 if rng.random() < 0.8 else 3)
    offset = float(rng.choice([0, 0, 0, 10])) * rng.normal() * deviation
    logits = (rng.normal(size=(rows, classes)) * deviation + offset).astype(stored)
    if name in OTHERS:
        function, parameters, loss = OTHERS[name]
        soft = function == "kl_divergence"
        chosen: dict[str, object] = dict(parameters)
    else:
        function, loss = "cross_entropy", CROSS_ENTROPIES[name]
        soft = soft or rng.random() < 0.25
        chosen = {
            "temperature": float(rng.choice([1.0, 1.0, 2.0, 0.07])),
            "label_smoothing": float(rng.choice([0.0, 0.0, 0.1])),
        }
    known = {each.name: each.default for each in registry.get(function).parameters}
    weight, targets, shape = None, None, (rows, classes) if function.endswith("softmax") else (rows,)
    if "reduction" in known:
        chosen["reduction"] = str(rng.choice(["none", "mean", "sum"]))
        shape = shape if chosen["reduction"] == "none" else ()
        targets = rng.integers(0, classes, rows)
        targets[rng.random(rows) < 0.2] = -100
        if soft:
            targets = rng.dirichlet(np.full(classes, rng.choice([0.3, 3.0])), rows).astype(stored)
        elif (targets == -100).all():
            targets[0] = 0
        if name in CROSS_ENTROPIES and rng.random() < 0.25:
            weight = rng.uniform(0.2, 3.0, classes).astype(stored)
            chosen["weight"] = tuple(float(each) for each in weight)
    call = FunctionCall(function, MappingProxyType({**known, **chosen}))
    upstream = np.asarray(rng.normal(size=shape) * 10 ** rng.uniform(-1, 1)).astype(stored)
    given = Inputs(call, dtype, 1.0, (1,), logits, targets, upstream, False, weight)
    return Drawn(name, given, loss, rng.normal(size=(rows, classes)).astype(stored))
