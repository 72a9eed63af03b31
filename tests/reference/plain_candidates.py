"""Sound candidates written out, one rounding an operation: what each row of the tolerances has to admit.

They run on a machine: one that rounds to a format, or one that errs by a whole unit roundoff wherever it may.
Everything is held in float64, in which a machine's own arithmetic is next to exact. Arrays are [rows, n]; sums are
taken one by one, from the first class to the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gradaudit.numerics import formats

Array = np.ndarray
SMOOTHING = 0.1
WEIGHTS = np.array([0.75, 1.0, 1.3], dtype=np.float16)
"""Label smoothing and class weights of the problems that have them."""


class Machine(Protocol):
    """Roundings of operations, of exp and of log."""

    def r(self, values: Array) -> Array:
        """The result of an operation."""
        ...

    def exp(self, values: Array) -> Array:
        """The exponential."""
        ...

    def log(self, values: Array) -> Array:
        """The logarithm."""
        ...


@dataclass(frozen=True)
class Rounding:
    """Rounds to the nearest number of a format; exp and log are within half a unit in the last place."""

    dtype: str

    def r(self, values: Array) -> Array:
        with np.errstate(all="ignore"):
            return values.astype(formats.dtype(self.dtype)).astype(np.float64)

    def exp(self, values: Array) -> Array:
        return self.r(np.exp(values))

    def log(self, values: Array) -> Array:
        with np.errstate(divide="ignore"):
            return self.r(np.log(values))


class Adversary:
    """Errs by the whole unit roundoff u in every operation, and by e in exp and log.

    The directions of an operation's errors are drawn for each row: all upwards, all downwards, one class apart from
    the others, or each for itself. `sign` stands for the first of these wherever it is not 0.
    """

    def __init__(self, u: float, e: float, seed: int = 0, sign: float = 0.0) -> None:
        self.u = u
        self.e = e
        self.sign = sign
        self.draws = np.random.default_rng(seed)

    def _wrong(self, values: Array, by: float) -> Array:
        rows, n = values.shape
        if self.sign:
            return values * (1.0 + by * self.sign)
        kind = self.draws.integers(0, 4, (rows, 1))
        apart = np.where(np.arange(n) == self.draws.integers(0, n, (rows, 1)), 1.0, -1.0)
        each = self.draws.choice([-1.0, 1.0], (rows, n))
        signs = np.select([kind == 0, kind == 1, kind == 2], [np.ones((rows, n)), -np.ones((rows, n)), apart], each)
        return values * (1.0 + by * signs)

    def r(self, values: Array) -> Array:
        return self._wrong(values, self.u)

    def exp(self, values: Array) -> Array:
        return self._wrong(np.exp(values), self.e)

    def log(self, values: Array) -> Array:
        return self._wrong(np.log(values), self.e)


@dataclass(frozen=True)
class Given:
    """Logits x, the upstream gradient g ([rows, n], or [rows, 1] for functions of one output a row), targets t."""

    x: Array
    g: Array
    t: Array


def total(m: Machine, values: Array) -> Array:
    """One by one; to add 0 rounds nothing."""
    result = values[:, :1]
    for j in range(1, values.shape[1]):
        term = values[:, j : j + 1]
        result = np.where((result == 0.0) | (term == 0.0), result + term, m.r(result + term))
    return result


def shifted(m: Machine, x: Array) -> tuple[Array, Array, Array]:
    """z - max, its exponentials and their sum."""
    z = m.r(x - x.max(axis=-1, keepdims=True))
    w = m.exp(z)
    return z, w, total(m, w)


def probabilities(m: Machine, x: Array) -> Array:
    _, w, s = shifted(m, x)
    return m.r(w / s)


def log_probabilities(m: Machine, x: Array) -> Array:
    z, _, s = shifted(m, x)
    return m.r(z - m.log(s))


def softmax_vjp(m: Machine, p: Array, g: Array) -> Array:
    return m.r(p * m.r(g - total(m, m.r(p * g))))


def log_softmax_vjp(m: Machine, p: Array, g: Array) -> Array:
    return m.r(g - m.r(p * total(m, g)))


def vjp_by_exp_of_log(m: Machine, a: Given) -> Array:
    q = m.exp(log_probabilities(m, a.x))
    return log_softmax_vjp(m, q, m.r(q * a.g))


def vjp_by_division(m: Machine, a: Given) -> Array:
    p = probabilities(m, a.x)
    return softmax_vjp(m, p, m.r(a.g / p))


def vjp_of_log(m: Machine, a: Given) -> Array:
    return log_softmax_vjp(m, m.exp(log_probabilities(m, a.x)), a.g)


def loss_difference_first(m: Machine, a: Given) -> Array:
    return m.r(m.r(m.r(total(m, a.t) * probabilities(m, a.x)) - a.t) * a.g)


def loss_products_first(m: Machine, a: Given) -> Array:
    mass = m.r(a.t * a.g)
    return m.r(m.r(total(m, mass) * probabilities(m, a.x)) - mass)


def loss_as_log_softmax(m: Machine, a: Given) -> Array:
    return log_softmax_vjp(m, probabilities(m, a.x), -m.r(a.t * a.g))


def loss_by_division(m: Machine, a: Given) -> Array:
    p = probabilities(m, a.x)
    return softmax_vjp(m, p, m.r(-m.r(a.t * a.g) / p))


def renormalised(m: Machine, x: Array) -> tuple[Array, Array, Array]:
    """p, its sum, and p divided by it."""
    p = probabilities(m, x)
    s = total(m, p)
    return p, s, m.r(p / s)


def loss_of_a_second_quotient(m: Machine, a: Given) -> Array:
    """v / q through q = p / s, whose share of s is v ((p / s) / s), and through the softmax."""
    p, s, q = renormalised(m, a.x)
    h = m.r(-m.r(a.t * a.g) / q)
    through_sum = total(m, m.r(-h * m.r(q / s)))
    return softmax_vjp(m, p, m.r(m.r(h / s) + through_sum))


def loss_of_a_second_quotient_by_squares(m: Machine, a: Given) -> Array:
    """The same with (-v p) (1 / (s s)), and the softmax's product first."""
    p, s, q = renormalised(m, a.x)
    h = m.r(-m.r(a.t * a.g) / q)
    through_sum = total(m, m.r(m.r(-h * p) / m.r(s * s)))
    products = m.r(p * m.r(m.r(h / s) + through_sum))
    return m.r(products - m.r(p * total(m, products)))


