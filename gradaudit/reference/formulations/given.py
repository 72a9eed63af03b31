"""Cross entropy of log-probabilities that are given: nothing is left but to pick and add them up."""

from __future__ import annotations

import numpy as np

from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.reference.formulations.program import Program, loss_of


def _output(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    return loss_of(m, rows, lambda at: rows.z if at is None else m.take(rows.z, at))


def _gradient(m: BallAlgebra, rows: Rows[Ball]) -> Ball:
    """-t_j g."""
    targets = rows.targets
    assert targets is not None
    if targets.dense is not None:
        return -(targets.dense * rows.upstream)
    assert targets.labels is not None
    assert targets.mass is not None
    nothing = m.exact(np.zeros(rows.z.mid.shape))
    return m.replace(nothing, targets.labels, -(targets.mass * rows.upstream))


def program() -> Program:
    """The loss -sum_j t_j l_j of log-probabilities l."""
    return Program(_output, _gradient)
