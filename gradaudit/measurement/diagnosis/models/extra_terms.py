"""Terms that are added to a loss and were not asked for: powers of the normaliser, entropies, squares of logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import (
    M,
    V,
    Variation,
    loss_slip,
    reference_logits,
    reference_loss,
)
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics.tape import Tape

Term = Callable[[M, V], V]

TERMS: tuple[tuple[str, str, Term], ...] = (
    ("logsumexp(z)^2", "a z-loss; ask for z_loss if it is meant", lambda m, z: m.logsumexp(z) * m.logsumexp(z)),
    ("logsumexp(z)", "a z-loss is its square", lambda m, z: m.logsumexp(z)),
    (
        "sum_j p_j log p_j",
        "minus the entropy of p; ask for entropy_regularization if it is meant",
        lambda m, z: m.sum(m.softmax(z) * m.log_softmax(z)),
    ),
    ("sum_j z_j^2", "a penalty on the logits", lambda m, z: m.sum(z * z)),
)
"""Formula, what it is, and the term itself, one number a row."""


def of_term(place: int, factor: float) -> Variation:
    """`factor` times a term beside the loss of every row that counts. It has no class of its own."""
    text, meaning, term = TERMS[place]

    def make(m: M, z: V, t: Targets[V], view: View) -> V:
        counted = m.exact(view.counted.astype(np.float64)[:, None])
        return reference_loss(m, z, t, view) + counted * (m.parameter(factor) * term(m, z))

    return loss_slip(
        f"{factor:g} {text}",
        "undiagnosed",
        f"an extra term of {factor:g} x {text} in every row explains all that is returned ({meaning})",
        "remove the term, or add it to what is asked for",
        make,
        rarely=True,
    )


def factors(view: View, due: np.ndarray) -> Iterator[tuple[int, float]]:
    """For each term the factor by which, in least squares, its gradient makes up what that of the loss lacks."""
    if view.active is not None or view.copies > 1:
        return
    lacking = view.gradient - due
    for place, (_, _, term) in enumerate(TERMS):
        m: M = Tape(view.m)
        x = m.variable(view.m.exact(view.x))
        upstream = view.row_upstream * view.counted[:, None]
        with np.errstate(all="ignore"):
            slope = m.gradient(term(m, reference_logits(m, x, view)), view.m.exact(upstream), x).mid
            factor = float((lacking * slope).sum() / (slope * slope).sum())
        if np.isfinite(factor) and factor != 0.0:
            yield place, factor
