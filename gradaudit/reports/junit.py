"""JUnit's XML, as Jenkins and GitLab read it: a suite for each case, a test for each evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from gradaudit.records.baseline import BaselineChange
from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.location import Location
from gradaudit.records.measurement import Measurement
from gradaudit.records.report import CaseReport, NotRun, Report
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.findings import about, expectation, place
from gradaudit.reports.issues import EXECUTION, Issue, issues, shortened
from gradaudit.reports.places import file_path, in_file, in_repository
from gradaudit.reports.reproduce import again
from gradaudit.reports.summary import ENDING_TEXTS
from gradaudit.reports.terminal import terminal_safe
from gradaudit.reports.verdicts import is_sound

LONGEST_NAME = 250
LONGEST_OUTPUT = 4000
"""Characters of what a subject printed that stand in the report."""

Names = dict[tuple[str, str], int]


@dataclass(slots=True)
class _Test:
    """One test under way: what makes it fail, why it did not run, what else there is to say.

    `wrong` are findings about other evaluations that say why the values of this one are wrong too; `excused` are
    those that would make it fail, were they not in the baseline.
    """

    name: str
    location: Location
    seconds: float = 0.0
    failing: list[Issue] = field(default_factory=list)
    wrong: list[Issue] = field(default_factory=list)
    excused: list[Issue] = field(default_factory=list)
    skipped: str = ""
    said: list[str] = field(default_factory=list)


def render(report: Report) -> str:
    """The document as text.

    A test fails by the findings that fail the audit; one that could not be audited is an error; what a backend does
    not offer or a subject refuses is skipped, and so is one that would fail by what the baseline holds already, as
    test runners show failures that they expect. Findings that concern no single evaluation are tests of their own,
    and so is every expectation; a case that was not run is a skipped test. Names are unique, for GitLab drops the
    second of two. The texts of all findings of a test stand in its one failure, because readers show the first one
    alone. Times are those of the evaluations.
    """
    by_case: dict[int, list[Issue]] = {}
    absent: dict[str, list[Issue]] = {}
    for issue in issues(report):
        if issue.case is None:
            absent.setdefault(issue.case_name, []).append(issue)
        else:
            by_case.setdefault(id(issue.case), []).append(issue)
    names: Names = {}
    suites = [
        _suite(case.case.name, case.case.source, _tests(case, by_case.get(id(case), []), report), report, names)
        for case in report.cases
    ]
    suites += [
        _suite(name, found[0].location, [_of_change(issue) for issue in found], report, names)
        for name, found in absent.items()
    ]
    suites += [_suite(case.name, case.source, [_not_run(case)], report, names) for case in report.not_run]
    root = Element("testsuites", {"name": "gradaudit", **_totals(suites)})
    root.extend(suites)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _suite(name: str, source: Location, under_way: Iterable[_Test], report: Report, names: Names) -> Element:
    classname = shortened(name, LONGEST_NAME) or "-"
    tests = [_xml(test, classname, report, names) for test in under_way]
    suite = Element("testsuite", {"name": classname, **_file(in_repository(report, source))})
    suite.extend(tests)
    counted = {
        kind: sum(test.find(tag) is not None for test in tests)
        for kind, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"))
    }
    seconds = sum(float(test.get("time", "0")) for test in tests)
    for kind, value in {"tests": len(tests), **counted}.items():
        suite.set(kind, str(value))
    suite.set("time", f"{seconds:.6f}")
    return suite


def _not_run(case: NotRun) -> _Test:
    return _Test("not run", case.source, skipped=f"the audit ended before it ({ENDING_TEXTS[case.reason]})")


def _totals(suites: Iterable[Element]) -> dict[str, str]:
    suites = list(suites)
    counted = {
        name: str(sum(int(suite.get(name, "0")) for suite in suites))
        for name in ("tests", "failures", "errors", "skipped")
    }
    return {**counted, "time": f"{sum(float(suite.get('time', '0')) for suite in suites):.6f}"}


def _tests(case: CaseReport, found: list[Issue], report: Report) -> list[_Test]:
    by_key = {item.key: _evaluation(item, case, found) for item in ordered(case)}
    for said in case.self_consistency:
        by_key.setdefault(said.key, _Test(f"{about(said.key)}: own differences", case.case.source))
    others = []
    for issue in found:
        if issue.change is not None:
            test = next((test for key, test in by_key.items() if _is_about(issue.change, key)), None)
            if test is None:
                others.append(_of_change(issue))
            else:
                test.failing.append(issue)
        if issue.finding is None:
            continue
        test = by_key.get(key) if (key := _key(issue.finding, by_key)) else None
        if test is None:
            named = about(issue.finding)
            test = _Test(f"{issue.code} {issue.name}{f': {named}' if named else ''}", issue.location)
            others.append(test)
        if issue.fails:
            test.failing.append(issue)
        else:
            test.said.append(_statement(issue, report))
            if issue.excused:
                test.excused.insert(0, issue)
            if issue.expected:
                test.wrong, test.excused = [], []
    return [*by_key.values(), *others, *_expectations(case, found)]


def _of_change(issue: Issue) -> _Test:
    """The test of an evaluation that is not in the audit, or of all probes together."""
    assert issue.change is not None
    return _Test(f"{issue.code} {issue.name}: {issue.change.about}", issue.location, failing=[issue])


def _is_about(change: BaselineChange, key: EvaluationKey) -> bool:
    fields = ("subject", "backend", "formulation", "dtype", "scale", "execution")
    own = key.probe is None and change.inputs == "own"
    return own and all(getattr(change, name) == getattr(key, name) for name in fields)


def _key(finding: Finding, known: Iterable[EvaluationKey]) -> EvaluationKey | None:
    """The evaluation that a finding is about; None where it is about several, or about the inputs."""
    fields = ("subject", "backend", "formulation", "dtype", "scale", "probe")
    wanted = [getattr(finding, name) for name in fields]
    return next((key for key in known if [getattr(key, name) for name in fields] == wanted), None)


def _evaluation(item: Measurement | EvaluationFailure, report: CaseReport, found: list[Issue]) -> _Test:
    test = _Test(about(item.key), report.case.source)
    if isinstance(item, EvaluationFailure):
        test.skipped = f"{item.kind.replace('_', ' ')}: {item.message}"
        return test
    test.seconds = item.seconds
    if not is_sound(item) and not item.special_probe:
        # One finding speaks for all evaluations of a subject; every one that is wrong fails by it.
        test.wrong = [issue for issue in found if issue.fails and _covers(issue, item.key)]
        test.excused = [issue for issue in found if issue.excused and _covers(issue, item.key)]
    if item.captured and item.key.probe is None:
        test.said.append(f"printed: {shortened(item.captured, LONGEST_OUTPUT)}")
    return test


def _covers(issue: Issue, key: EvaluationKey) -> bool:
    finding = issue.finding
    return (
        finding is not None
        and not finding.code.startswith(EXECUTION)
        and (finding.subject, finding.backend) == (key.subject, key.backend)
        and finding.formulation in (None, key.formulation)
        and finding.dtype in (None, key.dtype)
    )


def _expectations(report: CaseReport, found: list[Issue]) -> list[_Test]:
    """One test for each finding that the spec expects; a missing one that it does not name fails all the same."""
    unmet = [issue for issue in found if issue.missing is not None]
    wishes = [*report.case.expect, *(wish for wish in report.missing if wish not in report.case.expect)]
    return [
        _Test(f"expects {expectation(wish)}", wish.location, failing=[each for each in unmet if each.missing == wish])
        for wish in wishes
    ]


def _xml(test: _Test, classname: str, report: Report, names: Names) -> Element:
    name = shortened(test.name, LONGEST_NAME) or "-"
    seen = names[classname, name] = names.get((classname, name), 0) + 1
    unique = name if seen == 1 else f"{name} ({seen})"
    place = _file(in_repository(report, test.location))
    element = Element("testcase", {"classname": classname, "name": unique, **place, "time": f"{test.seconds:.6f}"})
    failing = test.failing or test.wrong
    if failing:
        kind = "error" if any(issue.code.startswith(EXECUTION) for issue in failing) else "failure"
        told = ElementTree.SubElement(
            element, kind, {"message": shortened(failing[0].text), "type": shortened(failing[0].code)}
        )
        see = "" if test.failing else "apart from the exact values; what is said of the subject:\n"
        told.text = see + "\n\n".join(_statement(issue, report) for issue in failing)
    elif test.skipped:
        ElementTree.SubElement(element, "skipped", {"message": shortened(test.skipped)})
    elif test.excused:
        known = shortened(f"known: {test.excused[0].code} {test.excused[0].text}")
        ElementTree.SubElement(element, "skipped", {"message": known, "type": "known"})
    if test.said:
        ElementTree.SubElement(element, "system-out").text = "\n\n".join(test.said)
    return element


def _statement(issue: Issue, report: Report) -> str:
    """The finding, where it stands, the next step and the command that shows it, on lines of their own."""
    mark = f" ({issue.mark})" if issue.mark else ""
    lines = [f"{issue.severity} {issue.code} {issue.name}{mark}: {shortened(issue.text)}"]
    lines.append(f"at {shortened(place(issue.location))}")
    lines += [f"next: {terminal_safe(issue.advice)}"] if issue.advice else []
    lines.append(f"again: {again(report, issue)}")
    return "\n".join(terminal_safe(line) for line in lines)


def _file(location: Location) -> dict[str, str]:
    if not in_file(location):
        return {}
    line = {"line": str(location.line)} if location.line else {}
    return {"file": shortened(file_path(location)), **line}
