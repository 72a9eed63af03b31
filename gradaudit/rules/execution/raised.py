"""RUN605: a subject raised an exception."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from gradaudit.records.evaluation import EvaluationFailure
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.execution.failed import failed, for_subject
from gradaudit.rules.interface import Rule

MISSPELT = "a name is misspelt, or not imported: a mistake of the code, whatever its inputs"
IMPORT = "something that it imports is misspelt or not installed"
SYNTAX = "the file is no valid Python"
CAUSES = {
    "NameError": MISSPELT,
    "AttributeError": MISSPELT,
    "UnboundLocalError": "a variable is read before it is set: a mistake of the code",
    "ImportError": IMPORT,
    "ModuleNotFoundError": IMPORT,
    "SyntaxError": SYNTAX,
    "IndentationError": SYNTAX,
    "TabError": SYNTAX,
}
"""What an exception says of its cause, where its inputs are not to blame."""

OF_THE_CODE = re.compile(rf"\b({'|'.join(CAUSES)}): ")


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each evaluation of a backend, and for each subject, that raised.

    It is information where a subject refused some probes, for others were audited, and a warning where it refused
    all of them.
    """
    raised = tuple(map(_with_cause, failed(RULE, measured, "raised", "an exception was raised")))
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
            yield _with_cause(for_subject(RULE, measured, failures, statement, severity=severity))


def _with_cause(finding: Finding) -> Finding:
    """The finding, with what the kind of its exception says of the cause."""
    named = OF_THE_CODE.search(str(finding.evidence.get("reason", "")))
    return finding if named is None else replace(finding, message=f"{finding.message} ({CAUSES[named[1]]})")


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
    source='docs/guide.md, "Failures are results"',
    fires=None,
    silent=None,
    fires_note="A subject that raises fires it; the tests use an adapter that raises ValueError.",
    advice=(
        "Read the exception. A misspelt or missing name is mended in the code or in the spec; where a shape, a dtype "
        "or a device is not taken, narrow dtypes, formulations, axis or probes in the spec to what is."
    ),
    check=check,
)
