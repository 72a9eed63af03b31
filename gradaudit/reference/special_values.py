"""What is due where the mathematics stops or meets infinity: a table, with the reason for each row.

Everything else about special values follows from the formulas: a -inf logit has p = 0 and takes no part.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradaudit.numerics.ball import Ball
from gradaudit.records.case import FORMULA
from gradaudit.reference.block import Block


@dataclass(frozen=True, slots=True)
class Policy:
    """One row of the table: where it applies, what is due, and why."""

    situation: str
    due: str
    reason: str


TABLE = (
    Policy("a NaN logit in the row", "NaN in every output and gradient of the row", "no number can be right"),
    Policy(
        "a +inf logit in the row",
        "+inf for logsumexp; else NaN where the logit is +inf; the other outputs, a loss and every gradient of the "
        "row are left open",
        "inf - inf has no limit, but the largest of the logits does; beside it p = 0 is as right as NaN",
    ),
    Policy(
        "nothing but -inf in the row",
        "NaN for softmax, log_softmax and cross entropy and their gradients; -inf for logsumexp",
        "0 / 0: no class is left to take the probability; the logarithm of an empty sum is -inf",
    ),
    Policy("a -inf logit under a formula of the user's", "left open", "a formula may read a logit as it is"),
    Policy("a -inf logit", "p = 0 and log p = -inf there; the rest as without the class", "exp(-inf) = 0"),
    Policy("target mass on a -inf logit", "a loss of +inf, the gradient T p - t", "-log 0 = inf; p - t has a limit"),
    Policy("no target mass on a -inf logit", "no contribution to the loss", "0 * log 0 = 0, the limit of t log t"),
    Policy(
        "a logit of +inf or -inf of a function that caps them",
        "what a logit beyond all others gives: tanh is 1 or -1",
        "the limit exists",
    ),
    Policy(
        "a given probability of 0, or log-probability of -inf",
        "as a -inf logit for the loss; the gradient at a probability of 0 is left open",
        "-t / p is infinite, and 0 / 0 where there is no mass",
    ),
    Policy(
        "a gradient that is 0 / 0, as that of an angular margin at a cosine of 1",
        "left open",
        "the derivative does not exist, or is infinite",
    ),
    Policy("an ignored row", "loss 0 and gradient 0, exactly", "it takes no part"),
    Policy("an ignored row with undefined logits", "loss 0; the gradient is left open", "0 * NaN: both are seen"),
    Policy(
        "a mean over no rows, or over weights that add up to 0",
        "a loss of NaN where the losses add up to 0, else left open; the gradient is left open",
        "0 / 0 is a NaN, x / 0 infinite or a NaN; some frameworks return NaN gradients, some 0",
    ),
    Policy(
        "an exact result beyond the largest finite number of the dtype",
        "infinity of the same sign, or any number within the tolerance",
        "the dtype has nothing nearer",
    ),
)


class Enclosed:
    """Exact values of a block: midpoint `mid` + `low` (None: 0) within `rad`; float64, shape [rows, n or 1].

    A NaN or infinite midpoint is what is due there; `open` (None: nowhere) marks elements where the mathematics
    leaves the answer open. `rad` may be given as a ball, whose radius times `inflation` is spelled out on first use.
    """

    __slots__ = ("_rad", "ball", "inflation", "low", "mid", "open")

    def __init__(
        self,
        mid: np.ndarray,
        low: np.ndarray | None,
        rad: np.ndarray | Ball,
        open: np.ndarray | None,  # noqa: A002 - what the policy table calls it
        inflation: float = 1.0,
    ) -> None:
        self.mid = mid
        self.low = low
        self.open = open
        self.inflation = inflation
        self.ball = rad if isinstance(rad, Ball) else None
        self._rad = None if isinstance(rad, Ball) else rad

    @property
    def rad(self) -> np.ndarray:
        """The radii, of the midpoints' shape."""
        if self._rad is None:
            assert self.ball is not None
            if self.ball.row_radius is not None:
                self._rad = self.ball.row_radius.dense(self.inflation)
            else:
                self._rad = np.broadcast_to(np.asarray(self.ball.rad), self.mid.shape) * self.inflation
        return self._rad

    def at(self, rows: np.ndarray) -> Enclosed:
        """Some of the rows."""
        low, left_open = (None if part is None else part[rows] for part in (self.low, self.open))
        return Enclosed(self.mid[rows], low, np.broadcast_to(self.rad, self.mid.shape)[rows], left_open)


def apply_to_output(enclosed: Enclosed, block: Block, function: str, targets: np.ndarray | None) -> Enclosed:
    """The table's rows for the forward result; `targets` [rows, n] is the target mass where there is any."""
    mid, excluded = enclosed.mid, block.excluded
    if excluded is None and not block.undefined.any():
        return enclosed
    mid = mid.copy()
    if excluded is not None:
        if function == "log_softmax":
            mid[excluded] = -np.inf
        if targets is not None:
            mid[(excluded & (targets > 0.0)).any(axis=-1)] = np.inf
    mid[block.undefined & block.counted] = np.nan
    left_open = None
    if function == FORMULA and excluded is not None:
        left_open = excluded.any(axis=-1, keepdims=True) | block.top_infinite[:, None]
    elif function == "logsumexp":
        mid[block.top_infinite] = np.inf
        mid[block.bottom] = -np.inf
    elif block.top_infinite.any():
        left_open = block.top_infinite[:, None]
        left_open = left_open & ~block.infinite if mid.shape == block.logits.shape else left_open
    return Enclosed(mid, enclosed.low, np.where(np.isfinite(mid), enclosed.rad, 0.0), left_open)


def apply_to_gradient(
    enclosed: Enclosed,
    block: Block,
    *,
    undefined_mean: bool,
    poles: bool = False,
    quotients: bool = False,
    limits: bool = True,
) -> Enclosed:
    """The table's rows for the gradient.

    With `poles` it has one at every excluded class; with `quotients` the formula may have been 0 / 0; without
    `limits` nothing is known of rows that have an excluded class.
    """
    at_poles = block.excluded if poles else None
    if not limits and block.excluded is not None:
        at_poles = np.broadcast_to(block.excluded.any(axis=-1, keepdims=True), enclosed.mid.shape)
    indefinite = quotients and bool(np.isnan(enclosed.mid).any())
    if not undefined_mean and not block.undefined.any() and at_poles is None and not indefinite:
        return enclosed
    mid = enclosed.mid.copy()
    left_open = np.isnan(mid) if quotients else np.zeros(mid.shape, dtype=bool)
    mid[block.undefined] = np.nan
    if at_poles is not None:
        left_open |= at_poles
    left_open[(block.undefined & ~block.counted) | block.top_infinite] = True
    if undefined_mean:
        left_open[:] = True
    return Enclosed(mid, enclosed.low, np.where(np.isfinite(mid), enclosed.rad, 0.0), left_open)
