"""How a law is tried: the same examples every time, and none of them written to disk."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Law = Callable[[st.DataObject], None]
"""Draws an example and asserts what must hold of it."""

MANY = 600
"""Examples of a slow test. They are the same in every run, so that more of them find more once: what shows in one
example of a hundred is missed by 600 with a probability of 0.99^600 = 0.2 %. Rarer faults are the soak's."""


def run(law: Law, examples: int, *, shrink: bool = True) -> None:
    """Try `law` on so many examples; raise what the smallest one that breaks it raises (any, without `shrink`)."""
    tried = settings(
        max_examples=examples,
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    tried(given(st.data())(law))()
