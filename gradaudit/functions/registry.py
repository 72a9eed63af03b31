"""The functions that are installed, by name."""

from __future__ import annotations

from gradaudit import plugins
from gradaudit.errors import PluginError
from gradaudit.functions.interface import Function
from gradaudit.records.case import FORMULA, SELF
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs

GROUP = "gradaudit.functions"


def names(semantics: str | None = None) -> tuple[str, ...]:
    """The names of gradaudit's own functions, sorted; or those of another framework's, as it calls them."""
    registered = plugins.names(GROUP)
    if semantics is None:
        return tuple(name for name in registered if "." not in name)
    return tuple(name.removeprefix(f"{semantics}.") for name in registered if name.startswith(f"{semantics}."))


def semantics() -> tuple[str, ...]:
    """The frameworks whose operators are known by their own names, sorted."""
    return tuple(sorted({name.partition(".")[0] for name in plugins.names(GROUP) if "." in name}))


def spelled(text: str) -> str | None:
    """The name of the function that a text means, whatever its case; one of gradaudit's own before another's."""
    wanted = text.lower()
    every = {name.lower(): name for name in plugins.names(GROUP)}
    for prefix in ("", *(f"{each}." for each in semantics())):
        if prefix + wanted in every:
            return every[prefix + wanted]
    return None


def mathematics(call: FunctionCall) -> str:
    """The name of the function whose truth a call has: its own, unless it is another framework's operator."""
    if "." not in call.name:
        return call.name
    dialect = get(call.name).dialect
    return call.name if dialect is None else dialect.mathematics(call.parameters)


def translated(inputs: Inputs) -> Inputs:
    """The inputs as gradaudit's own function takes them; themselves where that is who was called."""
    if "." not in inputs.function.name:
        return inputs
    dialect = get(inputs.function.name).dialect
    return inputs if dialect is None else dialect.inputs(inputs)


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
