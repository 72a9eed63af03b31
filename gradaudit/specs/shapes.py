"""Which shape everything has: class axes, rows, targets, outputs."""

from __future__ import annotations

from math import prod

from gradaudit.functions import registry
from gradaudit.functions.interface import Setting
from gradaudit.records.function_call import FunctionCall

MAX_RANK = 8
"""Axes of an array."""
REDUCING = ("mean", "sum")
"""Reductions that leave one number."""


def classes(shape: tuple[int, ...], axis: tuple[int, ...]) -> int:
    """How many classes there are along the flattened class axes."""
    return prod(shape[index] for index in axis)


def row_shape(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    """The logits' shape without the class axes: that of class indices and of one output a row."""
    return tuple(size for index, size in enumerate(shape) if index not in axis)


def output_shape(function: FunctionCall, shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of what the function returns, and of its upstream gradient."""
    definition = registry.of_call(function)
    if definition.dialect is not None and definition.dialect.output_shape is not None:
        return definition.dialect.output_shape(Setting(function.parameters, shape, axis))
    if not definition.has_row_output:
        return shape
    return () if function.parameters.get("reduction") in REDUCING else row_shape(shape, axis)


def outputs_of_a_row(function: FunctionCall, shape: tuple[int, ...], axis: tuple[int, ...]) -> int:
    """K, the number of cotangents of `upstream: per_output`."""
    return 1 if registry.of_call(function).has_row_output else classes(shape, axis)


def dense_index(
    row: tuple[int, ...], class_number: int, shape: tuple[int, ...], axis: tuple[int, ...]
) -> tuple[int, ...]:
    """Where the logit of a class in a row stands; `class_number` counts along the flattened class axes in C order."""
    sizes = [shape[index] for index in axis]
    positions = []
    for size in reversed(sizes):
        class_number, position = divmod(class_number, size)
        positions.append(position)
    along = dict(zip(axis, reversed(positions), strict=True))
    rest = iter(row)
    return tuple(along[index] if index in along else next(rest) for index in range(len(shape)))
