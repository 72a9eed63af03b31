"""log_softmax as an operation of its own, then what is made of it."""

from __future__ import annotations

from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.reference.formulations import fused
from gradaudit.reference.formulations.program import Program
from gradaudit.reference.kernels import log_softmax_vjp


def _exp_gradient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    p = m.exp(m.log_softmax(rows.z))
    return log_softmax_vjp(m, fused.exp_log(m, rows), p * rows.upstream)


def programs(function: str) -> Program:
    """softmax as exp(log_softmax), cross entropy as log_softmax then negative log-likelihood."""
    if function == "softmax":
        return Program(lambda m, rows: m.exp(m.log_softmax(rows.z)), _exp_gradient)
    return fused.programs(function, "exp_log")
