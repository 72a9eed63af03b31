"""How label smoothing and the extras of cross entropy are written by hand (docs/numerics.md, "Spellings")."""

from __future__ import annotations

from collections.abc import Mapping

from gradaudit.functions import losses
from gradaudit.functions.interface import Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


def _smoothed(parameters: Mapping[str, object]) -> bool:
    return bool(parameters.get("label_smoothing")) and parameters.get("weight") is None


def _penalised(parameters: Mapping[str, object]) -> bool:
    return bool(parameters.get("z_loss")) and not parameters.get("label_smoothing")


def _extras(m: Algebra[N], rows: Rows[N], loss: N, normaliser: N | None = None) -> N:
    """The z-loss, from a logsumexp that is at hand or from one of its own, and the entropy."""
    coefficient = losses.number(rows.parameters, "z_loss")
    beta = losses.number(rows.parameters, "entropy_regularization")
    if coefficient:
        loss = loss + losses.squared(m, m.logsumexp(rows.z) if normaliser is None else normaliser, coefficient)
    if beta:
        p, log_p = losses.probabilities(m, rows), losses.log_probabilities(m, rows)
        loss = loss + m.parameter(beta) * m.sum(p * log_p)
    return losses.of_counted(m, rows, loss)


def two_sums(m: Algebra[N], rows: Rows[N]) -> N:
    """-(1 - eps) log p_y - eps mean_j log p_j."""
    own = losses.prepared(m, rows)
    eps = m.parameter(losses.number(rows.parameters, "label_smoothing"))
    log_p = losses.log_probabilities(m, own)
    hard, spread = -m.take(log_p, losses.labels_of(own)), -m.mean(log_p)
    return _extras(m, own, (m.exact(1.0) - eps) * hard + eps * spread)


def normaliser_less_logits(m: Algebra[N], rows: Rows[N]) -> N:
    """logsumexp z - (1 - eps) z_y - eps mean_j z_j."""
    own = losses.prepared(m, rows)
    eps = m.parameter(losses.number(rows.parameters, "label_smoothing"))
    normaliser, at = m.logsumexp(own.z), m.take(own.z, losses.labels_of(own))
    if rows.parameters.get("label_smoothing"):
        loss = normaliser - (m.exact(1.0) - eps) * at - eps * m.mean(own.z)
    else:
        loss = normaliser - at
    return _extras(m, own, loss, normaliser)


def shared_normaliser(m: Algebra[N], rows: Rows[N]) -> N:
    """logsumexp z - z_y + a logsumexp^2 with one logsumexp for both."""
    return normaliser_less_logits(m, rows)


SPELLINGS = (
    Spelling("smoothing: two sums", two_sums, applies=_smoothed, targets="indices"),
    Spelling(
        "smoothing: logsumexp - (1 - eps) z_y - eps mean z",
        normaliser_less_logits,
        looser=True,
        common_offset=True,
        applies=_smoothed,
        targets="indices",
        reading="logits",
    ),
    Spelling(
        "one logsumexp for the loss and the z-loss",
        shared_normaliser,
        looser=True,
        common_offset=True,
        applies=lambda parameters: _penalised(parameters) and parameters.get("weight") is None,
        targets="indices",
        reading="logits",
    ),
)
"""Spellings of cross entropy that are no formulation of its softmax."""
