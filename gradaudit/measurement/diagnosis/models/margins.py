"""Slips of large-margin losses: the margin at other places, in other units, or cut off from the graph."""

# ruff: noqa: ARG001, ARG005 - each slip takes what its stage is given
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, loss_slip
from gradaudit.measurement.diagnosis.view import View

FACTOR, DETACHED, CLAMPED = "logit-transform-factor", "detached-path", "clamped-probability"
PARTITION, TWICE, LABELS = "partition-local-normaliser", "softmax-applied-twice", "labels-misaligned"

Logits = Callable[[M, V, np.ndarray, View], V]
"""m, cosines, labels -> what softmax is taken of."""

FAR = -1e30
"""A logit whose exponential is 0 beside any other."""


def variations(view: View) -> list[Variation]:
    """The slips that exist where the function is a margin loss."""
    if view.function != "margin" or not view.number("margin", 0.0):
        return []
    found = [*_terms(), *_places(view), *(_of_angles(view) if _angular(view) else _of_sums())]
    return [replace(slip, rarely=True) for slip in found]


def _angular(view: View) -> bool:
    return view.parameters.get("kind") == "angular"


def _moved(m: M, own: V, view: View, margin: float | None = None, *, detached: bool = False) -> V:
    """c_y - m, or cos(arccos c_y + m); with its sine taken for a constant if `detached`."""
    value = m.parameter(view.number("margin", 0.0)) if margin is None else m.charged(m.exact(margin), 2)
    if not _angular(view):
        return own - value
    one = m.exact(1.0)
    sine = m.sqrt((one - own) * (one + own))
    return own * m.cos(value) - (m.stop_gradient(sine) if detached else sine) * m.sin(value)


def _through_angles(m: M, z: V) -> V:
    """cos(arccos c) of every class, as it is often written: angles are rounded at their own size, not at c's."""
    rounded = m.charged(m.exact(1.0), 4)
    return z * rounded + (rounded - m.exact(1.0))


def _scale(m: M, view: View) -> V:
    return m.parameter(view.number("scale", 1.0))


def _meant(m: M, z: V, y: np.ndarray, view: View) -> V:
    return m.replace(z, y, _moved(m, m.take(z, y), view)) * _scale(m, view)


def _plain(m: M, z: V, y: np.ndarray, view: View) -> V:
    return z * _scale(m, view)


def _entry(  # noqa: PLR0917 - words and mathematics of one slip
    name: str, fault: str, statement: str, advice: str, normaliser: Logits, target: Logits | None = None
) -> Variation:
    """logsumexp of one kind of logits less the label's of another, which is the same unless told."""

    def make(m: M, z: V, t: Targets[V], view: View) -> V | None:
        if t.labels is None or t.mass is None:
            return None
        if _angular(view):
            z = _through_angles(m, z)
        inside = normaliser(m, z, t.labels, view)
        if target is None:
            return -(t.mass * m.log_softmax(inside, t.labels))
        return t.mass * (m.logsumexp(inside) - m.take(target(m, z, t.labels, view), t.labels))

    return loss_slip(name, fault, statement, advice, make)


# -- both terms ----------------------------------------------------------------------------------------------------


def _terms() -> Iterator[Variation]:
    both = "take the label's logit, margin included, into the normaliser as well: one softmax of all moved logits"

    def left_out(m: M, z: V, y: np.ndarray, view: View) -> V:
        return m.replace(z * _scale(m, view), y, m.exact(FAR) + m.take(z, y) * m.exact(0.0))

    yield _entry(
        "margin in the numerator only",
        PARTITION,
        "the margin is in the numerator only: the normaliser holds the label's cosine without it",
        both,
        _plain,
        _meant,
    )
    yield _entry(
        "margin in the normaliser only",
        PARTITION,
        "the margin is in the normaliser only: the numerator is the label's cosine without it",
        both,
        _meant,
        _plain,
    )
    yield _entry(
        "label left out of the margin's normaliser",
        PARTITION,
        "the normaliser runs over the other classes only: the label's own moved logit is not in it",
        both,
        left_out,
        _meant,
    )

    def twice(m: M, z: V, y: np.ndarray, view: View) -> V:
        return m.softmax(_meant(m, z, y, view))

    yield _entry(
        "softmax of the moved logits, twice",
        TWICE,
        "softmax is applied twice: the loss gets probabilities where it expects the scaled cosines",
        "give the loss the scaled cosines themselves",
        twice,
    )


# -- where the margin and the scale are ------------------------------------------------------------------------------


def _places(view: View) -> Iterator[Variation]:
    once = "scale all logits by s, the label's after the margin was taken from it"

    def label_alone(m: M, z: V, y: np.ndarray, view: View) -> V:
        return m.replace(z, y, _moved(m, m.take(z, y), view) * _scale(m, view))

    def others_alone(m: M, z: V, y: np.ndarray, view: View) -> V:
        return m.replace(z * _scale(m, view), y, _moved(m, m.take(z, y), view))

    def after(m: M, z: V, y: np.ndarray, view: View) -> V:
        scaled = z * _scale(m, view)
        return m.replace(scaled, y, m.take(scaled, y) - m.parameter(view.number("margin", 0.0)))

    def next_class(m: M, z: V, y: np.ndarray, view: View) -> V:
        other = (y + 1) % m.shape(z)[-1]
        return m.replace(z, other, _moved(m, m.take(z, other), view)) * _scale(m, view)

    def added(m: M, z: V, y: np.ndarray, view: View) -> V:
        return m.replace(z, y, m.take(z, y) - m.parameter(view.number("margin", 0.0))) * _scale(m, view)

    def again(m: M, z: V, y: np.ndarray, view: View) -> V:
        return _meant(m, z / m.sqrt(m.sum(z * z)), y, view)

    yield _entry("scale at the label", FACTOR, "the scale multiplies the label's logit only", once, label_alone)
    yield _entry(
        "scale at the others", FACTOR, "the scale multiplies the other classes' logits only", once, others_alone
    )
    yield _entry(
        "margin after the scale",
        FACTOR,
        "the margin is taken from the scaled logit: it is s times too small",
        once,
        after,
    )
    yield _entry(
        "margin at the next class",
        LABELS,
        "the margin is taken from the class after the label",
        "take the margin from the label's own cosine",
        next_class,
    )
    yield _entry(
        "cosines normalised again",
        FACTOR,
        "every row of cosines is divided by its own length, as if it were an embedding",
        "normalise embeddings and class weights before their product, and the cosines not at all",
        again,
    )
    if _angular(view):
        yield _entry(
            "angle taken from the cosine",
            FACTOR,
            "the angle m is subtracted from the cosine, where it is to be added to the angle",
            "use cos(arccos c + m)",
            added,
        )


