"""The auditor audits itself: some rows of every enclosure are confirmed by `arb`."""

from __future__ import annotations

import numpy as np

from gradaudit.errors import AuditError
from gradaudit.reference.special_values import Enclosed
from gradaudit.reference.truth import Truth

CHECKED_ELEMENTS = 512
"""Elements of a case that are confirmed; at least one row, whatever its length."""


def spot_check(truth: Truth) -> int:
    """Confirm rows of the float64 enclosure at random (seeded by the shape), once for each set of inputs.

    Returns the number of gradient elements confirmed; raises AuditError where a ball misses the exact value. A
    rigorous truth is `arb` already and has nothing to confirm.
    """
    if truth.spot_checked is None:
        truth.spot_checked = 0 if truth.rigorous else _check(truth)
    return truth.spot_checked


def _check(truth: Truth) -> int:
    layout = truth.layout
    rng = np.random.default_rng([layout.rows, layout.classes])
    blocks = list(layout.blocks())
    start, _ = blocks[int(rng.integers(len(blocks)))]
    found = truth.block_at(start)
    block = found.block
    count = max(1, min(len(block.logits), CHECKED_ELEMENTS // max(1, layout.active_classes)))
    rows = np.sort(rng.choice(len(block.logits), size=count, replace=False))
    unit = truth.units[int(rng.integers(len(truth.units)))]
    _confirm(found.output, truth.exact_output(block, rows), rows, "output")
    width = layout.active_classes
    columns = np.sort(rng.choice(width, size=min(width, CHECKED_ELEMENTS), replace=False))
    exact = truth.exact_gradient(block, unit, rows, columns)
    _confirm(truth.gradient(found, unit), exact, rows, "gradient", columns)
    checked = int(exact.mid.size)
    if truth.reduced and layout.rows * width <= CHECKED_ELEMENTS:
        loss = truth.reduced_output()
        # What is due where the loss is no number is a matter of policy, and arb has no part in it.
        if np.isfinite(loss.mid).all():
            _confirm(loss, truth.exact_reduced(), np.arange(len(loss.mid)), "reduced loss")
    return checked


def _confirm(ball: Enclosed, exact: Enclosed, rows: np.ndarray, what: str, columns: np.ndarray | None = None) -> None:
    mid, rad = ball.mid[rows], np.broadcast_to(ball.rad, ball.mid.shape)[rows]
    if columns is not None:
        mid, rad = mid[:, columns], rad[:, columns]
    low = 0.0 if exact.low is None else exact.low
    with np.errstate(invalid="ignore"):
        distance = np.abs((mid - exact.mid) - low)
        contained = distance <= rad + exact.rad
    contained |= (mid == exact.mid) | (np.isnan(mid) & np.isnan(exact.mid))
    if contained.all():
        return
    at = np.argwhere(~contained)[0]
    index = tuple(int(i) for i in at)
    column = index[1] if columns is None else int(columns[index[1]])
    raise AuditError(
        f"the enclosure of the {what} misses the exact value at row {int(rows[at[0]])}, column {column}: "
        f"{mid[index]!r} +- {rad[index]!r}, but arb gives {exact.mid[index]!r}; no verdict of this audit can be "
        "trusted, please report it with the spec"
    )
