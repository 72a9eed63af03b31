"""RUN601: the process of an evaluation died."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.execution.failed import failed
from gradaudit.rules.interface import Rule


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each evaluation of a backend, and for each subject, that failed so."""
    yield from failed(RULE, measured, "crashed", "the worker process died")


RULE = Rule(
    code="RUN601",
    name="crashed",
    severity="error",
    summary="The process that computed an evaluation died before it answered.",
    why="""
        A segmentation fault, an abort or a call of exit takes the process along, so there are no values to
        judge. Only this evaluation is lost; the others ran in processes of their own, or in a fresh one.
    """,
    formula="""
        no mathematics: the worker's end of the pipe closed before the answer was complete;
        the message holds its exit status or signal and the last lines of its standard error
    """,
    source='docs/guide.md, "Failures are results"',
    fires=None,
    silent=None,
    fires_note="A subject that kills its own process fires it; the tests use an adapter that calls os.abort().",
    advice=(
        "Run the named evaluation alone (--backend, --formulations, --dtype) with -v to see all that the process "
        "printed; a native extension that was built for another version of the framework is the usual cause."
    ),
    check=check,
)
