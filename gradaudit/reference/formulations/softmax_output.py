"""MXNet's SoftmaxOutput: the output of softmax, the gradient of cross entropy."""

from __future__ import annotations

from gradaudit.functions.mxnet import softmax_output
from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.reference.formulations.program import Program
from gradaudit.reference.kernels import label_vjp


def _gradient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    assert rows.targets is not None
    found = label_vjp(m, m.softmax(rows.z), rows.targets, softmax_output.cotangent(m, rows))
    return found * rows.upstream if rows.parameters.get("out_grad") else found


def program() -> Program:
    """p, and (p - t) grad_scale / normaliser."""
    return Program(lambda m, rows: m.softmax(rows.z), _gradient)
