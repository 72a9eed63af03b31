"""Softmax first, then its logarithm: 1/p in the chain (docs/numerics.md, "The unfused chain").

The backward divides by the stored p and multiplies by the same stored p again, so that p's own error cancels in
the product: p (1/p) = 1 within two roundings even where p is subnormal. What remains is the overflow of 1/p.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.reference.formulations.program import Program, loss_of


def _log(m: BallAlgebra, rows: Rows[Ball], at: np.ndarray | None = None) -> Ball:
    result = m.log(m.softmax(rows.z))
    # The exact logarithm of p is known better than log of its midpoint, which underflows.
    whole = Ball(m, m.exponentials(rows.z).log_p, result.rad)
    return whole if at is None else m.take(whole, at)


OF_STORED = 2
"""Roundings of v_k / p_k and of its product with the same p_k."""
OF_RECIPROCAL = 3
"""The same where v_k is multiplied by the rounded 1 / p_k, as TensorFlow does."""
OF_QUOTIENT_RULE = 7
"""Those of h = v_k / p_k, s s, 1 / (s s), h / (s s) and its product with w_k, and the two of the p_k = w_k (1 / s) in
h, which that product does not undo. w_j (h_j (1 / s)) has five."""
ROUNDINGS = {"quotient": OF_STORED, "reciprocal": OF_RECIPROCAL, "quotient_rule": OF_QUOTIENT_RULE}
"""By how a profile says that the softmax goes back."""


def chain(m: BallAlgebra, p: Ball, v: np.ndarray, dv: np.ndarray, roundings: int) -> Ball:
    """p_j (v_j / p_j - sum_k p_k v_k / p_k) = v_j - p_j V for v with errors dv, V = sum_k v_k, while no p is 0.

    `roundings` are those of one term.
    """
    a = m.arithmetic
    u = a.u_operation
    size = np.abs(v) + dv
    total = v.sum(axis=-1, keepdims=True)
    off = dv + roundings * u * size
    dtotal = off.sum(axis=-1, keepdims=True)
    dtotal = dtotal + (a.cotangent_height(v.shape[-1]) * a.u_cotangents + a.u_store) * (
        size.sum(axis=-1, keepdims=True) + dtotal
    )
    mid = v - p.mid * total
    rad = off + p.rad * (np.abs(total) + dtotal) + p.mid * dtotal
    # The difference with the quotient, and the product with p: relative to the result but for underflow.
    rad = rad + 2.0 * u * (np.abs(mid) + rad) + 2.0 * a.eta_operation
    return Ball(m, mid, rad)


def _chain(m: BallAlgebra, p: Ball, v: Ball, roundings: int) -> Ball:
    found = chain(m, p, v.mid, np.broadcast_to(np.asarray(v.rad), v.mid.shape), roundings)
    return Ball(m, found.mid, np.where(_overflows(p, v.mid), np.inf, found.rad))


def _overflows(p: Ball, v: np.ndarray) -> np.ndarray:
    """Rows where p may be 0 under a term of v: nothing is promised there."""
    lost = (p.mid <= p.rad) & (v != 0.0)
    return lost.any(axis=-1, keepdims=True)


def _log_softmax_gradient(roundings: int, m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    return _chain(m, m.softmax(rows.z), rows.upstream, roundings)


def upstream_of_log(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """-t G, the upstream gradient of the log-probabilities in a loss."""
    targets = rows.targets
    assert targets is not None
    if targets.dense is not None:
        return -(targets.dense * rows.upstream)
    assert targets.labels is not None
    assert targets.mass is not None
    zeros = m.exact(np.zeros(m.exponentials(rows.z).gap.shape))
    return m.replace(zeros, targets.labels, -(targets.mass * rows.upstream))


def _cross_entropy_gradient(roundings: int, m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    return _chain(m, m.softmax(rows.z), upstream_of_log(m, rows), roundings)


def programs(function: str, probabilities: str = "quotient") -> Program:
    """log_softmax as log(softmax), cross entropy as softmax, log, negative log-likelihood."""
    roundings = ROUNDINGS.get(probabilities, OF_STORED)
    if function == "log_softmax":
        return Program(_log, partial(_log_softmax_gradient, roundings))
    gradient = partial(_cross_entropy_gradient, roundings)
    return Program(lambda m, rows: loss_of(m, rows, partial(_log, m, rows)), gradient)
