"""Case inputs and a tolerance row -> how far a sound candidate may be from the exact value, element by element."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gradaudit.functions.rows import Rows
from gradaudit.numerics import arithmetic as arithmetics
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.numerics.bounds import phi
from gradaudit.numerics.row_radius import RowRadius
from gradaudit.reference.formulations.formulated import Formulated
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.lift import Lift
from gradaudit.reference.special_values import Enclosed
from gradaudit.reference.truth import BlockTruth, Truth


@dataclass(slots=True, eq=False)
class BlockTolerance:
    """The rows of a block under a candidate's arithmetic."""

    truth: BlockTruth
    rows: Rows[Ball]


@dataclass(frozen=True, slots=True, eq=False)
class Allowance:
    """Tolerances of a block, `values` [rows, n or 1]; `radius` describes them by row where that is possible."""

    values: np.ndarray
    radius: RowRadius | None

    def dwarfs(self, exact: Enclosed, share: float) -> bool:
        """Whether the enclosure's radius is known to be at most `share` of every tolerance."""
        ball = exact.ball
        if self.radius is None or ball is None or ball.row_radius is None:
            return False
        return ball.row_radius.within(self.radius, share / exact.inflation)


class Tolerance:
    """Tolerances of one set of inputs under one row."""

    def __init__(self, truth: Truth, row: ToleranceRow, formulated: type[Formulated] = Formulated) -> None:
        self.truth = truth
        self.row = row
        self.m = _algebra(truth, row, formulated)
        self._lift = Lift(self.m, truth.parameters, self._denominator(), truth.elementwise, row.profile.reciprocals)

    def block(self, truth: BlockTruth) -> BlockTolerance:
        """The block's rows, sharing the exponentials of the enclosure."""
        with np.errstate(all="ignore"):
            rows = self._lift.rows(truth.block, self.truth.units[0])
            rows.z.rows = truth.rows.z.algebra.exponentials(truth.rows.z)
        return BlockTolerance(truth, rows)

    def output(self, block: BlockTolerance) -> Allowance:
        """Tolerance of the forward result, [rows, n or 1], before any reduction."""
        # Whatever leaves float64's range on the way ends as an infinite tolerance.
        with np.errstate(all="ignore"):
            return self._final(self.row.program.output(self.m, block.rows), block, ignores=not self.truth.elementwise)

    def gradient(self, block: BlockTolerance, unit: int | None) -> Allowance:
        """Tolerance of the gradient, [rows, n], under the cotangent `unit`."""
        rows = block.rows
        with np.errstate(all="ignore"):
            if unit != self.truth.units[0]:
                rows = replace(rows, upstream=self._lift.rows(block.truth.block, unit).upstream)
            ball = self.row.program.gradient(self.m, rows)
            return self._final(ball if rows.factor is None else ball * rows.factor, block)

    def reduced(self, losses: float, tolerances: float) -> float:
        """Tolerance of the mean or sum, from the sums of |loss| and of the losses' tolerances over its rows.

        docs/numerics.md, "Reductions": one tree over the rows, the denominator's own error, the quotient.
        """
        a, den = self.m.arithmetic, self.truth.denominator
        if not math.isfinite(tolerances):
            return math.inf
        count = self.truth.layout.rows if self.truth.samples is None else den.count
        total = tolerances + a.height(count) * a.u_reduction * (losses + tolerances)
        total += a.u_operation * (losses + total) + a.eta_operation
        if self.truth.parameters.reduction == "mean":
            total = (total + (losses + total) * phi(self._denominator_error())) / den.value
            losses /= den.value
            total += 2.0 * a.u_operation * (losses + total) + a.eta_operation
        total += a.u_result * (losses + total) + a.eta_result
        return math.inf if math.isnan(total) else total

    def _denominator_error(self) -> float:
        """Relative error of the mean's denominator, a sum over the rows; a count is exact while it is small."""
        a, den = self.m.arithmetic, self.truth.denominator
        if den.terms is None and den.count * a.u_reduction <= 1.0:
            return a.u_operation
        return a.height(den.count) * a.u_reduction + a.u_operation

    def _denominator(self) -> Ball | None:
        den = self.truth.denominator
        if self.truth.parameters.reduction != "mean" or den.value == 0.0:
            return None
        return Ball(self.m, np.array([[den.value]]), np.array([[den.value * phi(self._denominator_error())]]))

    def _final(self, ball: Ball, block: BlockTolerance, *, ignores: bool = True) -> Allowance:
        """The radius; ignored rows are due exactly, where this is what they are ignored in."""
        a, radius = self.m.arithmetic, ball.row_radius
        if radius is not None and radius.patch is None and a.u_result:
            radius = radius.rounded(a.u_result, a.eta_result)
        elif a.u_result:
            radius = None
        if radius is not None:
            values = radius.dense()
        else:
            values = np.array(np.broadcast_to(np.asarray(ball.rad), ball.mid.shape))
            if a.u_result:
                values += a.u_result * (np.abs(ball.mid) + values) + a.eta_result
        if np.isnan(values.max(initial=0.0)):
            values[np.isnan(values)] = np.inf
        counted = block.truth.block.counted
        if ignores and not counted.all():
            values[~counted] = 0.0
        return Allowance(values, radius)


def _algebra(truth: Truth, row: ToleranceRow, formulated: type[Formulated]) -> BallAlgebra:
    arithmetic = arithmetics.of_profile(row.profile)
    if row.primitives is None:
        return BallAlgebra(arithmetic)
    return formulated(arithmetic, row.primitives, truth.denominator.value, truth.layout.rows)
