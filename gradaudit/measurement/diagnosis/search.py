"""The search for an explanation: a model of the loss and one of the gradient that hold for every evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np

from gradaudit.measurement.diagnosis.models import (
    axes,
    divergences,
    given,
    logits,
    losses,
    margins,
    outputs,
    parameters,
    second_terms,
    targets,
)
from gradaudit.measurement.diagnosis.models.variation import STAGES, Recipe, Variation
from gradaudit.measurement.diagnosis.patterns import Pattern
from gradaudit.measurement.diagnosis.readings import RIGHT, Evidence, Reading
from gradaudit.measurement.diagnosis.view import View
from gradaudit.reference.ladder import ToleranceRow


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """How the loss is made, and how its gradient."""

    loss: Reading
    gradient: Reading

    @property
    def order(self) -> int:
        """How complicated it is; what loss and gradient have in common counts once."""
        if self.loss.right or self.loss is self.gradient:
            return self.gradient.order + (1 if self.loss.right and not self.gradient.right else 0)
        if self.gradient.right:
            return self.loss.order + 1
        shared = self.loss.recipe == self.gradient.recipe and self.loss.pattern == self.gradient.pattern
        if shared:
            same = self.loss.constant == self.gradient.constant
            return self.gradient.order + (0 if same else 2 + (self.loss.constant.order if self.loss.constant else 8))
        return self.loss.order + self.gradient.order + 2

    @property
    def faults(self) -> frozenset[str]:
        """The names of the slips it is made of."""
        names = {variation.fault for reading in (self.loss, self.gradient) for variation in reading.recipe}
        names |= {reading.pattern.fault for reading in (self.loss, self.gradient) if reading.pattern is not None}
        if self.gradient.leak is not None:
            names.add("ignored-rows-leak")
        return frozenset(names)

    @property
    def slips(self) -> int:
        """Of how many independent slips it is made; what loss and gradient have in common counts once."""
        names = {variation.name for reading in (self.loss, self.gradient) for variation in reading.recipe}
        names |= {reading.pattern.name for reading in (self.loss, self.gradient) if reading.pattern is not None}
        factors = {
            part.text for each in (self.loss, self.gradient) if each.constant for part in each.constant.factors
        }
        unnamed = any(each.constant is None for each in (self.loss, self.gradient))
        leak = 0 if self.gradient.leak is None else 1
        return len(names) + len(factors - {"1"}) + leak + (1 if unnamed else 0)


def catalogue(view: View) -> list[Variation]:
    """Every slip that exists for the function of a view."""
    if view.inputs.reading != "logits":
        return given.variations(view)
    return [
        *logits.variations(view),
        *targets.variations(view),
        *parameters.variations(view),
        *losses.variations(view),
        *margins.variations(view),
        *divergences.variations(view),
        *second_terms.variations(view),
        *outputs.variations(view),
        *axes.variations(view),
    ]


MOST_PAIRS = 400
"""Pairs of slips that are tried on one set of evaluations."""
MOST_SLIPS = 2
"""Slips beside one another that are believed; one more where one of them is a product of two named factors."""


def single_explanations(evidence: Evidence, slips: Sequence[Variation]) -> list[Explanation]:
    """Every explanation of the simplest kind with at most one slip."""
    found = _explanations(evidence, _singles(slips), slips, evidence.patterns)
    return [each for each in found if each.slips <= MOST_SLIPS + 1]


def double_explanations(evidence: Evidence, slips: Sequence[Variation]) -> list[Explanation]:
    """Every explanation of the simplest kind with two slips of different stages."""
    if all(view.gradient_right for view in evidence.views):
        return []
    # The usual slips come first among the pairs; a search without an end is no help to anybody.
    found = _explanations(evidence, islice(_pairs(evidence, slips), MOST_PAIRS), slips, evidence.patterns)
    return [each for each in found if each.slips <= MOST_SLIPS]


def explanations_by(evidence: Evidence, slips: Sequence[Variation]) -> list[Explanation]:
    """Explanations by one of the given slips alone."""
    return _explanations(evidence, iter([(slip,) for slip in slips]), slips, evidence.patterns)


def _singles(slips: Sequence[Variation]) -> Iterator[Recipe]:
    yield ()
    yield from ((slip,) for slip in slips)


def _pairs(evidence: Evidence, slips: Sequence[Variation]) -> Iterator[Recipe]:
    """Slips of two stages; those of one evaluation that are no slip at all are left out."""
    # A slip of the backward may show only beside another one: where masses are 1 it is none.
    usual = [slip for slip in slips if not slip.rarely and slip.stage != "whole"]
    common = [slip for slip in usual if slip.backward or _moves(evidence, (slip,))]
    for first, second in combinations(common, 2):
        if first.stage == second.stage:
            continue
        yield tuple(sorted((first, second), key=lambda slip: STAGES.index(slip.stage)))


def _moves(evidence: Evidence, recipe: Recipe) -> bool:
    """Whether slips change any gradient where the subject's is wrong first."""
    view = next(each for each in evidence.views if not each.gradient_right)
    changed, due = evidence.predicted(view, recipe), evidence.predicted(view, ())
    apart = np.abs(changed.gradient.mid - due.gradient.mid) > changed.gradient.rad + due.gradient.rad
    return bool(apart.any())


