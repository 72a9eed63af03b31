"""Arrays that are small enough to be shown whole, laid out by outputs, rows and classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gradaudit.records.case import Case
from gradaudit.records.measurement import Quantity, Values

MAX_CLASSES = 8
MAX_ROWS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """An array as [outputs, rows, classes], float64, with the places of its largest error / tolerance in `worst`.

    A gradient has one output; a forward result without class axes has one class.
    """

    got: np.ndarray
    reference: np.ndarray
    worst: np.ndarray


def row_shape(case: Case) -> tuple[int, int]:
    """(rows, classes) of the logits."""
    classes = math.prod(case.shape[axis] for axis in case.axis)
    return math.prod(case.shape) // max(classes, 1), classes


def is_small(case: Case) -> bool:
    """True where every class of every row can be shown."""
    rows, classes = row_shape(case)
    return 0 < rows <= MAX_ROWS and 0 < classes <= MAX_CLASSES


def laid_out(measured: Quantity | None, case: Case) -> Laid | None:
    """The values of `measured` as a Laid; None where there are none or the case is large."""
    if measured is None or measured.values is None or not is_small(case):
        return None
    values = measured.values
    worst = np.zeros(math.prod(values.shape), dtype=bool)
    if measured.worst and not measured.worst[0].ratio <= 0:
        worst[np.ravel_multi_index(measured.worst[0].index, values.shape) if values.shape else 0] = True
    return Laid(*(by_rows(array, values, case) for array in (values.got, values.reference, worst)))


def by_rows(array: np.ndarray, values: Values, case: Case) -> np.ndarray:
    """`array`, flat and parallel to `values`, as [outputs, rows, classes]; a result without classes has one."""
    rows, classes = row_shape(case)
    shaped = np.asarray(array).reshape(values.shape)
    extra = len(values.shape) - len(case.shape)
    if extra not in (0, 1) or tuple(values.shape[extra:]) != tuple(case.shape):
        return shaped.reshape(1, -1, 1)
    last = np.moveaxis(shaped, [extra + axis for axis in case.axis], range(-len(case.axis), 0))
    return last.reshape(-1, rows, classes)


def row_sum(entries: np.ndarray) -> float:
    """The sum of one row, exact up to one rounding (NaN or infinite where an entry is)."""
    return math.fsum(entries) if np.all(np.isfinite(entries)) else float(np.sum(entries))


def exact_row_sum(entries: np.ndarray) -> float:
    """The sum of a row of midpoints, 0 where it lies below what their own last digits add up to.

    Midpoints are float64 numbers with a few units of rounding error each, so that an exact zero comes out as
    about 1e-17.
    """
    total = row_sum(entries)
    noise = 2.0**-50 * float(np.sum(np.abs(entries)))
    return 0.0 if abs(total) <= noise else total
