"""Enclosures as exact rational balls, so that comparing them rounds nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from gradaudit.reference.special_values import Enclosed
from gradaudit.reference.truth import Truth

EXACT = Fraction(2.0**-1000)
"""A radius up to here is what products with an exact 0 are charged for underflow."""

_fraction = np.frompyfunc(Fraction, 1, 1)


@dataclass(frozen=True)
class Balls:
    """Arrays of fractions, [rows, columns]: midpoints and radii."""

    mid: np.ndarray
    rad: np.ndarray

    def __add__(self, other: Balls) -> Balls:
        return Balls(self.mid + other.mid, self.rad + other.rad)

    def __sub__(self, other: Balls) -> Balls:
        return Balls(self.mid - other.mid, self.rad + other.rad)

    def __getitem__(self, index: object) -> Balls:
        return Balls(self.mid[index], self.rad[index])

    def times(self, factor: object) -> Balls:
        """Multiplied by exact numbers: a float or an array that broadcasts."""
        exact = rational(np.asarray(factor, dtype=np.float64))
        return Balls(self.mid * exact, self.rad * abs(exact))

    def sum(self, axis: int = 1) -> Balls:
        """Sums along an axis, which stays with length 1."""
        return Balls(self.mid.sum(axis=axis, keepdims=True), self.rad.sum(axis=axis, keepdims=True))


def rational(values: np.ndarray) -> np.ndarray:
    """Finite floats as fractions."""
    return np.asarray(_fraction(values), dtype=object)


def exact(values: np.ndarray) -> Balls:
    """Floats as balls of radius 0."""
    mid = rational(np.asarray(values, dtype=np.float64))
    return Balls(mid, mid * 0)


def of_enclosed(parts: list[Enclosed], columns: Sequence[int] | slice = slice(None)) -> Balls:
    """The enclosures of consecutive blocks, or some columns of them."""
    mid = np.concatenate([part.mid for part in parts])[:, columns]
    rad = np.concatenate([np.broadcast_to(part.rad, part.mid.shape) for part in parts])[:, columns]
    low = np.concatenate([np.zeros_like(part.mid) if part.low is None else part.low for part in parts])[:, columns]
    assert np.isfinite(mid).all(), "an exact result of finite logits is finite"
    assert np.isfinite(rad).all(), "an enclosure is bounded"
    assert (rad >= 0.0).all(), "a radius is no negative number"
    return Balls(rational(mid) + rational(low), rational(rad))


def output(truth: Truth, columns: Sequence[int] | slice = slice(None)) -> Balls:
    """The output row by row, [rows, n or 1]; [1, 1] for a mean or sum."""
    if truth.reduced:
        return of_enclosed([truth.reduced_output()])
    return of_enclosed([block.output for block in truth.blocks()], columns)


def gradients(truth: Truth) -> list[Balls]:
    """The gradient [rows, active classes] under each cotangent of the truth."""
    return [of_enclosed([truth.gradient(block, unit) for block in truth.blocks()]) for unit in truth.units]


def gradient(truth: Truth) -> Balls:
    """The gradient of a truth with one cotangent."""
    (found,) = gradients(truth)
    return found


def assert_overlap(first: Balls, second: Balls, what: str) -> None:
    """Two enclosures of the same numbers have some number in common, element by element."""
    assert first.mid.shape == second.mid.shape, f"{what}: shapes {first.mid.shape} and {second.mid.shape}"
    apart = abs(first.mid - second.mid)
    allowed = first.rad + second.rad
    wrong = np.argwhere(np.asarray(apart > allowed, dtype=bool))
    if len(wrong):
        at = tuple(wrong[0])
        values = (float(number[at]) for number in (first.mid, second.mid, apart, allowed))
        text = "{} and {} are {:.3g} apart, their radii add up to {:.3g}".format(*values)
        raise AssertionError(f"{what}: {len(wrong)} of {apart.size} elements, first {list(map(int, at))}: {text}")


def assert_contains_zero(found: Balls, what: str) -> None:
    """Zero lies in every ball."""
    assert_overlap(found, Balls(found.mid * 0, found.rad * 0), what)


def widest(found: Balls, tolerance: np.ndarray) -> float:
    """The largest radius in units of a finite tolerance; exact numbers have none to speak of."""
    shares = [
        math.inf if bound == 0.0 else float(radius / Fraction(bound))
        for radius, bound in zip(found.rad.ravel(), np.broadcast_to(tolerance, found.rad.shape).ravel(), strict=True)
        if radius > EXACT and math.isfinite(bound)
    ]
    return max(shares, default=0.0)
