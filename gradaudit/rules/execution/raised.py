"""RUN605: a subject raised an exception."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.execution.failed import failed
from gradaudit.rules.interface import Rule


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each evaluation that failed so."""
    yield from failed(RULE, measured, "raised", "an exception was raised")


RULE = Rule(
    code="RUN605",
    name="raised",
    severity="error",
    summary="The subject, or the framework beneath it, raised an exception instead of returning values.",
    why="""
        The case is valid by its spec, so the subject was expected to have an answer. What it raised is quoted;
        the full traceback stands in the JSON report.
    """,
    formula="""
        no mathematics: the call of the subject ended with an exception
    """,
    source="the worker protocol, described in the guide",
    fires=None,
    silent=None,
    fires_note="A subject that raises fires it; the tests use an adapter that raises ValueError.",
    advice=(
        "Read the exception: a shape, dtype or device that the subject does not take is the usual cause; narrow "
        "dtypes, formulations or axis in the spec to what it does take."
    ),
    check=check,
)
