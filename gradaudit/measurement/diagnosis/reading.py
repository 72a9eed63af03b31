"""A reading of losses or gradients: a recipe of slips, and what multiplies their rows."""

from __future__ import annotations

from dataclasses import dataclass

from gradaudit.measurement.diagnosis.constants import ONE, Constant
from gradaudit.measurement.diagnosis.leaks import Leak
from gradaudit.measurement.diagnosis.models.variation import Recipe
from gradaudit.measurement.diagnosis.patterns import Pattern


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
