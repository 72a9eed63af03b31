"""GitLab's code quality report: a list of issues with the six fields that GitLab reads."""

from __future__ import annotations

import json

from gradaudit.records.report import Report
from gradaudit.reports.issues import Issue, issues, shortened
from gradaudit.reports.places import file_path, in_repository

SEVERITIES = {"error": "critical", "warning": "minor", "info": "info"}


def render(report: Report) -> str:
    """The list as text. What the specs expect is left out: it is no news in a merge request. What the baseline holds
    is there as information: were it left out, the request that adds the baseline would seem to have resolved it.

    A fingerprint has no line in it, so that an issue stays the same one when the file above it grows.
    """
    found = [
        {
            "check_name": shortened(f"{issue.code} {issue.name}"),
            "description": shortened(f"{_marked(issue)}: {issue.text}"),
            "fingerprint": issue.fingerprint,
            "severity": SEVERITIES["info" if issue.known else issue.severity],
            "location": {
                "path": shortened(file_path(in_repository(report, issue.location))),
                # GitLab drops an issue without a line.
                "lines": {"begin": issue.location.line or 1},
            },
        }
        for issue in issues(report)
        if not issue.expected
    ]
    return json.dumps(found, indent=2, sort_keys=True) + "\n"


def _marked(issue: Issue) -> str:
    return f"{issue.code} {issue.name}{f' ({issue.mark})' if issue.mark else ''}"
