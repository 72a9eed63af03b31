"""Rows in the arb algebra, and the derivative of an output by differences of 300-bit numbers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from flint import arb, fmpq  # noqa: TID253 (an oracle)

from gradaudit.functions.interface import Function
from gradaudit.functions.rows import Rows, Targets
from gradaudit.numerics.arb_algebra import ArbAlgebra

BITS = 300
STEP = arb(2) ** -100
"""Central differences by it are right to some 2^-200 of the third derivative, and to 2^-190 of rounding."""


def array(values: Sequence[Sequence[Any]]) -> np.ndarray:
    """An object array of arb from numbers, fractions or balls."""
    return np.array([[_ball(value) for value in row] for row in values], dtype=object)


def _ball(value: Any) -> arb:
    if isinstance(value, Fraction):
        return arb(fmpq(value.numerator, value.denominator))
    return value if isinstance(value, arb) else arb(value)


def rows(
    z: np.ndarray,
    upstream: Sequence[Sequence[Any]],
    *,
    labels: Sequence[int] | None = None,
    mass: Sequence[Any] | None = None,
    dense: Sequence[Sequence[Any]] | None = None,
) -> Rows[np.ndarray]:
    """Rows of logits z [rows, n] with targets by label and mass, or dense."""
    targets = None
    if labels is not None:
        own = [[1] for _ in labels] if mass is None else [[m] for m in mass]
        targets = Targets(np.array(labels), array(own), None)
    elif dense is not None:
        targets = Targets(None, None, array(dense))
    return Rows(z, None, array(upstream), targets)


def gradient(function: Function, given: Rows[np.ndarray]) -> np.ndarray:
    """The gradient as the function spells it, [rows, n]."""
    return np.broadcast_to(function.gradient(ArbAlgebra(), given), given.z.shape)


def differences(function: Function, given: Rows[np.ndarray]) -> np.ndarray:
    """sum_k g_k d output_k / d z_j by central differences, [rows, n]."""
    result = np.empty(given.z.shape, dtype=object)
    for index in np.ndindex(given.z.shape):
        totals = []
        for step in (STEP, -STEP):
            z = given.z.copy()
            z[index] = z[index] + step
            output = function.output(ArbAlgebra(), Rows(z, None, given.upstream, given.targets))
            totals.append((output * given.upstream)[index[0]].sum())
        result[index] = (totals[0] - totals[1]) / (2 * STEP)
    return result
