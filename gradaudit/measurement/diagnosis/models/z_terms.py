"""Slips of the z-loss beside a cross entropy: over other rows, by another number, of something else than it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, loss_slip, reference_loss
from gradaudit.measurement.diagnosis.view import View

IGNORED, DENOMINATOR, TERM = "ignored-rows-leak", "mean-denominator", "reduction-factor"
Term = Callable[[M, V], V]


def variations(view: View) -> list[Variation]:
    """The slips that exist where a z-loss is asked for."""
    key = "coefficient" if view.function == "z_loss" else "z_loss"
    if not view.number(key, 0.0):
        return []
    return [replace(slip, rarely=True) for slip in (*_means(key), *_terms(key))]


def _beside(key: str, term: Term, factor: Callable[[View], np.ndarray]) -> Callable[[M, V, Targets[V], View], V]:
    """The cross entropy, and the coefficient times `factor` [rows, 1] times a term."""

    def make(m: M, z: V, t: Targets[V], view: View) -> V:
        coefficient = m.parameter(view.number(key, 0.0))
        return reference_loss(m, z, t, view, {key: 0.0}) + m.exact(factor(view)) * (coefficient * term(m, z))

    return make


def _counted(view: View) -> np.ndarray:
    return view.counted.astype(np.float64)[:, None]


def _square(a: V) -> V:
    return a * a


def _means(key: str) -> Iterator[Variation]:
    advice = "mask both terms of the loss, and divide both by the number of rows that count"

    def entry(name: str, fault: str, statement: str, factor: Callable[[View], np.ndarray]) -> Variation:
        return loss_slip(name, fault, statement, advice, _beside(key, lambda m, z: _square(m.logsumexp(z)), factor))

    def ratio(view: View) -> float:
        return float(view.counted.sum()) / view.rows

    yield entry(
        "z-loss of all rows",
        IGNORED,
        "the z-loss is that of all rows, the ignored ones too",
        lambda v: np.ones((v.rows, 1)),
    )
    yield entry(
        "z-loss of all rows by N",
        IGNORED,
        "the z-loss is averaged over all rows, the ignored ones too; the cross entropy over those that count",
        lambda v: np.full((v.rows, 1), ratio(v)),
    )
    yield entry(
        "z-loss by N",
        DENOMINATOR,
        "the z-loss is divided by N, all rows, and the cross entropy by those that count",
        lambda v: _counted(v) * ratio(v),
    )


def _terms(key: str) -> Iterator[Variation]:
    def entry(what: str, term: Term) -> Variation:
        return loss_slip(
            f"z-loss of {what}",
            TERM,
            f"the z-loss is made of {what}, where logsumexp(z)^2 is due",
            "add coefficient * logsumexp(z)^2, of the logits as they are, to the loss of every row that counts",
            _beside(key, term, _counted),
        )

    def rest(m: M, z: V) -> V:
        return m.logsumexp(z) - m.stop_gradient(m.maximum(z))

    yield entry("logsumexp(z), not squared", lambda m, z: m.logsumexp(z))
    yield entry("logsumexp(z - max z)^2", lambda m, z: _square(rest(m, z)))
    yield entry("logsumexp(z - max z)^2, max z differentiated", lambda m, z: _square(m.logsumexp(z) - m.maximum(z)))
    yield entry("logsumexp(z)^2 / 2", lambda m, z: m.exact(0.5) * _square(m.logsumexp(z)))
    yield entry("max(z)^2", lambda m, z: _square(m.maximum(z)))
    yield entry("the sum of z^2", lambda m, z: m.sum(z * z))
    yield entry("the mean of z^2", lambda m, z: m.mean(z * z))
    yield entry("the square of the mean of z", lambda m, z: _square(m.mean(z)))
