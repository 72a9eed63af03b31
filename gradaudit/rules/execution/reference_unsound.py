"""RUN606: the exact values failed their own check."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.execution.failed import failed
from gradaudit.rules.interface import Rule


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each evaluation of a backend, and for each subject, that had no sound reference."""
    yield from failed(RULE, measured, "unverified", "the auditor's own exact values failed their check")


RULE = Rule(
    code="RUN606",
    name="reference-unsound",
    severity="error",
    summary="The enclosure of the exact result does not hold what independent arithmetic gives.",
    why="""
        Every enclosure is confirmed on some of its elements by arithmetic of higher precision. Where a ball misses
        the exact value, the fault is gradaudit's, or this machine's, and nothing that was measured against it counts.
        The other cases have enclosures of their own, each with its own check.
    """,
    formula="""
        for elements drawn at random: |midpoint - x| <= radius, with x the same value from 256-bit balls
    """,
    source="docs/numerics.md, The spot check",
    fires=None,
    silent=None,
    fires_note="No input is known to fire it; the tests falsify the enclosure on purpose.",
    advice=(
        "Please report it with the spec and the message. Until then, audit the case in float64, whose exact values "
        "are computed in the higher precision throughout."
    ),
    check=check,
)
