"""The primitives on `arb` beyond softmax and its kin: elementary functions, selections, and backward kernels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

ArbArray = np.ndarray
"""A NumPy array of dtype object that holds `flint.arb` numbers."""


class ArbPrimitives(ABC):
    """What :class:`gradaudit.numerics.arb_algebra.ArbAlgebra` has beside its own."""

    def __init__(self) -> None:
        import flint  # a compiled library that most commands never need

        arb: Any = flint.arb
        self._arb = arb
        self._elementary: dict[str, Any] = {
            name: np.frompyfunc(getattr(arb, name), 1, 1)
            for name in ("exp", "log", "log1p", "expm1", "tanh", "sqrt", "sech", "cos", "sin")
        }

    @abstractmethod
    def exact(self, values: np.ndarray | float) -> ArbArray:
        """Floats taken as exact."""

    @abstractmethod
    def sum(self, a: ArbArray) -> ArbArray:
        """Sum over the classes."""

    @abstractmethod
    def others(self, a: ArbArray) -> ArbArray:
        """sum_{k != j} a_k."""

    @abstractmethod
    def center(self, g: ArbArray, z: ArbArray) -> ArbArray:
        """g_j - g_a with a the class of the largest logit."""

    @abstractmethod
    def softmax(self, z: ArbArray) -> ArbArray:
        """exp(z_j) / sum_k exp(z_k)."""

    @abstractmethod
    def complement(self, z: ArbArray, at: np.ndarray | None = None) -> ArbArray:
        """1 - softmax."""

    @abstractmethod
    def replace(self, a: ArbArray, labels: np.ndarray, values: ArbArray) -> ArbArray:
        """a with `values` at one class of each row."""

    def _each(self, name: str, a: ArbArray) -> ArbArray:
        return np.asarray(self._elementary[name](a), dtype=object)

    # -- shapes and selections -------------------------------------------------------------------------------------

    def shape(self, a: ArbArray) -> tuple[int, ...]:
        """The shape of the array."""
        return a.shape

    def expand(self, a: ArbArray, shape: tuple[int, ...]) -> ArbArray:
        """`a` broadcast to a shape."""
        return np.broadcast_to(a, shape)

    def argmax(self, a: ArbArray) -> np.ndarray:
        """The first class with the largest midpoint, [rows]."""
        return np.asarray(np.argmax(a.astype(np.float64), axis=-1))

    def columns(self, a: ArbArray, start: int, stop: int) -> ArbArray:
        """The classes [start, stop)."""
        return a[..., start:stop]

    def placed(self, a: ArbArray, start: int, width: int) -> ArbArray:
        """`a` as the classes from `start` on, among `width`; 0 at the others."""
        result = self.exact(np.zeros((*a.shape[:-1], width)))
        result[..., start : start + a.shape[-1]] = a
        return result

    def where(self, mask: np.ndarray, a: ArbArray, b: ArbArray) -> ArbArray:
        """`a` where the mask is true, else `b`."""
        return np.asarray(np.where(mask, a, b), dtype=object)

    def maximum(self, a: ArbArray) -> ArbArray:
        """The largest class, [rows, 1]."""
        result = a[..., :1]
        for column in range(1, a.shape[-1]):
            result = self._joined(self._larger, result, a[..., column : column + 1])
        return result

    def maximum_vjp(self, a: ArbArray, g: ArbArray) -> ArbArray:
        """g [rows, 1] at the first largest class."""
        zeros = self.exact(np.zeros((len(g), a.shape[-1])))
        return self.replace(zeros, np.broadcast_to(self.argmax(a), (len(g),)), g)

    def clip(self, a: ArbArray, low: float | None, high: float | None) -> ArbArray:
        """`a` cut to [low, high]."""
        if low is not None:
            a = self._joined(self._larger, a, self.exact(low))
        return a if high is None else -self._joined(self._larger, -a, self.exact(-high))

    def clip_vjp(self, a: ArbArray, g: ArbArray, low: float | None, high: float | None) -> ArbArray:
        """g where `a` lies within [low, high], else 0."""
        inside = np.ones(a.shape, dtype=bool)
        if low is not None:
            inside &= np.asarray(a >= self.exact(low), dtype=bool)
        if high is not None:
            inside &= np.asarray(a <= self.exact(high), dtype=bool)
        return self.where(inside, g, self.exact(0.0))

    def in_range(self, a: ArbArray) -> ArbArray:
        """`a`: there is no range to leave."""
        return a

    def stop_gradient(self, a: ArbArray) -> ArbArray:
        """`a`, which a derivative takes as a constant."""
        return a

    def _larger(self, a: Any, b: Any) -> Any:
        return a if a >= b else b if b >= a else a.max(b)

    def _joined(self, rule: Any, a: ArbArray, b: ArbArray) -> ArbArray:
        return np.asarray(np.frompyfunc(rule, 2, 1)(a, b), dtype=object)

    # -- elementary functions --------------------------------------------------------------------------------------

    def exp(self, a: ArbArray) -> ArbArray:
        """Exponential."""
        return self._each("exp", a)

    def log(self, a: ArbArray) -> ArbArray:
        """Logarithm of positive numbers."""
        return self._each("log", a)

    def log1p(self, a: ArbArray) -> ArbArray:
        """log(1 + a)."""
        return self._each("log1p", a)

    def expm1(self, a: ArbArray) -> ArbArray:
        """exp(a) - 1."""
        return self._each("expm1", a)

    def expm1_slope(self, a: ArbArray) -> ArbArray:
        """exp(a)."""
        return self._each("exp", a)

    def tanh(self, a: ArbArray) -> ArbArray:
        """Hyperbolic tangent."""
        return self._each("tanh", a)

    def tanh_slope(self, a: ArbArray) -> ArbArray:
        """sech^2, which does not cancel as 1 - tanh^2 does."""
        root = self._each("sech", a)
        return np.asarray(root * root, dtype=object)

    def sqrt(self, a: ArbArray) -> ArbArray:
        """Square root."""
        return self._each("sqrt", a)

    def cos(self, a: ArbArray) -> ArbArray:
        """Cosine."""
        return self._each("cos", a)

    def sin(self, a: ArbArray) -> ArbArray:
        """Sine."""
        return self._each("sin", a)

    def power(self, a: ArbArray, exponent: float) -> ArbArray:
        """a to a constant power; numbers >= 0, or whole exponents."""
        if exponent == 0.0:
            return self.expand(self.exact(1.0), a.shape)
        whole = exponent == round(exponent)
        own = int(exponent) if whole else self._arb(exponent)

        def raised(x: Any) -> Any:
            # flint knows no powers of a ball that holds 0, though products of it are balls again.
            if whole and exponent > 0.0 and x.contains(0):
                return _product(x, int(exponent))
            return self._arb(0) if x == 0 and exponent > 0.0 else x**own

        return np.asarray(np.frompyfunc(raised, 1, 1)(a), dtype=object)

    def reciprocal(self, a: ArbArray) -> ArbArray:
        """1 / a."""
        return np.asarray(1 / a, dtype=object)

    def mean(self, a: ArbArray) -> ArbArray:
        """Sum over the classes, divided by their number."""
        return np.asarray(self.sum(a) / a.shape[-1], dtype=object)

    def logaddexp(self, a: ArbArray, b: ArbArray) -> ArbArray:
        """log(exp a + exp b)."""

        def added(x: Any, y: Any) -> Any:
            large, small = (x, y) if x.mid() >= y.mid() else (y, x)
            return large + (small - large).exp().log1p()

        return self._joined(added, a, b)

    def share(self, a: ArbArray, b: ArbArray) -> ArbArray:
        """1 / (1 + exp(b - a))."""
        return np.asarray(1 / (1 + self.exp(b - a)), dtype=object)

    # -- backward kernels ------------------------------------------------------------------------------------------

    def softmax_vjp(self, z: ArbArray, g: ArbArray) -> ArbArray:
        """p_j (g_j - sum_k p_k g_k), with g counted from its entry at the largest logit."""
        p, centered = self.softmax(z), self.center(g, z)
        return np.asarray(p * (centered - self.sum(p * centered)), dtype=object)

    def log_softmax_vjp(self, z: ArbArray, g: ArbArray, at: np.ndarray | None = None) -> ArbArray:
        """g_j (1 - p_j) - p_j sum_{k != j} g_k; with `at`, g [rows, 1] stands at one class of each row."""
        p = self.softmax(z)
        if at is None:
            return np.asarray(g * self.complement(z) - p * self.others(g), dtype=object)
        return self.replace(-(p * g), at, g * self.complement(z, at))

    def logsumexp_vjp(self, z: ArbArray, g: ArbArray) -> ArbArray:
        """p_j g."""
        return np.asarray(self.softmax(z) * g, dtype=object)


def _product(x: Any, times: int) -> Any:
    """x multiplied by itself, by squaring."""
    if times == 1:
        return x
    half = _product(x, times // 2)
    return half * half if times % 2 == 0 else half * half * x
