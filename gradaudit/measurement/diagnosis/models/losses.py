"""Slips in the loss of a row: normalisers of some classes only, detached terms, clamps, logarithms left out."""

# ruff: noqa: ARG001, ARG005 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models import (
    chunks,
    clamps,
    misread_labels,
    mixed_means,
    normalisers,
    one_term,
    shards,
    written_gradients,
    z_terms,
)
from gradaudit.measurement.diagnosis.models.clamps import rounded_end
from gradaudit.measurement.diagnosis.models.second_terms import beside_own_terms
from gradaudit.measurement.diagnosis.models.variation import (
    M,
    V,
    Variation,
    loss_slip,
    picked,
    reference_loss,
    total_mass,
    weighted,
)
from gradaudit.measurement.diagnosis.view import View

Make = Callable[[M, V, "Targets[V]", View], V | None]
PARTITION, DETACHED, CLAMPED = "partition-local-normaliser", "detached-path", "clamped-probability"
TWICE, MASS, JACOBIAN = "softmax-applied-twice", "target-mass", "truncated-jacobian"


def variations(view: View) -> list[Variation]:
    """The slips that exist for a loss of rows."""
    if not view.truth.function.takes_targets:
        return []
    backward = [replace(slip, backward=True) for slip in (*_detached(), *_masses())]
    of_likelihood = [
        *backward,
        *normalisers.variations(),
        *_unlogged(view),
        *clamps.variations(view),
        *chunks.variations(view),
        *shards.variations(),
        *one_term.variations(view),
        *misread_labels.variations(view),
    ]
    found = [
        *(
            slip if slip.name in WHOLE_LOSS or slip.stage != "loss" else beside_own_terms(slip)
            for slip in of_likelihood
        ),
        *mixed_means.variations(view),
        *written_gradients.variations(view),
        *z_terms.variations(view),
    ]
    return [slip if slip.name in COMMON else replace(slip, rarely=True) for slip in found]


WHOLE_LOSS = ("everything detached", "entropy left in", "divergence the other way round")
"""Slips of the loss as it is, with whatever it adds to the cross entropy."""

COMMON = (
    "normaliser detached",
    "target's logit detached",
    "unit mass assumed",
    "normaliser 2 times",
    "p / 2",
    "normaliser of the first 1/2",
    "no logarithm",
    "label left out of the normaliser",
    "entropy left in",
    "entropy left out",
)
"""What is also tried together with a slip of another stage."""


# -- what a derivative does not reach --------------------------------------------------------------------------------


def _detached() -> list[Variation]:
    advice = (
        "let the derivative reach both terms of logsumexp(z) - z_y: remove the detach, no_grad, item or NumPy call"
    )
    return [
        loss_slip(
            "normaliser detached",
            DETACHED,
            "the gradient lacks the softmax: logsumexp is cut off from the graph, and only the target's term is left",
            advice,
            lambda m, z, t, v: m.stop_gradient(weighted(m, m.logsumexp(z), t)) - picked(m, z, t),
        ),
        loss_slip(
            "target's logit detached",
            DETACHED,
            "the gradient lacks the target's term: the label's logit is cut off from the graph, and p itself is left",
            advice,
            lambda m, z, t, v: weighted(m, m.logsumexp(z), t) - m.stop_gradient(picked(m, z, t)),
        ),
        loss_slip(
            "everything detached",
            DETACHED,
            "the gradient is 0 everywhere: the loss is cut off from the graph",
            "remove the detach, no_grad, item or NumPy call between logits and loss",
            lambda m, z, t, v: m.stop_gradient(reference_loss(m, z, t, v)),
        ),
        loss_slip(
            "gradient of the targets instead",
            "sign-flipped",
            "the gradient is p + y where p - y is due",
            "subtract the targets from the probabilities",
            lambda m, z, t, v: weighted(m, m.logsumexp(z), t) + picked(m, z, t),
        ),
        loss_slip(
            "probabilities only at the label",
            JACOBIAN,
            "the gradient is (p_y - 1) at the label and 0 at the other classes",
            "give every class its p_j: only the label's entry has the -1",
            lambda m, z, t, v: picked(m, m.stop_gradient(m.softmax(z)) * z, t) - picked(m, z, t),
        ),
        loss_slip(
            "label left out of the probabilities",
            JACOBIAN,
            "the gradient is -1 at the label, where p_y - 1 is due",
            "subtract 1 from p_y, instead of writing -1 there",
            lambda m, z, t, v: (
                weighted(m, m.sum(m.stop_gradient(m.softmax(z)) * z), t)
                - picked(m, m.stop_gradient(m.softmax(z)) * z, t)
                - picked(m, z, t)
            ),
        ),
        loss_slip(
            "Jacobian's diagonal",
            JACOBIAN,
            "the gradient is p (1 - p) times that of the probabilities: of the Jacobian of softmax only the "
            "diagonal is used",
            "use p_j (g_j - sum_k p_k g_k), or p - y at once",
            lambda m, z, t, v: (
                weighted(m, m.logsumexp(z), t) * m.exact(0.0) - picked(m, z * m.stop_gradient(m.complement(z)), t)
            ),
        ),
    ]


