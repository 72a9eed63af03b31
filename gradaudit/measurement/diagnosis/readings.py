"""Readings: a model together with what multiplies its rows, and whether it explains what a subject returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradaudit.measurement.diagnosis.budget import Budget
from gradaudit.measurement.diagnosis.constants import Constant, Search, of_upstream
from gradaudit.measurement.diagnosis.leaks import Leak, leaks, predict_leak
from gradaudit.measurement.diagnosis.models.variation import NotApplicableError, Recipe, key_of_recipe, predict
from gradaudit.measurement.diagnosis.patterns import Pattern, patterns, vectors_of
from gradaudit.measurement.diagnosis.prediction import (
    Bounded,
    Prediction,
    differs,
    due,
    floor,
    loosened,
    roundings,
    with_shift,
)
from gradaudit.measurement.diagnosis.reading import RIGHT, Reading
from gradaudit.measurement.diagnosis.scales import Scales, loss_interval, row_scales
from gradaudit.measurement.diagnosis.view import View
from gradaudit.reference.ladder import ToleranceRow

__all__ = ["RIGHT", "Evidence", "Reading"]

Interval = tuple[float, float]
FREE: Interval = (-np.inf, np.inf)
NOTHING_FITS: Interval = (np.inf, -np.inf)

TELLING_ROWS, TELLING_CLASSES = 5, 8
"""With fewer, many faults look alike; such evaluations are asked last. What is named does not depend on it."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """How a recipe fits the gradient of one evaluation: factors of the rows, and rows that leak.

    `known`: no element of the prediction is undecided altogether. `asked` elements are wrong, `decided` of them by a
    prediction beyond its own radius. `beside` tells for each pattern, after one factor for all rows, whether the
    rows' factors agree beside it.
    """

    scales: Scales
    leaking: np.ndarray
    known: bool
    asked: int
    decided: int
    beside: np.ndarray


class Evidence:
    """The evaluations that a fault has to explain, under one arithmetic, and the predictions made for them.

    What an evaluation says of a recipe is remembered with the evaluation: other sets of evaluations ask for it again.
    """

    def __init__(
        self,
        views: Sequence[View],
        row: ToleranceRow,
        *,
        undetached: bool = False,
        loosest: ToleranceRow | None = None,
        budget: Budget | None = None,
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
        self.budget = budget if budget is not None else Budget()
        self.search = Search(self.views)
        self.patterns = patterns(self.views[0]) if self.views else []
        self._loose = None if loosest is None else (loosest.formulation, loosest.precision)
        self.losses: list[Reading] | None = None
        self._table = tuple(pattern.name for pattern in self.patterns)

    def predicted(self, view: View, recipe: Recipe) -> Prediction:
        """What a recipe gives; where a slip does not exist for the inputs, the reference."""
        plain = self._plain(view, recipe)
        loosest = self.loosest
        if loosest is None:
            return plain
        key = ("loosened", self._loose, *key_of_recipe(recipe))
        result = view.remembered(key, lambda: loosened(plain, due(view, self.row), due(view, loosest)))
        assert isinstance(result, Prediction)
        return result

    def _plain(self, view: View, recipe: Recipe) -> Prediction:
        def make() -> Prediction:
            if not recipe:
                return due(view, self.row)
            self.budget.spend(view.x.size)
            try:
                return predict(view, recipe)
            except (NotApplicableError, ValueError, IndexError):
                # A slip that does not fit the shapes of a function does not exist for it.
                return self._plain(view, ())

        result = view.remembered(("recipe", *key_of_recipe(recipe)), make)
        assert isinstance(result, Prediction)
        return result

    def _vectors(self, view: View) -> np.ndarray:
        result = view.remembered(("patterns", self._table), lambda: vectors_of(self.patterns, view))
        assert isinstance(result, np.ndarray)
        return result

    # -- gradients -------------------------------------------------------------------------------------------------

    def _fit(self, view: View, recipe: Recipe) -> Fit | None:
        """How a recipe fits the gradient of one evaluation; None where a row has no factor at all."""
        key = ("fit", self._table, self._loose, self.undetached, *key_of_recipe(recipe))
        result = view.remembered(key, lambda: self._fitted(view, recipe))
        assert result is None or isinstance(result, Fit)
        return result

    def _fitted(self, view: View, recipe: Recipe) -> Fit | None:
        predicted = self.predicted(view, recipe).gradient
        known = bool(np.isfinite(predicted.rad).all())
        if self.undetached:
            predicted = with_shift(view, predicted)
        absolute, got = floor(view), view.gradient
        silent = (predicted.mid == 0.0).all(axis=1) & (predicted.rad == 0.0).all(axis=1)
        leaking = silent & (np.abs(got).max(axis=1, initial=0.0) > absolute)
        if leaking.any() and (view.elementwise or not np.all(view.ignored[leaking])):
            return None
        scales = row_scales(predicted, got, roundings(view), absolute)
        scales = Scales(np.where(leaking, -np.inf, scales.low), np.where(leaking, np.inf, scales.high))
        if not scales.possible:
            return None
        nothing = not got[~leaking].any() and bool(np.any(np.abs(predicted.mid) > predicted.rad))
        if nothing and (recipe or leaking.any()):
            # What is 0 everywhere is no multiple of something: a factor of 0 explains nothing.
            return None
        asked = decided = 0
        if recipe and not view.gradient_right:
            returned = (np.abs(got) > absolute) & ~leaking[:, None]
            settled = np.abs(predicted.mid) > predicted.rad
            # What came back as 0 where it is not due is decided by a prediction of 0.
            plain = due(view, self.row).gradient
            lost = ~returned & ~leaking[:, None] & (np.abs(plain.mid) > plain.rad + absolute)
            asked = int(np.count_nonzero(returned | lost))
            zero = np.abs(predicted.mid) + predicted.rad <= absolute
            decided = int(np.count_nonzero((returned & settled) | (lost & zero)))
        low, high = scales.shared()
        beside = np.zeros(len(self.patterns), dtype=bool)
        if self.patterns and len(recipe) < 2:
            lows, highs = scales.shared_over(self._vectors(view))
            beside = lows <= highs
        return Fit(scales, leaking, known, asked, decided, np.concatenate([[low <= high], beside]))

    def gradient_fits(self, recipe: Recipe) -> list[Fit] | None:
        """How a recipe fits every evaluation; None where it does not, by one factor or beside one pattern."""
        found: list[Fit] = []
        asked = decided = 0
        beside: np.ndarray | None = None
        for view in self.views:
            fit = self._fit(view, recipe)
            if fit is None:
                return None
            if recipe and not found and not fit.known:
                # What is not known explains nothing where the subject is wrong first.
                return None
            beside = fit.beside if beside is None else beside & fit.beside
            if not beside.any():
                return None
            asked, decided = asked + fit.asked, decided + fit.decided
            found.append(fit)
        # A slip that most of what was returned lies within the uncertainty of is no more than a guess.
        return None if recipe and 2 * decided < asked else found

    def gradient_readings(self, recipe: Recipe) -> list[Reading]:
        """Every reading of the gradients by `recipe`, the simplest first."""
        fits = self.gradient_fits(recipe)
        if fits is None or not self._slips(recipe):
            return []
        readings = self._constants(recipe, None, [fit.scales.shared() for fit in fits])
        # Where nothing is returned at all, rows that are left out say nothing.
        returned = any(view.gradient.any() for view in self.views)
        if returned and all(reading.constant is None for reading in readings):
            beside = np.all([fit.beside[1:] for fit in fits], axis=0)
            for pattern, fitting in zip(self.patterns, beside, strict=True):
                if fitting:
                    readings += self._constants(recipe, pattern, self._beside(pattern, [fit.scales for fit in fits]))
        if any(fit.leaking.any() for fit in fits):
            readings = [
                Reading(r.recipe, r.pattern, r.constant, r.others, r.number, leak, constant)
                for r in readings
                for leak, constant in self._leaks([fit.leaking for fit in fits])
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

    def _beside(self, pattern: Pattern, scales: Sequence[Scales]) -> list[Interval]:
        intervals: list[Interval] = []
        for view, each in zip(self.views, scales, strict=True):
            vector = pattern.vector(view)
            intervals.append(NOTHING_FITS if vector is None else each.over(vector).shared())
            if intervals[-1][0] > intervals[-1][1]:
                break
        return intervals + [FREE] * (len(self.views) - len(intervals))

    def _constants(
        self, recipe: Recipe, pattern: Pattern | None, intervals: Sequence[Interval], *, of_loss: bool = False
    ) -> list[Reading]:
        if any(low > high for low, high in intervals):
            return []
        # No loss knows the upstream gradient; where it is wrong too, the gradient's factor is rather the loss's.
        right = all(view.output_right for view in self.views)
        named = self.search.explanations(intervals, upstream=False if of_loss else True if right else None)
        found = [Reading(recipe, pattern, named[0], tuple(named[1:]))] if named else []
        if named and (right or of_loss or not of_upstream(named[0])):
            return found
        number = self.search.number(intervals)
        return found if number is None else [*found, Reading(recipe, pattern, None, (), number)]

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
            if recipe and position == 0 and not np.isfinite(self.predicted(view, recipe).output.rad).all():
                return None
            interval = self._loss_interval(view, position, recipe, pattern, leak)
            if interval[0] > interval[1]:
                return None
            intervals.append(interval)
            # A single number fits any model by some factor: it has to be a factor with a name, or one for all.
            alive = self.search.surviving(alive, position, interval)
            if (recipe or pattern is not None) and not alive.any() and not _agree(intervals):
                return None
        return intervals

    def _loss_interval(
        self,
        view: View,
        position: int,
        recipe: Recipe,
        pattern: Pattern | None,
        leak: tuple[Leak, Constant, Constant] | None,
    ) -> Interval:
        """By which factors a recipe explains one loss; an empty interval where none does."""
        if leak is not None:
            return self._loss_fit(view, position, recipe, pattern, leak)
        key = ("loss", self._loose, None if pattern is None else pattern.name, *key_of_recipe(recipe))
        result = view.remembered(key, lambda: self._loss_fit(view, position, recipe, pattern, None))
        assert isinstance(result, tuple)
        return result

    def _loss_fit(
        self,
        view: View,
        position: int,
        recipe: Recipe,
        pattern: Pattern | None,
        leak: tuple[Leak, Constant, Constant] | None,
    ) -> Interval:
        assert view.loss is not None
        vector = np.ones(view.rows) if pattern is None else pattern.vector(view)
        if vector is None:
            return NOTHING_FITS
        predicted = self.predicted(view, recipe).output
        if view.elementwise:
            rows = view.loss.shape[0]
            part = Bounded(predicted.mid[:rows], predicted.rad[:rows])
            return row_scales(part, view.loss, roundings(view), floor(view)).shared()
        losses = Bounded(predicted.mid * vector[:, None], predicted.rad * np.abs(vector[:, None]))
        return loss_interval(view, losses if leak is None else self._leaked(view, position, losses, leak))

    def _leaked(self, view: View, position: int, losses: Bounded, leak: tuple[Leak, Constant, Constant]) -> Bounded:
        predicted = predict_leak(view, leak[0])
        if predicted is None or not view.ignored.any():
            return losses
        ratio = self.search.value(leak[1], position) / self.search.value(leak[2], position)
        rows = view.ignored[:, None]
        mid = np.where(rows, predicted.output.mid * ratio, losses.mid)
        return Bounded(mid, np.where(rows, predicted.output.rad * abs(ratio), losses.rad))

    def loss_reading(
        self, recipe: Recipe, pattern: Pattern | None, preferred: Constant | None = None, number: float | None = None
    ) -> Reading | None:
        """A reading of the losses by `recipe`; by the `preferred` constant, or `number`, where that explains them."""
        intervals = self.loss_intervals(recipe, pattern)
        if intervals is None:
            return None
        if preferred is not None and not of_upstream(preferred) and self._holds(preferred, intervals):
            return Reading(recipe, pattern, preferred)
        if number is not None and all(low <= number <= high for low, high in intervals):
            return Reading(recipe, pattern, None, (), number)
        readings = self._constants(recipe, pattern, intervals, of_loss=True)
        told = sum(1 for low, high in intervals if np.isfinite(low) and np.isfinite(high))
        if readings and readings[0].constant is None and told < 2 and self.views[0].truth.reduced:
            # One number is a multiple of any other.
            return None
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


def _agree(intervals: Sequence[Interval]) -> bool:
    return max(low for low, _ in intervals) <= min(high for _, high in intervals)
