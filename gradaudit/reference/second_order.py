"""Second derivatives, as products with one direction, and derivatives by soft targets: exact, and tolerances.

The exact ones by a tape over balls that enclose (docs/numerics.md, "Differentiation by tape"): no difference quotient
is taken. The tolerances are those of "Second order".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradaudit.functions.interface import Formula
from gradaudit.functions.rows import Rows
from gradaudit.numerics.arithmetic import FLOAT64
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.reference.block import Block
from gradaudit.reference.formulations import formulated, twice
from gradaudit.reference.formulations.twice import Sizes
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.lift import Lift
from gradaudit.reference.tolerance import Tolerance
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


@dataclass(frozen=True, slots=True)
class Way:
    """One admissible way to a second backward: a row's primitives and precision, and a spelling over them."""

    row: ToleranceRow
    formula: Formula
    unfused: bool


def ways(truth: Truth, rows: Sequence[ToleranceRow]) -> Iterator[Way]:
    """Every way at the precisions and with the primitives of `rows` that are not weaker, tightest first."""
    call, function = truth.inputs.function, truth.function
    spelled = [each for each in function.spellings if each.applies(call.parameters)]
    labelled = truth.arrays.labels is not None
    fitting = [
        each.output
        for each in spelled
        if each.reading in ("any", truth.inputs.reading)
        and each.targets in ("any", "indices" if labelled else "probabilities")
    ]
    formulas = tuple(dict.fromkeys([function.output, *fitting]))
    seen = set()
    for row in rows:
        if row.weaker or row.primitives is None or (row.profile, row.primitives) in seen:
            continue
        seen.add((row.profile, row.primitives))
        plain = row.primitives in (formulated.PLAIN, formulated.BY_LOGSUMEXP)
        for formula in formulas if plain else formulas[:1]:
            yield Way(row, formula, unfused=False)
        if truth.inputs.reading == "logits" and row.primitives.normaliser == "shifted":
            # A softmax that is written out, and its logarithm: no other normaliser has one.
            yield Way(row, function.output, unfused=True)


def hessian_tolerance(truth: Truth, direction: np.ndarray, way: Way) -> np.ndarray:
    """How far a sound second backward may be from :func:`hessian_product`, in the logits' shape."""
    along = truth.layout.as_rows(direction).astype(np.float64)
    active = truth.layout.active

    def second(m: Sizes, rows: Rows[Ball], block: Block) -> Ball:
        columns = along[block.start : block.stop]
        columns = columns if active is None else columns[:, active]
        return twice.hessian_vector(way.formula, m, rows, columns, unfused=way.unfused)

    return _tolerance(truth, way, second)


def target_tolerance(truth: Truth, way: Way) -> np.ndarray:
    """How far a sound derivative by the targets may be from :func:`target_gradient`, in the logits' shape."""

    def slope(m: Sizes, rows: Rows[Ball], block: Block) -> Ball:
        gradient = twice.target_gradient(way.formula, m, rows, unfused=way.unfused)
        if truth.parameters.label_smoothing:
            gradient = gradient * (m.exact(1.0) - m.parameter(truth.parameters.label_smoothing))
        return gradient if block.weight is None else gradient * m.exact(block.weight[None, :])

    return _tolerance(truth, way, slope)


def _tolerance(truth: Truth, way: Way, found: Callable[[Sizes, Rows[Ball], Block], Ball]) -> np.ndarray:
    own = Tolerance(truth, way.row, Sizes)
    assert isinstance(own.m, Sizes)
    parts = []
    for block in truth.blocks():
        own.m.adding_sizes = False
        rows = own.block(block).rows
        with np.errstate(all="ignore"):
            radius = np.asarray(found(own.m, rows, block.block).rad)
        radius = np.array(np.broadcast_to(radius, block.block.logits.shape))
        radius[np.isnan(radius)] = np.inf
        radius[~block.block.counted] = 0.0
        parts.append(radius)
    return truth.layout.restored(np.concatenate(parts))


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
