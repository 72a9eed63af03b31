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
        return Told(f"fails: {_counted(failing)}", "wrong")
    known = [issue for issue in found if issue.excused]
    if known:
        return Told(f"passes, with {count(len(known), 'known finding')}", "doubtful")
    open_ones = [issue for issue in found if not issue.expected and issue.severity == "warning"]
    if open_ones:
        return Told(f"passes, with {count(len(open_ones), 'warning')}", "doubtful")
    if any(issue.expected for issue in found):
        return Told("as the spec expects", "good")
    return Told("passes", "good")


def _counted(failing: Sequence[Issue]) -> str:
    """How many findings there are, and evaluations that fall short of the baseline."""
    changed = sum(issue.change is not None for issue in failing)
    parts = [count(len(failing) - changed, "finding")] if len(failing) > changed else []
    parts += [f"{count(changed, 'evaluation')} short of the baseline"] if changed else []
    return ", ".join(parts)
