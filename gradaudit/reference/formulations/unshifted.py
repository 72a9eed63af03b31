"""exp of the logits as they are: good while nothing overflows or underflows, and then by magnitude (row
"unshifted" of docs/numerics.md)."""

from __future__ import annotations

from functools import partial

import numpy as np

from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.numerics.bounds import growth, phi
from gradaudit.reference.formulations.fused import quotient_rule
from gradaudit.reference.formulations.program import Program
from gradaudit.reference.kernels import label_vjp, log_softmax_vjp, softmax_vjp


def _weights_error(m: BallAlgebra, z: Ball) -> tuple[np.ndarray, np.ndarray]:
    """Relative errors of exp(z_j) [rows, n] and of their sum [rows, 1]; infinite out of range."""
    a, rows = m.arithmetic, m.exponentials(z)
    logsumexp = rows.top + rows.log_total
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        rounded = growth(np.asarray(z.rad) + np.zeros_like(z.mid), a.e + a.u_store)
        # Gradual underflow loses eta of each exponential: eta / exp(z_j) of its own, n eta / s of their sum.
        lost = np.exp(np.log(a.eta_operation) - logsumexp)
        own = rounded + np.exp(np.log(a.eta_operation) - z.mid)
        own = np.where(z.mid < _log_largest(m), own, np.inf)
        total = (rows.p * rounded).sum(axis=-1, keepdims=True) + rows.n * lost
        in_range = logsumexp < _log_largest(m)
        total = np.where(in_range, phi(total + a.height(rows.n) * a.u_sum + a.u_store), np.inf)
    return own, np.where(np.isnan(total), np.inf, total)


def _log_largest(m: BallAlgebra) -> float:
    """From there on exp overflows."""
    return float(np.log(m.arithmetic.largest))


def quotient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """p = exp(x) / sum exp(x)."""
    own, total = _weights_error(m, rows.z)
    a, exponentials = m.arithmetic, m.exponentials(rows.z)
    p = exponentials.p
    with np.errstate(invalid="ignore", over="ignore"):
        # p (1 + own)(1 + total) - p, with own split from p where exp(z_j) itself has vanished; one more rounding
        # where the division is a product with 1/s.
        reach = 1.0 + phi(total + 3.0 * a.u_operation)
        rad = p * (reach - 1.0) + np.where(p > 0.0, p * own, 0.0) * reach
        lost = np.exp(np.log(a.eta_operation) - exponentials.top - exponentials.log_total)
        rad = rad + lost * reach + 2.0 * a.eta_operation
        rad = np.where(np.isnan(rad) | (rows.z.mid >= _log_largest(m)), np.inf, rad)
    return Ball(m, p, rad)


def logsumexp(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """log(sum exp x)."""
    _, total = _weights_error(m, rows.z)
    exponentials = m.exponentials(rows.z)
    mid = exponentials.top + exponentials.log_total
    moved = total + m.arithmetic.l * (np.abs(mid) + total)
    return m.stored(mid, moved)


def _log_probabilities(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    difference = rows.z - logsumexp(m, rows)
    return Ball(m, m.exponentials(rows.z).log_p, difference.rad)


def _loss(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    targets = rows.targets
    assert targets is not None
    log_p = _log_probabilities(m, rows)
    if targets.labels is not None and targets.mass is not None:
        return -(targets.mass * m.take(log_p, targets.labels))
    assert targets.dense is not None
    return -m.charged(m.sum(targets.dense * log_p), 3)


def _through_sum(m: BallAlgebra, rows: Rows[Ball], gradient: Ball, losses: np.ndarray | float = 3.0) -> Ball:
    """A backward that forms (g / s) exp(z_j): every underflow before the last product costs eta exp(z_j)."""
    with np.errstate(over="ignore", invalid="ignore"):
        lost = losses * np.exp(np.log(m.arithmetic.eta_operation) + rows.z.mid)
    return Ball(m, gradient.mid, gradient.rad + lost)


def _softmax_gradient(probabilities: str, m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    # R(p_k / s) loses eta |g_k| for each term of the row's sum, and the product with g_k eta once more.
    terms = np.abs(rows.upstream.mid).sum(axis=-1, keepdims=True) + rows.z.mid.shape[-1]
    if probabilities == "quotient_rule":
        exponentials = m.exponentials(rows.z)
        with np.errstate(over="ignore"):
            w, s = np.exp(rows.z.mid), np.exp(exponentials.top + exponentials.log_total)
        return _through_sum(m, rows, quotient_rule(m, quotient(m, rows), rows.upstream, w, s), terms + 3.0)
    return _through_sum(m, rows, softmax_vjp(m, quotient(m, rows), rows.upstream), terms + 3.0)


def _log_softmax_gradient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    return _through_sum(m, rows, log_softmax_vjp(m, quotient(m, rows), rows.upstream))


def _logsumexp_gradient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    return _through_sum(m, rows, quotient(m, rows) * rows.upstream)


def _cross_entropy_gradient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    assert rows.targets is not None
    return _through_sum(m, rows, label_vjp(m, quotient(m, rows), rows.targets, rows.upstream))


def programs(function: str, probabilities: str = "quotient") -> Program:
    """Every function from the unshifted exponentials."""
    if function == "softmax":
        return Program(quotient, partial(_softmax_gradient, probabilities))
    if function == "log_softmax":
        return Program(_log_probabilities, _log_softmax_gradient)
    if function == "logsumexp":
        return Program(logsumexp, _logsumexp_gradient)
    return Program(_loss, _cross_entropy_gradient)
