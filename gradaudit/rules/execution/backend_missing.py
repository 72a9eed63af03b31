"""RUN603: a backend that was asked for is not there."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.evaluation import EvaluationFailure
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import definition
from gradaudit.rules.wording import one_line, plural


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each subject, backend and reason: a missing backend misses all its evaluations.

    And one for a case of which no backend offers anything: what a backend does not offer is no fault where others do.
    """
    yield from _nothing_offered(measured)
    missing: dict[tuple[str, str, str], list[EvaluationFailure]] = {}
    users = {each.name for each in measured.case.subjects}
    for failure in measured.failures:
        if failure.kind == "missing":
            key, reason = failure.key, one_line(failure.message)
            # Every execution of a backend is a subject, and all of them miss it.
            subject = key.subject if key.subject in users else key.backend
            missing.setdefault((subject, key.backend, reason), []).append(failure)
    asked = "named by the case" if measured.case.backends_named else "one of the default backends"
    for (subject, backend, reason), failures in missing.items():
        count, remedy = len(failures), failures[0].detail
        # Of a device that is not there the detail is a traceback, and nothing that could be installed.
        advice = f"; to get it: {remedy}" if remedy and "\n" not in remedy else ""
        why = f"which {subject} asks for" if subject in users else asked
        yield Finding(
            code=RULE.code,
            name=RULE.name,
            severity=RULE.severity,
            message=(
                f"backend {backend} ({why}) is missing, and {count:,} {plural('evaluation', count)} with it: {reason}"
                f"{advice}"
            ),
            location=definition(measured, failures[0].key),
            subject=subject,
            backend=backend,
            evidence={"reason": reason, "evaluations": count, "named": measured.case.backends_named},
        )


def _nothing_offered(measured: MeasuredCase) -> Iterator[Finding]:
    audited = (*measured.measurements, *measured.self_consistency)
    if audited or not measured.failures or any(each.kind != "unsupported" for each in measured.failures):
        return
    reasons = list(dict.fromkeys(one_line(each.message) for each in measured.failures))
    more = f", and {len(reasons) - 1:,} more such {plural('reason', len(reasons) - 1)}" if len(reasons) > 1 else ""
    yield Finding(
        code=RULE.code,
        name=RULE.name,
        severity=RULE.severity,
        message=f"nothing of the case was audited: no backend offers what it asks for: {reasons[0]}{more}",
        location=measured.case.source,
        evidence={"reason": reasons[0], "evaluations": len(measured.failures)},
    )


RULE = Rule(
    code="RUN603",
    name="backend-missing",
    severity="error",
    summary="A backend that the case names, or that is used by default, cannot be run here.",
    why="""
        An audit that quietly leaves out what it cannot run would report success for something it never saw. A
        missing backend is therefore a finding and an exit status, whether it is not installed, fails to import
        or has no such device; and so is a case of which no backend offers a single evaluation.
    """,
    formula="""
        no mathematics: the interpreter of the backend could not import it, or lacks the device; or no backend of the
        case has its dtype, execution or formulation
    """,
    source='docs/guide.md, "Failures are results"',
    fires=None,
    silent=None,
    fires_note="A backend whose framework is not installed fires it; the tests use one that cannot be imported.",
    advice=(
        "Run `gradaudit backends` to see why it is not available and how to get it, or name the backends that "
        "matter (backends: in the spec, --backend on the command line)."
    ),
    check=check,
)
