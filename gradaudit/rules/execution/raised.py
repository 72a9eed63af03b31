"""RUN605: a subject raised an exception."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.evaluation import EvaluationFailure
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.execution.failed import failed, for_subject
from gradaudit.rules.interface import Rule


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each evaluation of a backend, and for each subject, that raised.

    It is information where a subject refused some probes, for others were audited, and a warning where it refused
    all of them.
    """
    raised = tuple(failed(RULE, measured, "raised", "an exception was raised"))
    yield from raised
    refused: dict[tuple[str, str], list[EvaluationFailure]] = {}
    for failure in measured.failures:
        if failure.kind == "refused":
            refused.setdefault((failure.key.subject, failure.key.backend), []).append(failure)
    told = {(finding.subject, finding.backend) for finding in raised}
    answered = [each.key for each in measured.measurements] + [each.key for each in measured.self_consistency]
    taken = {(key.subject, key.backend) for key in answered if key.probe is not None}
    for subject, failures in refused.items():
        if subject not in told:
            statement = "it takes the case's own inputs and raised here, so that nothing is known of its values"
            severity = "info" if subject in taken else "warning"
            yield for_subject(RULE, measured, failures, statement, severity=severity)


RULE = Rule(
    code="RUN605",
    name="raised",
    severity="error",
    summary="The subject, or the framework beneath it, raised an exception instead of returning values.",
    why="""
        The case is valid by its spec, so the subject was expected to have an answer. What it raised is quoted;
        the full traceback stands in the JSON report. A probe is an input that nobody asked about, so that
        a subject that refuses some is told so as information, and one that refuses all by a warning.
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
        "dtypes, formulations, axis or probes in the spec to what it does take."
    ),
    check=check,
)
