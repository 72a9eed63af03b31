"""How an error of the argument and one evaluation move an elementary function: midpoints and radii in, both out.

Each evaluates at the midpoint and bounds what the ball around it and the function's own rounding add
(docs/numerics.md, "Elementary functions"). A logarithm or root of a ball that reaches its end is unbounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gradaudit.numerics.arithmetic import Arithmetic
from gradaudit.numerics.bounds import phi

Bounds = tuple[np.ndarray, np.ndarray]
"""Midpoints and radii."""

Radius = np.ndarray | float


def log1p(mid: np.ndarray, rad: Radius, a: Arithmetic) -> Bounds:
    """log(1 + x); the lower side moves further than the upper one."""
    value = np.log1p(mid)
    ratio = rad / (1.0 + mid)
    moved = np.where(ratio < 1.0, -np.log1p(-np.minimum(ratio, 1.0)), np.inf)
    return value, finite(moved + a.l * (np.abs(value) + moved) + a.eta)


def expm1(mid: np.ndarray, rad: Radius, a: Arithmetic) -> Bounds:
    """exp(x) - 1, to a relative accuracy."""
    value = np.expm1(mid)
    moved = np.exp(mid + rad) - np.exp(mid)
    straight = np.exp(mid) * np.expm1(rad)
    # The difference cancels for a small radius, the product is 0 * inf for a large one.
    moved = np.where(np.asarray(rad) <= 1.0, straight, moved)
    return value, finite(moved + a.e * (np.abs(value) + moved) + a.eta)


def tanh(mid: np.ndarray, rad: Radius, a: Arithmetic) -> Bounds:
    """The slope is largest where the ball comes nearest to 0."""
    value = np.tanh(mid)
    moved = np.minimum(rad * slope_of_tanh(np.maximum(np.abs(mid) - rad, 0.0)), 2.0)
    return value, finite(moved + a.library * (np.abs(value) + moved) + a.eta)


def tanh_slope(mid: np.ndarray, rad: Radius, a: Arithmetic) -> Bounds:
    """1 - tanh^2 without its cancellation; its logarithm has a slope of at most 2 in size."""
    value = slope_of_tanh(mid)
    # What an exponential loses among subnormal numbers comes out fourfold.
    lost = 4.0 * a.eta
    moved = (value + lost) * np.expm1(2.0 * np.asarray(rad))
    # exp, its square root's square, sum, square and quotient: e counts twice for the square.
    rounded = 3.0 * a.e + 4.0 * a.u
    return value, finite(moved + rounded * (value + moved) + lost + a.eta)


def tanh_slope_as_computed(mid: np.ndarray, rad: Radius, a: Arithmetic) -> Bounds:
    """1 - y y from a computed y = tanh: an absolute error of some u, without digits where tanh is flat."""
    y, dy = np.tanh(mid), np.asarray(rad)
    u = a.u_operation
    square = 2.0 * np.abs(y) * dy + dy * dy
    square = square + u * (y * y + square)
    value = slope_of_tanh(mid)
    return value, finite(square + u * (value + square) + a.eta_operation)


def slope_of_tanh(x: np.ndarray) -> np.ndarray:
    """sech^2 x = 4 w / (1 + w)^2 with w = exp(-2 |x|)."""
    w = np.exp(-2.0 * np.abs(x))
    return np.asarray(4.0 * w / ((1.0 + w) * (1.0 + w)))


def wave(function: Callable[[np.ndarray], np.ndarray], mid: np.ndarray, rad: Radius, a: Arithmetic) -> Bounds:
    """cos or sin: their slopes are at most 1."""
    value = np.asarray(function(mid))
    moved = np.minimum(np.asarray(rad), 2.0)
    return value, finite(moved + a.library * (np.abs(value) + moved) + a.eta)


def sqrt(mid: np.ndarray, rad: Radius, a: Arithmetic) -> Bounds:
    """Square root of a number >= 0; a ball that reaches below 0 is cut there."""
    value = np.sqrt(mid)
    low = np.sqrt(np.maximum(mid - rad, 0.0))
    # sqrt(x) - sqrt(x - r) = r / (sqrt x + sqrt(x - r)), and the upper side moves less.
    moved = np.minimum(rad, mid) / (value + low)
    moved = np.where(np.asarray(rad) > mid, np.maximum(value, np.sqrt(mid + rad) - value), moved)
    moved = np.where(np.asarray(rad) == 0.0, 0.0, moved)
    return value, finite(moved + a.u * (value + moved))


def power(mid: np.ndarray, rad: Radius, exponent: float, a: Arithmetic, u_exponent: float = 0.0) -> Bounds:
    """x^c for x >= 0, and for every x where c is a whole number; `u_exponent` is the relative error of c."""
    whole = exponent == round(exponent)
    value = np.power(mid, exponent)
    low, high = mid - rad, mid + rad
    if not whole:
        low = np.maximum(low, 0.0)
    moved = np.maximum(np.abs(np.power(low, exponent) - value), np.abs(np.power(high, exponent) - value))
    if whole and exponent >= 0.0:
        return value, finite(np.where(np.asarray(rad) == 0.0, 0.0, moved) + _own(value, moved, a))
    reaches_zero = (low <= 0.0) & (high >= 0.0)
    moved = np.where(reaches_zero & (exponent < 0.0), np.inf, moved)
    moved = np.where(np.asarray(rad) == 0.0, 0.0, moved)
    if u_exponent:
        moved = moved + _of_exponent(low, high, exponent, u_exponent)
    return value, finite(moved + _own(value, moved, a))


def logaddexp(first: Bounds, second: Bounds, a: Arithmetic) -> Bounds:
    """log(exp x + exp y) by max + log1p(exp(-|x - y|)); docs/numerics.md, "Elementary functions"."""
    (x, dx), (y, dy) = first, second
    value = np.logaddexp(x, y)
    share, rest = np.exp(x - value), np.exp(y - value)
    moved = np.log1p(share * np.expm1(dx) + rest * np.expm1(dy))
    moved = np.where(np.isfinite(moved), np.minimum(moved, np.maximum(dx, dy)), np.maximum(dx, dy))
    inside = 0.28 * a.u + 0.5 * a.e + 0.7 * a.l + a.u
    size = np.maximum(np.maximum(np.abs(x), np.abs(y)), np.abs(value)) + moved
    return value, finite(moved + inside + a.u * (size + inside) + a.eta)


def share(first: Bounds, second: Bounds, a: Arithmetic) -> Bounds:
    """1 / (1 + exp(y - x)), which is 0 once the exponential has left the format's range."""
    (x, dx), (y, dy) = first, second
    distance = y - x
    value = 1.0 / (1.0 + np.exp(distance))
    exponent = np.asarray(dx) + dy
    exponent = exponent + a.u_operation * (np.abs(distance) + exponent)
    factors = a.e + 2.0 * a.u_operation + a.u_store
    # |d log value| <= |d distance|; what overflows lies below 4 / largest.
    moved = np.minimum(value * np.expm1(exponent), 1.0)
    return value, finite(moved + factors * (value + moved) + 4.0 / a.largest + a.eta)


