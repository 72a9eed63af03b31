"""Case inputs and a tolerance row -> how far a sound candidate may be from the exact value, element by element."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gradaudit.functions.rows import Rows
from gradaudit.numerics import arithmetic as arithmetics
from gradaudit.numerics.ball import Ball, BallAlgebra
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
        total = tolerances + a.height(self.truth.layout.rows) * a.u_sum * (losses + tolerances)
        total += a.u_operation * (losses + total) + a.eta_operation
        if self.truth.parameters.reduction == "sum":
            return total
        relative = a.u_operation if den.terms is None else a.height(len(den.terms)) * a.u_sum + a.u_operation
        mean = (total + (losses + total) * relative) / den.value
        return mean + 2.0 * a.u_operation * (losses / den.value + mean) + a.eta_operation

    def _denominator(self) -> Ball | None:
        truth = self.truth
        if truth.parameters.reduction != "mean" or truth.denominator.value == 0.0:
            return None
        terms = truth.denominator.terms
        if terms is None:
            return self.m.charged(self.m.exact(np.array([[float(truth.denominator.count)]])), 1)
        return self.m.charged(self.m.sum(self.m.exact(terms[None, :])), 1)

    def _final(self, ball: Ball, block: BlockTolerance) -> np.ndarray:
        """The radius; ignored rows are due exactly."""
        rad = np.array(np.broadcast_to(np.asarray(ball.rad), ball.mid.shape))
        rad[np.isnan(rad)] = np.inf
        counted = block.truth.block.counted
        if not counted.all():
            rad[~counted] = 0.0
        return rad
