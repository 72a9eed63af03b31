"""Backward kernels of softmax and log-softmax under a candidate's arithmetic: the inside unstored, then one store.

docs/numerics.md, rows "softmax VJP" and "log-softmax VJP". A candidate that stores every step (NumPy, an ONNX
graph) has no wider arithmetic inside, so that the same bound holds for it.
"""

from __future__ import annotations

import numpy as np

from gradaudit.numerics.ball_core import Ball, BallCore


def softmax_vjp(m: BallCore, p: Ball, g: Ball) -> Ball:
    """p_j (g_j - c), c = sum_k p_k g_k: (p + dp) dc + dp |g - c| + 3 u (...) + eta."""
    a = m.arithmetic
    height = a.cotangent_height(p.mid.shape[-1])
    product = p.mid * g.mid
    c = product.sum(axis=-1, keepdims=True)
    dp, dg = np.asarray(p.rad), np.asarray(g.rad)
    size_g = np.abs(g.mid) + dg
    moved = size_g * dp + p.mid * dg
    size = np.abs(product) + moved
    # A graph stores the products before it adds them up; a kernel that does not is within the same bound.
    dc = (moved + a.u_operation * size + a.eta_operation).sum(axis=-1, keepdims=True)
    dc = dc + height * a.u_cotangents * (size.sum(axis=-1, keepdims=True) + dc)
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


def log_softmax_vjp(m: BallCore, p: Ball, g: Ball, height: np.ndarray | int | None = None) -> Ball:
    """g_j - p_j S, S = sum_k g_k: p h u sum |g| + dp |S| + 2 u (...).

    `height` ([rows, 1] or one for all) is that of the sum's tree where it is lower than the arithmetic's: adding
    zeros rounds nothing.
    """
    a = m.arithmetic
    n = g.mid.shape[-1]
    total = g.mid.sum(axis=-1, keepdims=True)
    magnitude = np.abs(g.mid).sum(axis=-1, keepdims=True)
    dg = np.broadcast_to(np.asarray(g.rad), g.mid.shape)
    dtotal = dg.sum(axis=-1, keepdims=True)
    tree = a.cotangent_height(n) if height is None else height
    dtotal = dtotal + tree * a.u_cotangents * (magnitude + dtotal)
    dtotal = dtotal + a.u_store * (np.abs(total) + dtotal)
    return outer_difference(m, p, m.ball(g.mid, dg), m.ball(total, dtotal))


def outer_difference(m: BallCore, p: Ball, g: Ball, total: Ball) -> Ball:
    """g_j - p_j S with every error bounded; g may be [1, 1] zeros."""
    a = m.arithmetic
    product = p.mid * total.mid
    moved = p.rad * (np.abs(total.mid) + total.rad) + p.mid * total.rad
    moved = moved + a.u_operation * (np.abs(product) + moved) + a.eta
    mid = g.mid - product
    rad = moved + g.rad
    rad = rad + a.u * (np.abs(mid) + rad)
    return m.stored(mid, rad)
