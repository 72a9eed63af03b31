"""Case inputs and a tolerance row -> how far a sound candidate may be from the exact value, element by element."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gradaudit.functions.rows import Rows
from gradaudit.numerics import arithmetic as arithmetics
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.numerics.bounds import phi
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.lift import Lift
from gradaudit.reference.truth import BlockTruth, Truth


@dataclass(slots=True, eq=False)
class BlockTolerance:
    """The rows of a block under a candidate's arithmetic."""

    truth: BlockTruth
    rows: Rows[Ball]


class Tolerance:
    """Tolerances of one set of inputs under one row."""

    def __init__(self, truth: Truth, row: ToleranceRow) -> None:
        self.truth = truth
        self.row = row
        self.m = BallAlgebra(arithmetics.of_profile(row.profile))
        self._lift = Lift(self.m, truth.parameters, self._denominator(), truth.elementwise)

    def block(self, truth: BlockTruth) -> BlockTolerance:
        """The block's rows, sharing the exponentials of the enclosure."""
        rows = self._lift.rows(truth.block, self.truth.units[0])
        rows.z.rows = truth.rows.z.algebra.exponentials(truth.rows.z)
        return BlockTolerance(truth, rows)

    def output(self, block: BlockTolerance) -> np.ndarray:
        """Tolerance of the forward result, [rows, n or 1], before any reduction."""
        ball = self.row.program.output(self.m, block.rows)
        return self._final(ball, block)

    def gradient(self, block: BlockTolerance, unit: int | None) -> np.ndarray:
        """Tolerance of the gradient, [rows, n], under the cotangent `unit`."""
        rows = block.rows
        if unit != self.truth.units[0]:
            own = self._lift.rows(block.truth.block, unit)
            rows = replace(rows, upstream=own.upstream)
        with np.errstate(over="ignore", invalid="ignore"):
            ball = self.row.program.gradient(self.m, rows)
            if rows.factor is not None:
                ball = ball * rows.factor
        return self._final(ball, block)

    def reduced(self, losses: float, tolerances: float) -> float:
        """Tolerance of the mean or sum, from the sums of |loss| and of the losses' tolerances over all rows.

        docs/numerics.md, "Reductions": one tree over the rows, the denominator's own error, the quotient.
        """
        a, den = self.m.arithmetic, self.truth.denominator
        if not math.isfinite(tolerances):
            return math.inf
        total = tolerances + a.height(self.truth.layout.rows) * a.u_reduction * (losses + tolerances)
        total += a.u_operation * (losses + total) + a.eta_operation
        if self.truth.parameters.reduction == "mean":
            total = (total + (losses + total) * phi(self._denominator_error())) / den.value
            losses /= den.value
            total += 2.0 * a.u_operation * (losses + total) + a.eta_operation
        return total + a.u_result * (losses + total) + a.eta_result

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

    def _final(self, ball: Ball, block: BlockTolerance) -> np.ndarray:
        """The radius; ignored rows are due exactly."""
        rad = np.array(np.broadcast_to(np.asarray(ball.rad), ball.mid.shape))
        a = self.m.arithmetic
        if a.u_result:
            rad += a.u_result * (np.abs(ball.mid) + rad) + a.eta_result
        rad[np.isnan(rad)] = np.inf
        counted = block.truth.block.counted
        if not counted.all():
            rad[~counted] = 0.0
        return rad
