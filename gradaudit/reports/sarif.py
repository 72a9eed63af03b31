"""SARIF 2.1.0 (OASIS), for code scanning: one result for each finding and each expectation that nothing met."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

from gradaudit.records.baseline import ADDED, BETTER, KNOWN, MISSING, NEW, WORSE
from gradaudit.records.location import Location
from gradaudit.records.report import Report
from gradaudit.reports.findings import about
from gradaudit.reports.issues import CHANGED, MISSING_CODE, Issue, issues, shortened
from gradaudit.reports.places import in_file, in_repository, uri
from gradaudit.reports.reproduce import again
from gradaudit.reports.summary import exit_meaning

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"error": "error", "warning": "warning", "info": "note"}
CLEAN, FINDINGS = 0, 1
STATES = {KNOWN: "unchanged", WORSE: "updated", BETTER: "updated", NEW: "new", None: "new"}
SUMMARIES = {
    MISSING_CODE: "A finding that the spec expects was not found.",
    CHANGED[WORSE][0]: "The errors of an evaluation are larger than the baseline has them.",
    CHANGED[MISSING][0]: "The baseline holds an evaluation that was not audited.",
    CHANGED[ADDED][0]: "An evaluation is not in the baseline.",
}
LONGEST_ID = 100

_LINK = re.compile(r"\[(?=[^\[\]]*\]\()")
_PLACEHOLDER = re.compile(r"\{(\d+)\}")

Log = dict[str, object]


def render(report: Report) -> str:
    """The log as text. Expected findings are in it, suppressed by the line of the spec that expects them.

    With a baseline every result has its `baselineState`: `unchanged` is what is known. What is resolved is not in it,
    for who does not read that property would take an `absent` result for an open one.

    The first location of a result is the subject's own line where it is known, else that of the spec, to which
    the related location leads in any case. Findings of a run without files have no location.
    """
    found = issues(report)
    rules = _rules(report, found)
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "gradaudit", "semanticVersion": report.version, "rules": [*rules.values()]}
                },
                "invocations": [
                    {
                        "executionSuccessful": report.exit_status in (CLEAN, FINDINGS),
                        "exitCode": report.exit_status,
                        "exitCodeDescription": exit_meaning(report),
                        "arguments": [shortened(argument) for argument in report.command[1:]],
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {
                    "%SRCROOT%": {
                        "description": {
                            "text": "The root of the repository, else the folder in which gradaudit was run."
                        }
                    }
                },
                "results": [_result(issue, [*rules].index(issue.code), report) for issue in found],
            }
        ],
    }
    return json.dumps(log, indent=2, sort_keys=True) + "\n"


def _rules(report: Report, found: Iterable[Issue]) -> dict[str, Log]:
    known = {rule.code: rule for rule in report.rules}
    rules: dict[str, Log] = {}
    for issue in sorted(found, key=lambda issue: issue.code):
        if issue.code in rules:
            continue
        rule = known.get(issue.code)
        summary = SUMMARIES.get(issue.code, issue.name)
        name, level = (issue.name, issue.severity) if rule is None else (rule.name, rule.severity)
        rules[issue.code] = {
            "id": _id(issue.code),
            "name": shortened(name),
            "shortDescription": _message(rule.summary if rule else summary),
            "fullDescription": _message(rule.summary if rule else summary),
            "help": _message(issue.advice or summary),
            "defaultConfiguration": {"level": LEVELS[level]},
            "properties": {"tags": ["gradient", shortened(issue.code)[:3]]},
        }
    return rules


def _id(code: str) -> str:
    """The code, which a plugin may have made as long as it pleases: cut ones stay different from one another."""
    safe = shortened(code, LONGEST_ID)
    return (
        safe if safe == code else f"{safe}-{hashlib.sha256(code.encode('utf-8', 'backslashreplace')).hexdigest()[:8]}"
    )


def _result(issue: Issue, index: int, report: Report) -> Log:
    case = None if issue.case is None else issue.case.case
    named = about(issue.finding) if issue.finding is not None else ""
    result: Log = {
        "ruleId": _id(issue.code),
        "ruleIndex": index,
        "level": LEVELS[issue.severity],
        "message": _message(issue.text),
        "partialFingerprints": {
            "gradaudit/v2": issue.fingerprint,
            # The name GitHub looks for; else it hashes the line, on which many findings stand.
            "primaryLocationLineHash": issue.fingerprint,
        },
        "properties": {
            "case": shortened(issue.case_name),
            "evaluation": shortened(named),
            "fails": issue.fails,
            "reproduce": shortened(again(report, issue)),
        },
    }
    logical = {"fullyQualifiedName": shortened(" / ".join(part for part in (issue.case_name, named) if part))}
    place = {"logicalLocations": [logical], **_physical(in_repository(report, issue.location))}
    result["locations"] = [place]
    if case is not None and in_file(case.source) and case.source != issue.location:
        result["relatedLocations"] = [
            {"id": 0, "message": {"text": "the case in its spec"}, **_physical(in_repository(report, case.source))}
        ]
    if report.baseline is not None:
        state = None if issue.finding is None else issue.finding.baseline
        # What the spec expects stands in no baseline; it was there when the spec was written.
        result["baselineState"] = "unchanged" if issue.expected else STATES[state]
    if issue.expected and case is not None:
        wish = next((each for each in case.expect if each.code == issue.code), None)
        where = f" at {wish.location}" if wish else ""
        result["suppressions"] = [
            {"kind": "external", "status": "accepted", "justification": shortened(f"expected by the spec{where}")}
        ]
    return result


def _physical(location: Location) -> Log:
    if not in_file(location):
        return {}
    address = uri(location)
    artifact = {"uri": address} if address.startswith("file:") else {"uri": address, "uriBaseId": "%SRCROOT%"}
    physical: Log = {"artifactLocation": artifact}
    if location.line:
        region = {"startLine": location.line}
        physical["region"] = {**region, "startColumn": location.column} if location.column else region
    return {"physicalLocation": physical}


def _message(text: str) -> Log:
    """A plain text in which nothing is read as an embedded link or as a placeholder."""
    safe = _PLACEHOLDER.sub(r"{{\1}}", _LINK.sub(r"\\[", shortened(text)))
    return {"text": safe or "-"}
