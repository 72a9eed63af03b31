"""Balls around multiples of a softmax, described by five numbers a row, so that a block costs a few passes.

Most of what a softmax is multiplied by on its way to a gradient is one number a row. Under such products a midpoint
scale * p_j keeps its form, and so does a radius p_j (slope t_j + offset) + floor; both are spelled out only when
they are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gradaudit.numerics.exponentials import RowExponentials

Scalar = np.ndarray | float
"""One number a row, [rows, 1], or one for all."""


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """What stands at one class of each row instead: `index`, `mid` and `rad` are [rows, 1]."""

    index: np.ndarray
    mid: np.ndarray
    rad: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class RowRadius:
    """Midpoints scale * p_j with radii p_j (slope t_j + offset) + floor, but for the `patch`."""

    rows: RowExponentials
    scale: Scalar
    slope: Scalar
    offset: Scalar
    floor: Scalar
    patch: Patch | None = None

    def times(self, factor: Scalar, error: Scalar) -> RowRadius:
        """After a product with `factor`, itself off by at most `error`."""
        reach = np.abs(factor) + error
        offset = self.offset * reach + np.abs(self.scale) * error
        return RowRadius(self.rows, self.scale * factor, self.slope * reach, offset, self.floor * reach)

    def rounded(self, u: float, eta: float) -> RowRadius:
        """After a rounding with unit roundoff u that may lose eta to underflow: u (|mid| + radius) + eta more."""
        grow = 1.0 + u
        offset = self.offset * grow + u * np.abs(self.scale)
        return RowRadius(self.rows, self.scale, self.slope * grow, offset, self.floor * grow + eta)

    def widened(self, extra: Scalar) -> RowRadius:
        """With `extra` more in every radius."""
        return replace(self, floor=self.floor + extra)

    def patched(self, patch: Patch) -> RowRadius:
        """With another ball at one class of each row."""
        return replace(self, patch=patch)

    def midpoints(self) -> np.ndarray:
        """The midpoints, [rows, n]."""
        if self.patch is None:
            return self.rows.p if isinstance(self.scale, float) and self.scale == 1.0 else self.rows.p * self.scale
        result = self.rows.p * self.scale
        np.put_along_axis(result, self.patch.index, self.patch.mid, axis=-1)
        return result

    def dense(self, inflation: float = 1.0) -> np.ndarray:
        """The radii times `inflation`, [rows, n]."""
        result: np.ndarray = self.rows.gap * (self.slope * inflation)
        result += self.offset * inflation
        result *= self.rows.p
        result += self.floor * inflation
        if self.patch is not None:
            np.put_along_axis(result, self.patch.index, self.patch.rad * inflation, axis=-1)
        return result

    def at(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Midpoint and radius at one class of each row; `index` and both results are [rows, 1]."""
        gap = np.take_along_axis(self.rows.gap, index, axis=-1)
        p = np.take_along_axis(self.rows.p, index, axis=-1)
        return p * self.scale, p * (gap * self.slope + self.offset) + self.floor

    def within(self, other: RowRadius, share: float) -> bool:
        """Whether every radius is at most `share` of the other's, seen from the numbers of the rows alone."""
        if self.rows is not other.rows or self.patch is None or other.patch is None:
            return False
        pairs = (
            (self.slope, other.slope),
            (self.offset, other.offset),
            (self.floor, other.floor),
            (self.patch.rad, other.patch.rad),
        )
        with np.errstate(over="ignore"):
            return all(bool(np.all(np.less_equal(mine, np.multiply(share, theirs)))) for mine, theirs in pairs)
