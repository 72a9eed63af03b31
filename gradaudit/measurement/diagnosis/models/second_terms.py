"""Slips of a loss that adds a term to the cross entropy: reduced otherwise, in other units, of something else, or of
the mean of the rows."""

# ruff: noqa: ARG001, ARG005 - each slip takes what its stage is given
from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.clamps import epsilons, rounded_end
from gradaudit.measurement.diagnosis.models.variation import (
    M,
    V,
    Variation,
    loss_slip,
    picked,
    reference_loss,
    total_mass,
)
from gradaudit.measurement.diagnosis.view import View

TERM, DENOMINATOR, CLASSES, CLAMPED = (
    "reduction-factor",
    "mean-denominator",
    "mean-over-classes",
    "clamped-probability",
)
COEFFICIENTS = ("coefficient", "z_loss", "entropy_regularization", "epsilon")
"""Parameters that a term of a loss is multiplied by."""

Z_LOSS = ("coefficient", "z_loss")

Term = Callable[[M, V, Targets[V], View], V]


def variations(view: View) -> list[Variation]:
    """The slips that exist for the function of `view`."""
    found: list[Variation] = []
    for parameter in view.truth.function.parameters:
        if parameter.name in COEFFICIENTS and view.number(parameter.name, 0.0):
            found += _reductions(parameter.name)
            found += _complements(parameter.name)
            found += _slopes(parameter.name) if parameter.name in Z_LOSS else ()
    if view.number("entropy_regularization", 0.0):
        found += [*_entropies(), *_logarithms(view)]
    if view.function == "poly":
        found += _of_labels()
    return [replace(slip, rarely=True) for slip in found]


def own_terms(m: M, z: V, t: Targets[V], view: View) -> V | None:
    """What the function adds to the cross entropy of every row that counts; None where it adds nothing."""
    found: V | None = None
    for key in Z_LOSS:
        if view.number(key, 0.0):
            normaliser = m.logsumexp(z)
            found = m.parameter(view.number(key, 0.0)) * (normaliser * normaliser)
    if view.number("entropy_regularization", 0.0):
        entropy = m.parameter(view.number("entropy_regularization", 0.0)) * m.sum(m.softmax(z) * m.log_softmax(z))
        found = entropy if found is None else found + entropy
    if view.function == "poly" and view.number("epsilon", 0.0) and t.labels is not None:
        found = m.parameter(view.number("epsilon", 0.0)) * m.complement(z, t.labels)
    return None if found is None else m.exact(view.counted.astype(np.float64)[:, None]) * found


def beside_own_terms(slip: Variation) -> Variation:
    """A slip of the cross entropy in a loss that adds terms to it: those stay as they are."""

    def make(m: M, z: V, t: Targets[V], view: View) -> V | None:
        loss, more = slip.make(m, z, t, view), own_terms(m, z, t, view)
        return loss if loss is None or more is None else loss + more

    return replace(slip, make=make)


def _slopes(key: str) -> Iterator[Variation]:
    """Backwards of the z-loss by hand that forget a factor of 2 a logsumexp(z) p."""
    advice = "the z-loss adds 2 a logsumexp(z) p to the gradient of the row, beside p - y"

    def linear(m: M, z: V, t: Targets[V], view: View) -> V:
        return m.exact(2.0) * m.logsumexp(z)

    def whole(m: M, z: V, t: Targets[V], view: View) -> V:
        rest = reference_loss(m, z, t, view, {key: 0.0})
        return m.exact(2.0) * m.stop_gradient(m.logsumexp(z)) * rest

    for what, term in (("2 a p, without the factor logsumexp(z)", linear), ("2 a logsumexp(z) (p - y)", whole)):
        slip = loss_slip(
            f"slope {what}",
            "truncated-jacobian",
            f"the backward adds {what} for the term of {key}, where 2 a logsumexp(z) p is due",
            advice,
            _beside(key, term),
        )
        yield replace(slip, backward=True)


def _reductions(key: str) -> Iterator[Variation]:
    """The term by itself, in another mean than the rest, or with its logarithm to another base."""
    factors: tuple[tuple[str, str, str, Callable[[View], float]], ...] = (
        (
            "added up",
            TERM,
            "is added up over the rows, where the rest of the loss is averaged",
            lambda v: float(v.counted.sum()),
        ),
        (
            "averaged twice",
            TERM,
            "is divided by the number of rows twice",
            lambda v: 1.0 / max(float(v.counted.sum()), 1.0),
        ),
        ("by C", CLASSES, "is averaged over the classes, where it is a sum", lambda v: 1.0 / _classes(v)),
        ("times C", TERM, "is multiplied by the number of classes", lambda v: float(_classes(v))),
        ("by log C", TERM, "is divided by log C, its largest value", lambda v: 1.0 / math.log(max(_classes(v), 2))),
        ("in bits", TERM, "is in bits: its logarithm is to the base 2", lambda v: 1.0 / math.log(2.0)),
        ("in squared bits", TERM, "is in bits: its logarithm is to the base 2", lambda v: 1.0 / math.log(2.0) ** 2),
    )
    for words, fault, statement, factor in factors:

        def make(
            view: View, factor: Callable[[View], float] = factor, words: str = words
        ) -> dict[str, object] | None:
            averaged = words in ("added up", "averaged twice")
            if averaged and (view.reduction != "mean" or view.weight is not None):
                return None
            return {key: view.number(key, 0.0) * factor(view)}

        yield Variation(
            "parameters",
            f"{key} {words}",
            fault,
            f"the term of {key} {statement}",
            "reduce both terms of the loss alike: add them up row by row, then take the mean",
            make,
        )


