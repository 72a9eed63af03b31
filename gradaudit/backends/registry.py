"""The backends that are installed, by name."""

from __future__ import annotations

import difflib
from dataclasses import replace

from gradaudit import plugins
from gradaudit.backends.interface import GROUP, Backend
from gradaudit.errors import FlagError, PluginError
from gradaudit.records import backend_name


def names() -> tuple[str, ...]:
    """The names of all backends, sorted; nothing is imported for it."""
    return plugins.names(GROUP)


def get(name: str) -> Backend:
    """The backend registered as `name`, or as what stands before the @ of it; it has the whole for its name then.

    FlagError for a name that is none, with the nearest one that is.
    """
    plain = backend_name.plain(name)
    if plain not in names():
        nearest = difflib.get_close_matches(plain, names(), n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise FlagError(f"no backend is called {plain!r}; there are {', '.join(names())}{hint}")
    backend = plugins.get(GROUP, plain)
    if not isinstance(backend, Backend):
        raise PluginError(f"{GROUP}: {plain!r} is a {type(backend).__name__}, not a Backend")
    return backend if name == plain else replace(backend, name=name)
