"""One operation each way: the shifted forward, and a backward from the stored result.

The probabilities of a backward are the stored quotient w / s, or exp of the stored log-probability, or
exp(x - logsumexp), as the profile declares.
"""

from __future__ import annotations

from functools import partial

from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.reference.formulations.program import Program, loss_of
from gradaudit.reference.kernels import label_vjp, log_softmax_vjp, softmax_vjp


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


def programs(function: str, probabilities: str) -> Program:
    """The fused program of `function` whose backward forms p as `probabilities` says."""
    form = {"quotient": quotient, "exp_log": exp_log, "exp_lse": exp_lse}[probabilities]
    if function == "softmax":
        return Program(lambda m, rows: m.softmax(rows.z), _softmax_gradient)
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
