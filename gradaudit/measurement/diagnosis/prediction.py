"""What a model says that a faulty function returns on given inputs, with how far a faithful execution may be off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics.ball import Ball
from gradaudit.numerics.bounds import phi
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.tolerance import Tolerance


@dataclass(frozen=True, slots=True, eq=False)
class Bounded:
    """Midpoints and radii of one shape."""

    mid: np.ndarray
    rad: np.ndarray

    @staticmethod
    def of(ball: Ball) -> Bounded:
        """A ball, spelled out; what is not known at all has an infinite radius."""
        mid = np.asarray(ball.mid, dtype=np.float64)
        rad = np.array(np.broadcast_to(np.asarray(ball.rad, dtype=np.float64), mid.shape))
        lost = np.isnan(rad) | ~np.isfinite(mid)
        return Bounded(np.where(np.isfinite(mid), mid, 0.0), np.where(lost, np.inf, rad))

    def charged(self, relative: float, absolute: float) -> Bounded:
        """With further roundings: `relative` to the values, and `absolute` for what underflows."""
        with np.errstate(invalid="ignore"):
            # 0 is 0 after roundings of any size.
            known = np.where(self.rad == 0.0, 0.0, self.rad * (1.0 + relative))
            return Bounded(self.mid, known + np.where(self.mid == 0.0, 0.0, np.abs(self.mid) * relative) + absolute)

    def explains(self, got: np.ndarray, largest: float) -> np.ndarray:
        """Elements of `got` that a faithful execution may have returned."""
        with np.errstate(invalid="ignore"):
            inside = np.abs(got - self.mid) <= self.rad
            beyond = np.isinf(got) & (np.sign(got) == np.sign(self.mid)) & (np.abs(self.mid) + self.rad > largest)
        return np.asarray(inside | beyond | (np.isnan(got) & np.isinf(self.rad)))


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """`output`: losses of the rows [rows, 1], before their multipliers; or the outputs [rows, classes].

    `gradient` [rows, classes]: with the reference's own multipliers (upstream gradient, denominator, ignored rows).
    `total`: where the rows of the loss depend on one another, the loss itself, [1, 1] or [rows, 1]; else None.
    """

    output: Bounded
    gradient: Bounded
    total: Bounded | None = None


def roundings(view: View) -> float:
    """Relative error of what a faulty function may do with its multipliers in another order than the reference.

    Upstream gradient, weight, denominator and reduction are up to eight operations; a denominator may be a sum over
    the rows, whose tree has their number as its height at most.
    """
    a = view.m.arithmetic
    summed = a.height(view.rows) * a.u_reduction if view.weight is not None else 0.0
    return float(phi(8.0 * a.u_operation + summed + a.u_result))


def floor(view: View) -> float:
    """What underflow may lose of an element: each of some operations its smallest number, times the upstream."""
    largest = float(np.abs(view.upstream).max(initial=1.0))
    a = view.m.arithmetic
    return 8.0 * (a.eta_operation + a.eta_result) * max(1.0, largest)


def due(view: View, row: ToleranceRow) -> Prediction:
    """:func:`reference`, made once for each evaluation and row."""
    result = view.remembered(("due", row.formulation, row.precision), lambda: reference(view, row))
    assert isinstance(result, Prediction)
    return result


def reference(view: View, row: ToleranceRow) -> Prediction:
    """What is due, from the truth, under one admissible formulation."""
    truth, layout = view.truth, view.truth.layout
    tolerance = Tolerance(truth, row)
    outputs: list[Bounded] = []
    gradients: list[list[Bounded]] = [[] for _ in truth.units]
    for block_truth in truth.blocks():
        bounds = tolerance.block(block_truth)
        outputs.append(_finite(block_truth.output.mid, tolerance.output(bounds).values))
        for unit, parts in zip(truth.units, gradients, strict=True):
            exact = truth.gradient(block_truth, unit)
            parts.append(_finite(exact.mid, tolerance.gradient(bounds, unit).values))
    output = _joined(outputs)
    if truth.elementwise:
        output = _scattered(view, output)
    planes = [_scattered(view, _joined(parts)) for parts in gradients]
    if view.jacobian and truth.elementwise and layout.active is not None:
        zeros = np.zeros((view.rows, view.classes))
        found = dict(zip(layout.active.tolist(), planes, strict=True))
        planes = [found.get(k, Bounded(zeros, zeros)) for k in range(view.copies)]
    return Prediction(output, _joined(planes))


def _finite(mid: np.ndarray, rad: np.ndarray) -> Bounded:
    known = np.isfinite(mid)
    return Bounded(np.where(known, mid, 0.0), np.where(known, np.broadcast_to(rad, mid.shape), np.inf))


def _joined(parts: list[Bounded]) -> Bounded:
    if len(parts) == 1:
        return parts[0]
    return Bounded(np.concatenate([part.mid for part in parts]), np.concatenate([part.rad for part in parts]))


def _scattered(view: View, part: Bounded) -> Bounded:
    """[rows, active classes] among all classes; exactly 0 at the others (log-probabilities there decide nothing)."""
    if view.active is None:
        return part
    mid, rad = np.zeros((len(part.mid), view.classes)), np.zeros((len(part.mid), view.classes))
    mid[:, view.active], rad[:, view.active] = part.mid, part.rad
    return Bounded(mid, rad)


def differs(one: Prediction, other: Prediction) -> bool:
    """Whether two predictions exclude each other in some element."""
    pairs = ((one.gradient, other.gradient), (one.output, other.output))
    return any(bool(np.any(np.abs(a.mid - b.mid) > a.rad + b.rad)) for a, b in pairs if a.mid.shape == b.mid.shape)


def loosened(found: Prediction, due: Prediction, loose: Prediction) -> Prediction:
    """A prediction with the digits that a looser formulation of the reference loses, element by element."""

    def wider(a: Bounded, plain: Bounded, wide: Bounded) -> Bounded:
        if a.rad.shape != plain.rad.shape:
            return a
        known = np.where(np.isfinite(plain.rad), plain.rad, 0.0)
        return Bounded(a.mid, a.rad + np.maximum(wide.rad - known, 0.0))

    output = wider(found.output, due.output, loose.output)
    return Prediction(output, wider(found.gradient, due.gradient, loose.gradient), found.total)


def with_shift(view: View, gradient: Bounded) -> Bounded:
    """The gradient where a shift by a logit, or by their mean, was not detached.

    The sum of a row's computed gradient, 0 in exact arithmetic, flows back through the shift: an error of
    sum dg + (h + 1) u sum (|g| + dg), and the rounding of one more addition (docs/numerics.md, "Diagnosis").
    """
    a = view.m.arithmetic
    height = a.height(view.classes) + 1
    known = np.where(np.isfinite(gradient.rad), gradient.rad, 0.0)
    size = (np.abs(gradient.mid) + known).sum(axis=1, keepdims=True)
    back = known.sum(axis=1, keepdims=True) + height * max(a.u_sum, a.u_operation) * size
    return Bounded(gradient.mid, gradient.rad + back + a.u_operation * (np.abs(gradient.mid) + back))
