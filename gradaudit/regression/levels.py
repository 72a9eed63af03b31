"""Errors in tolerance units, rounded so that they can be kept in a file and compared: levels.

A level is an upper bound on error / tolerance: one of ..., 0.25, 0.375, 0.5, 0.75, 1, 1.5, 2, 3, ... (powers of two
and 1.5 times them), the next one up from the error. FAITHFUL stands below all of them: every element is within one
unit in the last place of the exact value, and no share of a tolerance says more about such an answer.

An error is worse than a level where it lies beyond the next step above the level. The error that was rounded up to
the level was at most the level, a step is a factor of 4/3 or 3/2, and two steps are a factor of 2. Hence an error
that grew by less than a third is never called worse, one that doubled always is, and noise on either side of a step,
where the rounded numbers differ for no reason, changes nothing. Worse than a faithful answer is one off by more than
2 ulp. Better is the same the other way round.
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


@dataclass(frozen=True, slots=True)
class Error:
    """The largest error of an array: `ratio` in tolerances (infinite where something is not finite and should be),
    `ulp` in units in the last place of its format."""

    ratio: float
    ulp: float


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


def next_up(level: float) -> float:
    """The step above `level`, which is neither FAITHFUL nor infinite."""
    mantissa, _ = math.frexp(level)
    return level * (1.5 if mantissa == 0.5 else 4.0 / 3.0)


def is_worse(error: Error, level: float) -> bool:
    """Whether `error` is worse than what was rounded up to `level`, by more than the rounding resolves."""
    if level == FAITHFUL:
        return error.ulp > 2.0 or not error.ratio <= 1.0
    new = level_of(error)
    return new > level if math.isinf(new) else new > next_up(level)


def is_better(error: Error, level: float) -> bool:
    """Whether what was rounded up to `level` is worse than `error`."""
    new = level_of(error)
    if FAITHFUL in (level, new) or math.isinf(level):
        return new < level
    return level > next_up(new)


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
