"""The same primitives on python-flint's `arb`: rigorous balls of any precision, one Python object an element.

It is a thousand times slower than :mod:`gradaudit.numerics.ball`, and is used where float64 does not decide: for
float64 candidates, for elements within the enclosure's radius of their tolerance, and for spot checks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradaudit.numerics.arb_primitives import ArbArray, ArbPrimitives

__all__ = ["ArbAlgebra", "ArbArray", "precision", "split"]

PRECISION = 192
"""Bits of the midpoints: 53 of a float64, 53 more for its tolerance's digits, and room for cancellation."""


@contextmanager
def precision(bits: int = PRECISION) -> Iterator[None]:
    """Work at `bits` bits inside the block."""
    import flint  # a compiled library that most commands never need

    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


class ArbAlgebra(ArbPrimitives):
    """:class:`gradaudit.numerics.algebra.Algebra` on object arrays of `arb`."""

    def __init__(self) -> None:
        import flint

        self._from_float: Any = np.frompyfunc(flint.arb, 1, 1)
        self._exp: Any = np.frompyfunc(flint.arb.exp, 1, 1)
        self._log: Any = np.frompyfunc(flint.arb.log, 1, 1)
        self._log1p: Any = np.frompyfunc(flint.arb.log1p, 1, 1)
        super().__init__()
        self._cache: dict[int, tuple[ArbArray, _Row]] = {}

    def exact(self, values: np.ndarray | float) -> ArbArray:
        """Floats taken as exact."""
        return np.asarray(self._from_float(np.asarray(values, dtype=np.float64)), dtype=object)

    def parameter(self, value: float | np.ndarray) -> ArbArray:
        """The floats, taken as exact."""
        return self.exact(value)

    def charged(self, a: ArbArray, roundings: int) -> ArbArray:  # noqa: ARG002 - the protocol's signature
        """The exact value: nothing is rounded here."""
        return a

    def sum(self, a: ArbArray) -> ArbArray:
        """Sum over the classes."""
        return np.asarray(a.sum(axis=-1, keepdims=True), dtype=object)

    def softmax(self, z: ArbArray) -> ArbArray:
        """exp(z_j) / sum_k exp(z_k)."""
        row = self._row(z)
        return np.asarray(row.weight / row.total, dtype=object)

    def log_softmax(self, z: ArbArray, at: np.ndarray | None = None) -> ArbArray:
        """z_j - log sum_k exp(z_k)."""
        row = self._row(z)
        shifted = row.shifted if at is None else self.take(row.shifted, at)
        return np.asarray(shifted - self._log1p(row.rest), dtype=object)

    def logsumexp(self, z: ArbArray) -> ArbArray:
        """log sum_k exp(z_k)."""
        row = self._row(z)
        return np.asarray(row.top + self._log1p(row.rest), dtype=object)

    def complement(self, z: ArbArray, at: np.ndarray | None = None) -> ArbArray:
        """1 - softmax, at the largest class as a sum of the others."""
        row = self._row(z)
        if at is None:
            return np.asarray(self._others(row.weight, row.argmax) / row.total, dtype=object)
        plain = row.total - self.take(row.weight, at)
        return np.where((at == row.argmax)[:, None], row.rest, plain) / row.total

    def others(self, a: ArbArray) -> ArbArray:
        """sum_{k != j} a_k."""
        return self._others(a, np.argmax(np.abs(a.astype(np.float64)), axis=-1))

    def center(self, g: ArbArray, z: ArbArray) -> ArbArray:
        """g_j - g_a with a the class of the largest logit."""
        return np.asarray(g - self.take(g, self._row(z).argmax), dtype=object)

    def take(self, a: ArbArray, labels: np.ndarray) -> ArbArray:
        """a at one class of each row."""
        return np.take_along_axis(np.broadcast_to(a, (len(labels), a.shape[-1])), labels[:, None], axis=-1)

    def replace(self, a: ArbArray, labels: np.ndarray, values: ArbArray) -> ArbArray:
        """a with `values` at one class of each row."""
        result = a.copy()
        np.put_along_axis(result, labels[:, None], values, axis=-1)
        return result

    def _others(self, a: ArbArray, top: np.ndarray) -> ArbArray:
        rest = self.replace(a, top, self.exact(np.zeros((len(top), 1))))
        return self.replace(self.sum(a) - a, top, self.sum(rest))

    def _row(self, z: ArbArray) -> _Row:
        known = self._cache.get(id(z))
        if known is None or known[0] is not z:
            argmax = np.argmax(z.astype(np.float64), axis=-1)
            top = self.take(z, argmax)
            shifted = z - top
            weight = np.asarray(self._exp(shifted), dtype=object)
            rest = self.sum(self.replace(weight, argmax, self.exact(np.zeros((len(argmax), 1)))))
            known = (z, _Row(argmax, top, shifted, weight, rest, rest + 1))
            self._cache = {id(z): known}
        return known[1]


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    argmax: np.ndarray
    top: ArbArray
    shifted: ArbArray
    weight: ArbArray
    rest: ArbArray
    total: ArbArray


def split(a: ArbArray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Midpoint as an unevaluated sum of two float64 (high, low), and a float64 radius that covers the rest."""

    def parts(x: Any) -> tuple[float, float, float]:
        high = float(x.mid())
        if not math.isfinite(high):
            return high, 0.0, 0.0
        remainder = x - high
        low = float(remainder.mid())
        left = (remainder - low).abs_upper()
        # Rounding to float64 may go down; a relative 2^-52 and the smallest subnormal put it back above.
        return high, low, float(left) * (1.0 + 2.0**-50) + (0.0 if left == 0 else 5e-324)

    flat = [parts(x) for x in a.ravel()]
    columns = np.array(flat, dtype=np.float64).reshape(*a.shape, 3)
    return columns[..., 0], columns[..., 1], columns[..., 2]
