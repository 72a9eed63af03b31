"""Sound candidates written out in NumPy, one rounding an operation: what each row of the tolerances has to admit.

Arguments are arrays [rows, n] of one dtype; sums are taken one by one, from the first class to the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Given:
    """Logits x, the upstream gradient g ([rows, n], or [rows, 1] for functions of one output a row), targets t."""

    x: Array
    g: Array
    t: Array


def total(values: Array) -> Array:
    """One by one."""
    result = values[:, :1].copy()
    for j in range(1, values.shape[1]):
        result = result + values[:, j : j + 1]
    return result


def shifted(x: Array) -> tuple[Array, Array, Array]:
    """z - max, its exponentials and their sum."""
    z = x - x.max(axis=-1, keepdims=True)
    w = np.exp(z)
    return z, w, total(w)


def probabilities(x: Array) -> Array:
    _, w, s = shifted(x)
    return w / s


def log_probabilities(x: Array) -> Array:
    z, _, s = shifted(x)
    return z - np.log(s)


def softmax_vjp(p: Array, g: Array) -> Array:
    return p * (g - total(p * g))


def log_softmax_vjp(p: Array, g: Array) -> Array:
    return g - p * total(g)


def vjp_by_terms(a: Given) -> Array:
    p = probabilities(a.x)
    return p * a.g - p * total(p * a.g)


def vjp_by_exp_of_log(a: Given) -> Array:
    q = np.exp(log_probabilities(a.x))
    return log_softmax_vjp(q, q * a.g)


def vjp_by_division(a: Given) -> Array:
    p = probabilities(a.x)
    return softmax_vjp(p, a.g / p)


def loss_by_division(a: Given) -> Array:
    p = probabilities(a.x)
    return softmax_vjp(p, -(a.t * a.g) / p)


def unshifted_vjp(a: Given) -> Array:
    w = np.exp(a.x)
    return softmax_vjp(w / total(w), a.g)


def unshifted_vjp_through_the_sum(a: Given) -> Array:
    w = np.exp(a.x)
    s = total(w)
    return (a.g / s + total(-a.g * ((w / s) / s))) * w


def unshifted_log_softmax(a: Given) -> Array:
    w = np.exp(a.x)
    return a.g + (total(-a.g) / total(w)) * w


def unshifted_logsumexp(a: Given) -> Array:
    w = np.exp(a.x)
    return (a.g / total(w)) * w


GRADIENTS: dict[tuple[str, str], dict[str, Callable[[Given], Array]]] = {
    ("softmax", "fused"): {
        "p (g - c)": lambda a: softmax_vjp(probabilities(a.x), a.g),
        "p g - p c": vjp_by_terms,
    },
    ("softmax", "log_softmax"): {"exp of log p": vjp_by_exp_of_log},
    ("softmax", "unshifted"): {"p (g - c)": unshifted_vjp, "through the sum": unshifted_vjp_through_the_sum},
    ("log_softmax", "fused"): {"g - p S": lambda a: log_softmax_vjp(probabilities(a.x), a.g)},
    ("log_softmax", "unfused"): {"p (g / p - c)": vjp_by_division},
    ("log_softmax", "unshifted"): {"through the sum": unshifted_log_softmax},
    ("logsumexp", "fused"): {"p g": lambda a: probabilities(a.x) * a.g},
    ("logsumexp", "unshifted"): {"through the sum": unshifted_logsumexp},
    ("cross_entropy", "fused"): {
        "(T p - t) g": lambda a: (total(a.t) * probabilities(a.x) - a.t) * a.g,
        "T p g - t g": lambda a: total(a.t * a.g) * probabilities(a.x) - a.t * a.g,
        "log-softmax of -t g": lambda a: log_softmax_vjp(probabilities(a.x), -(a.t * a.g)),
    },
    ("cross_entropy", "unfused"): {"p (-t g / p - c)": loss_by_division},
}
"""By function and formulation: orders of the same operations."""