def _explanations(
    evidence: Evidence, recipes: Iterator[Recipe], slips: Sequence[Variation], rows: Sequence[Pattern]
) -> list[Explanation]:
    loss_right = all(view.output_right for view in evidence.views)
    if all(view.gradient_right for view in evidence.views):
        return _simplest([Explanation(loss, RIGHT) for loss in _losses(evidence, recipes, rows)])
    best = FAR
    explained: list[Explanation] = []
    for recipe in recipes:
        if evidence.budget.spent:
            break
        if cost(recipe) > best or (any(slip.rarely for slip in recipe) and not _moves(evidence, recipe)):
            continue
        readings = evidence.gradient_readings(recipe)
        for gradient in readings:
            if gradient.order <= best:
                losses = _loss_of(evidence, gradient, slips, rows, right=loss_right)
                explained += [Explanation(loss, gradient) for loss in losses]
                best = min([best, *(each.order for each in explained)])
    return _simplest(explained)


FAR = 1 << 30


def cost(recipe: Recipe) -> int:
    """The least that a recipe adds to the order of a reading."""
    return sum(4 if slip.rarely else 3 for slip in recipe)


def _loss_of(
    evidence: Evidence, gradient: Reading, slips: Sequence[Variation], rows: Sequence[Pattern], *, right: bool
) -> list[Reading]:
    """Readings of the loss to go with one of the gradient, the most natural kind that there is."""
    if right:
        return [RIGHT]
    leaked = evidence.leaked_loss(gradient)
    if leaked is not None:
        return [leaked]
    pattern = gradient.pattern
    own = evidence.loss_reading(gradient.recipe, pattern, gradient.constant, gradient.number)
    if own is not None:
        same = own.constant is not None and own.constant == gradient.constant and pattern is gradient.pattern
        return [gradient if same and gradient.leak is None else own]
    if evidence.losses is None:
        # They are the same for every reading of the gradient that has no loss of its own.
        evidence.losses = _losses(evidence, _singles(slips), rows)[:2]
    return evidence.losses


def _losses(evidence: Evidence, recipes: Iterable[Recipe], rows: Sequence[Pattern]) -> list[Reading]:
    """Readings of the losses, the simplest first; patterns where no recipe will do without."""
    found: list[Reading] = []
    best = FAR
    for recipe in recipes:
        if evidence.budget.spent:
            break
        if cost(recipe) > best or (recipe and all(slip.backward for slip in recipe)):
            continue
        reading = evidence.loss_reading(recipe, None)
        if reading is not None:
            found.append(reading)
            best = min(best, reading.order)
    if not any(reading.constant is not None for reading in found):
        for pattern in rows:
            reading = evidence.loss_reading((), pattern)
            if reading is not None:
                found.append(reading)
    return sorted(found, key=lambda reading: reading.order)


def _simplest(found: Sequence[Explanation]) -> list[Explanation]:
    """The simplest explanation first, then as simple ones that name other faults."""
    ordered = sorted(found, key=lambda each: each.order)
    # What is as simple and says the same is said once.
    kept: list[Explanation] = []
    for each in ordered:
        if each.order <= ordered[0].order and all(each.faults != known.faults for known in kept):
            kept.append(each)
    return kept


def holds(found: Explanation, view: View, row: ToleranceRow, loosest: ToleranceRow | None = None) -> bool:
    """Whether an explanation found elsewhere accounts for one more evaluation."""
    if not view.finite:
        return False
    alone = Evidence([view], row, loosest=loosest)
    gradient, loss = found.gradient, found.loss
    readings = alone.gradient_readings(gradient.recipe)
    if not any(
        reading.pattern is None or (gradient.pattern is not None and reading.pattern.name == gradient.pattern.name)
        for reading in readings
    ):
        return False
    return alone.loss_reading(loss.recipe, loss.pattern, loss.constant) is not None
