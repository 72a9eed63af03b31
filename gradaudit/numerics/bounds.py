"""The two functions that every rounding-error bound here is made of (docs/numerics.md, "Notation")."""

from __future__ import annotations

from typing import overload

import numpy as np


@overload
def phi(z: float) -> float: ...
@overload
def phi(z: np.ndarray) -> np.ndarray: ...
def phi(z: float | np.ndarray) -> float | np.ndarray:
    """z / (1 - z) below 1, infinity from there on.

    For |d_i| with sum z it bounds |prod (1 + d_i)^(+-1) - 1|.
    """
    if isinstance(z, float):
        return z / (1.0 - z) if z < 1.0 else float("inf")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(z < 1.0, z / (1.0 - z), np.inf)


def growth(exponent: np.ndarray, factors: np.ndarray | float) -> np.ndarray:
    """R(A, B) = expm1(A) + phi(B) exp(A): relative error of exp under an absolute error A of its argument and
    rounding factors that sum to B. Finite for every finite A, unlike phi(A)."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.max(exponent, initial=0.0) <= 0.5:
            # e^A - 1 <= A / (1 - A/2) on [0, 2), and it costs a third of expm1.
            grown: np.ndarray = exponent / (1.0 - 0.5 * exponent)
        else:
            grown = np.expm1(exponent)
        return grown + phi(factors) * (1.0 + grown)
