"""A report with what a baseline says of it written into it, so that every format can tell."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

from gradaudit.records.baseline import EVALUATION, FINDING, KNOWN, RESOLVED, AgainstBaseline, BaselineChange
from gradaudit.records.report import CaseReport, Environment, Report, Shard
from gradaudit.regression import standing
from gradaudit.regression.baseline import Baseline
from gradaudit.regression.differences import Change, Differences, differences
from gradaudit.regression.standing import FindingName
from gradaudit.reports.case_labels import case_labels


def held_against(report: Report, baseline: Baseline, path: str, saved: Report) -> Report:
    """`report` with the exit status that it has against the baseline of the file `path`.

    Its findings say whether they are new, and the report what else has changed. `saved` is the report as it comes
    back from its JSON: what is rounded there, and left out of it, is so here too, and the saved report says the same.
    """
    elsewhere = _elsewhere(baseline, saved) if saved.shard is not None else ()
    return _marked(report, differences(baseline, saved), path, elsewhere)


def case_held_against(report: Report, baseline: Baseline, path: str, names: tuple[str, ...], position: int) -> Report:
    """The report of one case against the baseline: the one at `position` (from 0) of all that have these `names`."""
    part = _as_part(report, names, position)
    # What this case does not use is no version that has gone.
    found = replace(differences(baseline, part), versions=())
    return replace(_marked(part, found, path), shard=report.shard)


def _marked(report: Report, found: Differences, path: str, elsewhere: tuple[BaselineChange, ...] = ()) -> Report:
    states = {change.name: change.kind for change in found.changes if isinstance(change.name, FindingName)}
    names = {id(finding): name for name, finding in standing.findings(report).items()}
    marked = {which: states.get(name, KNOWN) for which, name in names.items()}
    cases = tuple(
        replace(
            case,
            findings=tuple(replace(finding, baseline=marked.get(id(finding))) for finding in case.findings),
        )
        for case in report.cases
    )
    held = against(found, path, report.exit_status, elsewhere)
    return replace(report, cases=cases, baseline=held, exit_status=found.exit_status)


def _as_part(report: Report, names: tuple[str, ...], position: int) -> Report:
    """The report of one case as one of a larger audit, which tells of no other case."""
    return replace(report, shard=Shard(1, 1, (position,), len(names), "", names))


def falls_short(case: CaseReport, baseline: Baseline, fail_on: str, names: tuple[str, ...], position: int) -> bool:
    """Whether a case alone makes an audit fall short of the baseline: the one at `position` (from 0) of `names`."""
    alone = Report("", (), Environment("", "", (), (), 0, 0), (case,), (), 0, fail_on=fail_on)
    return differences(baseline, _as_part(alone, names, position)).exit_status != 0


def against(
    found: Differences, path: str, exit_status_alone: int, elsewhere: tuple[BaselineChange, ...] = ()
) -> AgainstBaseline:
    """The differences as a part of the report."""
    changes = tuple(told(change) for change in found.changes)
    return AgainstBaseline(path, changes, found.same, found.versions, exit_status_alone, elsewhere)


def told(change: Change) -> BaselineChange:
    """A change with its name in words."""
    name = change.name
    fields = dataclasses.asdict(name)
    if isinstance(name, FindingName):
        del fields["number"]
        # The message of a finding begins with what it is about.
        about = str(name) if change.kind == RESOLVED else name.case
        return BaselineChange(change.kind, FINDING, about, change.text, change.fails, change.location, **fields)
    return BaselineChange(change.kind, EVALUATION, str(name), change.text, change.fails, change.location, **fields)


def _elsewhere(baseline: Baseline, report: Report) -> tuple[BaselineChange, ...]:
    """What the baseline holds of cases that are no part of this report, were they nowhere else either."""
    here = {*case_labels(report), *(case.name for case in report.not_run)}
    nothing = replace(report, shard=None, cases=(), not_run=(), interrupted=False)
    return tuple(told(change) for change in differences(baseline, nothing).changes if change.name.case not in here)
