"""A report against a baseline: what is new, resolved, worse, better, missing or added. A ratchet.

An evaluation is worse where the tolerance row that explained it no longer does, or where an error rose by more than
the rounding of the baseline resolves (`gradaudit.regression.levels`); better is the same the other way round.

What fails: a finding that is new or more severe than it was, if it would fail without a baseline; an evaluation that
is worse; one that the baseline holds and the audit does not (missing), for nobody knows how it stands; one that the
audit holds and the baseline does not (added), for nobody would notice when it gets worse. Resolved and better never
fail.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from gradaudit.records.baseline import ADDED, BETTER, KINDS, MISSING, NEW, RESOLVED, UNAUDITED, WORSE
from gradaudit.records.finding import SEVERITIES, Finding
from gradaudit.records.location import Location
from gradaudit.records.report import Report
from gradaudit.regression import levels, standing
from gradaudit.regression.baseline import Baseline, Held
from gradaudit.regression.standing import OWN, PROBES, QUANTITIES, EvaluationName, FindingName, Standing
from gradaudit.reports.case_labels import case_labels, cases_by_label
from gradaudit.reports.findings import expectation
from gradaudit.reports.issues import MISSING_CODE, counts_by_severity, shortened
from gradaudit.reports.number_format import number

REGRESSED, NOT_AUDITED = 1, 3


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is not as it was. `name` is what it is about; `text` says what changed, with the numbers.

    `location` is where it stands now, if it does; `fails` tells whether it has a part in an exit status other than 0.
    """

    kind: str
    name: FindingName | EvaluationName
    text: str
    fails: bool
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Differences:
    """All changes, the gravest first, then by case; `same` counts the evaluations that stand as they did.

    `versions` are (name, former, present) of what computed and is another one now; "" stands for none.
    """

    changes: tuple[Change, ...]
    same: int
    versions: tuple[tuple[str, str, str], ...]
    exit_status: int

    def of_kind(self, kind: str) -> tuple[Change, ...]:
        """The changes of one kind."""
        return tuple(change for change in self.changes if change.kind == kind)


def differences(baseline: Baseline, report: Report) -> Differences:
    """What has changed since `baseline`.

    The exit status is 130 or 2 where the report has it, 3 where something could not be audited, 1 where a change
    fails or an expected finding is absent, else 0; what the baseline holds already does not count.
    """
    changes = [*unaudited(report), *of_findings(baseline.findings, report), *_of_evaluations(baseline, report)]
    changes.sort(key=gravest_first)
    now = standing.evaluations(report)
    touched = {change.name for change in changes if change.kind in (WORSE, BETTER)}
    same = sum(name in baseline.evaluations and name not in touched for name in now)
    return Differences(
        tuple(changes),
        same,
        changed_versions(baseline.versions, standing.versions(report)),
        exit_status(changes, report),
    )


def gravest_first(change: Change) -> tuple[int, str, str, str]:
    """By this changes are sorted: their kind, then by name, whatever the order of the reports."""
    code = change.name.code if isinstance(change.name, FindingName) else ""
    return KINDS.index(change.kind), change.name.case, code, str(change.name)