def finite(rad: np.ndarray) -> np.ndarray:
    """Radii, infinite where nothing is known."""
    return np.where(np.isnan(rad), np.inf, rad)


def is_rounded(value: float, u: float) -> bool:
    """Whether a format with unit roundoff u has to round the number."""
    mantissa, _ = math.frexp(value)
    return not (mantissa / u).is_integer()


def _of_exponent(low: np.ndarray, high: np.ndarray, exponent: float, u: float) -> np.ndarray:
    """How far x^c moves with an exponent off by u, for x within [low, high], low >= 0.

    x^c (x^(-c u) - 1) is at most phi(u) / e below 1, whatever x is.
    """
    distance = np.maximum(np.abs(np.log(low)), np.abs(np.log(high)))
    if exponent < 0.0:
        return np.asarray(np.power(low, exponent) * np.expm1(-exponent * u * distance))
    largest = np.power(high, exponent)
    near = largest * np.expm1(exponent * u * distance)
    anywhere = np.maximum(phi(u) / math.e, largest * np.expm1(exponent * u * np.maximum(np.log(high), 0.0)))
    return np.where(high > 0.0, np.fmin(near, anywhere), 0.0)


def _own(value: np.ndarray, moved: np.ndarray, a: Arithmetic) -> np.ndarray:
    return a.library * (np.abs(value) + moved) + a.eta
