"""Slips in the focal loss: its factor detached or misread, the weights of classes inside it, epsilons."""

# ruff: noqa: ARG005 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.clamps import epsilons, rounded_end
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, loss_slip, picked
from gradaudit.measurement.diagnosis.view import View

TERM, DETACHED, WEIGHTS, CLAMPED = "reduction-factor", "detached-path", "class-weights", "clamped-probability"

Change = Callable[[M, V, V, V], V]
"""m, 1 - p, p and log p of the label -> the loss of a row before the weight of its class."""


def variations(view: View) -> list[Variation]:
    """The slips that exist where the function is the focal loss."""
    if view.function != "focal":
        return []
    gamma = view.number("gamma", 0.0)
    found = [*_factors(gamma), *_epsilons(view, gamma)]
    return [*found, *_weights(gamma)] if isinstance(view.parameters.get("alpha"), tuple) else found


def _alpha(m: M, view: View, labels: np.ndarray) -> V | None:
    """The weight of the label's class, where there is one."""
    alpha = view.truth.parameters.all.get("alpha")
    return m.take(m.parameter(np.array([alpha], dtype=np.float64)), labels) if isinstance(alpha, tuple) else None


def _entry(name: str, fault: str, statement: str, advice: str, change: Change, *, rarely: bool = False) -> Variation:
    def make(m: M, z: V, t: Targets[V], view: View) -> V | None:
        if t.labels is None:
            return None
        log_p = m.log_softmax(z, t.labels)
        loss = change(m, m.complement(z, t.labels), m.exp(log_p), log_p)
        alpha = _alpha(m, view, t.labels)
        if alpha is not None:
            loss = alpha * loss
        return picked(m, m.expand(loss, m.shape(z)), t)

    return loss_slip(name, fault, statement, advice, make, rarely=rarely)


def _factors(gamma: float) -> list[Variation]:
    """Factors of a loss that were taken for constants in the backward, and terms that were not differentiated."""
    whole = "let the derivative reach the factor (1 - p)^gamma and the logarithm both"
    due = "use (1 - p)^gamma, p the probability of the label"
    return [
        _entry(
            "focal factor detached",
            DETACHED,
            "the factor (1 - p)^gamma is taken for a constant: its own derivative is missing from the gradient",
            whole,
            lambda m, r, p, log_p: -(m.stop_gradient(m.power(r, gamma)) * log_p),
        ),
        _entry(
            "only the focal factor",
            DETACHED,
            "the logarithm is taken for a constant: only the factor (1 - p)^gamma is differentiated",
            whole,
            lambda m, r, p, log_p: -(m.power(r, gamma) * m.stop_gradient(log_p)),
        ),
        _entry(
            "p^gamma",
            TERM,
            "the factor is p^gamma, which counts rows more that are right already, not (1 - p)^gamma",
            due,
            lambda m, r, p, log_p: -(m.power(p, gamma) * log_p),
        ),
        _entry(
            "1 - p^gamma",
            TERM,
            "the factor is 1 - p^gamma, not (1 - p)^gamma",
            due,
            lambda m, r, p, log_p: -((m.exact(1.0) - m.power(p, gamma)) * log_p),
        ),
        _entry(
            "gamma (1 - p)",
            TERM,
            "the factor is gamma (1 - p), not (1 - p)^gamma",
            due,
            lambda m, r, p, log_p: -(m.parameter(gamma) * r * log_p),
        ),
        _entry(
            "logarithm missing",
            TERM,
            "the logarithm is missing: the loss is -(1 - p)^gamma p",
            "multiply the factor by -log p",
            lambda m, r, p, log_p: -(m.power(r, gamma) * p),
        ),
        _entry(
            "(1 + p)^gamma",
            TERM,
            "the factor is (1 + p)^gamma, not (1 - p)^gamma",
            due,
            lambda m, r, p, log_p: -(m.power(m.exact(1.0) + p, gamma) * log_p),
        ),
        *_slopes(gamma),
    ]


