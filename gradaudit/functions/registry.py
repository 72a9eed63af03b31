"""The functions that are installed, by name."""

from __future__ import annotations

from gradaudit import plugins
from gradaudit.errors import PluginError
from gradaudit.functions.interface import Function

GROUP = "gradaudit.functions"


def names() -> tuple[str, ...]:
    """The names of all functions, sorted."""
    return plugins.names(GROUP)


def get(name: str) -> Function:
    """The function registered as `name`."""
    function = plugins.get(GROUP, name)
    if not isinstance(function, Function):
        raise PluginError(f"{GROUP}: {name!r} is a {type(function).__name__}, not a Function")
    return function
