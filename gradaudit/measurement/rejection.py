"""A quick look before the long one: does a tolerance row plainly fail to explain an evaluation?

Most rows that a wrong evaluation is tried against are out of the question, and a single element shows it. Only where
none does, the whole comparison decides.
"""

from __future__ import annotations

import numpy as np

from gradaudit.records.evaluation import Evaluation
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.special_values import Enclosed
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth


def rejected(truth: Truth, evaluation: Evaluation, row: ToleranceRow) -> bool:
    """Whether some finite element of the gradient, or of a loss that is not reduced, is certainly beyond `row`.

    The enclosure's radius is granted on top of the tolerance, so that what `arb` might still decide is left to it.
    """
    tolerance, layout = Tolerance(truth, row), truth.layout
    array = evaluation.gradient if evaluation.gradient is not None else evaluation.jacobian
    assert array is not None, "an evaluation holds a gradient or a Jacobian"
    planes = [layout.as_rows(plane) for plane in ([array] if evaluation.gradient is not None else list(array))]
    output = None
    if not truth.reduced:
        output = layout.as_rows(evaluation.output) if truth.elementwise else evaluation.output.reshape(-1, 1)
    for block_truth in truth.blocks():
        block = block_truth.block
        bounds = tolerance.block(block_truth)
        for unit in truth.units:
            plane = planes[layout.class_of(unit) if unit is not None and truth.elementwise else 0]
            got = _active(truth, plane[block.start : block.stop])
            if _beyond(got, truth.gradient(block_truth, unit), tolerance.gradient(bounds, unit).values):
                return True
        if output is not None:
            got = output[block.start : block.stop]
            got = _active(truth, got) if truth.elementwise else got
            if _beyond(got, block_truth.output, tolerance.output(bounds).values):
                return True
    return False


def _active(truth: Truth, rows: np.ndarray) -> np.ndarray:
    active = truth.layout.active
    return rows if active is None else rows[:, active]


def _beyond(got: np.ndarray, exact: Enclosed, tolerance: np.ndarray) -> bool:
    """Whether a finite element is farther from its exact value than tolerance and enclosure together allow."""
    with np.errstate(invalid="ignore", over="ignore"):
        error = got.astype(np.float64) - exact.mid
        if exact.low is not None:
            error -= exact.low
        # What is no number, or infinite, is a matter of special values: it compares false, or is left out here.
        beyond = np.isfinite(error) & (np.abs(error) > tolerance + exact.rad)
    if exact.open is not None:
        beyond &= ~exact.open
    return bool(beyond.any())
