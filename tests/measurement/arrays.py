"""Arrays on their way through a comparison, without a truth behind them."""

from __future__ import annotations

import numpy as np

from gradaudit.measurement.comparison import Comparison
from gradaudit.numerics import formats
from gradaudit.reference.special_values import Enclosed


def comparison(rows: int, columns: int, dtype: str = "float32") -> Comparison:
    """A comparison of an array [rows, columns] whose blocks are whole rows."""
    return Comparison(
        "gradient",
        dtype,
        (rows, columns),
        formats.get(dtype),
        lambda unit, row, column: (row, column) if unit is None else (unit, row, column),
        lambda parts: np.concatenate([part.ravel() for part in parts]),
    )


def enclosed(mid: object, rad: object = 0.0, low: object = None, left_open: np.ndarray | None = None) -> Enclosed:
    """Exact values [rows, columns] within `rad`."""
    middle = np.atleast_2d(np.asarray(mid, dtype=np.float64))
    radius = np.broadcast_to(np.asarray(rad, dtype=np.float64), middle.shape)
    return Enclosed(middle, None if low is None else np.atleast_2d(np.asarray(low, float)), radius, left_open)


def compared(
    got: object, exact: Enclosed, tolerance: object, dtype: str = "float32", **options: object
) -> Comparison:
    """One block, compared."""
    values = np.atleast_2d(np.asarray(got, dtype=np.float64))
    bound = np.broadcast_to(np.asarray(tolerance, dtype=np.float64), values.shape)
    found = comparison(*values.shape, dtype)
    found.add(0, values, exact, bound, **options)  # type: ignore[arg-type]
    return found
