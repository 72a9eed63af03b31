"""Case inputs -> enclosures of the exact output and gradient, block by block.

Candidates in float16, bfloat16 and float32 are judged against float64 balls, whose radius is some 2^-29 of their
tolerance; float64 candidates against `arb`. No dense Jacobian is formed: a cotangent at a time is applied.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from gradaudit.errors import RequestError
from gradaudit.functions import by_tape, losses, margin, registry
from gradaudit.functions.interface import Function
from gradaudit.functions.rows import Rows
from gradaudit.numerics import arb_algebra, memory
from gradaudit.numerics.algebra import Algebra, N
from gradaudit.numerics.arb_algebra import ArbAlgebra, ArbArray
from gradaudit.numerics.arithmetic import FLOAT64
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.records.case import FORMULA
from gradaudit.records.inputs import Inputs
from gradaudit.reference import layout as layouts
from gradaudit.reference import special_values
from gradaudit.reference.block import Block, RowArrays, cut, row_arrays, select
from gradaudit.reference.layout import Layout
from gradaudit.reference.lift import Denominator, Lift, Parameters, denominator
from gradaudit.reference.special_values import Enclosed

KEPT_ELEMENTS = 1 << 20
"""Cases up to this size keep their blocks, so that every backend is measured against one computation."""

INFLATION = 1.0 + 2.0**-30
"""Radii are sums and products of non-negative float64: fewer than 2^22 roundings of 2^-53 each are made good."""


@dataclass(slots=True, eq=False)
class BlockTruth:
    """A block and its exact values; gradients are made per cotangent and kept."""

    block: Block
    rows: Rows[Ball]
    output: Enclosed
    gradients: dict[int | None, Enclosed] = field(default_factory=dict)


class Truth:
    """The exact results of one set of inputs.

    `units` are the cotangents of a per-output backward (None stands for the given upstream). `reduced` is true
    where the output is one number for all rows.
    """

    def __init__(self, inputs: Inputs) -> None:
        memory.keep_freed()
        self.inputs = inputs
        self.function: Function = registry.of_call(inputs.function)
        parameters = inputs.function.parameters
        refused = losses.needs_logits(inputs.function.name, self.function, parameters, inputs.reading)
        if refused is not None:
            raise RequestError(refused)
        self.elementwise = not self.function.has_row_output
        self.layout: Layout = layouts.of_inputs(inputs)
        cap = None if self.function.cap is None else parameters.get(self.function.cap)
        self.arrays: RowArrays = row_arrays(
            inputs, self.layout, elementwise=self.elementwise, cap=cap if isinstance(cap, float) else None
        )
        self.parameters = Parameters.of(parameters, inputs.reading, self.layout.active)
        margin.check_cosines(inputs.function, inputs.logits)
        self.reduced = self.parameters.reduction != "none"
        self.samples = layouts.samples(self.layout, parameters)
        self.denominator = denominator(self.arrays, self.parameters)
        if self.samples is not None:
            self.denominator = Denominator(None, self.layout.rows // (int(self.samples.max()) + 1))
        self.undefined_mean = self.reduced and self.denominator.value == 0.0
        self.rigorous = inputs.dtype == "float64"
        active = self.layout.active_classes
        self.units: tuple[int | None, ...] = (None,)
        if inputs.per_output:
            self.units = tuple(range(active)) if self.elementwise else (0,)
        self.spot_checked: int | None = None
        self._m = BallAlgebra(FLOAT64, encloses=True)
        self._kept: dict[int, BlockTruth] = {}
        self._losses: dict[int, Enclosed] = {}
        self._special = False

    def prepare(self) -> None:
        """Compute what will be kept, while workers import their frameworks."""
        if self._keeps():
            for truth in self.blocks():
                for unit in self.units[:64]:
                    self.gradient(truth, unit)

    def blocks(self) -> Iterator[BlockTruth]:
        """The blocks in order of rows."""
        for start, _ in self.layout.blocks():
            yield self.block_at(start)

    def block_at(self, start: int) -> BlockTruth:
        """The block that begins with row `start`."""
        known = self._kept.get(start)
        if known is None:
            stop = min(start + self.layout.block_rows, self.layout.rows)
            with np.errstate(all="ignore"):
                known = self._truth(cut(self.arrays, start, stop))
            if self._keeps():
                self._kept[start] = known
            self._special |= known.block.excluded is not None or bool(known.block.undefined.any())
            if self.reduced:
                self._losses[start] = known.output
        return known

    def gradient(self, truth: BlockTruth, unit: int | None) -> Enclosed:
        """Exact gradient of a block, [rows, n], under the cotangent `unit`."""
        known = truth.gradients.get(unit)
        if known is None:
            if self.rigorous:
                known = self.exact_gradient(truth.block, unit)
            else:
                known = self._policy_gradient(
                    _enclosed(self._ball_gradient(truth.rows, truth.block, unit)), truth.block
                )
            if self._keeps() or unit is None:
                truth.gradients[unit] = known
        return known

    def inactive_gradient(self, block: Block) -> Enclosed:
        """Gradient of a masked class's output, [rows, n]: no logit moves it."""
        zeros = np.zeros(block.logits.shape)
        return self._policy_gradient(Enclosed(zeros, None, zeros, None), block)

    def exact_output(self, block: Block, rows: np.ndarray | None = None) -> Enclosed:
        """Output of (some rows of) a block by `arb`, before any reduction."""
        part = block if rows is None else select(block, rows)
        with arb_algebra.precision():
            m = ArbAlgebra()
            return self._policy_output(_split(self.function.output(m, self._lift_arb(m).rows(part, 0))), part)

    def exact_gradient(
        self, block: Block, unit: int | None, rows: np.ndarray | None = None, columns: np.ndarray | None = None
    ) -> Enclosed:
        """Gradient of (some rows and columns of) a block by `arb`."""
        part = block if rows is None else select(block, rows)
        with arb_algebra.precision():
            m = ArbAlgebra()
            lifted = self._lift_arb(m).rows(part, unit)
            gradient = by_tape.gradient_of(self.function)(m, lifted)
            if lifted.factor is not None:
                gradient = gradient * lifted.factor
            gradient = np.broadcast_to(gradient, part.logits.shape)
            return self._policy_gradient(_split(gradient if columns is None else gradient[:, columns]), part)

    def reduced_output(self) -> Enclosed:
        """The sum or mean of the rows' losses, shape [1, 1]; [samples, 1] where each sample has its own mean."""
        if self.samples is not None:
            return self._means_of_samples(self.samples)
        starts = [start for start, _ in self.layout.blocks()]
        # The rows' losses are few beside their gradients: they are kept from whoever walked the blocks first.
        parts = [self._losses[start] if start in self._losses else self.block_at(start).output for start in starts]
        mids = np.concatenate([part.mid.ravel() for part in parts])
        left_open = any(part.open is not None and part.open.any() for part in parts)
        # A row's loss may leave float64's range where the mean of all rows does not.
        overflows_only = self.rigorous and not self._special
        if self.undefined_mean or left_open or not (overflows_only or np.isfinite(mids).all()):
            # 0 / 0 is a NaN; of anything else over 0 both a NaN and an infinity are seen.
            left_open |= self.undefined_mean and bool(np.any(mids != 0.0))
            due = np.nan if self.undefined_mean or left_open else float(mids.sum())
            return Enclosed(np.full((1, 1), due), None, np.zeros((1, 1)), np.full((1, 1), left_open))
        if self.rigorous:
            return self.exact_reduced()
        den = self.denominator
        total, radius = math.fsum(mids), math.fsum(float(part.rad.sum()) for part in parts)
        mid = total / den.value
        terms = 0 if den.terms is None else len(den.terms)
        # fsum and the quotient round once each; a sum of weights up to once a term.
        rad = radius / den.value + (2 + terms) * FLOAT64.u * abs(mid) + FLOAT64.eta
        return Enclosed(np.array([[mid]]), None, np.array([[rad * INFLATION]]), None)

    def exact_reduced(self) -> Enclosed:
        """The sum or mean of the rows' losses by `arb`."""
        with arb_algebra.precision():
            m = ArbAlgebra()
            lift = self._lift_arb(m)
            total = m.exact(np.zeros((1 if self.samples is None else int(self.samples.max()) + 1, 1)))
            for truth in self.blocks():
                losses = self.function.output(m, lift.rows(truth.block, 0))
                if self.samples is None:
                    total = total + losses.sum()
                else:
                    np.add.at(total, self.samples[truth.block.start : truth.block.stop], losses)
            result = total if lift.denominator is None else total / lift.denominator
            return _split(result)

    def _means_of_samples(self, samples: np.ndarray) -> Enclosed:
        parts = [truth.output for truth in self.blocks()]
        mids = np.concatenate([part.mid.ravel() for part in parts])
        rads = np.concatenate([np.broadcast_to(part.rad, part.mid.shape).ravel() for part in parts])
        left_open = np.concatenate(
            [np.zeros(part.mid.size, bool) if part.open is None else part.open.ravel() for part in parts]
        )
        count = int(samples.max()) + 1
        opened = np.asarray(np.bincount(samples, weights=left_open, minlength=count)) > 0.0
        # Every sample has as many rows as any other.
        grouped = mids[np.argsort(samples, kind="stable")].reshape(count, -1)
        total = np.array([math.fsum(own) if np.isfinite(own).all() else own.sum() for own in grouped])
        if self.rigorous and np.isfinite(total).all():
            return self.exact_reduced()
        mid, radius = total / self.denominator.value, np.bincount(samples, weights=rads, minlength=count)
        # As for one mean: fsum and the quotient round once each.
        rad = (radius / self.denominator.value + 2 * FLOAT64.u * np.abs(mid) + FLOAT64.eta) * INFLATION
        rad = np.where(np.isfinite(mid), rad, 0.0)
        return Enclosed(np.where(opened, np.nan, mid)[:, None], None, rad[:, None], opened[:, None])

    def row_sums(self, block: Block, unit: int | None) -> np.ndarray:
        """What the gradient of each row adds up to, [rows]: 0, the upstream gradient of a logsumexp, or whatever."""
        parameters = self.inputs.function.parameters
        rule = self.function.gradient_row_sum
        if (
            rule == "varies"
            or self.inputs.reading != "logits"
            or parameters.get("softcap")
            or parameters.get("z_loss")
        ):
            exact = self.gradient(self.block_at(block.start), unit)
            low = np.zeros_like(exact.mid) if exact.low is None else exact.low
            finite = np.isfinite(exact.mid).all(axis=-1)
            pairs = zip(exact.mid, low, finite, strict=True)
            return np.array([math.fsum([*row, *rest]) if sound else math.nan for row, rest, sound in pairs])
        if rule == "zero":
            return np.zeros(len(block.logits))
        lifted = self._lift_ball().rows(block, unit)
        factor = 1.0 if lifted.factor is None else lifted.factor.mid
        return np.broadcast_to(lifted.upstream.mid * factor, (len(block.logits), 1))[:, 0]

    def target_gradient(self, truth: BlockTruth) -> Enclosed:
        """dL / dq [rows, n] of probability targets q under the given upstream gradient, in every active class.

        Left open where it is infinite: at classes without probability, and for a divergence where q is 0.
        """
        block = truth.block
        assert block.soft is not None, "labels have no derivative"
        found: Enclosed
        if self.rigorous:
            with arb_algebra.precision():
                m = ArbAlgebra()
                found = _split(self.target_gradient_in(m, self._lift_arb(m).rows(block, self.units[0]), block))
        else:
            with np.errstate(all="ignore"):
                found = _enclosed(self.target_gradient_in(self._m, truth.rows, block))
        infinite = np.zeros(block.logits.shape, dtype=bool) if block.excluded is None else block.excluded
        if self.function.name == "kl_divergence":
            infinite = infinite | (block.soft == 0.0)
        return self._policy_gradient(
            Enclosed(np.where(infinite, np.nan, found.mid), found.low, found.rad, None), block
        )

    def target_gradient_in(self, m: Algebra[N], rows: Rows[N], block: Block) -> N:
        """dL / dq in any algebra, from a block's rows in it."""
        gradient = m.expand(by_tape.target_gradient(self.function.output, m, rows), block.logits.shape)
        # A target q enters as the mass w (1 - eps) q.
        if self.parameters.label_smoothing:
            gradient = gradient * (m.exact(1.0) - m.parameter(self.parameters.label_smoothing))
        return gradient if block.weight is None else gradient * m.exact(block.weight[None, :])

    def hessian_vector(self, truth: BlockTruth, direction: np.ndarray, unit: int | None = None) -> Enclosed:
        """d/dx of <gradient, direction>, [rows, n]: a tape over a tape, enclosed like the gradient.

        `direction` [rows, n] holds exact floats at the active classes.
        """
        block = truth.block
        if self.rigorous:
            with arb_algebra.precision():
                m = ArbAlgebra()
                found = _split(self.hessian_vector_in(m, self._lift_arb(m).rows(block, unit), direction))
        else:
            with np.errstate(all="ignore"):
                own = truth.rows if unit == self.units[0] else self._lift_ball().rows(block, unit)
                found = _enclosed(self.hessian_vector_in(self._m, own, direction))
        return self._policy_gradient(found, block)

    def hessian_vector_in(self, m: Algebra[N], rows: Rows[N], direction: np.ndarray) -> N:
        """The product with the Hessian in any algebra, from a block's rows in it."""
        along = m.exact(direction)
        if rows.factor is None:
            return by_tape.hessian_vector(self.function, m, rows, along)
        return by_tape.hessian_vector(self.function, m, rows, along * rows.factor) * rows.factor

    def _keeps(self) -> bool:
        elements = self.layout.rows * self.layout.classes
        return elements * max(1, len(self.units)) <= KEPT_ELEMENTS

    def _truth(self, block: Block) -> BlockTruth:
        rows = self._lift_ball().rows(block, self.units[0])
        if self.rigorous:
            output = self.exact_output(block)
        else:
            output = self._policy_output(_enclosed(self.function.output(self._m, rows)), block)
        return BlockTruth(block, rows, output)

    def _ball_gradient(self, rows: Rows[Ball], block: Block, unit: int | None) -> Ball:
        own = rows if unit == self.units[0] else self._lift_ball().rows(block, unit)
        own.z.rows = rows.z.rows
        with np.errstate(all="ignore"):
            gradient = by_tape.gradient_of(self.function)(self._m, own)
        return gradient if own.factor is None else gradient * own.factor

    def _lift_ball(self) -> Lift[Ball]:
        return Lift(self._m, self.parameters, self._denominator(self._m), self.elementwise)

    def _denominator(self, m: BallAlgebra) -> Ball | None:
        den = self.denominator
        if not self.reduced or self.parameters.reduction == "sum" or den.value == 0.0:
            return None
        if den.terms is None:
            return m.exact(np.array([[float(den.count)]]))
        return m.sum(m.exact(den.terms[None, :]))

    def _lift_arb(self, m: ArbAlgebra) -> Lift[ArbArray]:
        den: ArbArray | None = None
        if self.parameters.reduction == "mean" and self.denominator.value != 0.0:
            terms = self.denominator.terms
            den = (
                m.exact(np.array([[float(self.denominator.count)]])) if terms is None else m.sum(m.exact(terms[None]))
            )
        return Lift(m, self.parameters, den, self.elementwise)

    def _policy_output(self, enclosed: Enclosed, block: Block) -> Enclosed:
        mass = None
        if block.excluded is not None and self.function.takes_targets and not self.elementwise:
            mass = self.target_mass(block)
        return special_values.apply_to_output(enclosed, block, self.function.name, mass)

    def _own_gradient(self) -> bool:
        return self.function.gradient is not None and self.inputs.reading == "logits"

    def _policy_gradient(self, enclosed: Enclosed, block: Block) -> Enclosed:
        return special_values.apply_to_gradient(
            enclosed,
            block,
            undefined_mean=self.undefined_mean,
            poles=self.inputs.reading == "probabilities",
            quotients=not self._own_gradient(),
            limits=self.function.name != FORMULA,
        )

    def log_probability_gradient(self, truth: BlockTruth) -> np.ndarray:
        """|dL / d log p_j| [rows, n] in float64: target mass times upstream, or the upstream itself."""
        upstream = np.abs(truth.rows.upstream.mid)
        if len(self.units) > 1:
            return np.ones(truth.block.logits.shape)
        if not self.function.takes_targets:
            return np.broadcast_to(upstream, truth.block.logits.shape)
        return self.target_mass(truth.block) * upstream

    def target_mass(self, block: Block) -> np.ndarray:
        """t [rows, n] in float64, for the policy table."""
        targets = Lift(self._m, self.parameters, None, self.elementwise).rows(block, 0).targets
        assert targets is not None
        if targets.dense is not None:
            return np.broadcast_to(targets.dense.mid, block.logits.shape)
        assert targets.labels is not None
        assert targets.mass is not None
        dense = np.zeros(block.logits.shape)
        np.put_along_axis(dense, targets.labels[:, None], targets.mass.mid, axis=-1)
        return dense


def _enclosed(ball: Ball) -> Enclosed:
    return Enclosed(ball.mid, None, ball, None, INFLATION)


def _split(a: ArbArray) -> Enclosed:
    high, low, rad = arb_algebra.split(a)
    return Enclosed(high, low, rad, None)