def changed_versions(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[tuple[str, str, str], ...]:
    """(name, former, present) of each version that differs, by name."""
    names = sorted({*before, *now})
    return tuple(
        (name, before.get(name, ""), now.get(name, "")) for name in names if before.get(name) != now.get(name)
    )


def row_change(row: str, now: Standing) -> str:
    """WORSE, BETTER or "", by the tolerance row that explained an evaluation ("" where none did) and what holds now.

    A ladder is climbed from its strictest row and left at the first that explains: a former row that was tried and
    passed by explains no longer, and one that was not reached is not needed any more.
    """
    if row == now.row:
        return ""
    if not now.row or (row and row in now.rows):
        return WORSE
    return BETTER


def exit_status(changes: Iterable[Change], report: Report) -> int:
    """What the changes mean for the exit status, given what the report has."""
    changes = list(changes)
    if report.interrupted or report.exit_status not in (0, REGRESSED, NOT_AUDITED):
        return report.exit_status
    if any(change.kind == UNAUDITED for change in changes):
        return NOT_AUDITED
    return REGRESSED if any(change.fails for change in changes) else 0


def was_due(case: str, report: Report) -> bool:
    """Whether the audit would have told of a case by that name: it is one of its own, or the audit is a whole one."""
    if any(each.name == case for each in report.not_run):
        return False
    return case in case_labels(report) or (report.shard is None and not report.interrupted)


def unaudited(report: Report) -> Iterator[Change]:
    """What could not be audited."""
    for label, finding in standing.unaudited(report):
        name = standing.finding_name(label, finding)
        yield Change(UNAUDITED, name, f"{finding.code} {shortened(finding.message)}", True, finding.location)


def of_findings(before: Mapping[FindingName, str], report: Report) -> Iterator[Change]:
    """What became of findings, and which are new; `before` holds their severities."""
    now = standing.findings(report)
    former = {name: _former_name(name, before, now) for name in now}
    for name, finding in now.items():
        was = before.get(former[name])
        said = f"{finding.code} {finding.severity} {finding.name}: {shortened(finding.message)}"
        fails = counts_by_severity(finding, report.fail_on)
        if was is None:
            yield Change(NEW, name, said, fails, finding.location)
        elif SEVERITIES.index(finding.severity) > SEVERITIES.index(was):
            yield Change(WORSE, name, f"was {was}: {said}", fails, finding.location)
        elif finding.severity != was:
            yield Change(BETTER, name, f"was {was}: {said}", False, finding.location)
    for label, case in cases_by_label(report).items():
        for wish in case.missing:
            name = FindingName(label, MISSING_CODE)
            yield Change(NEW, name, f"{expectation(wish)} expected, not found", True, wish.location)
    kept = {*former.values()}
    for name, was in before.items():
        if name not in kept and was_due(name.case, report):
            yield Change(RESOLVED, name, f"{name.code} {was}", False)


def _former_name(
    name: FindingName, before: Mapping[FindingName, str], now: Mapping[FindingName, Finding]
) -> FindingName:
    """The name under which a finding was kept.

    One about the inputs, of no backend, speaks of all subjects and dtypes that share it: where these come and go it
    is told of more or of fewer, and is still the same.
    """
    if name in before or name.backend:
        return name

    def is_alike(one: FindingName) -> bool:
        pairs = ((one.subject, name.subject), (one.dtype, name.dtype))
        rest = replace(one, subject="", dtype="") == replace(name, subject="", dtype="")
        return rest and all(old == new or "" in (old, new) for old, new in pairs)

    return next((one for one in before if one not in now and is_alike(one)), name)


def _of_evaluations(baseline: Baseline, report: Report) -> Iterator[Change]:
    now = standing.evaluations(report)
    places = {label: case.case.source for label, case in cases_by_label(report).items()}
    for name, found in now.items():
        held = baseline.evaluations.get(name)
        if held is None:
            yield Change(ADDED, name, "is not in the baseline", True, places[name.case])
            continue
        kind, text = _compared(held, found)
        if kind:
            shown = f"; {_worst_probe(report, name)}" if name.inputs == PROBES and kind == WORSE else ""
            yield Change(kind, name, f"{text}{shown}", kind in (WORSE, MISSING), places[name.case])
    # What failed is told by the findings of its own; who fails on the own inputs is asked no probes.
    failed = {replace(name, inputs=OWN) for name in standing.failed(report)}
    for name in baseline.evaluations:
        if name not in now and replace(name, inputs=OWN) not in failed and was_due(name.case, report):
            why = "" if name.case in places else ": no case of that name was audited"
            yield Change(MISSING, name, f"is in the baseline and not in the audit{why}", True, places.get(name.case))


def _compared(held: Held, now: Standing) -> tuple[str, str]:
    """What became of an evaluation ("" where it stands as it did), and the numbers that say so."""
    changed = row_change(held.row, now)
    alone = standing.APART in (*held.levels, *now.errors) or not (held.levels or now.errors)
    if alone and changed:
        return changed, rows_told(held.row, now.row, alone=True)
    if set(held.levels) != set(now.errors):
        return MISSING, measured_told(held.levels, now.errors)
    if changed:
        return changed, rows_told(held.row, now.row)
    arrays = [name for name in QUANTITIES if name in now.errors]
    worse = [name for name in arrays if levels.is_worse(now.errors[name], held.levels[name])]
    better = [name for name in arrays if levels.is_better(now.errors[name], held.levels[name])]
    told = worse or better
    kind = WORSE if worse else BETTER if better else ""
    return kind, "; ".join(_growth(name, held.levels[name], now.errors[name]) for name in told)


def rows_told(was: str, now: str, *, alone: bool = False) -> str:
    """A change of the tolerance row in words; "" stands for none. What was held against its own values `alone` has a
    verdict in its place."""
    if alone:
        return f"its gradient beside its own values: {was or 'wrong'} before, {now or 'wrong'} now"
    if not was:
        return f"no tolerance explained it, and {now} does"
    return f"{was} explained it, and {now or 'no tolerance'} does now"


def measured_told(was: Iterable[str], now: Iterable[str]) -> str:
    """Other arrays than before in words."""
    return f"{' and '.join(was) or 'nothing'} measured before, and {' and '.join(now) or 'nothing'} now"


def _growth(name: str, level: float, error: levels.Error) -> str:
    exact, unit = "the exact value", "of the tolerance"
    if name == standing.APART:
        name, exact, unit = "gradient", "that in float64", "of the largest"
    if level == levels.FAITHFUL:
        was, new = f"within 1 ulp of {exact}", f"{number(error.ulp, 3)} ulp, {number(error.ratio, 3)} {unit}"
        return f"{name} {was} before, now off by {new}"
    new = "within 1 ulp" if levels.level_of(error) == levels.FAITHFUL else f"{number(error.ratio, 3)} {unit}"
    times = error.ratio / level
    factor = f", at least {number(times, 3)} times as large" if 1.0 < times < math.inf else ""
    apart = f" off {exact} by" if unit == "of the largest" else ""
    return f"{name}{apart} at most {levels.text(level)} {unit} before, now {new}{factor}"


def _worst_probe(report: Report, name: EvaluationName) -> str:
    """The probe on which an evaluation stands worst."""
    of_probes = [
        (each.inputs, found)
        for each, (_, found) in standing.each_evaluation(report).items()
        if each.inputs != OWN and replace(each, inputs=PROBES) == name
    ]
    worst, _ = max(
        of_probes,
        key=lambda pair: (
            not pair[1].row,
            len(pair[1].rows),
            max((e.ratio for e in pair[1].errors.values()), default=0),
        ),
    )
    return f"worst on probe {worst}"
