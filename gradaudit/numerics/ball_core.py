"""Ball arithmetic on NumPy arrays: a float64 midpoint and an absolute radius for every element.

One calculus serves two purposes. Charged with float64's own arithmetic (`encloses=True`), the radius bounds
|midpoint - exact value|: an enclosure. Charged with a candidate's arithmetic, it bounds how far the candidate's
computed value may lie from the exact one: a tolerance. Every bound is a running one: an operation with unit
roundoff u adds u (|result| + radius) to what its operands bring along (docs/numerics.md, "Running bounds").
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np

from gradaudit.numerics.arithmetic import Arithmetic
from gradaudit.numerics.bounds import growth, phi
from gradaudit.numerics.exponentials import ExponentErrors, RowExponentials
from gradaudit.numerics.row_radius import Patch, RowRadius

Radius = np.ndarray | float


class Ball:
    """An array of balls. `rad` broadcasts to `mid`; the float 0.0 means exact.

    Where a :class:`RowRadius` describes the balls, both are spelled out on first use.
    """

    __slots__ = ("_mid", "_rad", "algebra", "errors", "log_of", "row_radius", "rows")

    def __init__(
        self,
        algebra: BallCore,
        mid: np.ndarray | None,
        rad: Radius | RowRadius = 0.0,
        log_of: RowExponentials | None = None,
    ) -> None:
        self.algebra = algebra
        self._mid = mid
        self._rad = None if isinstance(rad, RowRadius) else rad
        self.row_radius = rad if isinstance(rad, RowRadius) else None
        # Of logits: their exponentials, shared by every formula on them. Of log-probabilities: those of their logits.
        self.rows: RowExponentials | None = None
        self.log_of = log_of
        self.errors: ExponentErrors | None = None

    @property
    def mid(self) -> np.ndarray:
        """The midpoints."""
        if self._mid is None:
            assert self.row_radius is not None
            self._mid = self.row_radius.midpoints()
        return self._mid

    @property
    def rad(self) -> Radius:
        """The radii."""
        if self._rad is None:
            assert self.row_radius is not None
            self._rad = self.row_radius.dense()
        return self._rad

    def __add__(self, other: Self) -> Self:
        return self.algebra.added(self, other)  # type: ignore[return-value]

    def __sub__(self, other: Self) -> Self:
        return self.algebra.subtracted(self, other)  # type: ignore[return-value]

    def __mul__(self, other: Self) -> Self:
        radius = self.row_radius
        if radius is not None and radius.patch is None and (other.mid.ndim == 0 or other.mid.shape[-1] == 1):
            a = self.algebra.arithmetic
            product = radius.times(other.mid, other.rad).rounded(a.u_operation, a.eta_operation)
            return type(self)(self.algebra, None, product)
        mid = self.mid * other.mid
        return self.algebra.rounded(mid, _product_radius(self, other), underflows=True)  # type: ignore[return-value]

    def __truediv__(self, other: Self) -> Self:
        mid = self.mid / other.mid
        # (x + dx)/(y + dy) - x/y = (dx - (x/y) dy)/(y + dy)
        with np.errstate(invalid="ignore", divide="ignore"):
            smallest = np.abs(other.mid) - other.rad
            rad = np.where(smallest > 0.0, (self.rad + np.abs(mid) * other.rad) / smallest, np.inf)
        return self.algebra.rounded(mid, rad, underflows=True)  # type: ignore[return-value]

    def __neg__(self) -> Self:
        return type(self)(self.algebra, np.negative(self.mid), self.rad)


class BallCore(ABC):
    """Arithmetic, sums and selections on balls, charged with one arithmetic; what else there is builds on it."""

    def __init__(self, arithmetic: Arithmetic, *, encloses: bool = False) -> None:
        self.arithmetic = arithmetic
        self.encloses = encloses

    # -- elementwise ---------------------------------------------------------------------------------------------

    def exact(self, values: np.ndarray | float) -> Ball:
        """Floats taken as exact."""
        return Ball(self, np.asarray(values, dtype=np.float64))

    def ball(self, mid: np.ndarray, rad: Radius = 0.0) -> Ball:
        """A ball as it is, without a rounding."""
        return Ball(self, mid, rad)

    def added(self, a: Ball, b: Ball) -> Ball:
        """a + b."""
        return self.rounded(a.mid + b.mid, a.rad + b.rad)

    def subtracted(self, a: Ball, b: Ball) -> Ball:
        """a - b."""
        return self.rounded(a.mid - b.mid, a.rad + b.rad)

    def rounded(self, mid: np.ndarray, rad: Radius, *, underflows: bool = False) -> Ball:
        """The result of one stored operation: `rad` from its operands, and its own rounding on top."""
        u = self.arithmetic.u_operation
        bound = np.abs(mid)
        bound *= u
        bound += rad if isinstance(rad, float) else rad * (1.0 + u)
        if underflows:
            bound += self.arithmetic.eta_operation
        return Ball(self, mid, bound)

    def stored(self, mid: np.ndarray, rad: np.ndarray, log_of: RowExponentials | None = None) -> Ball:
        """A kernel's result on its way to memory."""
        a = self.arithmetic
        if a.u_store or a.eta_store:
            rad = rad + (a.u_store * (np.abs(mid) + rad) + a.eta_store)
        return Ball(self, mid, rad, log_of)

    def stored_multiple(self, radius: RowRadius) -> Ball:
        """A multiple of a softmax on its way to memory."""
        a = self.arithmetic
        return Ball(self, None, radius.rounded(a.u_store, a.eta_store) if a.u_store or a.eta_store else radius)

    def charged(self, a: Ball, roundings: int) -> Ball:
        """`a` after so many more stored operations of the candidate, relative to its value."""
        if self.encloses or not roundings:
            return a
        factor = phi(roundings * self.arithmetic.u_operation)
        if a.row_radius is not None and a.row_radius.patch is None:
            return Ball(self, None, a.row_radius.rounded(factor, 0.0), a.log_of)
        return Ball(self, a.mid, np.abs(a.mid) * factor + np.asarray(a.rad) * (1.0 + factor), a.log_of)

    def widened(self, a: Ball, extra: np.ndarray | float) -> Ball:
        """`a` with `extra` [rows, 1] more in every radius."""
        if a.row_radius is not None and a.row_radius.patch is None:
            return Ball(self, None, a.row_radius.widened(extra), a.log_of)
        return Ball(self, a.mid, a.rad + extra, a.log_of)

    def parameter(self, value: float | np.ndarray) -> Ball:
        """Numbers of the function's parameters, which a candidate rounds to the dtype it returns."""
        if self.encloses:
            return self.exact(value)
        u = max(self.arithmetic.u_operation, self.arithmetic.u_result)
        return Ball(self, np.asarray(value, dtype=np.float64), np.asarray(u * np.abs(value)))

    def exp(self, a: Ball, *, stored: bool = True) -> Ball:
        """Exponential; where `a` is a log-softmax, the exponentials of its rows are at hand.

        `stored=False` leaves the result inside its kernel.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mid = a.log_of.p if a.log_of is not None else np.exp(a.mid)
            error = np.asarray(a.rad)
            rad: np.ndarray = mid * growth(np.minimum(error, 1.0), self.arithmetic.e)
            if float(error.max(initial=0.0)) > 1.0:
                # exp(x + d) at once, lest 0 * inf make a NaN of what has vanished for good.
                upper = np.exp(a.mid + error)
                large = nan_to_infinite((upper - mid) + phi(self.arithmetic.e) * upper)
                rad = np.where(error <= 1.0, rad, large)
            rad = rad + self.arithmetic.eta
        return self.stored(mid, rad) if stored else Ball(self, mid, rad)

    def log(self, a: Ball) -> Ball:
        """Logarithm of positive numbers; unbounded where the ball reaches 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            mid = np.log(a.mid)
            ratio = np.divide(a.rad, a.mid)
            moved = np.where(ratio < 1.0, -np.log1p(-np.minimum(ratio, 1.0)), np.inf)
            rad = moved + self.arithmetic.l * (np.abs(mid) + moved)
        return self.stored(mid, nan_to_infinite(rad))

    # -- along the classes -----------------------------------------------------------------------------------------

    def sum(self, a: Ball) -> Ball:
        """Sum over the classes in a tree of the arithmetic's height."""
        return self.summed(a, self.arithmetic.height(a.mid.shape[-1]))

    def summed(self, a: Ball, height: int) -> Ball:
        """Sum over the last axis in a tree of `height`, stored."""
        mid = a.mid.sum(axis=-1, keepdims=True)
        magnitude = np.abs(a.mid).sum(axis=-1, keepdims=True)
        inherited = np.broadcast_to(np.asarray(a.rad), a.mid.shape).sum(axis=-1, keepdims=True)
        rad = inherited + height * self.arithmetic.u_sum * (magnitude + inherited)
        return self.stored(mid, rad)

    def others(self, a: Ball) -> Ball:
        """sum_{k != j} a_k; at the largest in size summed directly, elsewhere by subtraction."""
        top = np.argmax(np.abs(a.mid), axis=-1)[:, None]
        rest_mid = a.mid.copy()
        np.put_along_axis(rest_mid, top, 0.0, axis=-1)
        rest = self.sum(Ball(self, rest_mid, a.rad))
        result = self.sum(a) - a
        return self.replace(result, top[:, 0], rest)

    def take(self, a: Ball, labels: np.ndarray) -> Ball:
        """a at one class of each row, shape [rows, 1]."""
        index = labels[:, None]
        if a.row_radius is not None and a.row_radius.patch is None:
            return Ball(self, *a.row_radius.at(index))
        mid = np.take_along_axis(np.broadcast_to(a.mid, (len(labels), a.mid.shape[-1])), index, axis=-1)
        if isinstance(a.rad, float):
            return Ball(self, mid, a.rad)
        rad = np.broadcast_to(a.rad, (len(labels), a.mid.shape[-1]))
        return Ball(self, mid, np.take_along_axis(rad, index, axis=-1))

    def replace(self, a: Ball, labels: np.ndarray, values: Ball) -> Ball:
        """a with `values` at one class of each row."""
        index = labels[:, None]
        bound = np.broadcast_to(values.rad, index.shape)
        if a.row_radius is not None and a.row_radius.patch is None:
            return Ball(self, None, a.row_radius.patched(Patch(index, values.mid, bound)))
        mid = a.mid.copy()
        np.put_along_axis(mid, index, values.mid, axis=-1)
        rad = np.array(np.broadcast_to(a.rad, mid.shape))
        np.put_along_axis(rad, index, bound, axis=-1)
        return Ball(self, mid, rad)

    @abstractmethod
    def exponentials(self, z: Ball) -> RowExponentials:
        """The exponentials of the rows of z, computed once."""

    @abstractmethod
    def softmax(self, z: Ball) -> Ball:
        """exp(z_j) / sum_k exp(z_k)."""

    @abstractmethod
    def softmax_of_log(self, z: Ball) -> Ball:
        """exp of the stored log-softmax, inside the kernel that uses it."""

    @abstractmethod
    def logsumexp(self, z: Ball) -> Ball:
        """log sum_k exp(z_k)."""

    @abstractmethod
    def complement(self, z: Ball, at: np.ndarray | None = None) -> Ball:
        """1 - softmax."""

    @abstractmethod
    def center(self, g: Ball, z: Ball) -> Ball:
        """g_j - g_a with a the class of the largest logit."""


def _product_radius(a: Ball, b: Ball) -> Radius:
    # 0 * inf is a NaN here, and becomes an infinite radius where the tolerance is finished.
    with np.errstate(invalid="ignore", over="ignore"):
        if isinstance(a.rad, float) and a.rad == 0.0:
            return 0.0 if isinstance(b.rad, float) and b.rad == 0.0 else np.abs(a.mid) * b.rad
        if isinstance(b.rad, float) and b.rad == 0.0:
            return np.abs(b.mid) * a.rad
        return np.abs(a.mid) * b.rad + (np.abs(b.mid) + b.rad) * a.rad


def nan_to_infinite(rad: np.ndarray) -> np.ndarray:
    """Radii, infinite where nothing is known."""
    return np.where(np.isnan(rad), np.inf, rad)
