"""The four functions and their gradients in plain float64 NumPy, spelled another way than the adapters spell them.

Everything is made of an explicit Jacobian of log_softmax, row by row: slow, obvious, and good to about 1e-12.
"""

from __future__ import annotations

from itertools import product

import numpy as np


def expected(
    function: str, axis: tuple[int, ...], arrays: dict[str, np.ndarray], **parameters: object
) -> tuple[np.ndarray, np.ndarray]:
    """Output and gradient; the Jacobian where there is no "upstream"."""
    logits = np.asarray(arrays["logits"], np.float64)
    outer_axes = [i for i in range(logits.ndim) if i not in axis]
    outer = tuple(logits.shape[i] for i in outer_axes)
    classes = [tuple(index) for index in product(*(range(logits.shape[i]) for i in axis))]
    masked = set(parameters.get("masked_classes", ()))
    active = [j for j in range(len(classes)) if j not in masked]
    factor = float(parameters.get("logit_scale", 1.0)) / float(parameters.get("temperature", 1.0))

    def position(row: tuple[int, ...], j: int) -> tuple[int, ...]:
        whole = [0] * logits.ndim
        for i, value in zip([*outer_axes, *axis], [*row, *classes[j]], strict=True):
            whole[i] = value
        return tuple(whole)

    rows = list(np.ndindex(*outer))
    z = np.array([[logits[position(row, j)] * factor for j in active] for row in rows])
    lse = np.array([np.logaddexp.reduce(row) for row in z])
    log_p = z - lse[:, None]
    p = np.exp(log_p)
    n = len(active)

    def to_logits(row_gradient: np.ndarray) -> np.ndarray:
        gradient = np.zeros_like(logits)
        for row, values in zip(rows, row_gradient, strict=True):
            for k, j in enumerate(active):
                gradient[position(row, j)] = values[k] * factor
        return gradient

    def of_rows(values: np.ndarray, missing: float) -> np.ndarray:
        result = np.full_like(logits, missing)
        for row, row_values in zip(rows, values, strict=True):
            for k, j in enumerate(active):
                result[position(row, j)] = row_values[k]
        return result

    jacobians = {
        "softmax": np.array([np.diag(q) - np.outer(q, q) for q in p]),
        "log_softmax": np.array([np.eye(n) - q[None, :] for q in p]),
    }
    if function in jacobians:
        output = of_rows(p, 0.0) if function == "softmax" else of_rows(log_p, -np.inf)
        jacobian = jacobians[function]
        if "upstream" in arrays:
            g = np.array([[arrays["upstream"][position(row, j)] for j in active] for row in rows], np.float64)
            return output, to_logits(np.einsum("rk,rkj->rj", g, jacobian))
        per_class = np.zeros((len(classes), *logits.shape))
        for k, j in enumerate(active):
            per_class[j] = to_logits(jacobian[:, k, :])
        return output, per_class
    if function == "logsumexp":
        g = arrays.get("upstream", np.ones(outer)).astype(np.float64).reshape(-1, 1)
        gradient = to_logits(g * p)
        return lse.reshape(outer), gradient if "upstream" in arrays else gradient[None]
    return _cross_entropy(arrays, parameters, active, rows, position, outer, log_p, p, to_logits)


def _cross_entropy(
    arrays: dict[str, np.ndarray],
    parameters: dict[str, object],
    active: list[int],
    rows: list[tuple[int, ...]],
    position: object,
    outer: tuple[int, ...],
    log_p: np.ndarray,
    p: np.ndarray,
    to_logits: object,
) -> tuple[np.ndarray, np.ndarray]:
    n, smoothing = len(active), float(parameters.get("label_smoothing", 0.0))
    targets = arrays["targets"]
    weight = np.asarray(arrays.get("weight", np.ones(max(active) + 1)), np.float64)[active]
    t = np.zeros((len(rows), n))
    denominator = 0.0
    for i, row in enumerate(rows):
        if targets.dtype.kind == "i":
            label = int(targets[row])
            if label == parameters.get("ignore_index", -100):
                continue
            t[i, active.index(label)] = (1 - smoothing) * weight[active.index(label)]
            t[i] += smoothing / n * weight
            denominator += weight[active.index(label)]
        else:
            q = np.array([targets[position(row, j)] for j in active], np.float64)  # type: ignore[operator]
            t[i] = weight * ((1 - smoothing) * q + smoothing / n)
            denominator += 1
    losses = -(t * log_p).sum(axis=1)
    reduction = parameters.get("reduction", "mean")
    output = {"none": losses.reshape(outer), "sum": losses.sum(), "mean": losses.sum() / denominator}[reduction]
    g = np.asarray(arrays.get("upstream", 1.0), np.float64)
    g = g.reshape(-1, 1) if reduction == "none" and g.ndim else g / (denominator if reduction == "mean" else 1.0)
    # Through the Jacobian of log_softmax, so that nothing is shared with "T p - t".
    gradient = np.array([-(ti @ (np.eye(n) - pi[None, :])) for ti, pi in zip(t, p, strict=True)]) * g
    gradient = to_logits(gradient)  # type: ignore[operator]
    return np.asarray(output), gradient if "upstream" in arrays else gradient[None]
