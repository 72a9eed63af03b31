"""One small registry: what is installed under the entry-point groups of gradaudit.

Our own backends, functions, rules and reports come through the same door as a stranger's: a distribution names
its object in `[project.entry-points."gradaudit.backends"]` (or `.functions`, `.rules`, `.reports`).
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

from gradaudit.errors import PluginError

GROUPS = ("gradaudit.backends", "gradaudit.functions", "gradaudit.rules", "gradaudit.reports")


@cache
def _entries(group: str) -> dict[str, EntryPoint]:
    if group not in GROUPS:
        raise PluginError(f"no plugin group is called {group!r}; there are {', '.join(GROUPS)}")
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        known = found.get(entry.name)
        if known is not None and known.value != entry.value:
            raise PluginError(
                f"{group}: the name {entry.name!r} is registered twice, by {_origin(known)} and by {_origin(entry)}; "
                "uninstall one of them"
            )
        found[entry.name] = entry
    return dict(sorted(found.items()))


def names(group: str) -> tuple[str, ...]:
    """The names registered in `group`, sorted, without importing what they stand for."""
    return tuple(_entries(group))


@cache
def get(group: str, name: str) -> object:
    """The object registered under `name`; PluginError where importing it fails."""
    entry = _entries(group)[name]
    try:
        return entry.load()
    except Exception as error:
        raise PluginError(
            f"{group}: the plugin {name!r} of {_origin(entry)} cannot be loaded: {type(error).__name__}: {error}"
        ) from error


def load(group: str) -> dict[str, object]:
    """Every object of `group` by its name, sorted."""
    return {name: get(group, name) for name in names(group)}


def _origin(entry: EntryPoint) -> str:
    return f"{entry.dist.name} ({entry.value})" if entry.dist else entry.value
