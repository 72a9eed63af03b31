"""The tree of a spec: plain values, each with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradaudit.errors import FlagError, RequestError, SpecError
from gradaudit.records.location import Location

Scalar = str | int | float | bool | None

MOST_LINES = 20
"""Problems that one error message lists; more are counted."""


@dataclass(slots=True)
class Node:
    """A value of a spec.

    `value` is a scalar, a list of nodes, or a dict of nodes by key; `location` is where it begins, `key_location`
    where the key before it stands. `flag` is the flag and its text where the value came from the command line.
    """

    value: Scalar | list[Node] | dict[str, Node]
    location: Location
    key_location: Location | None = None
    flag: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request, where it stands, and the flag that brought it, if one did."""

    message: str
    location: Location
    flag: str | None = None


def plain(node: Node) -> object:
    """The value without its places: dicts, lists and scalars."""
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


def from_plain(value: object, location: Location, flag: str | None = None) -> Node:
    """The tree of a plain value, all of it at one place; this is how flags become nodes."""
    if isinstance(value, dict):
        return Node({str(k): from_plain(v, location, flag) for k, v in value.items()}, location, location, flag)
    if isinstance(value, (list, tuple)):
        return Node([from_plain(item, location, flag) for item in value], location, location, flag)
    if value is None or isinstance(value, (str, int, float, bool)):
        return Node(value, location, location, flag)
    raise TypeError(f"{type(value).__name__} is no value of a spec")


def walk(node: Node, path: Sequence[str | int]) -> Iterator[tuple[str | int, Node]]:
    """The parts of `path` with the nodes below the root that they lead to; parts that lead nowhere are skipped."""
    for part in path:
        below = _below(node, part)
        if below is not None:
            node = below
            yield part, node


def _below(node: Node, part: str | int) -> Node | None:
    value = node.value
    if isinstance(value, dict) and isinstance(part, str):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
        return value[part]
    return None


def find(node: Node, path: Sequence[str | int]) -> Node:
    """The deepest node along `path`."""
    return next((below for _, below in reversed(list(walk(node, path)))), node)


def problem_at(node: Node, message: str) -> Problem:
    """A problem with the value of `node`."""
    return Problem(message, node.location, node.flag)


def problem_at_key(node: Node, message: str) -> Problem:
    """A problem with the key before `node`."""
    return Problem(message, node.key_location or node.location, node.flag)


def raise_for(problems: Sequence[Problem]) -> None:
    """Raise one error for all problems, by position: SpecError, or FlagError where flags alone are wrong."""
    error = error_for(problems)
    if error is not None:
        raise error


def error_for(problems: Sequence[Problem]) -> RequestError | None:
    """The error that states all problems once, by position; None where there are none."""
    if not problems:
        return None
    distinct = list(dict.fromkeys(problems))
    in_file = [problem for problem in distinct if problem.flag is None]
    by_flag = [problem for problem in distinct if problem.flag is not None]
    in_file.sort(
        key=lambda problem: (problem.location.path, problem.location.line or 0, problem.location.column or 0)
    )
    if not in_file:
        return FlagError(_lines([f"{problem.flag}: {problem.message}" for problem in by_flag]))
    rest = [f"{p.location}: {p.message}" for p in in_file[1:]] + [f"{p.flag}: {p.message}" for p in by_flag]
    return SpecError(_lines([in_file[0].message, *rest]), in_file[0].location)


def _lines(lines: list[str]) -> str:
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"... and {len(lines) - MOST_LINES} more"]
    return "\n".join(lines)
