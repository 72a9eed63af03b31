"""Exact values inside balls: drawn, operated on as fractions or 200-bit balls, and looked for in the result."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, ctx, fmpq  # noqa: TID253 (an oracle)

from gradaudit.numerics.arithmetic import Arithmetic, of_profile
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.records.profile import Profile

BITS = 200
INFLATION = Fraction(1) + Fraction(1, 2**30)
"""Radii are computed in float64; an enclosure makes their own roundings good by this factor at its end."""

DTYPES: dict[str, Any] = {"float16": np.float16, "float32": np.float32, "float64": np.float64}


def uniform(dtype: str, *, ulps: float = 1.0, height: str = "any") -> Arithmetic:
    """Everything in one format, exp and log within `ulps`."""
    return of_profile(Profile(dtype, dtype, dtype, dtype, ulps, ulps, height))


def stored(compute: str, storage: str) -> Arithmetic:
    """Operations in one format, their results kept in a narrower one."""
    return of_profile(Profile(compute, compute, storage, compute, 1.0, 1.0))


def ball(m: BallAlgebra, mid: np.ndarray, rad: np.ndarray | float = 0.0) -> Ball:
    """A ball array."""
    return Ball(m, np.asarray(mid, dtype=np.float64), rad if isinstance(rad, float) else np.asarray(rad))


def fractions(values: np.ndarray) -> np.ndarray:
    """Floats as the exact fractions that they are, in an object array."""
    flat = [Fraction(float(value)) for value in np.asarray(values).ravel()]
    return np.array([*flat, None], dtype=object)[:-1].reshape(np.shape(values))


def inside(found: Ball, generator: np.random.Generator) -> np.ndarray:
    """An exact value in every ball: at its edge in two of three elements."""
    place = generator.choice([-1.0, 1.0, 0.25], size=found.mid.shape)
    rad = np.broadcast_to(np.asarray(found.rad), found.mid.shape)
    return fractions(found.mid) + fractions(place) * fractions(rad)


def assert_contains(found: Ball, exact: np.ndarray) -> None:
    """Every exact fraction lies in its ball."""
    rad = np.broadcast_to(np.asarray(found.rad), found.mid.shape)
    assert found.mid.shape == exact.shape
    for index in np.ndindex(exact.shape):
        if np.isinf(rad[index]):
            continue
        distance = abs(Fraction(float(found.mid[index])) - exact[index])
        assert distance <= Fraction(float(rad[index])) * INFLATION, (index, found.mid[index], rad[index])


def assert_contains_function(found: Ball, function: Callable[[arb], arb], exact: np.ndarray) -> None:
    """f(x) lies in every ball, for an exact fraction x and a function of 200-bit balls."""
    rad = np.broadcast_to(np.asarray(found.rad), found.mid.shape)
    with ctx.workprec(BITS):
        for index in np.ndindex(exact.shape):
            value = function(as_arb(exact[index]))
            distance = abs(arb(float(found.mid[index])) - value)
            assert not distance > arb(float(rad[index])) * (1 + arb(2) ** -30), (index, found.mid[index], rad[index])


def as_arb(value: Fraction) -> arb:
    """A fraction as a ball of the present precision."""
    return arb(fmpq(value.numerator, value.denominator))
