"""What is taken away from the logits of a row before their softmax, and not detached: row c of docs/numerics.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradaudit.numerics.arithmetic import Arithmetic

Radius = np.ndarray | float


@dataclass(frozen=True, slots=True)
class Shift:
    """c(z): its `value` [rows, 1], the absolute error of that, and where its derivative leads.

    `jacobian(z, delta)` [rows, n] is |dc / dz_j|, or 1 wherever the derivative may lead for logits that are off by up
    to `delta`.
    """

    value: Callable[[np.ndarray], np.ndarray]
    jacobian: Callable[[np.ndarray, Radius], np.ndarray]
    error: Callable[[np.ndarray, Arithmetic], np.ndarray | float]


def _nothing(z: np.ndarray, a: Arithmetic) -> float:  # noqa: ARG001
    return 0.0


def _top(z: np.ndarray) -> np.ndarray:
    top: np.ndarray = z.max(axis=-1, keepdims=True)
    return top


def _at_top(z: np.ndarray, delta: Radius) -> np.ndarray:
    return np.greater_equal(z + delta, _top(z - delta)).astype(np.float64)


def _first(z: np.ndarray) -> np.ndarray:
    return z[:, :1]


def _at_first(z: np.ndarray, delta: Radius) -> np.ndarray:  # noqa: ARG001
    result = np.zeros_like(z)
    result[:, 0] = 1.0
    return result


def _mean(z: np.ndarray) -> np.ndarray:
    mean: np.ndarray = z.mean(axis=-1, keepdims=True)
    return mean


def _evenly(z: np.ndarray, delta: Radius) -> np.ndarray:  # noqa: ARG001
    return np.full_like(z, 1.0 / z.shape[-1])


def _mean_error(z: np.ndarray, a: Arithmetic) -> np.ndarray:
    size: np.ndarray = np.abs(z).mean(axis=-1, keepdims=True)
    return (a.height(z.shape[-1]) * a.u_sum + 2.0 * a.u_operation) * size


def _at_maxima_of(chunk: int) -> Callable[[np.ndarray, Radius], np.ndarray]:
    def places(z: np.ndarray, delta: Radius) -> np.ndarray:
        least = np.broadcast_to(z - delta, z.shape)
        starts = range(0, z.shape[-1], chunk)
        parts = [
            z[:, k : k + chunk] + (delta if isinstance(delta, float) else delta[:, k : k + chunk]) for k in starts
        ]
        tops = [_top(least[:, k : k + chunk]) for k in starts]
        found = [part >= top for part, top in zip(parts, tops, strict=True)]
        return np.concatenate(found, axis=-1).astype(np.float64)

    return places


def _at_records(z: np.ndarray, delta: Radius) -> np.ndarray:
    least = np.maximum.accumulate(z - delta, axis=-1)
    return np.greater_equal(z + delta, least).astype(np.float64)


def growths(z: np.ndarray, delta: Radius) -> np.ndarray:
    """How often a running maximum of logits that are off by up to `delta` may grow, [rows]."""
    least = np.maximum.accumulate(z - delta, axis=-1)
    own = np.broadcast_to(z + delta, z.shape)
    return np.asarray((own[:, 1:] > least[:, :-1]).sum(axis=-1))


def _at_maxima_or_records(z: np.ndarray, delta: Radius) -> np.ndarray:
    return np.maximum(_at_records(z, delta), _at_maxima_of(64)(z, delta))


MAXIMUM = Shift(_top, _at_top, _nothing)
FIRST = Shift(_first, _at_first, _nothing)
MEAN = Shift(_mean, _evenly, _mean_error)
RECORDS = Shift(_top, _at_records, _nothing)
"""A running maximum, in chunks of whatever size: it is passed on to a logit that exceeds all before it."""

MAXIMA_OF_64 = Shift(_top, _at_maxima_or_records, _nothing)
"""The same, and the maxima of chunks of 64 classes that are put together afterwards."""
