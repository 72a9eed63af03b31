"""Errors in tolerance units, rounded so that they can be kept in a file and compared: levels.

A level is an upper bound on error / tolerance: one of ..., 0.25, 0.375, 0.5, 0.75, 1, 1.5, 2, 3, ... (powers of two
and 1.5 times them), the next one up from the error. FAITHFUL stands below all of them: every element is within one
unit in the last place of the exact value, and no share of a tolerance says more about such an answer.

An error is worse than a level where it lies above the level by more than noise. Another processor, or another
version of a library, rounds in another way and draws all rounding errors anew. The largest of m uniform errors
exceeds g times the largest of the former draw with chance g**-m / 2; among n elements there are m = n / 2 at the
least, for a row of C classes has C - 1 (its gradient adds up to 0). `growth(n)` is the g at which that chance is
CHANCE, and no less than LEAST. To be rounded up to a step is a factor of 1.5 at most. So, of 25 elements and more:
an error that less than doubled is never worse, and one that trebled always is. Of fewer it takes more (a factor of
8 where there are 8), and the one number of a mean has no noise to be told from: the tolerance alone judges it. In
place of a level that is FAITHFUL stands 1 ulp. Better is the same the other way round.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from gradaudit.reports.number_format import number

FAITHFUL = 0.0
"""The level of an array whose every element is within one ulp of the exact value."""

DIGITS = 3
"""Significant digits of a level as text: steps lie a third apart, so these tell them apart."""

FAITHFUL_TEXT = "faithful"

CHANCE = 1e-4
"""How often sound code that rounds in another way may be called worse, of the arrays that an audit measures."""

LEAST = 2.0
"""The least growth that counts: times the 1.5 of the rounding it is the 3 that is always told."""


@dataclass(frozen=True, slots=True)
class Error:
    """The largest error of an array: `ratio` in tolerances (infinite where something is not finite and should be),
    `ulp` in units in the last place of its format; the largest of how many `elements` it is."""

    ratio: float
    ulp: float
    elements: int


def level_of(error: Error) -> float:
    """The level of an array with this largest error."""
    if error.ulp <= 1.0 and error.ratio <= 1.0:
        return FAITHFUL
    return rounded_up(error.ratio)


def rounded_up(ratio: float) -> float:
    """The least step that is not below `ratio` >= 0; FAITHFUL for 0 and infinity for NaN."""
    if not math.isfinite(ratio):
        return math.inf
    if ratio <= 0.0:
        return FAITHFUL
    mantissa, exponent = math.frexp(ratio)
    step = next(each for each in (0.5, 0.75, 1.0) if mantissa <= each)
    try:
        return math.ldexp(step, exponent)
    except OverflowError:
        return math.inf


def next_down(level: float) -> float:
    """The step below `level`, which is neither FAITHFUL nor infinite; what was rounded up to it was larger."""
    mantissa, _ = math.frexp(level)
    return level * (0.75 if mantissa == 0.5 else 2.0 / 3.0)


def growth(elements: int) -> float:
    """The factor by which the largest of so many errors may grow without being worse."""
    return max(LEAST, (2.0 * CHANCE) ** (-2.0 / max(elements, 1)))


def is_worse(error: Error, level: float) -> bool:
    """Whether `error` is worse than what was rounded up to `level`, by more than noise."""
    if level == math.inf:
        return False
    if not math.isfinite(error.ratio) or error.ratio > 1.0 >= level:
        return True
    if level == FAITHFUL:
        return error.ulp > growth(error.elements)
    return level_of(error) != FAITHFUL and error.ratio > growth(error.elements) * level


def is_better(error: Error, level: float) -> bool:
    """Whether what was rounded up to `level` is worse than `error`, by more than noise."""
    if level == FAITHFUL or not math.isfinite(error.ratio):
        return False
    if level > 1.0 >= error.ratio:
        return True
    # None at all may be chance, too, where there are few elements.
    told_apart = error.ratio > 0.0 or growth(error.elements) == LEAST
    return told_apart and next_down(level) >= growth(error.elements) * error.ratio


def text(level: float) -> str:
    """A level as the baseline and messages spell it."""
    return FAITHFUL_TEXT if level == FAITHFUL else number(level, DIGITS)


def read(word: str) -> float:
    """The level that `text` spells so; ValueError, which names the nearest one, for any other word."""
    if word == FAITHFUL_TEXT:
        return FAITHFUL
    try:
        given = float(word)
    except ValueError:
        given = math.nan
    if given == math.inf:
        return given
    if not given > 0.0:
        raise ValueError(f"expected {FAITHFUL_TEXT}, inf or a step such as 0.25, 0.375 or 0.5")
    # A text that was rounded up lies just above its step.
    above = rounded_up(given)
    for step in (above, rounded_up(0.6 * above)):
        if text(step) == number(given, DIGITS):
            return step
    raise ValueError(f"no step between errors; the next one up is {text(above)}")
