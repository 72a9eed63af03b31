"""Rows of classes and back, for any rank, axes and masked classes."""

from __future__ import annotations

from math import prod
from types import MappingProxyType

import numpy as np
import pytest

from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.reference import layout as layouts
from gradaudit.reference.layout import BLOCK_ELEMENTS, Layout

SHAPES = [
    ((5,), (0,)),
    ((4, 3), (1,)),
    ((4, 3), (0,)),
    ((1, 2, 1, 1), (1,)),
    ((2, 3, 4, 5), (1,)),
    ((2, 3, 4, 5), (1, 3)),
    ((2, 3, 4), (0, 1, 2)),
]
KINDS = [(shape, axis, masked) for shape, axis in SHAPES for masked in (False, True)]


def layout_of(shape: tuple[int, ...], axis: tuple[int, ...], *, masked: bool) -> Layout:
    classes = prod(shape[a] for a in axis)
    hidden = tuple(range(1, classes, 2)) if masked else ()
    parameters = MappingProxyType({"masked_classes": hidden})
    logits = np.zeros(shape, np.float32)
    inputs = Inputs(FunctionCall("softmax", parameters), "float32", 1.0, axis, logits, None, logits, False, None)
    return layouts.of_inputs(inputs)


@pytest.mark.parametrize(("shape", "axis", "masked"), KINDS)
def test_classes_are_flattened_last_in_c_order(shape: tuple[int, ...], axis: tuple[int, ...], masked: bool) -> None:
    layout = layout_of(shape, axis, masked=masked)
    array = np.arange(float(prod(shape))).reshape(shape)
    rows = layout.as_rows(array)
    last = np.moveaxis(array, axis, range(len(shape) - len(axis), len(shape)))
    assert rows.tolist() == last.reshape(layout.rows, layout.classes).tolist()
    assert layout.classes * layout.rows == array.size
    assert layout.outer_shape == last.shape[: len(shape) - len(axis)]


@pytest.mark.parametrize(("shape", "axis", "masked"), KINDS)
def test_rows_go_back_to_where_they_came_from(shape: tuple[int, ...], axis: tuple[int, ...], masked: bool) -> None:
    layout = layout_of(shape, axis, masked=masked)
    array = np.arange(1.0, prod(shape) + 1.0).reshape(shape)
    rows = layout.as_rows(array)
    active = rows if layout.active is None else rows[:, layout.active]
    restored = layout.restored(active)
    assert restored.shape == shape
    kept = restored != 0.0
    assert kept.sum() == layout.rows * layout.active_classes, "masked classes are 0"
    assert restored[kept].tolist() == array[kept].tolist()


@pytest.mark.parametrize(("shape", "axis", "masked"), KINDS)
def test_an_index_names_the_element(shape: tuple[int, ...], axis: tuple[int, ...], masked: bool) -> None:
    layout = layout_of(shape, axis, masked=masked)
    array = np.arange(float(prod(shape))).reshape(shape)
    rows = layout.as_rows(array)
    active = rows if layout.active is None else rows[:, layout.active]
    for row in range(layout.rows):
        for column in range(layout.active_classes):
            assert array[layout.index(row, column)] == active[row, column]


@pytest.mark.parametrize(("shape", "axis", "masked"), KINDS)
def test_a_row_index_names_the_row(shape: tuple[int, ...], axis: tuple[int, ...], masked: bool) -> None:
    layout = layout_of(shape, axis, masked=masked)
    numbers = np.arange(layout.rows).reshape(layout.outer_shape)
    assert [int(numbers[layout.row_index(row)]) for row in range(layout.rows)] == list(range(layout.rows))


def test_classes_keep_their_numbers_beside_masked_ones() -> None:
    layout = layout_of((2, 6), (1,), masked=True)
    assert layout.active is not None
    assert layout.active.tolist() == [0, 2, 4]
    assert [layout.class_of(column) for column in range(3)] == [0, 2, 4]
    assert layout_of((2, 6), (1,), masked=False).class_of(5) == 5


def test_classes_that_are_last_are_not_copied() -> None:
    array = np.zeros((3, 4, 5))
    assert np.shares_memory(layout_of((3, 4, 5), (2,), masked=False).as_rows(array), array)


@pytest.mark.parametrize("shape", [(7, 3), (1, BLOCK_ELEMENTS + 1), (100_000, 5), (3, BLOCK_ELEMENTS // 2)])
def test_blocks_cover_every_row_once(shape: tuple[int, int]) -> None:
    layout = Layout(shape, (1,), None)
    blocks = layout.blocks()
    assert [start for start, _ in blocks] == [0, *(stop for _, stop in blocks[:-1])]
    assert blocks[-1][1] == shape[0]
    assert all(stop > start for start, stop in blocks)
    assert max(stop - start for start, stop in blocks) * shape[1] <= max(BLOCK_ELEMENTS, shape[1])
