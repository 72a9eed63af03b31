"""What findings mean for the exit status of `gradaudit check`."""

from __future__ import annotations

from collections.abc import Iterable

from gradaudit.records.case import Expectation
from gradaudit.records.finding import SEVERITIES, Finding
from gradaudit.rules.judge import EXECUTION

CLEAN, FINDINGS, NOT_AUDITED = 0, 1, 3


def exit_status(findings: Iterable[Finding], missing: Iterable[Expectation], fail_on: str = "error") -> int:
    """What one or many cases contribute: 3 before 1 before 0.

    3: something that was asked for could not be audited, unexpectedly (a probe that a subject refuses was not asked
    for; that is no error). 1: an unexpected finding at or above
    `fail_on`, an unexpected error whatever `fail_on` is, or an expected finding that is absent.
    """
    unexpected = [finding for finding in findings if not finding.expected]
    if any(finding.code.startswith(EXECUTION) and finding.severity == "error" for finding in unexpected):
        return NOT_AUDITED
    threshold = SEVERITIES.index(fail_on)
    failing = any(SEVERITIES.index(finding.severity) >= threshold for finding in unexpected)
    return FINDINGS if failing or any(True for _ in missing) else CLEAN