# -- masses ----------------------------------------------------------------------------------------------------------


def _masses() -> list[Variation]:
    def unit(m: M, z: V, t: Targets[V], v: View) -> V | None:
        counted = m.exact(v.counted.astype(np.float64)[:, None])
        return counted * m.logsumexp(z) - picked(m, z, t)

    return [
        loss_slip(
            "unit mass assumed",
            MASS,
            "the gradient is p - t, as if the targets of every row added up to 1; T p - t is due, T their sum",
            "multiply the probabilities by the sum of the row's targets",
            unit,
        )
    ]


# -- logarithms and probabilities ------------------------------------------------------------------------------------


def _unlogged(view: View) -> list[Variation]:
    give = "give the loss what it expects: the logarithm of softmax once, and the negative of it at the label"

    def clipped(bound: float) -> Make:
        def make(m: M, z: V, t: Targets[V], v: View) -> V:
            return rounded_end(m, -picked(m, m.log(m.clip(z, bound, 1.0 - bound)), t), v)

        return make

    found = [
        loss_slip(
            f"logits as probabilities, cut at {bound:g}",
            TWICE,
            f"no softmax is applied: the logits are taken for probabilities and cut to [{bound:g}, 1 - {bound:g}]",
            "apply softmax, or use a loss that takes logits",
            clipped(bound),
        )
        for bound in (1e-7, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-10, 1e-12)
    ]
    return [
        *found,
        loss_slip(
            "no logarithm",
            TWICE,
            "the logarithm is missing: the loss is minus the probability of the target",
            give,
            lambda m, z, t, v: -picked(m, m.softmax(z), t),
        ),
        loss_slip(
            "one less the probability",
            TWICE,
            "the loss is 1 - p at the target, without a logarithm",
            give,
            lambda m, z, t, v: total_mass(m, t) - picked(m, m.softmax(z), t),
        ),
        loss_slip(
            "no softmax",
            TWICE,
            "no softmax is applied: the loss is minus the logit of the target",
            give,
            lambda m, z, t, v: -picked(m, z, t),
        ),
        loss_slip(
            "log-softmax twice, probabilities between",
            TWICE,
            "softmax is applied to log-probabilities that were exponentiated before",
            give,
            lambda m, z, t, v: -picked(m, m.log_softmax(m.softmax(m.softmax(z))), t),
        ),
        loss_slip(
            "a sigmoid for each class",
            TWICE,
            "each class has a sigmoid of its own (binary cross entropy) where one softmax over all classes is due",
            "use softmax and the cross entropy of one label among all classes",
            lambda m, z, t, v: m.sum(m.logaddexp(z, m.exact(np.zeros((1, 1))))) - picked(m, z, t),
        ),
        loss_slip(
            "squared error of the probabilities",
            "undiagnosed",
            "the loss is the squared error of the probabilities (a Brier score), not their cross entropy",
            "use -sum t log p",
            _brier,
        ),
        loss_slip(
            "entropy left in",
            MASS,
            "the loss is the divergence KL(t || p): the entropy of the targets is subtracted from the cross entropy",
            "add the entropy of the targets, or ask for a divergence",
            lambda m, z, t, v: reference_loss(m, z, t, v) + m.exact(_negative_entropy(t)),
        ),
        loss_slip(
            "entropy left out",
            MASS,
            "the loss is the cross entropy: the entropy of the targets is not subtracted from it, as in a divergence",
            "subtract the entropy of the targets",
            lambda m, z, t, v: -picked(m, m.log_softmax(z), t),
        ),
        loss_slip(
            "divergence the other way round",
            "undiagnosed",
            "the divergence is KL(p || t), not KL(t || p)",
            "exchange the arguments of the divergence",
            _reversed_divergence,
        ),
    ]


def _brier(m: M, z: V, t: Targets[V], view: View) -> V | None:
    p = m.softmax(z)
    squares = m.sum(p * p)
    own = picked(m, p, t)
    if t.labels is not None:
        return weighted(m, squares + m.exact(1.0), t) - own - own
    assert t.dense is not None
    difference = p - t.dense
    return m.sum(difference * difference)


def _negative_entropy(t: Targets[V]) -> np.ndarray:
    if t.dense is None:
        return np.zeros((1, 1))
    values = t.dense.value.mid
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(values > 0.0, values * np.log(np.where(values > 0.0, values, 1.0)), 0.0)
    return np.asarray(terms.sum(axis=-1, keepdims=True))


def _reversed_divergence(m: M, z: V, t: Targets[V], view: View) -> V | None:
    if t.dense is None:
        return None
    logarithm = m.log_softmax(z)  # where a target is 0 the divergence is infinite: what comes back there is not known
    return m.sum(m.softmax(z) * (logarithm - m.log(t.dense)))
