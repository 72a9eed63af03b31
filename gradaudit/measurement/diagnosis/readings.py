"""Readings: a model together with what multiplies its rows, and whether it explains what a subject returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradaudit.measurement.diagnosis.constants import ONE, Constant, Search
from gradaudit.measurement.diagnosis.leaks import Leak, leaks, predict_leak
from gradaudit.measurement.diagnosis.models.variation import NotApplicableError, Recipe, predict
from gradaudit.measurement.diagnosis.patterns import Pattern, patterns
from gradaudit.measurement.diagnosis.prediction import Bounded, Prediction, reference, roundings
from gradaudit.measurement.diagnosis.scales import Scales, row_scales
from gradaudit.measurement.diagnosis.view import View
from gradaudit.reference.ladder import ToleranceRow

Interval = tuple[float, float]
FREE: Interval = (-np.inf, np.inf)

TELLING_ROWS, TELLING_CLASSES = 5, 8
"""With fewer, many faults look alike; such evaluations are asked last. What is named does not depend on it."""


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """A recipe, the pattern of its rows and the constant before it; for a gradient also what leaks from ignored rows.

    `constant` is None where the factor is the same `number` in every evaluation but has no name. `others` are
    constants that no evaluation tells from the first.
    """

    recipe: Recipe
    pattern: Pattern | None
    constant: Constant | None
    others: tuple[Constant, ...] = ()
    number: float | None = None
    leak: Leak | None = None
    leak_constant: Constant | None = None

    @property
    def right(self) -> bool:
        """Whether it is the reference itself."""
        return not self.recipe and self.pattern is None and self.constant == ONE and self.leak is None

    @property
    def order(self) -> int:
        """How complicated it is."""
        total = sum(4 if variation.rarely else 3 for variation in self.recipe)
        total += 0 if self.pattern is None else self.pattern.order
        total += 8 if self.constant is None else self.constant.order
        return total + (0 if self.leak is None else 2)


RIGHT = Reading((), None, ONE)


class Evidence:
    """The evaluations that a fault has to explain, under one arithmetic, and the predictions made for them."""

    def __init__(
        self,
        views: Sequence[View],
        row: ToleranceRow,
        *,
        undetached: bool = False,
        loosest: ToleranceRow | None = None,
    ) -> None:
        # What fails goes first, and what tells most at the least cost: enough rows and classes, the small before the
        # large.
        self.views = sorted(
            views,
            key=lambda view: (
                view.gradient_right and view.output_right,
                view.rows < TELLING_ROWS or view.classes < TELLING_CLASSES,
                view.x.size,
            ),
        )
        self.row = row
        # An admissible formulation that loses digits: what it loses at the reference, a slip may lose beside it.
        self.loosest = loosest
        # Whether a shift of the logits may have been differentiated: its derivative is 0 but for rounding errors.
        self.undetached = undetached
        self.search = Search(self.views)
        self.patterns = patterns(self.views[0]) if self.views else []

    def predicted(self, view: View, recipe: Recipe) -> Prediction:
        """What a recipe gives; where a slip does not exist for the inputs, the reference."""
        plain = self._plain(view, recipe)
        if self.loosest is None:
            return plain
        return loosened(plain, self._due(view, self.row), self._due(view, self.loosest))

    def _due(self, view: View, row: ToleranceRow) -> Prediction:
        result = view.remembered(("due", row.formulation, row.precision), lambda: reference(view, row))
        assert isinstance(result, Prediction)
        return result

    def _plain(self, view: View, recipe: Recipe) -> Prediction:
        def make() -> Prediction:
            if not recipe:
                return self._due(view, self.row)
            try:
                return predict(view, recipe)
            except (NotApplicableError, ValueError, IndexError):
                # A slip that does not fit the shapes of a function does not exist for it.
                return self._plain(view, ())

        key = ("recipe", *(f"{variation.stage}: {variation.name}" for variation in recipe))
        result = view.remembered(key, make)
        assert isinstance(result, Prediction)
        return result

    # -- gradients -------------------------------------------------------------------------------------------------

    def gradient_scales(self, recipe: Recipe) -> list[tuple[Scales, np.ndarray]] | None:
        """Factors of the rows of every evaluation, and rows that leak; None where a row has no factor at all."""
        found = []
        asked = decided = 0
        for view in self.views:
            predicted = self.predicted(view, recipe).gradient
            if recipe and view is self.views[0] and not np.isfinite(predicted.rad).all():
                # What is not known explains nothing where the subject is wrong first.
                return None
            if self.undetached:
                predicted = with_shift(view, predicted)
            relative, absolute = roundings(view), floor(view)
            got = view.gradient
            silent = (predicted.mid == 0.0).all(axis=1) & (predicted.rad == 0.0).all(axis=1)
            leaking = silent & (np.abs(got).max(axis=1, initial=0.0) > absolute)
            if leaking.any() and (view.elementwise or not np.all(view.ignored[leaking])):
                return None
            if not view.gradient_right:
                returned = (np.abs(got) > absolute) & ~leaking[:, None]
                asked += int(np.count_nonzero(returned))
                decided += int(np.count_nonzero(returned & (np.abs(predicted.mid) > predicted.rad)))
            scales = row_scales(predicted, got, relative, absolute)
            scales = Scales(np.where(leaking, -np.inf, scales.low), np.where(leaking, np.inf, scales.high))
            if not scales.possible or (recipe and not self._plausible(view, recipe, predicted, scales)):
                return None
            found.append((scales, leaking))
        # A slip that most of what was returned lies within the uncertainty of is no more than a guess.
        return None if recipe and 2 * decided < asked else found

    def gradient_readings(self, recipe: Recipe) -> list[Reading]:
        """Every reading of the gradients by `recipe`, the simplest first."""
        fits = self.gradient_scales(recipe)
        if fits is None or not self._slips(recipe):
            return []
        scales = [each for each, _ in fits]
        readings = self._constants(recipe, None, [each.shared() for each in scales])
        if not readings or all(reading.constant is None for reading in readings):
            for pattern in self.patterns if len(recipe) < 2 else []:
                readings += self._constants(recipe, pattern, self._beside(pattern, scales))
        if any(leaking.any() for _, leaking in fits):
            readings = [
                Reading(r.recipe, r.pattern, r.constant, r.others, r.number, leak, constant)
                for r in readings
                for leak, constant in self._leaks([leaking for _, leaking in fits])
            ]
        return sorted(readings, key=lambda reading: reading.order)

    def _slips(self, recipe: Recipe) -> bool:
        """Whether every slip of a recipe changes a gradient or an output by more than both tolerances somewhere.

        What is the reference itself on all inputs would explain by its own tolerance alone.
        """
        for variation in recipe:
            rest = tuple(each for each in recipe if each is not variation)
            if not any(differs(self._plain(view, recipe), self._plain(view, rest)) for view in self.views):
                return False
        return True

    def _plausible(self, view: View, recipe: Recipe, predicted: Bounded, scales: Scales) -> bool:
        """Whether factors of the rows may mean something: all alike, or by a pattern; and not 0 for all of them."""
        if not view.gradient.any():
            return not bool(np.any(np.abs(predicted.mid) > predicted.rad))
        low, high = scales.shared()
        if low <= high:
            return True
        for pattern in self.patterns if len(recipe) < 2 else []:
            vector = pattern.vector(view)
            if vector is not None:
                low, high = scales.over(vector).shared()
                if low <= high:
                    return True
        return False

    def _beside(self, pattern: Pattern, scales: Sequence[Scales]) -> list[Interval]:
        intervals: list[Interval] = []
        for view, each in zip(self.views, scales, strict=True):
            vector = pattern.vector(view)
            intervals.append((np.inf, -np.inf) if vector is None else each.over(vector).shared())
            if intervals[-1][0] > intervals[-1][1]:
                break
        return intervals + [FREE] * (len(self.views) - len(intervals))

    def _constants(self, recipe: Recipe, pattern: Pattern | None, intervals: Sequence[Interval]) -> list[Reading]:
        if any(low > high for low, high in intervals):
            return []
        named = self.search.explanations(intervals)
        if named:
            return [Reading(recipe, pattern, named[0], tuple(named[1:]))]
        number = self.search.number(intervals)
        return [] if number is None else [Reading(recipe, pattern, None, (), number)]

    def _leaks(self, leaking: Sequence[np.ndarray]) -> list[tuple[Leak, Constant]]:
        """What the rows that leak consist of."""
        found: list[tuple[Leak, Constant]] = []
        first = next(view for view, rows in zip(self.views, leaking, strict=True) if rows.any())
        for leak in leaks(first):
            intervals: list[Interval] = []
            for view, rows in zip(self.views, leaking, strict=True):
                if not rows.any():
                    intervals.append(FREE)
                    continue
                predicted = predict_leak(view, leak)
                if predicted is None:
                    break
                part = Bounded(predicted.gradient.mid[rows], predicted.gradient.rad[rows])
                intervals.append(row_scales(part, view.gradient[rows], roundings(view), floor(view)).shared())
                if intervals[-1][0] > intervals[-1][1]:
                    break
            else:
                found += [(leak, constant) for constant in self.search.explanations(intervals)[:1]]
        return sorted(found, key=lambda pair: pair[1].order)[:1]

    # -- losses ----------------------------------------------------------------------------------------------------

    def loss_intervals(
        self, recipe: Recipe, pattern: Pattern | None, leak: tuple[Leak, Constant, Constant] | None = None
    ) -> list[Interval] | None:
        """By which factors the losses of a recipe explain those that were returned, one interval an evaluation.

        `leak` adds the losses of ignored rows: what leaks, its constant and that of the others.
        """
        intervals: list[Interval] = []
        alive = self.search.everything()
        for position, view in enumerate(self.views):
            if view.loss is None:
                intervals.append(FREE)
                continue
            vector = np.ones(view.rows) if pattern is None else pattern.vector(view)
            if vector is None:
                return None
            predicted = self.predicted(view, recipe).output
            if recipe and position == 0 and not np.isfinite(predicted.rad).all():
                return None
            if view.elementwise:
                rows = view.loss.shape[0]
                part = Bounded(predicted.mid[:rows], predicted.rad[:rows])
                interval = row_scales(part, view.loss, roundings(view), floor(view)).shared()
            else:
                losses = Bounded(predicted.mid * vector[:, None], predicted.rad * np.abs(vector[:, None]))
                if leak is not None:
                    losses = self._leaked(view, position, losses, leak)
                interval = _loss_interval(view, losses)
            if interval[0] > interval[1]:
                return None
            intervals.append(interval)
            # A single number fits any model by some factor: it has to be a factor with a name, or one for all.
            alive = self.search.surviving(alive, position, interval)
            if (recipe or pattern is not None) and not alive.any() and not _agree(intervals):
                return None
        return intervals

    def _leaked(self, view: View, position: int, losses: Bounded, leak: tuple[Leak, Constant, Constant]) -> Bounded:
        predicted = predict_leak(view, leak[0])
        if predicted is None or not view.ignored.any():
            return losses
        ratio = self.search.value(leak[1], position) / self.search.value(leak[2], position)
        rows = view.ignored[:, None]
        mid = np.where(rows, predicted.output.mid * ratio, losses.mid)
        return Bounded(mid, np.where(rows, predicted.output.rad * abs(ratio), losses.rad))

    def loss_reading(
        self, recipe: Recipe, pattern: Pattern | None, preferred: Constant | None = None
    ) -> Reading | None:
        """A reading of the losses by `recipe`; with the `preferred` constant, where that explains them."""
        intervals = self.loss_intervals(recipe, pattern)
        if intervals is None:
            return None
        if preferred is not None and self._holds(preferred, intervals):
            return Reading(recipe, pattern, preferred)
        readings = self._constants(recipe, pattern, intervals)
        return readings[0] if readings else None

    def leaked_loss(self, reading: Reading) -> Reading | None:
        """The losses with what leaks from ignored rows, where they follow the gradient in that too."""
        if reading.leak is None or reading.leak_constant is None or reading.constant is None:
            return None
        triple = (reading.leak, reading.leak_constant, reading.constant)
        intervals = self.loss_intervals(reading.recipe, reading.pattern, triple)
        if intervals is None or not self._holds(reading.constant, intervals):
            return None
        return reading

    def _holds(self, constant: Constant, intervals: Sequence[Interval]) -> bool:
        return all(
            low <= self.search.value(constant, position) <= high for position, (low, high) in enumerate(intervals)
        )


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


def _agree(intervals: Sequence[Interval]) -> bool:
    return max(low for low, _ in intervals) <= min(high for _, high in intervals)


def floor(view: View) -> float:
    """What underflow may lose of an element: each of some operations its smallest number, times the upstream."""
    largest = float(np.abs(view.upstream).max(initial=1.0))
    a = view.m.arithmetic
    return 8.0 * (a.eta_operation + a.eta_result) * max(1.0, largest)


def _loss_interval(view: View, losses: Bounded) -> Interval:
    """Factors by which row losses [rows, 1] explain a returned loss, reduced or not."""
    assert view.loss is not None
    if not view.truth.reduced:
        return row_scales(losses, view.loss, roundings(view), floor(view)).shared()
    a, den = view.m.arithmetic, view.truth.denominator.value
    if den == 0.0:
        return FREE
    size = float(np.abs(losses.mid).sum())
    rad = float(losses.rad.sum())
    rad += a.height(view.rows) * a.u_reduction * (size + rad)
    whole = Bounded(np.array([[float(losses.mid.sum()) / den]]), np.array([[rad / den]]))
    return row_scales(whole, view.loss.reshape(1, 1), roundings(view), floor(view)).shared()
