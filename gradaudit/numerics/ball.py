"""Ball arithmetic on NumPy arrays: a float64 midpoint and an absolute radius for every element.

One calculus serves two purposes. Charged with float64's own arithmetic (`encloses=True`), the radius bounds
|midpoint - exact value|: an enclosure. Charged with a candidate's arithmetic, it bounds how far the candidate's
computed value may lie from the exact one: a tolerance. Every bound is a running one: an operation with unit
roundoff u adds u (|result| + radius) to what its operands bring along (docs/numerics.md, "Running bounds").
"""

from __future__ import annotations

import numpy as np

from gradaudit.numerics.ball_core import Ball, Radius
from gradaudit.numerics.ball_primitives import BallPrimitives
from gradaudit.numerics.bounds import phi
from gradaudit.numerics.exponentials import (
    AFFINE_LIMIT,
    ExponentErrors,
    RowExponentials,
    exponent_errors,
    grown,
)
from gradaudit.numerics.row_radius import RowRadius

__all__ = ["Ball", "BallAlgebra", "Radius"]


class BallAlgebra(BallPrimitives):
    """The primitives of :class:`gradaudit.numerics.algebra.Algebra` on balls, charged with one arithmetic."""

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

    def center(self, g: Ball, z: Ball) -> Ball:
        """g_j - g_a with a the class of the largest logit: exactly 0 at a."""
        top = self.exponentials(z).argmax[:, 0]
        return self.replace(g - self.take(g, top), top, self.exact(np.zeros((len(top), 1))))
