"""What is to be said of a case at a glance."""

from __future__ import annotations

from collections.abc import Sequence

from gradaudit.reports.evaluation_rows import Told
from gradaudit.reports.issues import EXECUTION, Issue
from gradaudit.reports.number_format import count


def standing(found: Sequence[Issue]) -> Told:
    """One phrase for all issues of a case: what fails, else what is worth a look, else that it passes."""
    failing = [issue for issue in found if issue.fails]
    unaudited = [issue for issue in failing if issue.code.startswith(EXECUTION) and issue.severity == "error"]
    if unaudited:
        return Told("could not be audited in full", "wrong")
    if failing:
        return Told(f"fails: {count(len(failing), 'finding')}", "wrong")
    open_ones = [issue for issue in found if not issue.expected and issue.severity == "warning"]
    if open_ones:
        return Told(f"passes, with {count(len(open_ones), 'warning')}", "doubtful")
    if any(issue.expected for issue in found):
        return Told("as the spec expects", "good")
    return Told("passes", "good")
