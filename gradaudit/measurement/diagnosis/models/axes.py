"""Softmax over other axes than asked for, or of logits that were reshaped with their axes in another order: rows of
one reading are spread over many rows of the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, permutations

import numpy as np

from gradaudit.measurement.diagnosis.models.variation import (
    M,
    Variation,
    lifted_mass,
    picked,
    reference_logits,
    reference_mass,
    weighted,
)
from gradaudit.measurement.diagnosis.prediction import Bounded, Prediction
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics.ball import Ball
from gradaudit.numerics.tape import Tape
from gradaudit.reference.layout import Layout

FAULT = "wrong-axis"
MOST_AXES = 3
"""Axes of logits of which all orders are tried."""


def variations(view: View) -> list[Variation]:
    """One for every other set of axes; named by their positions, so that they mean the same for every probe."""
    per_class = any(isinstance(value, tuple) and len(value) == view.classes for value in view.parameters.values())
    if view.active is not None or per_class or view.function not in ("softmax", "log_softmax", "cross_entropy"):
        return []
    found = []
    for axes in _others(len(view.whole.shape), view.whole.axis):
        words = " and ".join(str(axis) for axis in axes)
        meant = " and ".join(str(axis) for axis in view.whole.axis)
        plural = "es" if len(axes) > 1 else "is"
        found.append(
            Variation(
                "whole",
                f"axis {words}",
                FAULT,
                f"softmax runs over ax{plural} {words} instead of {meant}: what adds up to 1 are other elements "
                "than those of a row",
                f"pass the axis on: softmax is due over ax{'es' if len(view.whole.axis) > 1 else 'is'} {meant}",
                lambda v, axes=axes: _over(v, axes),
            )
        )
    return [*found, *_reshaped(view)]


def _others(rank: int, axis: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for count in range(1, rank + 1):
        for axes in combinations(range(rank), count):
            if axes != axis:
                yield axes


def _over(view: View, axes: tuple[int, ...]) -> Prediction | None:
    """The function with its normaliser over `axes`, everything else as it is."""
    own = view.whole
    if any(axis >= len(own.shape) for axis in axes) or view.copies > 1:
        return None
    other = replace(own, axis=axes)

    def across(rows: np.ndarray) -> np.ndarray:
        return other.as_rows(own.restored(rows))

    m: M = Tape(view.m)
    x = m.variable(view.m.exact(across(view.x)))
    z = reference_logits(m, x, view)
    if view.function == "softmax":
        output = m.softmax(z)
    elif view.function in ("log_softmax", "cross_entropy"):
        output = m.log_softmax(z)
    else:
        return None
    if view.elementwise:
        g = across(np.broadcast_to(view.upstream, view.x.shape))
        gradient = m.gradient(output, view.m.exact(g), x)
        return Prediction(_back(output.value, other, own), _back(gradient, other, own))
    mass = reference_mass(view)
    dense = mass.dense
    if dense is None:
        assert mass.labels is not None
        assert mass.mass is not None
        dense = np.zeros(view.x.shape)
        np.put_along_axis(dense, mass.labels[:, None], mass.mass, axis=-1)
    log_p = _back(output.value, other, own)
    losses = _summed(view, log_p, dense)
    gradient = m.gradient(output, view.m.exact(across(-dense * view.row_upstream)), x)
    return Prediction(losses, _back(gradient, other, own))


def _back(ball: Ball, other: Layout, own: Layout) -> Bounded:
    part = Bounded.of(ball)
    return Bounded(own.as_rows(other.restored(part.mid)), own.as_rows(other.restored(part.rad)))


def _summed(view: View, log_p: Bounded, dense: np.ndarray) -> Bounded:
    m = view.m
    product = m.exact(-dense) * m.ball(log_p.mid, log_p.rad)
    return Bounded.of(m.sum(product))


# -- reshaped, and not permuted --------------------------------------------------------------------------------------


def _reshaped(view: View) -> list[Variation]:
    """One for every other order of the axes in which the logits may be cut into rows of C."""
    rank = len(view.whole.shape)
    if rank < 2 or rank > MOST_AXES or len(view.whole.axis) != 1 or view.copies > 1:
        return []
    own = (*(i for i in range(rank) if i not in view.whole.axis), *view.whole.axis)
    found = []
    for order in permutations(range(rank)):
        if order == own:
            continue
        words = "as they lie in memory" if order == tuple(range(rank)) else f"with their axes in the order {order}"
        found.append(
            Variation(
                "whole",
                f"reshaped {order}",
                FAULT,
                f"the logits are cut into rows of C {words}, where the class axis has to be the last one "
                "first: a row holds elements of several",
                "move the class axis to the end (permute, movedim) before the reshape to [-1, C]",
                lambda v, order=order: _cut(v, order),
                rarely=True,
            )
        )
    return found


def _cut(view: View, order: tuple[int, ...]) -> Prediction | None:
    own = view.whole
    if len(own.shape) != len(order) or view.copies > 1:
        return None
    places = own.restored(np.arange(own.rows * own.classes, dtype=np.float64).reshape(own.rows, own.classes))
    read = places.transpose(order).reshape(-1).astype(np.int64)
    if np.array_equal(read, np.arange(len(read))):
        return None
    back = np.argsort(read)

    def moved(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(rows).reshape(-1)[places].reshape(own.rows, own.classes)

    def returned(ball: Ball) -> Bounded:
        part = Bounded.of(ball)
        return Bounded(moved(part.mid, back), moved(part.rad, back))

    m: M = Tape(view.m)
    x = m.variable(view.m.exact(moved(view.x, read)))
    z = reference_logits(m, x, view)
    if view.elementwise:
        output = m.softmax(z) if view.function == "softmax" else m.log_softmax(z)
        g = moved(np.broadcast_to(view.upstream, view.x.shape), read)
        return Prediction(returned(output.value), returned(m.gradient(output, view.m.exact(g), x)))
    t = lifted_mass(m, reference_mass(view), None)
    loss = weighted(m, m.logsumexp(z), t) - picked(m, z, t)
    gradient = m.gradient(loss, view.m.exact(view.row_upstream), x)
    return Prediction(Bounded.of(loss.value), returned(gradient))
