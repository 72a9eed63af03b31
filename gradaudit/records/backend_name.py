"""Names of backends as requests have them: `torch`, or `torch@/path/to/python` for the one of another interpreter."""

from __future__ import annotations

AT = "@"


def plain(name: str) -> str:
    """The registered name: `torch` of `torch@/path/to/python`."""
    return name.partition(AT)[0]


def interpreter(name: str) -> str | None:
    """The interpreter, or the folder of its environment, that a name holds; None where it holds none."""
    _, at, path = name.partition(AT)
    return path if at else None


def at(name: str, path: str | None) -> str:
    """`name` with the interpreter at `path`, unless it names one itself."""
    return name if path is None or AT in name else f"{name}{AT}{path}"
