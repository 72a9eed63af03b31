"""RUN602: an evaluation took longer than it was given."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.execution.failed import failed
from gradaudit.rules.interface import Rule


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each evaluation of a backend, and for each subject, that failed so."""
    yield from failed(RULE, measured, "timed_out", "no answer in time")


RULE = Rule(
    code="RUN602",
    name="timed-out",
    severity="error",
    summary="An evaluation took longer than its timeout and was stopped.",
    why="""
        A subject that hangs cannot be told from a slow one, so it is stopped, and nothing is known about its
        values. The evaluations of other subjects are not affected.
    """,
    formula="""
        no mathematics: seconds from the request to the answer > --timeout
    """,
    source='docs/guide.md, "Failures are results"',
    fires=None,
    silent=None,
    fires_note="A subject that never returns fires it; the tests use an adapter that sleeps.",
    advice=(
        "Give it more time (--timeout SECONDS), a smaller case, or fewer dtypes and scales; if it hangs on any "
        "input, look for a lock or for a pool of threads that was forked."
    ),
    check=check,
)
