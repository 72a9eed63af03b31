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
    """Values along one direction: at x + h d and x - h d [steps], what the gradient expects of both, at x itself.

    `exchanged` [steps] is how far the slope may be another one at those points because numbers have changed places
    in the order of their row, or their signs, on the way: the roles that they play may be others there.
    """

    h: np.ndarray
    plus: np.ndarray
    minus: np.ndarray
    linear_plus: np.ndarray
    linear_minus: np.ndarray
    center: float
    exchanged: np.ndarray | float = 0.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number within `error` of the true one, as far as the values tell; `sure` where it is not 0, and
    the next step says so as well."""

    value: float
    error: float
    sure: bool

    @property
    def doubtful(self) -> bool:
        """Whether it is not 0 by its own error, and the next step does not confirm it."""
        return not self.sure and abs(self.value) > self.error


def noise(neighbours: np.ndarray, size: float, unit_roundoff: float, bends: np.ndarray | float = 0.0) -> float:
    """What a value may be off by: from differences of a high order of values close together [distances, points].

    The k-th difference of independent errors has (2k)! / (k!)^2 times their variance (Moré and Wild 2011,
    doi:10.1137/100786125). At least one rounding of the largest term. What kinks between the points may do to the
    values (`bends` [distances]) is no noise: of it a k-th difference shows no more than its largest coefficient.
    """
    spreads = np.diff(neighbours, n=ORDER, axis=-1)
    of_kinks = comb(ORDER, ORDER // 2) * np.asarray(bends)
    found = (np.sqrt(np.mean(spreads * spreads, axis=-1)) - of_kinks) / np.sqrt(comb(2 * ORDER, ORDER))
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
    return _extrapolated(found, walk, epsilon, order=2)


def jump(walk: Walk, epsilon: float) -> Estimate:
    """The derivative from above minus that from below: 0 where there is one."""
    above = (walk.plus - walk.center - walk.linear_plus) / walk.h
    below = (walk.center - walk.minus - walk.linear_minus) / walk.h
    return _extrapolated(above - below, walk, 4.0 * epsilon, order=1, sides=2.0)


def one_sided(walk: Walk, epsilon: float) -> tuple[Estimate, Estimate]:
    """The mismatches of the derivative from above and of that from below."""
    above = (walk.plus - walk.center - walk.linear_plus) / walk.h
    below = (walk.center - walk.minus - walk.linear_minus) / walk.h
    return (
        _extrapolated(above, walk, 2.0 * epsilon, order=1),
        _extrapolated(below, walk, 2.0 * epsilon, order=1),
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


def _extrapolated(found: np.ndarray, walk: Walk, epsilon: float, order: int, sides: float = 1.0) -> Estimate:
    """Richardson's extrapolation of numbers whose error begins with h^order, where it is best.

    The error is what the last extrapolation changed, what the next step changes, the noise of both values, and what
    exchanged roles may change of the slope; and no less than what any smaller step says beyond its own noise, for
    that is nearer to the limit. A function with many kinks is smooth to large steps, and to small ones it is not.
    """
    h = walk.h
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        weight = (h[:-1] / h[1:]) ** order
        better = (weight * found[1:] - found[:-1]) / (weight - 1.0)
        noise_of = (weight * epsilon / h[1:] + epsilon / h[:-1]) / (weight - 1.0)
        exchanged = sides * np.broadcast_to(walk.exchanged, h.shape)
        noise_of = noise_of + (weight * exchanged[1:] + exchanged[:-1]) / (weight - 1.0)
        error = np.abs(better[:-1] - found[1:-1]) + np.abs(better[:-1] - better[1:]) + noise_of[:-1]
        contradicted = np.abs(better[:-1, None] - better[None, :]) - noise_of[None, :]
    later = np.arange(len(better))[None, :] > np.arange(len(error))[:, None]
    error = np.maximum(error, np.where(later & np.isfinite(contradicted), contradicted, 0.0).max(axis=1, initial=0.0))
    usable = np.isfinite(error)
    if not usable.any():
        return Estimate(float("nan"), float("inf"), False)
    best = int(np.argmin(np.where(usable, error, np.inf)))
    around = [k for k in (best, best + 1) if k < len(error) and usable[k]]
    if len(around) < 2 and best:
        around = [best - 1, best]
    sure = len(around) > 1 and all(abs(better[k]) > error[k] for k in around)
    return Estimate(float(better[best]), float(error[best]), sure)
