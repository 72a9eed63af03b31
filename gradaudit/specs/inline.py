"""Nested lists of a spec as one array, each number checked where it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gradaudit.specs.nodes import Node, Problem, plain, problem_at
from gradaudit.specs.shapes import MAX_RANK
from gradaudit.specs.translate import number_hint
from gradaudit.specs.wording import shown

MOST_PROBLEMS = 5
"""Problems that are reported of one array."""


@dataclass(frozen=True, slots=True, eq=False)
class Parsed:
    """float64 `values`, and whether every number was written as a whole one."""

    values: np.ndarray
    whole: bool


def parse(node: Node, what: str, problems: list[Problem]) -> Parsed | None:
    """The array that stands at `node`, or None after adding to `problems` what is wrong with it.

    `what` is the key that messages name. A number is an array without axes. Lists must be of one length along
    each axis, and not empty.
    """
    shape = _shape(node)
    if len(shape) > MAX_RANK:
        problems.append(
            problem_at(node, f"{what}: nested {len(shape)} levels deep; at most {MAX_RANK} axes are read")
        )
        return None
    leaves: list[float] = []
    found: list[Problem] = []
    whole = _collect(node, shape, what, leaves, found)
    if found:
        problems.extend(found[:MOST_PROBLEMS])
        return None
    values = np.array(leaves, dtype=np.float64).reshape(shape)
    values.flags.writeable = False
    return Parsed(values, whole)


def element(node: Node, index: tuple[int, ...]) -> Node:
    """The node of the element at `index`, or the deepest node on the way to it."""
    for position in index:
        if not isinstance(node.value, list) or position >= len(node.value):
            break
        node = node.value[position]
    return node


def _shape(node: Node) -> tuple[int, ...]:
    """The shape that the first elements suggest."""
    shape = []
    while isinstance(node.value, list):
        shape.append(len(node.value))
        if not node.value:
            break
        node = node.value[0]
    return tuple(shape)


def _collect(node: Node, shape: tuple[int, ...], what: str, leaves: list[float], found: list[Problem]) -> bool:
    """Append the numbers below `node`; true where all are whole."""
    if len(found) >= MOST_PROBLEMS:
        return False
    value = node.value
    if not shape:
        return _number(node, what, leaves, found)
    if not isinstance(value, list):
        found.append(
            problem_at(
                node, f"{what}: {shown(plain(node))} stands where a list of {shape[0]} is expected, as before it"
            )
        )
        return False
    if not value:
        found.append(problem_at(node, f"{what}: an empty list; nothing can be audited without rows and classes"))
        return False
    if len(value) != shape[0]:
        found.append(
            problem_at(
                node,
                f"{what}: ragged, a list of {len(value)} where the first one has {shape[0]}; pad the rows, or use "
                "-.inf for classes that take no part",
            )
        )
        return False
    results = [_collect(child, shape[1:], what, leaves, found) for child in value]
    return all(results)


def _number(node: Node, what: str, leaves: list[float], found: list[Problem]) -> bool:
    value = node.value
    if isinstance(value, list):
        found.append(
            problem_at(node, f"{what}: {shown(plain(node))} stands where a number is expected, as before it")
        )
        return False
    if isinstance(value, (bool, str, dict)) or value is None:
        hint = number_hint(value) if isinstance(value, str) else ""
        found.append(problem_at(node, f"{what}: {shown(plain(node))} is not a number{hint}"))
        return False
    try:
        leaf = float(value)
    except OverflowError:
        found.append(problem_at(node, f"{what}: {shown(value)} lies beyond float64; infinity is written .inf"))
        return False
    leaves.append(leaf)
    return isinstance(value, int) and math.fabs(leaf) < 2**53
