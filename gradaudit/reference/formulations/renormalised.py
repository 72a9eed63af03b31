"""Softmax, divided by its own sum once more, then the logarithm (docs/numerics.md, "The renormalised chain").

What a loss does that is handed probabilities and does not trust them to add up to 1: q = p / S, S = sum p. Instead of
-log q at the label it may also be the fused cross entropy of log p, whose softmax divides by the same sum.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.reference.formulations.program import Program, loss_of

FORWARD = 4
"""Roundings of the logarithm of q beside those of the sum: q itself, and the difference, the sum and the logarithm of
a logsumexp of log p where the loss is fused."""

BACKWARD = 9
"""Those of v_k on its way through log q, the quotient and the softmax: q, 1 / q, the product with it, the quotient by
S, the sum with what comes through S, the product with p, and three of a fused loss: (q - y) G and exp(log q)."""


def _sum_error(m: BallAlgebra, p: Ball) -> np.ndarray:
    """How far the computed sum of the stored p is from 1, [rows, 1]."""
    a = m.arithmetic
    moved = np.asarray(p.rad).sum(axis=-1, keepdims=True)
    return moved + (a.height(p.mid.shape[-1]) * a.u_sum + a.u_statistics + a.u_operation) * (1.0 + moved)


def _log(m: BallAlgebra, rows: Rows[Ball], at: np.ndarray | None = None) -> Ball:
    a = m.arithmetic
    p, log_p = m.softmax(rows.z), m.exponentials(rows.z).log_p
    moved = _sum_error(m, p) + FORWARD * a.u_operation + a.e + a.l_statistics
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.log(p.rad + p.mid * moved + a.eta_operation) - log_p
        above = np.logaddexp(0.0, off)
        # A q that is not 0 is at least the smallest number; the logarithm of 0 is told by its infinity.
        below = np.where(off < 0.0, -np.log1p(-np.exp(np.minimum(off, 0.0))), np.inf)
        below = np.minimum(below, np.maximum(log_p - np.log(a.eta_operation), 0.0))
        rad = np.maximum(above, below)
    rad = rad + (a.l + FORWARD * a.u_operation) * (np.abs(log_p) + rad)
    whole = m.stored(log_p, rad)
    return whole if at is None else m.take(whole, at)


def _gradient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """v_j - p_j V for v = -t G, V = sum v: through q, S and p, none of whose errors cancels in full."""
    a, targets = m.arithmetic, rows.targets
    assert targets is not None
    p, u = m.softmax(rows.z), m.arithmetic.u_operation
    if targets.dense is not None:
        v = -(targets.dense * rows.upstream)
    else:
        assert targets.labels is not None
        assert targets.mass is not None
        zeros = m.exact(np.zeros(m.exponentials(rows.z).gap.shape))
        v = m.replace(zeros, targets.labels, -(targets.mass * rows.upstream))
    mid, rad = v.mid, np.broadcast_to(np.asarray(v.rad), v.mid.shape)
    # A fused loss of log p starts from (q - y) G instead of -y G: q G more, and q's own error.
    total = np.abs(mid.sum(axis=-1, keepdims=True))
    sums = _sum_error(m, p)
    size = np.abs(mid) + rad + p.mid * total
    off = rad + BACKWARD * u * size + total * (p.rad + p.mid * (sums + a.e))
    # Two sums over the classes: what comes through S, and the softmax's own.
    spread = off.sum(axis=-1, keepdims=True)
    added = (a.cotangent_height(mid.shape[-1]) * a.u_cotangents + a.u_store) * (
        size.sum(axis=-1, keepdims=True) + spread
    )
    dtotal = 2.0 * (spread + added) + 2.0 * total * sums
    value = mid - p.mid * mid.sum(axis=-1, keepdims=True)
    bound = off + p.rad * (total + dtotal) + p.mid * dtotal
    # The same stored p divides and multiplies, so that this holds where p has lost digits, while it is not 0.
    return Ball(m, value, bound + 2.0 * u * (np.abs(value) + bound) + 4.0 * a.eta_operation)


def programs() -> Program:
    """Cross entropy of probabilities that are made to add up to 1."""
    return Program(lambda m, rows: loss_of(m, rows, partial(_log, m, rows)), _gradient)
