"""Losses of the label's probability alone: the orders of operations in which p_y and 1 - p_y are found."""

from __future__ import annotations

from typing import Protocol

from gradaudit.functions import losses
from gradaudit.functions.interface import Formula, Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N


class LabelLoss(Protocol):
    """A loss of 1 - p_y and log p_y, both [rows, 1]."""

    def __call__(self, m: Algebra[N], rows: Rows[N], remainder: N, log_p: N) -> N:
        """Evaluate at `remainder` = 1 - p_y and `log_p` = log p_y."""
        ...


def formula(loss: LabelLoss) -> Formula:
    """The mathematics: 1 - p_y without cancellation."""

    def output(m: Algebra[N], rows: Rows[N]) -> N:
        """log p_y and 1 - p_y, each as the reading has it."""
        labels = losses.labels_of(rows)
        return loss(m, rows, losses.remainder(m, rows, labels), losses.log_probabilities(m, rows, labels))

    return output


def spellings(loss: LabelLoss) -> tuple[Spelling, ...]:
    """What users' code may do instead, tightest first."""

    def by_expm1(m: Algebra[N], rows: Rows[N]) -> N:
        """1 - p_y = -expm1(log p_y)."""
        log_p = losses.log_probabilities(m, rows, losses.labels_of(rows))
        return loss(m, rows, -m.expm1(log_p), log_p)

    def by_exp(m: Algebra[N], rows: Rows[N]) -> N:
        """p_y = exp(log p_y), then 1 - p_y."""
        log_p = losses.log_probabilities(m, rows, losses.labels_of(rows))
        return loss(m, rows, m.exact(1.0) - m.exp(log_p), log_p)

    def by_softmax(m: Algebra[N], rows: Rows[N]) -> N:
        """p_y from a softmax, log p_y from a log-softmax."""
        labels = losses.labels_of(rows)
        p = m.take(losses.probabilities(m, rows), labels)
        return loss(m, rows, m.exact(1.0) - p, losses.log_probabilities(m, rows, labels))

    def by_normaliser(m: Algebra[N], rows: Rows[N]) -> N:
        """-log p_y = logsumexp z - z_y, p_y = exp of its negative."""
        log_p = m.take(rows.z, losses.labels_of(rows)) - m.logsumexp(rows.z)
        return loss(m, rows, m.exact(1.0) - m.exp(log_p), log_p)

    return (
        Spelling("1 - p = -expm1(log p)", by_expm1),
        Spelling("p = exp(log p)", by_exp),
        Spelling("p by softmax, log p by log_softmax", by_softmax),
        Spelling("log p = z_y - logsumexp", by_normaliser, looser=True, common_offset=True, reading="logits"),
    )
