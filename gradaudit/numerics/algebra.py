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

    def parameter(self, value: float) -> N:
        """A parameter of the function, exact but for a candidate's rounding of it."""
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
        """sum_{k != j} a_k of numbers >= 0, without cancellation at the largest."""
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
