"""Exact second derivatives, as products with one direction, and exact derivatives by soft targets.

Both by a tape over balls that enclose (docs/numerics.md, "Differentiation by tape"): no difference quotient is taken.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gradaudit.numerics.arithmetic import FLOAT64
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.reference.block import Block
from gradaudit.reference.lift import Lift
from gradaudit.reference.truth import Truth


@dataclass(frozen=True, slots=True, eq=False)
class Enclosure:
    """Midpoints and radii in the shape of the logits, float64; NaN where a row holds special values."""

    mid: np.ndarray
    rad: np.ndarray


def hessian_product(truth: Truth, direction: np.ndarray) -> Enclosure:
    """The Hessian of <upstream, output> by the logits, times `direction` (of the logits' shape)."""
    lift = _lift(truth)
    m, rows_of_direction = lift.m, truth.layout.as_rows(direction)

    def product(block: Block) -> Ball:
        rows = lift.rows(block, None)
        columns = rows_of_direction[block.start : block.stop]
        columns = columns if truth.layout.active is None else columns[:, truth.layout.active]
        return truth.hessian_vector_in(m, rows, columns.astype(np.float64))

    return _whole(truth, [(block.block, product(block.block)) for block in truth.blocks()])


def target_gradient(truth: Truth) -> Enclosure:
    """The gradient of <upstream, output> by the targets, where these are probabilities."""
    lift = _lift(truth)

    def slope(block: Block) -> Ball:
        return truth.target_gradient_in(lift.m, lift.rows(block, None), block)

    found = _whole(truth, [(block.block, slope(block.block)) for block in truth.blocks()])
    if truth.function.name != "kl_divergence":
        return found
    # log q is infinite at q = 0, and people write 0 there as often.
    assert truth.inputs.targets is not None
    return replace(found, mid=np.where(truth.inputs.targets == 0.0, np.nan, found.mid))


def _lift(truth: Truth) -> Lift[Ball]:
    m, den = BallAlgebra(FLOAT64, encloses=True), truth.denominator
    whole = None
    if truth.parameters.reduction == "mean" and den.value != 0.0:
        error = den.value * den.count * FLOAT64.u
        whole = Ball(m, np.array([[den.value]]), np.array([[error]]))
    return Lift(m, truth.parameters, whole, truth.elementwise)


def _whole(truth: Truth, parts: list[tuple[Block, Ball]]) -> Enclosure:
    mids, radii = [], []
    for block, ball in parts:
        special = block.undefined if block.excluded is None else block.undefined | block.excluded.any(axis=-1)
        shape = block.logits.shape
        mids.append(np.where(special[:, None], np.nan, np.broadcast_to(ball.mid, shape)))
        radii.append(np.broadcast_to(np.asarray(ball.rad), shape))
    return Enclosure(truth.layout.restored(np.concatenate(mids)), truth.layout.restored(np.concatenate(radii)))
