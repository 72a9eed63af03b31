"""Gradients that were written by hand and are none of the loss's: something else in the place of p, or a slope too
many."""

# ruff: noqa: ARG005 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import (
    M,
    V,
    Variation,
    loss_slip,
    picked,
    reference_logits,
    reference_loss,
    weighted,
)
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics.ball import Ball, BallAlgebra

JACOBIAN, TWICE, PARTITION, SIGN, WEIGHTS = (
    "truncated-jacobian",
    "softmax-applied-twice",
    "partition-local-normaliser",
    "sign-flipped",
    "class-weights",
)
Shares = Callable[[BallAlgebra, Ball], Ball]
"""m, logits -> what stands in the place of p."""


def variations(view: View) -> list[Variation]:
    """The slips that exist for the gradient of a loss of rows; all leave the loss as it is."""
    found = [*_shares(), *_slopes(), *_weighted_columns(view)]
    return [replace(slip, backward=True, rarely=True) for slip in found]


def with_shares(m: M, z: V, t: Targets[V], shares: Ball) -> V:
    """The loss, whose gradient is written T q - t by `shares` q in the place of p."""
    value = m.logsumexp(z).value
    return weighted(m, m.node(value, (z, lambda g: g * shares)), t) - picked(m, z, t)


def _shares() -> Iterator[Variation]:
    def entry(what: str, fault: str, shares: Shares) -> Variation:
        return loss_slip(
            f"{what} for p",
            fault,
            f"the gradient is {what} - y, where p - y is due",
            "take p = softmax of the very logits that the loss is of, once, for the backward",
            lambda m, z, t, v: with_shares(m, z, t, shares(v.m, z.value)),
        )

    def decayed(m: BallAlgebra, z: Ball) -> Ball:
        return m.exp(z - m.maximum(z))

    yield entry("softmax(softmax(z))", TWICE, lambda m, z: m.softmax(m.softmax(z)))
    yield entry("sigmoid(z)", TWICE, lambda m, z: m.share(z, m.exact(np.zeros((1, 1)))))
    yield entry("z", TWICE, lambda m, z: z)
    yield entry("log p", JACOBIAN, lambda m, z: m.log_softmax(z))
    yield entry("p^2", JACOBIAN, lambda m, z: m.softmax(z) * m.softmax(z))
    yield entry("p (1 - p)", JACOBIAN, lambda m, z: m.softmax(z) * _rest(m, m.softmax(z)))
    yield entry("exp(z)", PARTITION, lambda m, z: m.exp(z))
    yield entry("exp(z - max z)", PARTITION, decayed)
    yield entry("1 / C", JACOBIAN, lambda m, z: m.exact(np.full(z.mid.shape, 1.0 / z.mid.shape[-1])))
    yield entry("[z = max z]", JACOBIAN, lambda m, z: m.exact(_hardest(z)))


def _hardest(z: Ball) -> np.ndarray:
    hot = np.zeros(z.mid.shape)
    np.put_along_axis(hot, np.argmax(z.mid, axis=-1)[:, None], 1.0, axis=-1)
    return hot


# -- a slope too many ------------------------------------------------------------------------------------------------


def _slopes() -> Iterator[Variation]:
    """The right gradient of the logits, multiplied or pulled back once more on its way."""

    def entry(
        name: str, fault: str, statement: str, advice: str, back: Callable[[BallAlgebra, Ball, Ball], Ball]
    ) -> Variation:
        def make(m: M, x: V, view: View) -> V:
            z = reference_logits(m, x, view)
            return m.node(z.value, (z, lambda g: back(view.m, z.value, g)))

        return Variation("logits", name, fault, statement, advice, make)

    def slope(what: str, factor: Shares) -> Variation:
        return entry(
            f"times {what}",
            JACOBIAN,
            f"the gradient of the logits is multiplied by {what}, the slope of something that is not on the way",
            "p - y is the gradient of the logits already: multiply it by the upstream gradient alone",
            lambda m, z, g: g * factor(m, z),
        )

    def sigmoid(m: BallAlgebra, z: Ball) -> Ball:
        return m.share(z, m.exact(np.zeros((1, 1))))

    yield slope("p (1 - p)", lambda m, z: m.softmax(z) * _rest(m, m.softmax(z)))
    yield slope("p", lambda m, z: m.softmax(z))
    yield slope("1 - p", lambda m, z: _rest(m, m.softmax(z)))
    yield slope("s (1 - s), s = sigmoid(z),", lambda m, z: sigmoid(m, z) * _rest(m, sigmoid(m, z)))
    yield slope("1 - tanh(z)^2", lambda m, z: _rest(m, m.tanh(z) * m.tanh(z)))
    yield slope("[z > 0]", lambda m, z: m.exact((z.mid > 0.0).astype(np.float64)))
    yield entry(
        "softmax's Jacobian again",
        JACOBIAN,
        "the gradient of the logits is taken for that of the probabilities, and goes through the Jacobian of softmax "
        "once more",
        "p - y is the gradient of the logits already: hand it on as it is",
        lambda m, z, g: m.softmax_vjp(z, g),
    )
    for where, place in (("last", -1), ("first", 0)):
        yield entry(
            f"sign of the {where} class",
            SIGN,
            f"the gradient of the {where} class has the opposite sign",
            "treat every class alike",
            lambda m, z, g, place=place: g * m.exact(_one_negative(z, place)),  # type: ignore[misc]
        )


def _rest(m: BallAlgebra, a: Ball) -> Ball:
    """1 - a as it is written, with the digits that the difference loses."""
    return m.exact(1.0) - a


def _one_negative(z: Ball, place: int) -> np.ndarray:
    signs = np.ones((1, z.mid.shape[-1]))
    signs[0, place] = -1.0
    return signs


# -- weights of classes, on columns ----------------------------------------------------------------------------------


def _weighted_columns(view: View) -> Iterator[Variation]:
    if view.weight is None or view.block.labels is None or view.number("label_smoothing", 0.0):
        return

    def entry(name: str, statement: str, *, rows: bool) -> Variation:
        def make(m: M, z: V, t: Targets[V], view: View) -> V | None:
            if t.labels is None or view.weight is None:
                return None
            columns = view.weight[None, :] if view.active is None else view.weight[None, view.active]
            pulled = m.node(z.value, (z, lambda g: g * m.m.exact(columns)))
            counted = m.exact(view.counted.astype(np.float64)[:, None])
            return reference_loss(m, pulled, t if rows else Targets(t.labels, counted, None), view)

        return loss_slip(
            name,
            WEIGHTS,
            statement,
            "multiply the gradient of each row by the weight of its own label, all classes of the row alike",
            make,
        )

    yield entry(
        "weights on columns",
        "the gradient of class j is multiplied by the weight of class j, and not that of a row by its label's",
        rows=False,
    )
    yield entry(
        "weights on rows and columns",
        "the gradient of class j is multiplied by the weight of class j beside that of the row's label",
        rows=True,
    )
