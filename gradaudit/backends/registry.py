"""The backends that are installed, by name."""

from __future__ import annotations

import difflib

from gradaudit import plugins
from gradaudit.backends.interface import GROUP, Backend
from gradaudit.errors import FlagError, PluginError


def names() -> tuple[str, ...]:
    """The names of all backends, sorted; nothing is imported for it."""
    return plugins.names(GROUP)


def get(name: str) -> Backend:
    """The backend registered as `name`; FlagError for a name that is none, with the nearest one that is."""
    if name not in names():
        nearest = difflib.get_close_matches(name, names(), n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise FlagError(f"no backend is called {name!r}; there are {', '.join(names())}{hint}")
    backend = plugins.get(GROUP, name)
    if not isinstance(backend, Backend):
        raise PluginError(f"{GROUP}: {name!r} is a {type(backend).__name__}, not a Backend")
    return backend
