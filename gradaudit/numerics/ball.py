"""Ball arithmetic on NumPy arrays: a float64 midpoint and an absolute radius for every element.

One calculus serves two purposes. Charged with float64's own arithmetic (`encloses=True`), the radius bounds
|midpoint - exact value|: an enclosure. Charged with a candidate's arithmetic, it bounds how far the candidate's
computed value may lie from the exact one: a tolerance. Every bound is a running one: an operation with unit
roundoff u adds u (|result| + radius) to what its operands bring along (docs/numerics.md, "Running bounds").
"""

from __future__ import annotations

from typing import Self

import numpy as np

from gradaudit.numerics.arithmetic import Arithmetic
from gradaudit.numerics.bounds import growth, phi
from gradaudit.numerics.exponentials import (
    AFFINE_LIMIT,
    ExponentErrors,
    RowExponentials,
    exponent_errors,
    grown,
)
from gradaudit.numerics.row_radius import Patch, RowRadius

Radius = np.ndarray | float


class Ball:
    """An array of balls. `rad` broadcasts to `mid`; the float 0.0 means exact.

    Where a :class:`RowRadius` describes the balls, both are spelled out on first use.
    """

    __slots__ = ("_mid", "_rad", "algebra", "errors", "row_radius", "rows")

    def __init__(
        self,
        algebra: BallAlgebra,
        mid: np.ndarray | None,
        rad: Radius | RowRadius = 0.0,
        rows: RowExponentials | None = None,
    ) -> None:
        self.algebra = algebra
        self._mid = mid
        self._rad = None if isinstance(rad, RowRadius) else rad
        self.row_radius = rad if isinstance(rad, RowRadius) else None
        # Of logits: their exponentials, shared by every formula on them; of a log-softmax: those of its logits.
        self.rows = rows
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
        return self.algebra.rounded(self.mid + other.mid, self.rad + other.rad)  # type: ignore[return-value]

    def __sub__(self, other: Self) -> Self:
        return self.algebra.rounded(self.mid - other.mid, self.rad + other.rad)  # type: ignore[return-value]

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


