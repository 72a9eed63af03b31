"""Slips of the Kullback-Leibler divergence: its arguments exchanged or mixed, logarithms left out, temperatures."""

# ruff: noqa: ARG001 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import M, Mass, V, Variation, loss_slip, reference_mass
from gradaudit.measurement.diagnosis.view import View

FACTOR, TWICE, NONE = "logit-transform-factor", "softmax-applied-twice", "undiagnosed"


def variations(view: View) -> list[Variation]:
    """The slips that exist where the function is a divergence."""
    if view.function != "kl_divergence":
        return []
    return [replace(slip, rarely=True) for slip in (*_arguments(), *_temperatures(view))]


def _entropies(m: M, t: Targets[V]) -> V:
    """sum_j q_j log q_j."""
    assert t.dense is not None
    return m.sum(_times_log(m, t.dense, t.dense))


def _times_log(m: M, a: V, b: V) -> V:
    """a log b, 0 where a is."""
    support = a.value.mid != 0.0
    return m.where(support, a * m.log(m.where(support, b, m.exact(1.0))), m.exact(0.0))


def _arguments() -> Iterator[Variation]:
    def reversed_(m: M, z: V, t: Targets[V], view: View) -> V:
        assert t.dense is not None
        return m.sum(m.softmax(z) * (m.log_softmax(z) - m.log(t.dense)))

    def symmetric(m: M, z: V, t: Targets[V], view: View) -> V:
        assert t.dense is not None
        return m.exact(0.5) * (reversed_(m, z, t, view) + _entropies(m, t) - m.sum(t.dense * m.log_softmax(z)))

    def mixed(m: M, z: V, t: Targets[V], view: View) -> V:
        assert t.dense is not None
        p, half = m.softmax(z), m.exact(0.5)
        middle = half * (p + t.dense)
        own = m.sum(p * (m.log_softmax(z) - m.log(middle)))
        return half * (own + _entropies(m, t) - m.sum(_times_log(m, t.dense, middle)))

    def unlogged(m: M, z: V, t: Targets[V], view: View) -> V:
        assert t.dense is not None
        return _entropies(m, t) - m.sum(t.dense * m.softmax(z))

    def of_logits(m: M, z: V, t: Targets[V], view: View) -> V:
        assert t.dense is not None
        return _entropies(m, t) - m.sum(t.dense * z)

    yield loss_slip(
        "both divergences",
        NONE,
        "the loss is the mean of KL(q || p) and KL(p || q)",
        "ask for one of the two divergences, or write the formula of both",
        symmetric,
    )
    yield loss_slip(
        "Jensen-Shannon",
        NONE,
        "the loss is the Jensen-Shannon divergence of p and q",
        "ask for a divergence from q, or write the formula of this one",
        mixed,
    )
    yield loss_slip(
        "p for log p",
        TWICE,
        "the logarithm is missing: the divergence gets p where it expects log p",
        "give the divergence log_softmax, not softmax",
        unlogged,
    )
    yield loss_slip(
        "z for log p",
        TWICE,
        "no log_softmax is applied: the divergence gets the logits where it expects log p",
        "give the divergence log_softmax of the logits",
        of_logits,
    )


def _temperatures(view: View) -> Iterator[Variation]:
    temperature = view.number("temperature", 1.0)
    if temperature == 1.0:
        return

    def outside(m: M, z: V, t: Targets[V], view: View) -> V:
        assert t.dense is not None
        divisor = m.parameter(temperature)
        return _entropies(m, t) - m.sum(t.dense * m.log_softmax(z * divisor)) / divisor

    def tempered(power: float) -> Variation:
        def make(view: View) -> Mass | None:
            dense = reference_mass(view).dense
            if dense is None:
                return None
            with np.errstate(all="ignore"):
                powers = np.where(dense > 0.0, np.exp(np.log(np.where(dense > 0.0, dense, 1.0)) * power), 0.0)
                return Mass(dense=powers / powers.sum(axis=-1, keepdims=True))

        words = f"q^(1 / {temperature:g})" if power < 1.0 else f"q^{power:g}"
        return Variation(
            "targets",
            f"targets {words}",
            FACTOR,
            f"the targets are tempered too: {words}, normalised, takes the place of q",
            "the targets are probabilities at the temperature already: use them as they are",
            make,
        )

    yield loss_slip(
        "temperature outside",
        FACTOR,
        f"the log-probabilities are divided by the temperature {temperature:g}, not the logits: they belong to no "
        "distribution",
        "divide the logits by the temperature, before log_softmax",
        outside,
    )
    yield tempered(1.0 / temperature)
    yield tempered(temperature)
