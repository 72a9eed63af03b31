"""A radius that four numbers a row describe, so that a whole block costs four passes instead of twenty.

Most of what a softmax is multiplied by on its way to a gradient is one number a row. Under such products a radius
of the form p_j (slope t_j + offset) + floor keeps its form, and is only spelled out when it is compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradaudit.numerics.exponentials import RowExponentials


@dataclass(frozen=True, slots=True, eq=False)
class RowRadius:
    """p_j (slope t_j + offset) + floor around a midpoint of magnitude size * p_j; the four are [rows, 1]."""

    rows: RowExponentials
    size: np.ndarray | float
    slope: np.ndarray | float
    offset: np.ndarray | float
    floor: np.ndarray | float

    def times(self, factor: np.ndarray | float, error: np.ndarray | float) -> RowRadius:
        """After a product with `factor` [rows, 1], itself off by at most `error`."""
        reach = np.abs(factor) + error
        return RowRadius(
            self.rows,
            self.size * np.abs(factor),
            self.slope * reach,
            self.offset * reach + self.size * error,
            self.floor * reach,
        )

    def rounded(self, u: float, eta: float) -> RowRadius:
        """After a rounding with unit roundoff u that may lose eta to underflow: u (|mid| + radius) + eta more."""
        grow = 1.0 + u
        return RowRadius(
            self.rows, self.size, self.slope * grow, self.offset * grow + u * self.size, self.floor * grow + eta
        )

    def dense(self) -> np.ndarray:
        """Spelled out, [rows, n]."""
        result: np.ndarray = self.rows.gap * self.slope
        result += self.offset
        result *= self.rows.p
        result += self.floor
        return result

    def at(self, index: np.ndarray) -> np.ndarray:
        """At one class of each row, [rows, 1]; `index` is [rows, 1]."""
        gap = np.take_along_axis(self.rows.gap, index, axis=-1)
        p = np.take_along_axis(self.rows.p, index, axis=-1)
        return p * (gap * self.slope + self.offset) + self.floor
