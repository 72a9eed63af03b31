"""The functions that are installed, by name."""

from __future__ import annotations

from gradaudit import plugins
from gradaudit.errors import PluginError
from gradaudit.functions.interface import Function
from gradaudit.records.case import FORMULA, SELF, FunctionCall

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


def of_call(call: FunctionCall) -> Function:
    """The function that a call names, or the one that its expression spells."""
    if call.name not in (FORMULA, SELF):
        return get(call.name)
    if call.expression is None:
        from gradaudit.functions import stand_in  # most audits have none

        return stand_in.function(call)
    from gradaudit.functions import formula

    return formula.function(call.expression)
