"""What a report complains of, one entry for each finding and each expectation that nothing met, for CI systems."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from gradaudit.records.case import Expectation
from gradaudit.records.finding import SEVERITIES, Finding
from gradaudit.records.location import Location
from gradaudit.records.report import CaseReport, Report
from gradaudit.reports.findings import expectation, unsaid
from gradaudit.reports.terminal import terminal_safe

EXECUTION = "RUN"
"""Letters of the rules about what could not be audited."""

MISSING_CODE, MISSING_NAME = "EXPECTED", "expected-finding-missing"
"""What an expectation that nothing met is called where CI systems ask for a rule."""

MISSING_ADVICE = "Either the audit no longer shows what it used to, or the expectation is out of date: remove it."

LONGEST = 1000
"""Characters of a message that are shown; what is longer is cut, for nobody reads on and systems have limits."""


@dataclass(frozen=True, slots=True, eq=False)
class Issue:
    """One complaint: a finding, or an expectation that nothing met (`missing`); the other of the two is None.

    `fails` tells whether it has a part in an exit status other than 0. `fingerprint` names it from run to run: it
    is made of what the issue is about, without line numbers and measured values, and is unique in the report.
    """

    code: str
    name: str
    severity: str
    text: str
    advice: str
    location: Location
    case: CaseReport
    finding: Finding | None
    missing: Expectation | None
    expected: bool
    fails: bool
    fingerprint: str


def issues(report: Report) -> tuple[Issue, ...]:
    """All of them, case by case in the order of the report."""
    advice = {rule.code: rule.advice for rule in report.rules}
    used: dict[str, int] = {}
    found = []
    for case in report.cases:
        for finding in case.findings:
            named = unsaid(finding)
            text = f"{finding.message} [{named}]" if named else finding.message
            found.append(
                Issue(
                    finding.code,
                    finding.name,
                    finding.severity,
                    text,
                    advice.get(finding.code, ""),
                    finding.location,
                    case,
                    finding,
                    None,
                    finding.expected,
                    _fails(finding, report.fail_on),
                    _fingerprint(case, finding, used),
                )
            )
        for missing in case.missing:
            found.append(
                Issue(
                    MISSING_CODE,
                    MISSING_NAME,
                    "error",
                    f"{expectation(missing)} expected, not found",
                    MISSING_ADVICE,
                    missing.location,
                    case,
                    None,
                    missing,
                    expected=False,
                    fails=True,
                    fingerprint=_fingerprint(case, missing, used),
                )
            )
    return tuple(found)


def worst_first(found: Iterable[Issue]) -> tuple[Issue, ...]:
    """Those that fail first, then by severity; the order of the report otherwise."""
    return tuple(sorted(found, key=lambda issue: (not issue.fails, -SEVERITIES.index(issue.severity))))


def listed(report: Report) -> tuple[Issue, ...]:
    """What lists for people show: all of them, or the worst `report.max_findings` in the order of the report."""
    found = issues(report)
    kept = {id(issue) for issue in worst_first(found)[: report.max_findings]}
    return tuple(issue for issue in found if id(issue) in kept)


def shortened(text: str, longest: int = LONGEST) -> str:
    """`text` made harmless on one line, cut at `longest` characters where it is longer."""
    safe = terminal_safe(text)
    return safe if len(safe) <= longest else f"{safe[: longest - 3]}..."


def _fails(finding: Finding, fail_on: str) -> bool:
    """As the exit status has it: an unexpected error fails whatever `fail_on` is."""
    least = min(SEVERITIES.index(fail_on), SEVERITIES.index("error"))
    return not finding.expected and SEVERITIES.index(finding.severity) >= least


def _fingerprint(case: CaseReport, about: Finding | Expectation, used: dict[str, int]) -> str:
    parts = [case.case.name, about.code if isinstance(about, Finding) else f"{MISSING_CODE} {about.code}"]
    parts += [str(part) for part in (about.subject, about.backend, about.formulation, about.dtype, about.scale)]
    parts.append(str(about.probe) if isinstance(about, Finding) else "")
    text = "\x1f".join(parts)
    used[text] = used.get(text, 0) + 1
    # Findings that differ by their numbers alone are told apart by their order.
    return hashlib.sha256(f"{text}\x1f{used[text]}".encode("utf-8", "backslashreplace")).hexdigest()[:32]
