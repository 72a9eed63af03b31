"""How an array of any rank becomes rows of classes: the class axes flattened and last, everything else rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np

from gradaudit.records.inputs import Inputs

BLOCK_ELEMENTS = 1 << 18
"""Elements of one block of rows: a float64 array of a block is 2 MiB. Smaller blocks stay nearer to the core, but
pay more for the calls than they gain by it (measured in benchmarks/)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The row view of a case's arrays.

    `shape` is that of the logits, `axis` the class axes. `active` are the classes that take part (None: all), out
    of `classes`.
    """

    shape: tuple[int, ...]
    axis: tuple[int, ...]
    active: np.ndarray | None

    @property
    def classes(self) -> int:
        """Classes of a row, masked ones included."""
        return prod(self.shape[a] for a in self.axis)

    @property
    def active_classes(self) -> int:
        """Classes that take part."""
        return self.classes if self.active is None else len(self.active)

    @property
    def masked(self) -> np.ndarray:
        """The classes that take no part."""
        none = np.zeros(0, dtype=np.int64)
        return none if self.active is None else np.setdiff1d(np.arange(self.classes), self.active)

    @property
    def outer_shape(self) -> tuple[int, ...]:
        """The shape without the class axes: that of one output a row."""
        return tuple(size for i, size in enumerate(self.shape) if i not in self.axis)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return prod(self.outer_shape)

    @property
    def block_rows(self) -> int:
        """Rows of a block."""
        return max(1, BLOCK_ELEMENTS // max(1, self.classes))

    def blocks(self) -> list[tuple[int, int]]:
        """Ranges [start, stop) of rows, in order."""
        step = self.block_rows
        return [(start, min(start + step, self.rows)) for start in range(0, self.rows, step)]

    def as_rows(self, array: np.ndarray) -> np.ndarray:
        """An array of the logits' shape as [rows, classes]; a view where the class axes are last."""
        order = [i for i in range(len(self.shape)) if i not in self.axis] + list(self.axis)
        moved = array if order == list(range(len(self.shape))) else array.transpose(order)
        return moved.reshape(self.rows, self.classes)

    def class_of(self, column: int) -> int:
        """The class that stands in active column `column`."""
        return column if self.active is None else int(self.active[column])

    def restored(self, rows: np.ndarray) -> np.ndarray:
        """[rows, active classes] back in the logits' shape; 0 at masked classes."""
        whole = rows
        if self.active is not None:
            whole = np.zeros((self.rows, self.classes))
            whole[:, self.active] = rows
        order = [i for i in range(len(self.shape)) if i not in self.axis] + list(self.axis)
        return whole.reshape([self.shape[i] for i in order]).transpose(np.argsort(order))

    def index(self, row: int, column: int) -> tuple[int, ...]:
        """Where row `row`, active class `column` stands in an array of the logits' shape."""
        return self.place(row, self.class_of(column))

    def place(self, row: int, column: int) -> tuple[int, ...]:
        """Where row `row`, class `column` (masked ones counted) stands in an array of the logits' shape."""
        outer = iter(np.unravel_index(row, self.outer_shape) if self.outer_shape else ())
        inner = iter(np.unravel_index(column, tuple(self.shape[a] for a in self.axis)))
        return tuple(int(next(inner if i in self.axis else outer)) for i in range(len(self.shape)))

    def row_index(self, row: int) -> tuple[int, ...]:
        """Where row `row` stands in an array with one element a row."""
        return tuple(int(i) for i in np.unravel_index(row, self.outer_shape)) if self.outer_shape else ()


def of_inputs(inputs: Inputs) -> Layout:
    """The layout of the arrays of `inputs`."""
    masked = inputs.function.parameters.get("masked_classes") or ()
    shape = inputs.logits.shape
    classes = prod(shape[a] for a in inputs.axis)
    active = np.setdiff1d(np.arange(classes), np.asarray(masked, dtype=np.int64)) if masked else None
    return Layout(tuple(shape), inputs.axis, active)


def samples(layout: Layout, parameters: Mapping[str, object]) -> np.ndarray | None:
    """Which sample each row is a part of, [rows]; None where rows are not averaged sample by sample."""
    axis = parameters.get("sample_axis")
    if not isinstance(axis, int):
        return None
    outer = [i for i in range(len(layout.shape)) if i not in layout.axis]
    along = np.arange(layout.shape[axis]).reshape([-1 if i == axis else 1 for i in outer])
    return np.ascontiguousarray(np.broadcast_to(along, layout.outer_shape)).reshape(layout.rows)
