"""What a formulation of one function is: how a candidate gets from logits to output and gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradaudit.functions.rows import Rows
from gradaudit.numerics.ball import Ball, BallAlgebra

Step = Callable[[BallAlgebra, Rows[Ball]], Ball]


@dataclass(frozen=True, slots=True)
class Program:
    """`output` [rows, n or 1] before any reduction, and `gradient` [rows, n] with respect to the scaled logits."""

    output: Step
    gradient: Step


LogProbabilities = Callable[[np.ndarray | None], Ball]
"""Computed log-probabilities of the rows, all of them or at one class of each row."""


def loss_of(m: BallAlgebra, rows: Rows[Ball], log_p: LogProbabilities) -> Ball:
    """-sum_j t_j log p_j from computed log-probabilities (docs/numerics.md, rows "CE loss")."""
    targets = rows.targets
    assert targets is not None
    if targets.labels is not None and targets.mass is not None:
        own = log_p(targets.labels)
        mass = targets.mass.mid
        if np.all((mass == 0.0) | (mass == 1.0)):
            # Picking an element, or leaving it out, rounds nothing.
            return Ball(m, -own.mid * mass, np.where(mass == 0.0, 0.0, own.rad))
        return -(targets.mass * own)
    assert targets.dense is not None
    # Smoothed and weighted losses are added up from two sums: three roundings more than the one sum has.
    return -m.charged(m.sum(targets.dense * log_p(None)), 3)
