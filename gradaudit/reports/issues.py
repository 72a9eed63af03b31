"""What a report complains of, for CI systems: an entry for each finding, for each expectation that nothing met, and
for each evaluation that is not as the baseline has it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from gradaudit.records.baseline import ADDED, BETTER, EVALUATION, KNOWN, MISSING, WORSE, BaselineChange
from gradaudit.records.case import Expectation
from gradaudit.records.finding import SEVERITIES, Finding
from gradaudit.records.location import Location
from gradaudit.records.report import CaseReport, Report
from gradaudit.reports.case_labels import cases_by_label
from gradaudit.reports.findings import expectation, shown_at_any_scale, unsaid
from gradaudit.reports.places import file_path, in_repository
from gradaudit.reports.terminal import terminal_safe

EXECUTION = "RUN"
"""Letters of the rules about what could not be audited."""

MISSING_CODE, MISSING_NAME = "EXPECTED", "expected-finding-missing"
"""What an expectation that nothing met is called where CI systems ask for a rule."""

MISSING_ADVICE = "Either the audit no longer shows what it used to, or the expectation is out of date: remove it."

CHANGED = {
    WORSE: ("WORSE", "worse-than-baseline", "Mend it; where it is meant, record it in the baseline."),
    MISSING: (
        "MISSING",
        "missing-from-audit",
        "Audit what the baseline was made of, or record it anew.",
    ),
    ADDED: ("ADDED", "not-in-baseline", "Record it in the baseline, so that it is noticed when it gets worse."),
}
"""What an evaluation that falls short of the baseline is called there: code, name, advice."""

LONGEST = 1000
"""Characters of a message that are shown; what is longer is cut, for nobody reads on and systems have limits."""


@dataclass(frozen=True, slots=True, eq=False)
class Issue:
    """One complaint: a `finding`, an expectation that nothing met (`missing`), or an evaluation that the baseline has
    otherwise (`change`); the two others are None.

    `fails` tells whether it has a part in an exit status other than 0, and `excused` whether it would have, were it
    not in the baseline. `fingerprint` names it from run to run: it is made of what the issue is about, without line
    numbers, measured values and the probe that shows it best, and is unique in the report. `case` is None where the
    report has no such case, which is then called `case_name`.
    """

    code: str
    name: str
    severity: str
    text: str
    advice: str
    location: Location
    case: CaseReport | None
    case_name: str
    finding: Finding | None = None
    missing: Expectation | None = None
    change: BaselineChange | None = None
    fails: bool = True
    excused: bool = False
    fingerprint: str = ""

    @property
    def expected(self) -> bool:
        """Whether the spec expects it."""
        return self.finding is not None and self.finding.expected

    @property
    def known(self) -> bool:
        """Whether the baseline holds it, as severe as it is or more so."""
        return self.finding is not None and is_known(self.finding)

    @property
    def mark(self) -> str:
        """What sets it apart from an ordinary finding, in brackets behind its name; "" where nothing does."""
        return "" if self.finding is None else mark(self.finding)


def issues(report: Report) -> tuple[Issue, ...]:
    """All of them, case by case in the order of the report, then those of cases that it does not have."""
    return tuple(_fingerprinted(report, [*_of_cases(report), *_of_absent_cases(report)]))


def worst_first(found: Iterable[Issue]) -> tuple[Issue, ...]:
    """Those that fail first and what is known last, each by severity; the order of the report otherwise."""
    return tuple(sorted(found, key=lambda issue: (not issue.fails, issue.known, -SEVERITIES.index(issue.severity))))


def listed(report: Report) -> tuple[Issue, ...]:
    """What lists for people show: all of them, or the worst `report.max_findings` in the order of the report."""
    found = issues(report)
    kept = {id(issue) for issue in worst_first(found)[: report.max_findings]}
    return tuple(issue for issue in found if id(issue) in kept)


def shortened(text: str, longest: int = LONGEST) -> str:
    """`text` made harmless on one line, cut at `longest` characters where it is longer."""
    safe = terminal_safe(text)
    return safe if len(safe) <= longest else f"{safe[: longest - 3]}..."


def is_known(finding: Finding) -> bool:
    """Whether the baseline holds the finding, as severe as it is or more so."""
    return finding.baseline in (KNOWN, BETTER)


def is_unaudited(finding: Finding) -> bool:
    """Whether it says that something could not be audited, which no earlier audit can excuse."""
    return finding.code.startswith(EXECUTION) and finding.severity == "error"


def mark(finding: Finding) -> str:
    """What sets it apart from an ordinary finding: "expected", or what a baseline says of it; else ""."""
    return "expected" if finding.expected else finding.baseline or ""


def counts_by_severity(finding: Finding, fail_on: str) -> bool:
    """Whether the finding fails an audit without a baseline: an unexpected error does whatever `fail_on` is."""
    least = min(SEVERITIES.index(fail_on), SEVERITIES.index("error"))
    return not finding.expected and SEVERITIES.index(finding.severity) >= least


def _of_cases(report: Report) -> Iterator[Issue]:
    advice = {rule.code: rule.advice for rule in report.rules}
    changes = _changes(report)
    for label, case in cases_by_label(report).items():
        for finding in case.findings:
            named = unsaid(finding)
            text = f"{finding.message} [{named}]" if named else finding.message
            counts = counts_by_severity(finding, report.fail_on)
            yield Issue(
                finding.code,
                finding.name,
                finding.severity,
                text,
                advice.get(finding.code, ""),
                finding.location,
                case,
                case.case.name,
                finding=finding,
                fails=counts and not is_known(finding),
                excused=counts and is_known(finding),
            )
        for missing in case.missing:
            yield Issue(
                MISSING_CODE,
                MISSING_NAME,
                "error",
                f"{expectation(missing)} expected, not found",
                MISSING_ADVICE,
                missing.location,
                case,
                case.case.name,
                missing=missing,
            )
        for change in changes.get(label, ()):
            yield _of_change(change, change.location or case.case.source, case, case.case.name)


def _of_absent_cases(report: Report) -> Iterator[Issue]:
    """What the baseline holds of cases that the report does not have; it stands in the baseline and nowhere else."""
    if report.baseline is None:
        return
    known = cases_by_label(report)
    for label, changes in _changes(report).items():
        if label not in known:
            for change in changes:
                yield _of_change(change, Location(report.baseline.path), None, label)


def _changes(report: Report) -> dict[str, list[BaselineChange]]:
    """The evaluations that fall short of the baseline, by the labels of their cases."""
    found: dict[str, list[BaselineChange]] = {}
    for change in () if report.baseline is None else report.baseline.changes:
        if change.what == EVALUATION and change.kind in CHANGED:
            found.setdefault(change.case, []).append(change)
    return found


def _of_change(change: BaselineChange, location: Location, case: CaseReport | None, name: str) -> Issue:
    code, rule, advice = CHANGED[change.kind]
    text = f"{change.about}: {change.text}"
    return Issue(code, rule, "error", text, advice, location, case, name, change=change, fails=change.fails)


def _fingerprinted(report: Report, found: list[Issue]) -> Iterator[Issue]:
    identities = [_identity(report, issue) for issue in found]
    numbers: dict[int, int] = {}
    used: dict[tuple[str, ...], int] = {}
    # Findings that differ by their probe or their numbers alone are told apart by their order, which is that of the
    # probes' names, whatever order the report has them in.
    for index in sorted(range(len(found)), key=lambda index: (_probe(found[index]), index)):
        used[identities[index]] = numbers[index] = used.get(identities[index], 0) + 1
    for index, (issue, identity) in enumerate(zip(found, identities, strict=True)):
        text = "\x1f".join((*identity, str(numbers[index])))
        digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
        yield replace(issue, fingerprint=digest[:32])


def _identity(report: Report, issue: Issue) -> tuple[str, ...]:
    """What an issue is about, without anything that another run of the same audit may have otherwise."""
    path = "" if issue.case is None else file_path(in_repository(report, issue.case.case.source))
    about = issue.finding or issue.missing or issue.change
    assert about is not None
    scale = about.scale
    if issue.finding is not None and issue.case is not None:
        anywhere = (issue.finding.name, issue.finding.subject or "") in shown_at_any_scale(issue.case)
        scale = None if anywhere else scale
    names = (about.code, about.subject, about.backend, about.formulation, about.dtype)
    parts = [path, issue.case_name, issue.code, *(name or "" for name in names), "" if scale is None else repr(scale)]
    return (*parts, issue.change.execution, issue.change.inputs) if issue.change else tuple(parts)


def _probe(issue: Issue) -> str:
    return "" if issue.finding is None else issue.finding.probe or ""
