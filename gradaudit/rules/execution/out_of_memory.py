"""RUN604: an evaluation outgrew its memory cap."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.execution.failed import failed
from gradaudit.rules.interface import Rule


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each evaluation of a backend, and for each subject, that failed so."""
    yield from failed(RULE, measured, "out_of_memory", "more memory than it may have")


RULE = Rule(
    code="RUN604",
    name="out-of-memory",
    severity="error",
    summary="An evaluation needed more memory than its cap, or than the machine has.",
    why="""
        The cap keeps one evaluation from taking the machine down with the rest of the audit. There are no
        values to judge; a Jacobian of K outputs needs K times the memory of a gradient.
    """,
    formula="""
        no mathematics: resident memory of the worker > --max-memory, or an allocation failed
    """,
    source='docs/guide.md, "Failures are results"',
    fires=None,
    silent=None,
    fires_note="A subject that allocates without end fires it; the tests use an adapter that does.",
    advice=(
        "Raise --max-memory, make the case smaller, or replace upstream: per_output by one upstream gradient; "
        "--dry-run prints the bytes that are planned."
    ),
    check=check,
)
