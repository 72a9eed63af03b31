"""Backward kernels of softmax and log-softmax under a candidate's arithmetic: the inside unstored, then one store.

docs/numerics.md, rows "softmax VJP" and "log-softmax VJP". A candidate that stores every step (NumPy, an ONNX
graph) has no wider arithmetic inside, so that the same bound holds for it.
"""

from __future__ import annotations

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.numerics.ball import Ball, BallAlgebra


def softmax_vjp(m: BallAlgebra, p: Ball, g: Ball) -> Ball:
    """p_j (g_j - c), c = sum_k p_k g_k: (p + dp) dc + dp |g - c| + 3 u (...) + eta."""
    a = m.arithmetic
    height = a.height(p.mid.shape[-1])
    product = p.mid * g.mid
    c = product.sum(axis=-1, keepdims=True)
    dp, dg = np.asarray(p.rad), np.asarray(g.rad)
    size_g = np.abs(g.mid) + dg
    moved = size_g * dp + p.mid * dg
    size = np.abs(product) + moved
    # A graph stores the products before it adds them up; a kernel that does not is within the same bound.
    dc = (moved + a.u_operation * size + a.eta_operation).sum(axis=-1, keepdims=True)
    dc = dc + height * a.u_sum * (size.sum(axis=-1, keepdims=True) + dc)
    dc = dc + a.u_store * (np.abs(c) + dc)
    difference = g.mid - c
    off = dg + dc
    off = off + a.u * (np.abs(difference) + off)
    mid = p.mid * difference
    rad = (p.mid + dp) * off + dp * np.abs(difference)
    rad = rad + a.u * (np.abs(mid) + rad) + a.eta
    if a.u_store:
        # Where the steps are stored one by one, two more roundings happen on the way.
        rad = rad + 2.0 * a.u_store * (p.mid + dp) * (np.abs(difference) + off)
    return m.stored(mid, rad)


def log_softmax_vjp(m: BallAlgebra, p: Ball, g: Ball) -> Ball:
    """g_j - p_j S, S = sum_k g_k: p h u sum |g| + dp |S| + 2 u (...)."""
    a = m.arithmetic
    n = g.mid.shape[-1]
    total = g.mid.sum(axis=-1, keepdims=True)
    magnitude = np.abs(g.mid).sum(axis=-1, keepdims=True)
    dg = np.broadcast_to(np.asarray(g.rad), g.mid.shape)
    dtotal = dg.sum(axis=-1, keepdims=True)
    dtotal = dtotal + a.height(n) * a.u_sum * (magnitude + dtotal)
    dtotal = dtotal + a.u_store * (np.abs(total) + dtotal)
    return _outer_difference(m, p, Ball(m, g.mid, dg), Ball(m, total, dtotal))


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


def _outer_difference(m: BallAlgebra, p: Ball, g: Ball, total: Ball) -> Ball:
    """g_j - p_j S with every error bounded; g may be [1, 1] zeros."""
    a = m.arithmetic
    product = p.mid * total.mid
    moved = p.rad * (np.abs(total.mid) + total.rad) + p.mid * total.rad
    moved = moved + a.u_operation * (np.abs(product) + moved) + a.eta
    mid = g.mid - product
    rad = moved + g.rad
    rad = rad + a.u * (np.abs(mid) + rad)
    return m.stored(mid, rad)
