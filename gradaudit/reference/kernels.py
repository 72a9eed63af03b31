"""The backward of cross entropy under a candidate's arithmetic, beside those of softmax and log-softmax."""

from __future__ import annotations

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.numerics.ball_vjp import log_softmax_vjp, softmax_vjp

__all__ = ["label_vjp", "log_softmax_vjp", "softmax_vjp"]


def label_vjp(m: BallAlgebra, p: Ball, targets: Targets[Ball], upstream: Ball) -> Ball:
    """(T p - t) times the upstream gradient, for cross entropy's own backward.

    It admits every order of the operations: p G - G, (p - y) G, and the log-softmax VJP of -t G.
    """
    u = m.arithmetic.u_operation
    if targets.labels is not None and targets.mass is not None:
        at = targets.mass * upstream
        # w p before the upstream gradient, or p G before the weight: what underflows there is scaled up afterwards.
        early = m.arithmetic.eta_operation * (np.abs(upstream.mid) + np.abs(targets.mass.mid))
        product = m.widened(p * at, early)
        value = m.take(product, targets.labels) - at
        # At the label: the product with G after the subtraction, or the rounding of 1 * G before it.
        bound = value.rad + 2.0 * u * (np.abs(value.mid) + value.rad) + u * np.abs(at.mid)
        return m.replace(m.charged(product, 1), targets.labels, Ball(m, value.mid, bound))
    assert targets.dense is not None
    g = -(targets.dense * upstream)
    result = log_softmax_vjp(m, p, g)
    # (T p - t) first and G afterwards rounds both terms once more.
    extra = u * (p.mid * np.abs(g.mid.sum(axis=-1, keepdims=True)) + np.abs(g.mid))
    early = m.arithmetic.eta_operation * np.abs(upstream.mid)
    return Ball(m, result.mid, np.asarray(result.rad) + extra + early)