def _classes(view: View) -> int:
    return view.truth.layout.active_classes


def _complements(key: str) -> Iterator[Variation]:
    """(1 - b) times the cross entropy beside b times the term."""

    def make(m: M, z: V, t: Targets[V], view: View) -> V:
        weight = m.parameter(view.number(key, 0.0))
        rest = reference_loss(m, z, t, view, {key: 0.0})
        return reference_loss(m, z, t, view) - weight * rest

    yield loss_slip(
        f"1 - {key}",
        TERM,
        f"the cross entropy is multiplied by 1 - {key}: the two terms are mixed, where one is added to the other",
        f"add {key} times the term to the whole cross entropy",
        make,
    )


def _beside(key: str, term: Term) -> Term:
    """The cross entropy, and the coefficient times another term in every row that counts."""

    def make(m: M, z: V, t: Targets[V], view: View) -> V:
        counted = m.exact(view.counted.astype(np.float64)[:, None])
        weight = m.parameter(view.number(key, 0.0))
        return reference_loss(m, z, t, view, {key: 0.0}) + counted * (weight * term(m, z, t, view))

    return make


# -- entropies -------------------------------------------------------------------------------------------------------


def _entropies() -> Iterator[Variation]:
    key = "entropy_regularization"
    advice = "add b sum_j p_j log p_j, p and its logarithm of the same logits, to the loss of every row"
    terms: tuple[tuple[str, Term], ...] = (
        ("sum_j log p_j, without the factor p_j", lambda m, z, t, v: m.sum(m.log_softmax(z))),
        ("sum_j p_j z_j, of logits and not of log-probabilities", lambda m, z, t, v: m.sum(m.softmax(z) * z)),
        ("sum_j p_j^2", lambda m, z, t, v: m.sum(m.softmax(z) * m.softmax(z))),
        ("the mean of log p, KL to the uniform distribution", lambda m, z, t, v: m.mean(m.log_softmax(z))),
        ("p_y log p_y, of the label alone", lambda m, z, t, v: picked(m, m.softmax(z) * m.log_softmax(z), t)),
    )
    for what, term in terms:
        yield loss_slip(
            f"entropy of {what}",
            TERM,
            f"the term of {key} is made of {what}, where sum_j p_j log p_j is due",
            advice,
            _beside(key, term),
        )


def _logarithms(view: View) -> Iterator[Variation]:
    for value, text in epsilons(view.inputs.dtype):

        def term(m: M, z: V, t: Targets[V], v: View, value: float = value) -> V:
            p = m.softmax(z)
            return m.sum(p * rounded_end(m, m.log(p + m.exact(value)), v))

        yield loss_slip(
            f"entropy with {text}",
            CLAMPED,
            f"{text} is added to the probabilities inside the logarithm of the entropy",
            "take log p from log_softmax: it needs neither a clamp nor an epsilon, however small p is",
            _beside("entropy_regularization", term),
        )


# -- functions of the label's probability ----------------------------------------------------------------------------


def _of_labels() -> Iterator[Variation]:
    advice = "add epsilon (1 - p), p the probability of the label, to the cross entropy of the row"

    def largest(m: M, z: V, t: Targets[V], v: View) -> V:
        return m.exact(1.0) - m.maximum(m.softmax(z))

    terms: tuple[tuple[str, Term], ...] = (
        ("p of the label", lambda m, z, t, v: picked(m, m.softmax(z), t)),
        ("(1 - p)^2", lambda m, z, t, v: _squared(_rest(m, z, t))),
        ("1 - p of the largest class, not of the label", largest),
        (
            "1 - p added up over all classes, which is C - 1",
            lambda m, z, t, v: m.sum(m.complement(z)) * total_mass(m, t),
        ),
        ("-p, without the 1", lambda m, z, t, v: -picked(m, m.softmax(z), t)),
        ("(1 - p) log p", lambda m, z, t, v: _rest(m, z, t) * picked(m, m.log_softmax(z), t)),
    )
    for what, term in terms:
        yield loss_slip(
            f"poly of {what}",
            TERM,
            f"the term of epsilon is made of {what}, where 1 - p of the label is due",
            advice,
            _beside("epsilon", term),
        )


def _rest(m: M, z: V, t: Targets[V]) -> V:
    assert t.labels is not None
    return m.complement(z, t.labels)


def _squared(a: V) -> V:
    return a * a
