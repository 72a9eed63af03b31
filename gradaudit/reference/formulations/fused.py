"""One operation each way: the shifted forward, and a backward from the stored result.

The probabilities of a backward are the stored quotient w / s, or exp of the stored log-probability, or
exp(x - logsumexp), as the profile declares; or the quotient of a softmax is differentiated by the quotient rule.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from gradaudit.functions.mxnet import softmax_output
from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.numerics.bounds import phi
from gradaudit.reference.formulations.program import Program, loss_of
from gradaudit.reference.formulations.softmax_output import program as softmax_output_program
from gradaudit.reference.kernels import label_vjp, log_softmax_vjp, softmax_vjp

OF_QUOTIENT_RULE = 3
"""Roundings that g / s and the terms of C have beyond those of p and of its product with g."""


def quotient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """p = w / s."""
    return m.softmax(rows.z)


def exp_log(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """p = exp of the stored log-probability, inside the backward's kernel."""
    return m.softmax_of_log(rows.z)


def exp_lse(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """p = exp(x - logsumexp): an error of u |logsumexp| in the exponent, whatever the row's spread."""
    exponent = rows.z - m.logsumexp(rows.z)
    exponent.log_of = m.exponentials(rows.z)
    return m.exp(exponent)


def _softmax_gradient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    return softmax_vjp(m, m.softmax(rows.z), rows.upstream)


def quotient_rule(m: BallAlgebra, p: Ball, g: Ball, w: np.ndarray, s: np.ndarray) -> Ball:
    """The softmax VJP as w_j (g_j / s - C), C = sum_k g_k w_k / s^2, of weights w [rows, n] with the sum s [rows, 1]
    (docs/numerics.md, "The quotient rule")."""
    result = softmax_vjp(m, m.charged(p, OF_QUOTIENT_RULE), g)
    with np.errstate(over="ignore", invalid="ignore"):
        lost = m.arithmetic.eta_operation * w * (s + w.shape[-1] + 1.0)
    return Ball(m, result.mid, result.rad + np.where(np.isnan(lost), np.inf, lost))


def _quotient_rule(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    shifted = m.exponentials(rows.z)
    s = np.exp(shifted.log_total)
    return quotient_rule(m, m.softmax(rows.z), rows.upstream, shifted.p * s, s)


def _expanded(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """The softmax VJP as p g - p c, c = sum p g: u p |g| <= u p (|g - c| + |c|) and u p |c| more, as if p were off by
    two roundings (docs/numerics.md, "Softmax VJP")."""
    p, twice = m.softmax(rows.z), phi(2.0 * m.arithmetic.u)
    return softmax_vjp(m, Ball(m, p.mid, p.rad + twice * (p.mid + p.rad)), rows.upstream)


def programs(function: str, probabilities: str) -> Program:
    """The fused program of `function` whose backward forms p as `probabilities` says."""
    if function == softmax_output.NAME:
        return softmax_output_program()
    if function == "softmax":
        vjp = {"expanded": _expanded, "quotient_rule": _quotient_rule}.get(probabilities, _softmax_gradient)
        return Program(lambda m, rows: m.softmax(rows.z), vjp)
    form = {"quotient": quotient, "exp_log": exp_log, "exp_lse": exp_lse}[probabilities]
    if function == "log_softmax":
        return Program(
            lambda m, rows: m.log_softmax(rows.z), lambda m, rows: log_softmax_vjp(m, form(m, rows), rows.upstream)
        )
    if function == "logsumexp":
        return Program(lambda m, rows: m.logsumexp(rows.z), lambda m, rows: form(m, rows) * rows.upstream)

    def gradient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
        assert rows.targets is not None
        return label_vjp(m, form(m, rows), rows.targets, rows.upstream)

    return Program(lambda m, rows: loss_of(m, rows, partial(m.log_softmax, rows.z)), gradient)
