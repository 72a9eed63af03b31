"""Many reports in the order of time: how the errors of each evaluation went, in tolerance units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradaudit.records.baseline import ADDED, BETTER, MISSING, WORSE
from gradaudit.records.report import Report
from gradaudit.regression import levels, standing
from gradaudit.regression.differences import row_change
from gradaudit.regression.levels import Error
from gradaudit.regression.standing import QUANTITIES, EvaluationName, Standing

STEADY = "steady"
DIRECTIONS = (WORSE, MISSING, ADDED, BETTER, STEADY)


@dataclass(frozen=True, slots=True)
class Trend:
    """One array of an evaluation over all reports: its errors and tolerance rows, None where a report has none.

    `direction` is how the last report stands beside the first that has it; `since` is the index of the first report
    from which on the rule of `gradaudit.regression.levels` says so, None where it is steady. `moved` is false where
    no report stands worse or better than the first.
    """

    name: EvaluationName
    quantity: str
    errors: tuple[Error | None, ...]
    rows: tuple[str | None, ...]
    direction: str
    since: int | None
    moved: bool


def trends(reports: Sequence[Report]) -> tuple[Trend, ...]:
    """The trend of each array of each evaluation, the probes of one together: worse first, then missing, added,
    better and steady."""
    listed = [standing.evaluations(report) for report in reports]
    found = []
    for name in dict.fromkeys(name for each in listed for name in each):
        found += _of_evaluation(name, [each.get(name) for each in listed])
    return tuple(sorted(found, key=lambda trend: DIRECTIONS.index(trend.direction)))


def _of_evaluation(name: EvaluationName, standings: Sequence[Standing | None]) -> list[Trend]:
    quantities = [each for each in QUANTITIES if any(one is not None and each in one.errors for one in standings)]
    return [_of_quantity(name, each, standings) for each in quantities]


def _of_quantity(name: EvaluationName, quantity: str, standings: Sequence[Standing | None]) -> Trend:
    known = [each if each is not None and quantity in each.errors else None for each in standings]
    directions = [_direction(known[0], each, quantity) for each in known]
    last = directions[-1]
    since = None
    if last != STEADY:
        since = max((i + 1 for i, each in enumerate(directions) if each != last), default=0)
    return Trend(
        name,
        quantity,
        tuple(None if each is None else each.errors[quantity] for each in known),
        tuple(None if each is None else each.row for each in known),
        last,
        since,
        last != STEADY or any(each in (WORSE, BETTER) for each in directions),
    )


def _direction(first: Standing | None, now: Standing | None, quantity: str) -> str:
    if now is None:
        return MISSING if first is not None else STEADY
    if first is None:
        return ADDED
    changed = row_change(first.row, now)
    if changed:
        return changed
    old, new = first.errors[quantity], now.errors[quantity]
    if levels.is_worse(new, levels.level_of(old)):
        return WORSE
    return BETTER if levels.is_worse(old, levels.level_of(new)) else STEADY
