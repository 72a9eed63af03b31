"""What an entry of the catalogue is, and how it gets there.

A faulty loss is entered by `@fault("BUG402", ...)` with the codes that name what is wrong with it, a sound one by
`@sound(...)`. The keyword arguments are those of `gradaudit.testing.audit_gradients`: the function that was meant,
its parameters, and inputs of the case's own where ordinary ones would not do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

PADDED = {"random": {"seed": 5, "ignored": 2}}
"""Labels of which two say that their row is padding."""

WEIGHTS = (1.3, 0.45, 2.2, 0.9, 1.75, 0.6, 1.1, 3.05, 0.8, 1.55, 0.37)
"""One for each of the 11 classes, all different, adding up to no whole number."""


@dataclass(frozen=True)
class Entry:
    """`codes` name the fault, any one of them; a sound loss has none."""

    name: str
    loss: Callable[..., Any]
    codes: tuple[str, ...]
    arguments: dict[str, Any] = field(default_factory=dict)


FAULTY: dict[str, Entry] = {}
SOUND: dict[str, Entry] = {}


def fault(*codes: str, **arguments: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a loss with a defect that one of `codes` names."""

    def enter(loss: Callable[..., Any]) -> Callable[..., Any]:
        assert loss.__name__ not in FAULTY, loss.__name__
        FAULTY[loss.__name__] = Entry(loss.__name__, loss, codes, {"dtypes": "float64", **arguments})
        return loss

    return enter


def sound(**arguments: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a loss without a defect."""

    def enter(loss: Callable[..., Any]) -> Callable[..., Any]:
        assert loss.__name__ not in SOUND, loss.__name__
        SOUND[loss.__name__] = Entry(loss.__name__, loss, (), {"dtypes": "float64", **arguments})
        return loss

    return enter