class BallAlgebra:
    """The primitives of :class:`gradaudit.numerics.algebra.Algebra` on balls, charged with one arithmetic."""

    def __init__(self, arithmetic: Arithmetic, *, encloses: bool = False) -> None:
        self.arithmetic = arithmetic
        self.encloses = encloses

    # -- elementwise ---------------------------------------------------------------------------------------------

    def exact(self, values: np.ndarray | float) -> Ball:
        """Floats taken as exact."""
        return Ball(self, np.asarray(values, dtype=np.float64))

    def rounded(self, mid: np.ndarray, rad: Radius, *, underflows: bool = False) -> Ball:
        """The result of one stored operation: `rad` from its operands, and its own rounding on top."""
        u = self.arithmetic.u_operation
        bound = np.abs(mid)
        bound *= u
        bound += rad if isinstance(rad, float) else rad * (1.0 + u)
        if underflows:
            bound += self.arithmetic.eta_operation
        return Ball(self, mid, bound)

    def stored(self, mid: np.ndarray, rad: np.ndarray, rows: RowExponentials | None = None) -> Ball:
        """A kernel's result on its way to memory."""
        a = self.arithmetic
        if a.u_store or a.eta_store:
            rad = rad + (a.u_store * (np.abs(mid) + rad) + a.eta_store)
        return Ball(self, mid, rad, rows)

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
            return Ball(self, None, a.row_radius.rounded(factor, 0.0), a.rows)
        return Ball(self, a.mid, np.abs(a.mid) * factor + np.asarray(a.rad) * (1.0 + factor), a.rows)

    def widened(self, a: Ball, extra: np.ndarray | float) -> Ball:
        """`a` with `extra` [rows, 1] more in every radius."""
        if a.row_radius is not None and a.row_radius.patch is None:
            return Ball(self, None, a.row_radius.widened(extra), a.rows)
        return Ball(self, a.mid, a.rad + extra, a.rows)

    def parameter(self, value: float) -> Ball:
        """A number of the function's parameters, which a candidate rounds to the dtype it returns."""
        if self.encloses:
            return self.exact(value)
        u = max(self.arithmetic.u_operation, self.arithmetic.u_result)
        return Ball(self, np.asarray(value, dtype=np.float64), np.asarray(u * abs(value)))

    def exp(self, a: Ball, *, stored: bool = True) -> Ball:
        """Exponential; where `a` is a log-softmax, the exponentials of its rows are at hand.

        `stored=False` leaves the result inside its kernel.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mid = a.rows.p if a.rows is not None else np.exp(a.mid)
            error = np.asarray(a.rad)
            rad: np.ndarray = mid * growth(np.minimum(error, 1.0), self.arithmetic.e)
            if float(error.max(initial=0.0)) > 1.0:
                # exp(x + d) at once, lest 0 * inf make a NaN of what has vanished for good.
                upper = np.exp(a.mid + error)
                large = _nan_to_infinite((upper - mid) + phi(self.arithmetic.e) * upper)
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
        return self.stored(mid, _nan_to_infinite(rad))

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
        """sum_{k != j} a_k of numbers >= 0; at the largest summed directly, elsewhere by subtraction."""
        top = np.argmax(a.mid, axis=-1)[:, None]
        rest_mid = a.mid.copy()
        np.put_along_axis(rest_mid, top, 0.0, axis=-1)
        rest = self.sum(Ball(self, rest_mid, a.rad))
        result = self.sum(a) - a
        return self.replace(result, top[:, 0], rest)

    def center(self, g: Ball, z: Ball) -> Ball:
        """g_j - g_a with a the class of the largest logit: exactly 0 at a."""
        top = self.exponentials(z).argmax[:, 0]
        return self.replace(g - self.take(g, top), top, self.exact(np.zeros((len(top), 1))))

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

    # -- softmax and its kin ---------------------------------------------------------------------------------------

    def exponentials(self, z: Ball) -> RowExponentials:
        """The exponentials of the rows of z, computed once."""
        if z.rows is None:
            z.rows = RowExponentials(z.mid)
        return z.rows

    def exponent_errors(self, z: Ball) -> ExponentErrors:
        """What the shifted exponents of z and their sums may be off by, computed once."""
        if z.errors is None:
            z.errors = exponent_errors(self.exponentials(z), z.rad, self.arithmetic)
        return z.errors

    def softmax(self, z: Ball) -> Ball:
        """exp(z - max z) / sum, one kernel: p R(E, e + sigma + 2 u) + eta."""
        rows, errors, a = self.exponentials(z), self.exponent_errors(z), self.arithmetic
        factors, floor = a.e + errors.sigma + 2.0 * a.u + a.u_exponential, a.eta + a.eta_exponential
        if errors.linear is not None:
            factor = phi(factors)
            return self.stored_multiple(RowRadius(rows, 1.0, errors.linear * (1.0 + factor), factor, floor))
        return self.stored(rows.p, grown(rows, errors, factors) + floor)

    def softmax_of_log(self, z: Ball) -> Ball:
        """exp of the stored log-softmax, inside the kernel that uses it: p R(b, e) + eta."""
        rows, errors, a = self.exponentials(z), self.exponent_errors(z), self.arithmetic
        if errors.linear is not None:
            slope, offset = self._log_bound(rows, errors)
            largest = slope * rows.widest + offset
            if float(largest.max()) <= AFFINE_LIMIT:
                # exp(b) - 1 <= b / (1 - b/2)
                straight = (1.0 + phi(a.e)) / (1.0 - 0.5 * largest)
                return Ball(self, None, RowRadius(rows, 1.0, slope * straight, offset * straight + phi(a.e), a.eta))
        return self.exp(self.log_softmax(z), stored=False)

    def log_softmax(self, z: Ball, at: np.ndarray | None = None) -> Ball:
        """(z - max z) - log sum, one kernel: row S of docs/numerics.md; with `at`, at one class of each row."""
        rows, errors, u = self.exponentials(z), self.exponent_errors(z), self.arithmetic.u
        index = None if at is None else at[:, None]
        mid = rows.log_p if index is None else -np.take_along_axis(rows.gap, index, axis=-1) - rows.log_total
        error = errors.error
        if error is None:
            error = u * (rows.gap if index is None else np.take_along_axis(rows.gap, index, axis=-1))
        elif index is not None:
            error = np.take_along_axis(error, index, axis=-1)
        rad: np.ndarray = (error + errors.alpha) * (1.0 + u) + u * np.abs(mid)
        if self.encloses:
            if index is None:
                np.put_along_axis(rad, rows.argmax, self._log1p_radius(z), axis=-1)
            else:
                rad = np.where(index == rows.argmax, self._log1p_radius(z), rad)
        return self.stored(mid, rad, rows if index is None else None)

    def _log_bound(self, rows: RowExponentials, errors: ExponentErrors) -> tuple[np.ndarray, np.ndarray]:
        """Error of the stored log-softmax as slope * t_j + offset, from |log p_j| = t_j + log s."""
        a = self.arithmetic
        grow = 1.0 + a.u
        slope = np.broadcast_to(np.asarray(a.u * grow + a.u), errors.alpha.shape)
        offset = errors.alpha * grow + a.u * rows.log_total
        if a.u_store:
            slope = slope * (1.0 + a.u_store) + a.u_store
            offset = offset * (1.0 + a.u_store) + a.u_store * rows.log_total + a.eta_store
        return slope, offset

    def logsumexp(self, z: Ball) -> Ball:
        """max z + log sum, one kernel: row M of docs/numerics.md."""
        rows, alpha, u = self.exponentials(z), self.exponent_errors(z).alpha, self.arithmetic.u
        mid = rows.top + rows.log_total
        return self.stored(mid, alpha + u * (np.abs(mid) + alpha))

    def complement(self, z: Ball, at: np.ndarray | None = None) -> Ball:
        """1 - softmax; at the largest class the sum of the other weights over the sum of all."""
        rows, errors, a = self.exponentials(z), self.exponent_errors(z), self.arithmetic
        p = self.softmax(z)
        rest, moved = rows.rest, self._rest_radius(z)
        factor = phi(errors.sigma + a.u)
        top = Ball(self, rest / rows.total, (moved * (1.0 + factor) + rest * factor) / rows.total + a.eta)
        if at is None:
            return self.replace(self.exact(1.0) - p, rows.argmax[:, 0], top)
        plain = self.exact(1.0) - self.take(p, at)
        wins = at[:, None] == rows.argmax
        return Ball(self, np.where(wins, top.mid, plain.mid), np.where(wins, top.rad, plain.rad))

    def _rest_radius(self, z: Ball) -> np.ndarray:
        """Absolute error of the sum of all weights but the largest class's own."""
        rows, errors, a = self.exponentials(z), self.exponent_errors(z), self.arithmetic
        if errors.linear is not None:
            # sum_{i != a} w_i (linear t_i (1 + phi(e)) + phi(e)); the largest class has t = 0.
            factor = phi(a.e)
            total: np.ndarray = errors.linear * (1.0 + factor) * rows.spread * rows.total + factor * rows.rest
        else:
            moved = grown(rows, errors, a.e) * rows.total
            np.put_along_axis(moved, rows.argmax, 0.0, axis=-1)
            total = moved.sum(axis=-1, keepdims=True)
        total = total + rows.n * a.eta
        return total + a.height(rows.n) * a.u_sum * (rows.rest + total)

    def _log1p_radius(self, z: Ball) -> np.ndarray:
        """Error of log1p(rest): its condition number is at most 1, so a small loss keeps its digits."""
        rows, shift = self.exponentials(z), self.exponent_errors(z).shift
        moved = self._rest_radius(z)
        # Against the largest weight's own 1, the error that the row's exponents share does not cancel.
        moved = moved + (rows.rest + moved) * np.expm1(shift)
        with np.errstate(invalid="ignore", divide="ignore"):
            argument = np.where(moved < 1.0 + rows.rest, moved / (1.0 + rows.rest - moved), np.inf)
        return argument + self.arithmetic.l * (rows.log_total + argument) + self.arithmetic.eta


def _product_radius(a: Ball, b: Ball) -> Radius:
    # 0 * inf is a NaN here, and becomes an infinite radius where the tolerance is finished.
    with np.errstate(invalid="ignore", over="ignore"):
        if isinstance(a.rad, float) and a.rad == 0.0:
            return 0.0 if isinstance(b.rad, float) and b.rad == 0.0 else np.abs(a.mid) * b.rad
        if isinstance(b.rad, float) and b.rad == 0.0:
            return np.abs(b.mid) * a.rad
        return np.abs(a.mid) * b.rad + (np.abs(b.mid) + b.rad) * a.rad


def _nan_to_infinite(rad: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(rad), np.inf, rad)
