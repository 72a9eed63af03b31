"""Fits of one number: by which factors a prediction has to be multiplied to give what was returned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradaudit.measurement.diagnosis.prediction import Bounded, floor, roundings
from gradaudit.measurement.diagnosis.view import View


@dataclass(frozen=True, slots=True, eq=False)
class Scales:
    """Intervals of factors, [rows]; (-inf, inf) where any factor explains the row, low > high where none does."""

    low: np.ndarray
    high: np.ndarray

    @property
    def possible(self) -> bool:
        """Whether there is a factor for every row."""
        return bool(np.all(self.low <= self.high))

    @property
    def open(self) -> np.ndarray:
        """Rows that any factor explains."""
        return np.isinf(self.low) & np.isinf(self.high)

    def shared(self) -> tuple[float, float]:
        """The interval of one factor for all rows."""
        if self.low.size == 0:
            return -np.inf, np.inf
        return float(self.low.max()), float(self.high.min())

    def over(self, vector: np.ndarray) -> Scales:
        """Factors that remain after a factor of its own for each row, `vector` [rows]; 0 leaves a row no other."""
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = self.low / vector, self.high / vector
        low, high = np.minimum(a, b), np.maximum(a, b)
        fits = (self.low <= 0.0) & (self.high >= 0.0)
        low = np.where(vector == 0.0, np.where(fits, -np.inf, np.inf), low)
        high = np.where(vector == 0.0, np.where(fits, np.inf, -np.inf), high)
        return Scales(np.where(self.open, -np.inf, low), np.where(self.open, np.inf, high))

    def shared_over(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The intervals of one factor for all rows after each of `vectors` [patterns, rows]; empty for NaN."""
        kept = ~self.open
        if not kept.any():
            return np.full(len(vectors), -np.inf), np.full(len(vectors), np.inf)
        low, high, vectors = self.low[kept], self.high[kept], vectors[:, kept]
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = low / vectors, high / vectors
        least, most = np.minimum(a, b), np.maximum(a, b)
        none = vectors == 0.0
        if none.any():
            fits = (low <= 0.0) & (high >= 0.0)
            least = np.where(none, np.where(fits, -np.inf, np.inf), least)
            most = np.where(none, np.where(fits, np.inf, -np.inf), most)
        missing = np.isnan(vectors).any(axis=1)
        return np.where(missing, np.inf, least.max(axis=1)), np.where(missing, -np.inf, most.min(axis=1))

    def only(self, rows: np.ndarray) -> Scales:
        """Some of the rows."""
        return Scales(self.low[rows], self.high[rows])


def row_scales(predicted: Bounded, got: np.ndarray, relative: float, absolute: float) -> Scales:
    """For each row the factors c with |got - c predicted| within c times the radius and further roundings.

    Every element whose prediction is not 0 gives an interval; a row's is what they have in common.
    """
    charged = predicted.charged(relative, 0.0)
    mid, rad = charged.mid, charged.rad
    rows = len(mid)
    if mid.shape[-1] == 0:
        return Scales(np.full(rows, -np.inf), np.full(rows, np.inf))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # |got - c mid| <= |c| rad + absolute: |c| is from (|got| - absolute) / far to (|got| + absolute) / near.
        size, near, far = np.abs(got), np.abs(mid) - rad, np.abs(mid) + rad
        least, most = (size - absolute) / np.where(size > absolute, far, near), (size + absolute) / near
        sign = np.where(got * mid < 0.0, -1.0, 1.0)
        decides = near > 0.0
        low = np.where(decides, np.where(sign > 0.0, least, -most), -np.inf).max(axis=-1)
        high = np.where(decides, np.where(sign > 0.0, most, -least), np.inf).min(axis=-1)
        # A prediction within its own radius of 0 allows every factor that is large enough.
        needed = np.where(~decides & (size > absolute), (size - absolute) / far, 0.0).max(axis=-1)
    needed = np.nan_to_num(needed, nan=0.0, posinf=np.inf)
    settled = decides.any(axis=-1)
    refuted = settled & (needed > np.maximum(np.abs(low), np.abs(high)))
    # Of either sign, which an interval cannot say: a factor that may be 1 may be -1.
    low = np.where(settled | (needed <= 1.0), low, needed)
    refuted |= np.isinf(needed) | (~np.isfinite(got) & ~np.isinf(rad)).any(axis=-1)
    return Scales(np.where(refuted, np.inf, low), np.where(refuted, -np.inf, high))


def loss_interval(view: View, losses: Bounded) -> tuple[float, float]:
    """Factors by which row losses [rows, 1] explain a returned loss, reduced or not."""
    assert view.loss is not None
    if not view.truth.reduced:
        return row_scales(losses, view.loss, roundings(view), floor(view)).shared()
    a, den = view.m.arithmetic, view.truth.denominator.value
    if den == 0.0:
        return -np.inf, np.inf
    size = float(np.abs(losses.mid).sum())
    rad = float(losses.rad.sum())
    rad += a.height(view.rows) * a.u_reduction * (size + rad)
    whole = Bounded(np.array([[float(losses.mid.sum()) / den]]), np.array([[rad / den]]))
    return row_scales(whole, view.loss.reshape(1, 1), roundings(view), floor(view)).shared()
