"""log_softmax as an operation of its own, then what is made of it."""

from __future__ import annotations

from functools import partial

from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.reference.formulations import fused
from gradaudit.reference.formulations.program import Program, Step
from gradaudit.reference.kernels import log_softmax_vjp


def _exp_gradient(inner: Step, m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    p = m.exp(m.log_softmax(rows.z))
    return log_softmax_vjp(m, inner(m, rows), p * rows.upstream)


def programs(function: str, probabilities: str = "exp_log") -> Program:
    """softmax as exp(log_softmax), cross entropy as log_softmax then negative log-likelihood.

    `probabilities`: what the backward of the log_softmax inside softmax multiplies with.
    """
    if function == "softmax":
        inner = fused.quotient if probabilities == "quotient" else fused.exp_log
        return Program(lambda m, rows: m.exp(m.log_softmax(rows.z)), partial(_exp_gradient, inner))
    return fused.programs(function, "exp_log")