def fused_of_log(m: Machine, a: Given) -> Array:
    """The fused loss of log p: (softmax(log p) - t) G, divided by p, through the softmax."""
    p = probabilities(m, a.x)
    v = loss_difference_first(m, Given(m.log(p), a.g, a.t))
    return softmax_vjp(m, p, m.r(v / p))


def unshifted(m: Machine, x: Array) -> tuple[Array, Array]:
    w = m.exp(x)
    return w, total(m, w)


def unshifted_vjp(m: Machine, a: Given) -> Array:
    w, s = unshifted(m, a.x)
    return softmax_vjp(m, m.r(w / s), a.g)


def unshifted_vjp_through_the_sum(m: Machine, a: Given) -> Array:
    w, s = unshifted(m, a.x)
    back = total(m, m.r(-a.g * m.r(m.r(w / s) / s)))
    return m.r(m.r(m.r(a.g / s) + back) * w)


def unshifted_log_softmax(m: Machine, a: Given) -> Array:
    w, s = unshifted(m, a.x)
    return m.r(a.g + m.r(m.r(total(m, -a.g) / s) * w))


def unshifted_logsumexp(m: Machine, a: Given) -> Array:
    w, s = unshifted(m, a.x)
    return m.r(m.r(a.g / s) * w)


def exp_of_difference(m: Machine, a: Given) -> Array:
    _, _, s = shifted(m, a.x)
    lse = m.r(a.x.max(axis=-1, keepdims=True) + m.log(s))
    return m.r(m.exp(m.r(a.x - lse)) * a.g)


def by_reciprocal(m: Machine, a: Given) -> Array:
    _, w, s = shifted(m, a.x)
    return m.r(w * m.r(1.0 / s))


def unshifted_probabilities(m: Machine, a: Given) -> Array:
    w, s = unshifted(m, a.x)
    return m.r(w / s)


def loss(m: Machine, log_p: Array, t: Array) -> Array:
    """-sum t log p; products with 0 and 1 round nothing."""
    return -total(m, np.select([t == 0.0, t == 1.0], [np.zeros_like(t), log_p], m.r(t * log_p)))


def renormalised_loss(m: Machine, a: Given) -> Array:
    """Both quotients as products with a reciprocal."""
    p = by_reciprocal(m, a)
    return loss(m, m.log(m.r(p * m.r(1.0 / total(m, p)))), a.t)


