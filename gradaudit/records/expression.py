"""A formula as data: the graph of primitive operations that a user's expression or function stands for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. `arguments` are positions of earlier nodes; `value` is the constant of a "constant" node, the
    name of an "input" node ("z", "y", "g" or a parameter), or an option such as a class number; else None."""

    operation: str
    arguments: tuple[int, ...] = ()
    value: float | str | None = None


@dataclass(frozen=True, slots=True)
class Expression:
    """Nodes in the order they are computed; the last one is the result. `text` is what the user wrote."""

    nodes: tuple[Node, ...]
    text: str
