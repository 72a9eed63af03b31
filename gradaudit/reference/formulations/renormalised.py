"""Softmax, divided by its own sum once more, then the logarithm (docs/numerics.md, "The renormalised chain").

What a loss does that is handed probabilities and does not trust them to add up to 1. Either q = p / S, S = sum p, and
-log q; or the fused cross entropy of log p, whose softmax divides by the same sum.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.numerics.bounds import phi
from gradaudit.numerics.exponentials import grown
from gradaudit.reference.formulations import unfused
from gradaudit.reference.formulations.program import Program, loss_of
from gradaudit.reference.kernels import label_vjp

OF_CHAIN = {"quotient": 3, "quotient_rule": 5, "reciprocal": 6}
"""Roundings of p A, A = v / (q S): q, v / q and the quotient by S; where S is multiplied by its reciprocal one more
for each; where v is multiplied by 1 / q one more."""

OF_SUM = 8
"""At most those of what comes through S, v p / (q S S), whichever of it is formed first."""

OF_TERM = {"quotient": 2, "quotient_rule": unfused.OF_QUOTIENT_RULE, "reciprocal": 2}
"""Those of d = A - C and of its product with p."""


def _quotient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """q = p / S: the sum inside the softmax divides all p alike, and cancels; S has errors of the same kind."""
    a, p = m.arithmetic, m.softmax(rows.z)
    stored = 2.0 * a.u + a.u_exponential + a.u_store
    # S is stored, and q is rounded with 1 / S or at once.
    more = phi(stored + a.u_store + 2.0 * a.u_operation + p.mid.shape[-1] * a.eta_operation)
    return Ball(m, p.mid, p.rad + (p.mid + p.rad) * more + a.eta_operation)


def _log(m: BallAlgebra, q: Ball, log_p: np.ndarray) -> Ball:
    """log q around the exact log p.

    A q that is not 0 is at least the smallest number, so that its logarithm is bounded where it has lost every digit;
    the logarithm of 0 is told by its infinity.
    """
    a, rad = m.arithmetic, np.asarray(q.rad)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.log(rad) - log_p
        above = np.logaddexp(0.0, off)
        below = np.where(off < 0.0, -np.log1p(-np.exp(np.minimum(off, 0.0))), np.inf)
        below = np.minimum(below, np.maximum(log_p - np.log(a.eta_operation), 0.0))
        moved = np.maximum(above, below)
    return m.stored(log_p, moved + a.l * (np.abs(log_p) + moved))


def _log_of_quotient(m: BallAlgebra, rows: Rows[Ball], at: np.ndarray | None = None) -> Ball:
    whole = _log(m, _quotient(m, rows), m.exponentials(rows.z).log_p)
    return whole if at is None else m.take(whole, at)


def _gradient(probabilities: str, m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """p_j d_j - p_j sum p_k d_k, d = A - C, p A = v and C = V / S but for roundings: C cancels, but for 1 - sum p."""
    a, p, v = m.arithmetic, m.softmax(rows.z), unfused.upstream_of_log(m, rows)
    dp, dv = np.asarray(p.rad), np.broadcast_to(np.asarray(v.rad), v.mid.shape)
    n, u = v.mid.shape[-1], a.u_operation
    tree = a.cotangent_height(n) * a.u_cotangents + a.u_store
    size, total = np.abs(v.mid).sum(axis=-1, keepdims=True), v.mid.sum(axis=-1, keepdims=True)
    value = v.mid - p.mid * total
    with np.errstate(invalid="ignore"):
        # p A, its sum over the classes, and what C may be.
        first = dv + phi(OF_CHAIN[probabilities] * u) * (np.abs(v.mid) + dv)
        moved = first.sum(axis=-1, keepdims=True)
        unsure = dp.sum(axis=-1, keepdims=True)  # |1 - sum p|, and less than dS
        divisor = phi(unsure + (a.height(n) * a.u_sum + a.u_statistics + u) * (1.0 + unsure))
        dc = (size + moved) * (1.0 + phi(OF_SUM * u + tree)) * (1.0 + divisor) - size
        c = np.abs(total) + dc
        terms = np.abs(value) + first + dp * c + p.mid * dc
        rounded = phi(OF_TERM[probabilities] * u + tree) * terms.sum(axis=-1, keepdims=True)
        through_sums = (p.mid + dp) * (moved + c * unsure + rounded)
        bound = first + dp * np.abs(total) + through_sums + phi(OF_TERM[probabilities] * u) * terms
    # Sums too long for the format have no bound; where nothing comes in, nothing goes out.
    bound = np.where(np.isnan(bound), np.where(size + moved > 0.0, np.inf, 0.0), bound)
    return Ball(m, value, bound + 2.0 * u * (np.abs(value) + bound) + 4.0 * a.eta_operation)


def _logits(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """log p, stored: the logits of the fused loss. The error of the softmax's own sum is common to the row: left out,
    as it cancels in the other softmax."""
    a, exponentials, errors = m.arithmetic, m.exponentials(rows.z), m.exponent_errors(rows.z)
    own = grown(exponentials, errors, a.e + 2.0 * a.u + a.u_exponential) + a.eta + a.eta_exponential
    return _log(m, m.stored(exponentials.p, own), exponentials.log_p)


def _log_softmax_of_log(m: BallAlgebra, rows: Rows[Ball], at: np.ndarray | None = None) -> Ball:
    whole = m.log_softmax(_logits(m, rows))
    whole = Ball(m, m.exponentials(rows.z).log_p, np.asarray(whole.rad))
    return whole if at is None else m.take(whole, at)


def _gradient_of_log(probabilities: str, m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """The fused loss's own, (q - y) G, back through log p and the softmax; its sum over the classes is 0."""
    assert rows.targets is not None
    v = label_vjp(m, m.softmax(_logits(m, rows)), rows.targets, rows.upstream)
    dv = np.broadcast_to(np.asarray(v.rad), v.mid.shape)
    return unfused.chain(m, m.softmax(rows.z), v.mid, dv, unfused.ROUNDINGS[probabilities])


def by_quotient(probabilities: str) -> Program:
    """Cross entropy of p / sum p."""
    kind = probabilities if probabilities in OF_CHAIN else "quotient"
    return Program(lambda m, rows: loss_of(m, rows, partial(_log_of_quotient, m, rows)), partial(_gradient, kind))


def fused_of_log(probabilities: str) -> Program:
    """The fused cross entropy of log p."""
    kind = probabilities if probabilities in unfused.ROUNDINGS else "quotient"
    return Program(
        lambda m, rows: loss_of(m, rows, partial(_log_softmax_of_log, m, rows)), partial(_gradient_of_log, kind)
    )