def _slopes(gamma: float) -> list[Variation]:
    """Backwards written by hand: dL / dlog p = gamma (1 - p)^(gamma - 1) p log p - (1 - p)^gamma, misremembered."""
    advice = "dL / dlog p is gamma (1 - p)^(gamma - 1) p log p - (1 - p)^gamma, times (e_y - p)"

    def by_slope(name: str, formula: str, slope: Change) -> Variation:
        def change(m: M, r: V, p: V, log_p: V) -> V:
            factor = slope(m, r, p, log_p).value
            return m.node((-(m.power(r, gamma) * log_p)).value, (log_p, lambda g: g * factor))

        return _entry(
            name, "truncated-jacobian", f"the backward takes {formula} for dL / dlog p", advice, change, rarely=True
        )

    g, one = gamma, 1.0
    return [
        by_slope(
            "slope without p",
            "gamma (1 - p)^(gamma - 1) log p - (1 - p)^gamma",
            lambda m, r, p, lp: m.parameter(g) * m.power(r, g - one) * lp - m.power(r, g),
        ),
        by_slope(
            "slope with gamma",
            "gamma (1 - p)^gamma p log p - (1 - p)^gamma",
            lambda m, r, p, lp: m.parameter(g) * m.power(r, g) * p * lp - m.power(r, g),
        ),
        by_slope(
            "slope without gamma",
            "(1 - p)^(gamma - 1) p log p - (1 - p)^gamma",
            lambda m, r, p, lp: m.power(r, g - one) * p * lp - m.power(r, g),
        ),
        by_slope(
            "slope of the wrong sign",
            "-gamma (1 - p)^(gamma - 1) p log p - (1 - p)^gamma",
            lambda m, r, p, lp: -(m.parameter(g) * m.power(r, g - one) * p * lp) - m.power(r, g),
        ),
        by_slope(
            "slope without the logarithm",
            "gamma (1 - p)^(gamma - 1) p - (1 - p)^gamma",
            lambda m, r, p, lp: m.parameter(g) * m.power(r, g - one) * p - m.power(r, g),
        ),
    ]


def _weights(gamma: float) -> list[Variation]:
    """Where the weight of a class may go astray: p_t is the probability of the label, without it."""
    advice = "take p_t from the unweighted log-probability, and multiply the loss of the row by alpha_y once"

    def entry(name: str, statement: str, change: Callable[[M, V, V, V], V]) -> Variation:
        def make(m: M, z: V, t: Targets[V], view: View) -> V | None:
            alpha = None if t.labels is None else _alpha(m, view, t.labels)
            if alpha is None or t.labels is None:
                return None
            loss = change(m, alpha, m.complement(z, t.labels), m.log_softmax(z, t.labels))
            return picked(m, m.expand(loss, m.shape(z)), t)

        return loss_slip(name, WEIGHTS, statement, advice, make)

    return [
        entry(
            "alpha before p_t",
            "p_t is exp(-alpha_y ce), taken of the weighted cross entropy: the weight of the class is in the factor "
            "(1 - p_t)^gamma too",
            lambda m, a, r, lp: -(m.power(m.exact(1.0) - m.exp(a * lp), gamma) * a * lp),
        ),
        entry(
            "alpha only in p_t",
            "p_t is exp(-alpha_y ce), taken of the weighted cross entropy, and the logarithm has no weight",
            lambda m, a, r, lp: -(m.power(m.exact(1.0) - m.exp(a * lp), gamma) * lp),
        ),
        entry(
            "1 - alpha p",
            "the factor is (1 - alpha_y p)^gamma: the weight multiplies the probability",
            lambda m, a, r, lp: -(m.power(m.exact(1.0) - a * m.exp(lp), gamma) * lp),
        ),
        entry(
            "alpha within the power",
            "the weight is raised to gamma with the factor: (alpha_y (1 - p))^gamma",
            lambda m, a, r, lp: -(m.power(a * r, gamma) * lp),
        ),
    ]


def _epsilons(view: View, gamma: float) -> list[Variation]:
    """Clamps and epsilons between the probability and its logarithm."""
    advice = "take log p from log_softmax: it needs neither a clamp nor an epsilon, however small p is"
    found = []
    for value, text in epsilons(view.inputs.dtype):
        found.append(
            _entry(
                f"focal, log(p + {text})",
                CLAMPED,
                f"{text} is added to the probability inside the logarithm: the loss levels off, and the gradient is "
                f"too small by p / (p + {text})",
                advice,
                lambda m, r, p, lp, v=value: -(m.power(r, gamma) * m.log(p + m.parameter(v))),  # type: ignore[misc]
                rarely=True,
            )
        )
        found += [_cut(value, text, gamma, advice, both=both) for both in (False, True)]
    return found


def _cut(value: float, text: str, gamma: float, advice: str, *, both: bool) -> Variation:
    """The probability is cut off below, or at both ends."""
    high = 1.0 - value if both else None

    def make(m: M, z: V, t: Targets[V], view: View) -> V | None:
        if t.labels is None:
            return None
        p = m.clip(m.take(m.softmax(z), t.labels), value, high)
        loss = -(m.power(m.exact(1.0) - p, gamma) * m.log(p))
        alpha = _alpha(m, view, t.labels)
        loss = loss if alpha is None else alpha * loss
        return picked(m, m.expand(rounded_end(m, loss, view) if both else loss, m.shape(z)), t)

    ends = f"to [{text}, 1 - {text}]" if both else f"below {text}"
    return loss_slip(
        f"focal, {text} <= p <= 1 - {text}" if both else f"focal, p >= {text}",
        CLAMPED,
        f"the probability is cut {ends} before its logarithm is taken: the gradient is 0 beyond",
        advice,
        make,
        rarely=True,
    )
