"""Differences of a noisy function: derivative, error estimate, noise, and whether there is a derivative at all.

A difference is off by its truncation, which falls with the step, and by the noise of the values over the step, which
grows. Both are estimated; where they meet the difference is best (docs/numerics.md, "A function against itself").
"""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

ORDER = 6
"""Order of the differences that leave nothing of a smooth function but its noise."""

CAUTION = 4.0
"""The noise of few values is known to a factor: its estimate is taken that many times."""


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """Values along one direction: at x + h d and x - h d [steps], what the gradient expects of both, at x itself."""

    h: np.ndarray
    plus: np.ndarray
    minus: np.ndarray
    linear_plus: np.ndarray
    linear_minus: np.ndarray
    center: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number within `error` of the true one, as far as the values tell; `sure` where it is not 0, and
    the neighbouring steps say so as well."""

    value: float
    error: float
    sure: bool


def noise(neighbours: np.ndarray, size: float, unit_roundoff: float) -> float:
    """What a value may be off by: from differences of a high order of values close together [distances, points].

    The k-th difference of independent errors has (2k)! / (k!)^2 times their variance (Moré and Wild 2011,
    doi:10.1137/100786125). At least one rounding of the largest term.
    """
    spreads = np.diff(neighbours, n=ORDER, axis=-1)
    found = np.sqrt(np.mean(spreads * spreads, axis=-1) / comb(2 * ORDER, ORDER))
    finite = found[np.isfinite(found)]
    return CAUTION * max(float(finite.max(initial=0.0)), unit_roundoff * size)


def resolution(walk: Walk) -> float:
    """What the values of a function that rounds its argument may be off by; 0 where nothing hints at that.

    Such a function does not change at all under small steps, and jumps where a first number is rounded otherwise. All
    numbers together are rounded off by more than that one.
    """
    still = (walk.plus == walk.center) & (walk.minus == walk.center)
    if not still.any() or still.all():
        return 0.0
    first = int(np.argmax(still))
    if first == 0:
        return 0.0
    jumps = np.abs(np.array([walk.plus[first - 1], walk.minus[first - 1]]) - walk.center)
    return CAUTION * float(jumps.max())


def mismatch(walk: Walk, epsilon: float) -> Estimate:
    """(phi(x + h d) - phi(x - h d)) / 2h minus what the gradient says, as h goes to 0."""
    found = ((walk.plus - walk.minus) - (walk.linear_plus + walk.linear_minus)) / (2.0 * walk.h)
    return _extrapolated(found, walk.h, epsilon, order=2)


def jump(walk: Walk, epsilon: float) -> Estimate:
    """The derivative from above minus that from below: 0 where there is one."""
    above = (walk.plus - walk.center - walk.linear_plus) / walk.h
    below = (walk.center - walk.minus - walk.linear_minus) / walk.h
    return _extrapolated(above - below, walk.h, 4.0 * epsilon, order=1)


def one_sided(walk: Walk, epsilon: float) -> tuple[Estimate, Estimate]:
    """The mismatches of the derivative from above and of that from below."""
    above = (walk.plus - walk.center - walk.linear_plus) / walk.h
    below = (walk.center - walk.minus - walk.linear_minus) / walk.h
    return (
        _extrapolated(above, walk.h, 2.0 * epsilon, order=1),
        _extrapolated(below, walk.h, 2.0 * epsilon, order=1),
    )


def taylor_rate(walk: Walk, epsilon: float) -> float:
    """The power of h by which |phi(x + h d) - phi(x) - h <g, d>| falls, in the median over the octaves above the
    noise: 2 for a gradient, 1 for anything else; NaN where there are fewer than three of them."""
    remainder = np.abs(walk.plus - walk.center - walk.linear_plus)
    seen = np.isfinite(remainder) & (remainder > 2.0 * CAUTION * epsilon)
    both = seen[:-1] & seen[1:]
    if both.sum() < 3:
        return float("nan")
    octaves = np.log2(walk.h[:-1][both] / walk.h[1:][both])
    rates = np.log2(remainder[:-1][both] / remainder[1:][both]) / octaves
    # Large steps are far from the limit: the smaller half of the steps decides.
    return float(np.median(rates[len(rates) // 2 :]))


def coordinate(pairs: np.ndarray, steps: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives [M] by single coordinates and their errors, from values [M, 2 steps, 2 sides]."""
    slopes = (pairs[..., 0] - pairs[..., 1]) / (2.0 * steps)
    best = (4.0 * slopes[:, 1] - slopes[:, 0]) / 3.0
    return best, np.abs(best - slopes[:, 1]) + 3.0 * epsilon / float(steps[1])


def _extrapolated(found: np.ndarray, h: np.ndarray, epsilon: float, order: int) -> Estimate:
    """Richardson's extrapolation of numbers whose error begins with h^order, where it is best.

    The error is what the last extrapolation changed, what the next step changes, and the noise of both values.
    """
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        weight = (h[:-1] / h[1:]) ** order
        better = (weight * found[1:] - found[:-1]) / (weight - 1.0)
        noise_of = (weight * epsilon / h[1:] + epsilon / h[:-1]) / (weight - 1.0)
        error = np.abs(better[:-1] - found[1:-1]) + np.abs(better[:-1] - better[1:]) + noise_of[:-1]
    usable = np.isfinite(error)
    if not usable.any():
        return Estimate(float("nan"), float("inf"), False)
    best = int(np.argmin(np.where(usable, error, np.inf)))
    around = [k for k in (best - 1, best, best + 1) if 0 <= k < len(error) and usable[k]]
    sure = len(around) > 1 and all(abs(better[k]) > error[k] for k in around)
    return Estimate(float(better[best]), float(error[best]), sure)
