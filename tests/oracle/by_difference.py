"""The exact values of the losses beyond cross entropy: definitions in scalars of 1,200 bits, and their differences.

An oracle for the tests alone. Every loss of a row is written out from its formula, with exp of every logit as it
stands; its gradient is a central difference by 2^-400, right to some 2^-700 of what it is of. Nothing of gradaudit's
formulas, balls or tapes is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from flint import arb, ctx  # noqa: TID253 (the oracle is not part of the package)

from gradaudit.records.inputs import Inputs

BITS = 1200
STEP_BITS = 400

Exact = Any
Loss = Callable[[Sequence[Exact], Any, Mapping[str, Any]], Exact]
"""The loss of a row: scaled logits (or what is given instead), a label or target probabilities, parameters."""


def evaluate(inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Exact output and gradient as object arrays of `arb`: [rows, 1 or n] before a reduction (a reduced one [1, 1]),
    and [rows, n]. Class axis last, no masked classes, finite inputs."""
    with ctx.workprec(BITS):
        parameters = dict(inputs.function.parameters) | {"reading": inputs.reading}
        n = inputs.logits.shape[-1]
        given = inputs.logits.reshape(-1, n).astype(np.float64)
        factor = arb(1)
        if inputs.reading == "logits":
            factor = arb(parameters.get("logit_scale", 1.0)) / arb(parameters.get("temperature", 1.0))
        loss = LOSSES[inputs.function.name]
        targets = None if inputs.targets is None else _targets(inputs.targets, n)
        ignored = [t == parameters.get("ignore_index") if isinstance(t, int) else False for t in targets or given]
        own = [[arb(x) * factor for x in row] for row in given.tolist()]

        def value(row: Sequence[Exact], index: int) -> list[Exact]:
            if ignored[index]:
                return [arb(0)]
            found = loss(row, None if targets is None else targets[index], parameters)
            return found if isinstance(found, list) else [found]

        outputs = [value(row, index) for index, row in enumerate(own)]
        reduction = parameters.get("reduction", "none")
        den = arb(1) if reduction != "mean" else arb(len(ignored) - sum(ignored))
        upstream = np.broadcast_to(
            inputs.upstream.astype(np.float64).reshape(-1, 1)
            if reduction != "none"
            else inputs.upstream.astype(float).reshape(len(own), -1),
            (len(own), len(outputs[0])),
        )
        step = arb(2) ** -STEP_BITS
        gradient = np.empty(given.shape, dtype=object)
        for i, j in np.ndindex(given.shape):
            ends = []
            for side in (step, -step):
                moved = list(own[i])
                moved[j] = moved[j] + side * factor
                ends.append(sum((g * o for g, o in zip(upstream[i], value(moved, i), strict=True)), arb(0)))
            gradient[i, j] = (ends[0] - ends[1]) / (2 * step) / den
        if reduction != "none":
            return np.array([[sum((row[0] for row in outputs), arb(0)) / den]], dtype=object), gradient
        result = np.empty((len(outputs), len(outputs[0])), dtype=object)
        for i, row in enumerate(outputs):
            result[i, :] = row
        return result, gradient


def _targets(targets: np.ndarray, n: int) -> list[Any]:
    if np.issubdtype(targets.dtype, np.integer):
        return [int(label) for label in targets.ravel()]
    return targets.reshape(-1, n).astype(np.float64).tolist()


def _log_p(z: Sequence[Exact], parameters: Mapping[str, Any]) -> list[Exact]:
    if parameters["reading"] == "probabilities":
        return [x.log() for x in z]
    if parameters["reading"] == "log_probabilities":
        return list(z)
    total = sum((x.exp() for x in z), arb(0)).log()
    return [x - total for x in z]


def _extended(z: Sequence[Exact], parameters: Mapping[str, Any]) -> list[Exact]:
    if parameters.get("softcap") is not None:
        cap = arb(parameters["softcap"])
        z = [cap * (x / cap).tanh() for x in z]
    if parameters.get("logit_adjustment") is not None:
        z = [x + arb(offset) for x, offset in zip(z, parameters["logit_adjustment"], strict=True)]
    return list(z)


def _cross_entropy(z: Sequence[Exact], target: Any, parameters: Mapping[str, Any]) -> Exact:
    z = _extended(z, parameters)
    log_p, n, eps = _log_p(z, parameters), len(z), arb(parameters.get("label_smoothing", 0.0))
    own = target if not isinstance(target, int) else [float(j == target) for j in range(n)]
    loss = -sum((((1 - eps) * arb(t) + eps / n) * x for t, x in zip(own, log_p, strict=True)), arb(0))
    squared = sum((x.exp() for x in z), arb(0)).log() ** 2
    loss += arb(parameters.get("z_loss", 0.0)) * squared + arb(parameters.get("coefficient", 0.0)) * squared
    return loss + arb(parameters.get("entropy_regularization", 0.0)) * sum((x.exp() * x for x in log_p), arb(0))


def _softcap(z: Sequence[Exact], target: Any, parameters: Mapping[str, Any]) -> list[Exact]:
    cap = arb(parameters["cap"])
    return [cap * (x / cap).tanh() for x in z]


def _focal(z: Sequence[Exact], target: Any, parameters: Mapping[str, Any]) -> Exact:
    log_p = _log_p(z, parameters)[target]
    alpha = arb(1) if parameters["alpha"] is None else arb(parameters["alpha"][target])
    rest = 1 - log_p.exp()
    return -alpha * (rest ** arb(parameters["gamma"]) if parameters["gamma"] else arb(1)) * log_p


def _poly(z: Sequence[Exact], target: Any, parameters: Mapping[str, Any]) -> Exact:
    log_p = _log_p(z, parameters)[target]
    return -log_p + arb(parameters["epsilon"]) * (1 - log_p.exp())


def _kl_divergence(z: Sequence[Exact], target: Any, parameters: Mapping[str, Any]) -> Exact:
    pairs = zip(target, _log_p(z, parameters), strict=True)
    return sum((arb(q) * (arb(q).log() - x) for q, x in pairs if q), arb(0))


def _margin(c: Sequence[Exact], target: Any, parameters: Mapping[str, Any]) -> Exact:
    own, m = list(c), arb(parameters["margin"])
    own[target] = (own[target].acos() + m).cos() if parameters["kind"] == "angular" else own[target] - m
    return -_log_p([arb(parameters["scale"]) * x for x in own], parameters)[target]


LOSSES: dict[str, Loss] = {
    "cross_entropy": _cross_entropy,
    "z_loss": _cross_entropy,
    "softcap": _softcap,
    "focal": _focal,
    "poly": _poly,
    "kl_divergence": _kl_divergence,
    "margin": _margin,
}