Step = Callable[[Machine, Given], Array]


def smoothed(step: Step) -> Step:
    """The step on smoothed labels: t = R(R(R(q (1 - eps)) + R(eps / C)) w), q one-hot."""

    def on_smoothed(m: Machine, a: Given) -> Array:
        eps = np.full((1, 1), SMOOTHING)
        kept, spread = m.r(1.0 - m.r(eps)), m.r(m.r(eps) / a.t.shape[1])
        t = m.r(m.r(m.r(a.t * kept) + spread) * WEIGHTS.astype(np.float64))
        return step(m, Given(a.x, a.g, t))

    return on_smoothed


GRADIENTS: dict[tuple[str, str], dict[str, Step]] = {
    ("softmax", "shifted"): {"p (g - c)": lambda m, a: softmax_vjp(m, probabilities(m, a.x), a.g)},
    ("softmax", "log_softmax"): {"q g - q sum q g": vjp_by_exp_of_log},
    ("softmax", "unshifted"): {"p (g - c)": unshifted_vjp, "through the sum": unshifted_vjp_through_the_sum},
    ("log_softmax", "shifted"): {"g - p S": lambda m, a: log_softmax_vjp(m, probabilities(m, a.x), a.g)},
    ("log_softmax", "shifted, p = exp(log p)"): {"g - p S": vjp_of_log},
    ("log_softmax", "unfused"): {"p (g / p - c)": vjp_by_division},
    ("log_softmax", "unshifted"): {"through the sum": unshifted_log_softmax},
    ("logsumexp", "shifted"): {"p g": lambda m, a: m.r(probabilities(m, a.x) * a.g)},
    ("logsumexp", "p = exp(x - logsumexp)"): {"p g": exp_of_difference},
    ("logsumexp", "unshifted"): {"through the sum": unshifted_logsumexp},
    ("cross_entropy", "shifted"): {
        "(T p - t) G": loss_difference_first,
        "p T G - t G": loss_products_first,
        "log-softmax of -t G": loss_as_log_softmax,
    },
    ("cross_entropy", "unfused"): {"p (-t G / p - c)": loss_by_division},
    ("cross_entropy", "renormalised"): {
        "p (d - c), v ((p / s) / s)": loss_of_a_second_quotient,
        "p d - p c, v p / (s s)": loss_of_a_second_quotient_by_squares,
    },
    ("cross_entropy", "fused of log p"): {"p (v / p - c)": fused_of_log},
}
"""By function and tolerance row: orders of the same operations, for the gradient."""


OUTPUTS: dict[tuple[str, str], dict[str, Step]] = {
    ("softmax", "shifted"): {
        "w / s": lambda m, a: probabilities(m, a.x),
        "w (1 / s)": by_reciprocal,
    },
    ("softmax", "log_softmax"): {"exp(log p)": lambda m, a: m.exp(log_probabilities(m, a.x))},
    ("softmax", "unshifted"): {"w / s": unshifted_probabilities},
    ("log_softmax", "shifted"): {"(z - max) - log s": lambda m, a: log_probabilities(m, a.x)},
    ("log_softmax", "unfused"): {"log(w / s)": lambda m, a: m.log(probabilities(m, a.x))},
    ("log_softmax", "unshifted"): {"z - log s": lambda m, a: m.r(a.x - m.log(unshifted(m, a.x)[1]))},
    ("logsumexp", "shifted"): {
        "max + log s": lambda m, a: m.r(a.x.max(axis=-1, keepdims=True) + m.log(shifted(m, a.x)[2]))
    },
    ("logsumexp", "unshifted"): {"log s": lambda m, a: m.log(unshifted(m, a.x)[1])},
    ("cross_entropy", "shifted"): {"sum t log p": lambda m, a: loss(m, log_probabilities(m, a.x), a.t)},
    ("cross_entropy", "unfused"): {"sum t log p": lambda m, a: loss(m, m.log(probabilities(m, a.x)), a.t)},
    ("cross_entropy", "renormalised"): {"sum t log q": renormalised_loss},
    ("cross_entropy", "fused of log p"): {
        "sum t log_softmax(log p)": lambda m, a: loss(m, log_probabilities(m, m.log(by_reciprocal(m, a))), a.t)
    },
}
"""The same for the output."""
