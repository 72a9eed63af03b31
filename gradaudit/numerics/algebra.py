"""What a formula may be spelled with. Balls of float64 and `arb` numbers both offer it, so that each function's
mathematics stands in one place and is enclosed at either precision.

Arrays have shape [rows, classes]; what is summed over the classes keeps the axis with length 1.
"""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

import numpy as np


class Number(Protocol):
    """An array of real numbers known to lie in balls; arithmetic broadcasts like NumPy's."""

    def __add__(self, other: Self, /) -> Self: ...
    def __sub__(self, other: Self, /) -> Self: ...
    def __mul__(self, other: Self, /) -> Self: ...
    def __truediv__(self, other: Self, /) -> Self: ...
    def __neg__(self) -> Self: ...


N = TypeVar("N", bound=Number)


class Algebra(Protocol[N]):
    """The primitives, each with a bound of its own."""

    def exact(self, values: np.ndarray | float) -> N:
        """Floats taken as exact."""
        ...

    def parameter(self, value: float | np.ndarray) -> N:
        """Parameters of the function, exact but for a candidate's rounding of it."""
        ...

    def charged(self, a: N, roundings: int) -> N:
        """`a` after so many more roundings by a candidate, relative to its value; `a` itself in exact algebras."""
        ...

    def sum(self, a: N) -> N:
        """Sum over the classes."""
        ...

    def softmax(self, z: N) -> N:
        """exp(z_j) / sum_k exp(z_k)."""
        ...

    def log_softmax(self, z: N, at: np.ndarray | None = None) -> N:
        """z_j - log sum_k exp(z_k); with `at` [rows] only at one class of each row, shape [rows, 1]."""
        ...

    def logsumexp(self, z: N) -> N:
        """log sum_k exp(z_k), shape [rows, 1]."""
        ...

    def complement(self, z: N, at: np.ndarray | None = None) -> N:
        """sum_{k != j} softmax_k, which is 1 - softmax_j without its cancellation; `at` as above."""
        ...

    def others(self, a: N) -> N:
        """sum_{k != j} a_k; of numbers of one sign without cancellation, at the largest too."""
        ...

    def center(self, g: N, z: N) -> N:
        """g_j - g_a with a the class of the largest z: exactly 0 at a."""
        ...

    def take(self, a: N, labels: np.ndarray) -> N:
        """a at one class of each row, shape [rows, 1]; labels lie in [0, classes)."""
        ...

    def replace(self, a: N, labels: np.ndarray, values: N) -> N:
        """a with `values` [rows, 1] at one class of each row."""
        ...

    def exp(self, a: N) -> N:
        """Exponential."""
        ...

    def log(self, a: N) -> N:
        """Logarithm of positive numbers."""
        ...

    def log1p(self, a: N) -> N:
        """log(1 + a)."""
        ...

    def expm1(self, a: N) -> N:
        """exp(a) - 1."""
        ...

    def expm1_slope(self, a: N) -> N:
        """The derivative of expm1 as it is computed."""
        ...

    def tanh(self, a: N) -> N:
        """Hyperbolic tangent."""
        ...

    def tanh_slope(self, a: N) -> N:
        """1 - tanh^2, the derivative of tanh as it is computed."""
        ...

    def sqrt(self, a: N) -> N:
        """Square root."""
        ...

    def cos(self, a: N) -> N:
        """Cosine."""
        ...

    def sin(self, a: N) -> N:
        """Sine."""
        ...

    def power(self, a: N, exponent: float) -> N:
        """a to a constant power; numbers >= 0, or whole exponents."""
        ...

    def reciprocal(self, a: N) -> N:
        """1 / a."""
        ...

    def mean(self, a: N) -> N:
        """Sum over the classes, divided by their number."""
        ...

    def logaddexp(self, a: N, b: N) -> N:
        """log(exp a + exp b)."""
        ...

    def share(self, a: N, b: N) -> N:
        """1 / (1 + exp(b - a)), the slope of logaddexp(a, b) along a."""
        ...

    def maximum(self, a: N) -> N:
        """The largest class, [rows, 1]."""
        ...

    def maximum_vjp(self, a: N, g: N) -> N:
        """g [rows, 1] at the first largest class of a, 0 elsewhere."""
        ...

    def clip(self, a: N, low: float | None, high: float | None) -> N:
        """a cut to [low, high]; None: no such end."""
        ...

    def clip_vjp(self, a: N, g: N, low: float | None, high: float | None) -> N:
        """g where a lies within [low, high], 0 elsewhere."""
        ...

    def where(self, mask: np.ndarray, a: N, b: N) -> N:
        """a where the mask (plain booleans, broadcast) is true, else b."""
        ...

    def columns(self, a: N, start: int, stop: int) -> N:
        """The classes [start, stop)."""
        ...

    def placed(self, a: N, start: int, width: int) -> N:
        """a as the classes from `start` on, among `width`; 0 at the others."""
        ...

    def in_range(self, a: N) -> N:
        """a; where a candidate's quotient may have overflowed, nothing is promised of it."""
        ...

    def stop_gradient(self, a: N) -> N:
        """a, which a derivative takes as a constant."""
        ...

    def argmax(self, a: N) -> np.ndarray:
        """The first largest class of each row, [rows]."""
        ...

    def shape(self, a: N) -> tuple[int, ...]:
        """The shape of the array."""
        ...

    def expand(self, a: N, shape: tuple[int, ...]) -> N:
        """a broadcast to a shape."""
        ...

    def softmax_vjp(self, z: N, g: N) -> N:
        """p_j (g_j - sum_k p_k g_k) with p = softmax(z)."""
        ...

    def log_softmax_vjp(self, z: N, g: N, at: np.ndarray | None = None) -> N:
        """g_j - p_j sum_k g_k; with `at`, g is [rows, 1] and stands at one class of each row."""
        ...

    def logsumexp_vjp(self, z: N, g: N) -> N:
        """p_j g, g of shape [rows, 1]."""
        ...
