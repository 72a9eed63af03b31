"""What two sound runs of one subject may differ by: each lies within its tolerance of the same exact value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradaudit.backends import claimed
from gradaudit.measurement.audited import Audited
from gradaudit.numerics import formats
from gradaudit.records.subject import Subject
from gradaudit.reference import admissible
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth


@dataclass(frozen=True, slots=True, eq=False)
class Allowances:
    """Tolerances of the output (its own shape) and of the gradient (that of the logits).

    Infinite where nothing is decided: beside special values, and where the tolerance itself leaves float64.
    """

    output: np.ndarray
    gradient: np.ndarray


@dataclass(frozen=True, slots=True)
class Difference:
    """The element where two runs differ most, in units of what they may differ by: its place, both values, and that
    allowance; `count` elements differ by more."""

    index: tuple[int, ...]
    first: float
    second: float
    allowed: float
    count: int


def allowances(subject: Subject, entry: Audited) -> Allowances | None:
    """The tolerances of the row that explains `entry`; None where no truth tells, or none of them explains it.

    What computes something else than the truth rounds as that does: the truth's tolerance says nothing of it.
    """
    truth, measurement = entry.truth, entry.measurement
    if truth is None or measurement is None or entry.inputs.per_output or not measurement.explanation.explains:
        return None
    rows = admissible.rows(entry.inputs.function, entry.inputs.dtype, claimed.profile_of(subject, entry.inputs.dtype))
    explained = measurement.explanation
    named = [row for row in rows if (row.formulation, row.precision) == (explained.formulation, explained.precision)]
    return _of_row(truth, (named or list(rows))[0])


def beyond(first: np.ndarray, second: np.ndarray, tolerance: np.ndarray | None) -> Difference | None:
    """Where two runs of the same exact value are further apart than two tolerances; where they differ if None."""
    a, b = (np.asarray(each).astype(np.float64) for each in (first, second))
    if a.shape != b.shape:
        return None
    allowed = np.zeros(a.shape) if tolerance is None else 2.0 * tolerance
    with np.errstate(invalid="ignore"):
        equal = (a == b) | (np.isnan(a) & np.isnan(b))
        excess = np.where(equal, 0.0, np.abs(a - b))
    # A NaN beside a number is as far as can be, wherever anything is decided at all.
    excess = np.where(np.isnan(excess), np.inf, excess)
    differs = np.isfinite(allowed) & ~(excess <= allowed) & ~equal
    if not differs.any():
        return None
    with np.errstate(over="ignore"):
        ratio = np.where(differs, excess / np.maximum(allowed, np.finfo(np.float64).tiny), -1.0)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), a.shape))
    return Difference(index, float(a[index]), float(b[index]), float(allowed[index]), int(differs.sum()))


def departure(entry: Audited, before: np.ndarray) -> np.ndarray:
    """Half of what no rounding makes of a quantity of any function: an element as far off as it is large.

    Infinite where the element is no larger than roundings of all elements, at the size of the largest number that
    goes in or comes out: cancellation may leave nothing but those. docs/numerics.md, "Contract of a function".
    """
    values, u = np.abs(np.asarray(before).astype(np.float64)), formats.get(entry.inputs.dtype).unit_roundoff
    logits, upstream = entry.inputs.logits, entry.inputs.upstream
    size = _largest(logits) * max(_largest(values), _largest(upstream))
    return np.where(values > logits.size * u * size, 0.5 * values, np.inf)


def _largest(array: np.ndarray | None) -> float:
    """The largest finite magnitude, and 1 where all are below."""
    if array is None:
        return 1.0
    values = np.abs(array.astype(np.float64))
    return max(1.0, float(values[np.isfinite(values)].max(initial=0.0)))


def _of_row(truth: Truth, row: ToleranceRow) -> Allowances:
    tolerance, layout = Tolerance(truth, row), truth.layout
    gradients, outputs, losses = [], [], 0.0
    for block_truth in truth.blocks():
        block, bounds = block_truth.block, tolerance.block(block_truth)
        output, gradient = tolerance.output(bounds).values, tolerance.gradient(bounds, None).values
        losses += float(np.abs(block_truth.output.mid).sum())
        special = block.undefined | ~np.isfinite(truth.gradient(block_truth, None).mid).all(axis=-1)
        special = special if block.excluded is None else special | block.excluded.any(axis=-1)
        gradients.append(np.where(special[:, None], np.inf, gradient))
        outputs.append(np.where(special[:, None], np.inf, output))
    gradient = layout.restored(np.concatenate(gradients))
    whole = np.concatenate(outputs)
    if truth.reduced:
        return Allowances(np.asarray(tolerance.reduced(losses, float(whole.sum()))), gradient)
    if truth.elementwise:
        return Allowances(layout.restored(whole), gradient)
    return Allowances(whole[:, 0].reshape(layout.outer_shape), gradient)
