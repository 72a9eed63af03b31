"""How a law is tried: the same examples every time, and none of them written to disk."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Law = Callable[[st.DataObject], None]
"""Draws an example and asserts what must hold of it."""


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