def _of_sums() -> Iterator[Variation]:
    def relative(m: M, z: V, y: np.ndarray, view: View) -> V:
        own = m.take(z, y)
        return m.replace(z, y, own * (m.exact(1.0) - m.parameter(view.number("margin", 0.0)))) * _scale(m, view)

    yield _entry(
        "margin as a factor",
        FACTOR,
        "the label's cosine is multiplied by 1 - m, where m is to be subtracted",
        "subtract the margin from the label's cosine",
        relative,
    )


# -- angles ----------------------------------------------------------------------------------------------------------


def _of_angles(view: View) -> Iterator[Variation]:
    margin = view.number("margin", 0.0)
    whole = "differentiate cos(arccos c + m) as it is: cos m + c sin m / sqrt(1 - c^2) at the label"

    def every(m: M, z: V, y: np.ndarray, view: View) -> V:
        return _moved(m, z, view) * _scale(m, view)

    def with_margin(value: float) -> Logits:
        return lambda m, z, y, v: m.replace(z, y, _moved(m, m.take(z, y), v, value)) * _scale(m, v)

    yield _entry(
        "margin at every class",
        FACTOR,
        "the margin is added to the angle of every class, not of the label alone",
        "add the margin to the label's angle alone",
        every,
    )
    for words, value in (
        ("degrees", math.radians(margin)),
        ("radians that were meant as degrees", math.degrees(margin)),
    ):
        yield _entry(
            f"margin in {words}",
            FACTOR,
            f"the margin is taken in {words}: {value:g} in place of {margin:g}",
            "give the margin in radians",
            with_margin(value),
        )
    for words, fallback in _branches():
        yield _entry(
            f"another branch: {words}",
            FACTOR,
            f"the margin is not that of the whole range: {words}",
            "use cos(arccos c + m) for every cosine, or leave such a branch to the training and audit what is meant",
            fallback,
        )
    for bound in (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
        yield _entry(
            f"cosines clamped by {bound:g}",
            CLAMPED,
            f"the label's cosine is cut to [-1 + {bound:g}, 1 - {bound:g}]: the gradient at the label is 0 beyond",
            "keep the cosine; where its slope grows without bound near 1, the loss itself does so",
            _cut(bound),
        )
    yield replace(
        _entry(
            "sine detached",
            DETACHED,
            "the sine of the label's angle is taken for a constant: the label's slope is cos m",
            whole,
            lambda m, z, y, v: m.replace(z, y, _moved(m, m.take(z, y), v, detached=True)) * _scale(m, v),
        ),
        backward=True,
    )
    yield replace(
        _entry(
            "margin detached",
            DETACHED,
            "what the margin changes of the label's logit is taken for a constant: the label's slope is 1",
            whole,
            _delta_detached,
        ),
        backward=True,
    )


def _delta_detached(m: M, z: V, y: np.ndarray, view: View) -> V:
    own = m.take(z, y)
    return m.replace(z, y, own + m.stop_gradient(_moved(m, own, view) - own)) * _scale(m, view)


def _branches() -> Iterator[tuple[str, Logits]]:
    """What published code does where the angle and the margin add up to more than pi, or the cosine is negative."""

    def branch(where: Callable[[np.ndarray, float], np.ndarray], other: Callable[[M, V, float], V]) -> Logits:
        def logits(m: M, z: V, y: np.ndarray, view: View) -> V:
            own, margin = m.take(z, y), view.number("margin", 0.0)
            moved = m.where(where(own.value.mid, margin), _moved(m, own, view), other(m, own, margin))
            return m.replace(z, y, moved) * _scale(m, view)

        return logits

    def positive(c: np.ndarray, margin: float) -> np.ndarray:
        return np.asarray(c > 0.0)

    def within(c: np.ndarray, margin: float) -> np.ndarray:
        return np.asarray(c > math.cos(math.pi - margin))

    yield "a cosine of 0 or less keeps its value (easy margin)", branch(positive, lambda m, c, margin: c)
    yield (
        "beyond pi - m the cosine less m sin m takes its place",
        branch(within, lambda m, c, margin: c - m.exact(margin) * m.sin(m.parameter(margin))),
    )
    yield "beyond pi - m the cosine keeps its value", branch(within, lambda m, c, margin: c)


def _cut(bound: float) -> Logits:
    def logits(m: M, z: V, y: np.ndarray, view: View) -> V:
        own = m.clip(m.take(z, y), -1.0 + bound, 1.0 - bound)
        return m.replace(z, y, _moved(m, own, view)) * _scale(m, view)

    return logits
