"""In which executions a backend, or a function of its framework, is audited, and what such a row is called."""

from __future__ import annotations

from gradaudit.records import backend_name
from gradaudit.records.evaluation import EAGER


def offered(asked: tuple[str, ...], backend: str) -> tuple[str, ...]:
    """What `backend` offers of what the case asks for; the first of those, to be refused, where that is nothing."""
    if asked == (EAGER,):
        return asked
    from gradaudit import plugins

    own = getattr(plugins.get("gradaudit.backends", backend_name.plain(backend)), "executions", (EAGER,))
    return tuple(each for each in asked if each in own) or asked[:1]


def shown(name: str, execution: str) -> str:
    """The name of a row: "jax", "jax, compiled"."""
    return name if execution == EAGER else f"{name}, {execution}"
