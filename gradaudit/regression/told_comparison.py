"""Comparisons and trends as text and as JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from gradaudit import __version__
from gradaudit.records.baseline import KINDS
from gradaudit.regression import levels, marking
from gradaudit.regression.comparison import Comparison, Explanation
from gradaudit.regression.levels import Error
from gradaudit.regression.told import SCHEMA_VERSION, change_fields, dumped
from gradaudit.regression.trend import DIRECTIONS, Trend
from gradaudit.reports.against import TITLES, listed
from gradaudit.reports.number_format import count, number

MEANINGS = {
    0: "nothing is worse",
    1: "something is worse, new or missing",
    3: "something could not be audited in the last report",
    130: "the last report was interrupted",
}


def lines(found: Comparison, names: Sequence[str], trends: Sequence[Trend] = ()) -> tuple[str, ...]:
    """What changed from the first report to the last, the gravest first, with what may explain it; then the trends.

    `names` are those of the reports. Names of others are in the lines as they are.
    """
    told = [f"from {names[0]} to {names[-1]}", ""]
    told += _explained("what computed", found.environment) + _explained("declared arithmetic", found.profiles)
    for kind in KINDS:
        changes = [change for change in found.changes if change.kind == kind]
        if changes:
            told += [
                f"{TITLES[kind]}: {len(changes):,}",
                *(f"  {each}" for each in listed(map(marking.told, changes))),
                "",
            ]
    if len(names) > 2:
        told += _trends(trends, names)
    amounts = {kind: sum(change.kind == kind for change in found.changes) for kind in KINDS}
    parts = [f"{amount:,} {TITLES[kind]}" for kind, amount in amounts.items() if amount]
    parts.append(f"{count(found.same, 'evaluation')} as before")
    meaning = MEANINGS.get(found.exit_status, "the last report has it")
    return (*told, f"{', '.join(parts)}; exit status {found.exit_status}: {meaning}")


def document(found: Comparison, names: Sequence[str], trends: Sequence[Trend]) -> str:
    """All of it as JSON: sorted keys, indented by 2, ASCII; numbers that are not finite are strings."""
    return dumped(
        {
            "schema_version": SCHEMA_VERSION,
            "tool": {"name": "gradaudit", "version": __version__},
            "reports": list(names),
            "exit_status": found.exit_status,
            "counts": {**{kind: sum(c.kind == kind for c in found.changes) for kind in KINDS}, "same": found.same},
            "changes": [change_fields(change) for change in found.changes],
            "environment": [dataclasses.asdict(each) for each in found.environment],
            "profiles": [dataclasses.asdict(each) for each in found.profiles],
            "trends": [_trend_fields(trend) for trend in trends],
        }
    )


def _explained(title: str, found: Iterable[Explanation]) -> list[str]:
    listed = [f"  {each.what} {each.name}: {each.before or 'absent'} -> {each.now or 'absent'}" for each in found]
    return [f"{title}:", *listed, ""] if listed else []


def _trends(trends: Sequence[Trend], names: Sequence[str]) -> list[str]:
    told = [f"error / tolerance over {len(names):,} reports:"]
    for direction in DIRECTIONS:
        told += [f"  {_trend(trend, names)}" for trend in trends if trend.direction == direction and trend.moved]
    unmoved = sum(not trend.moved for trend in trends)
    return [*told, *([f"  steady throughout: {count(unmoved, 'array')}"] if unmoved else []), ""]


def _trend(trend: Trend, names: Sequence[str]) -> str:
    way = " -> ".join(_step(trend, index) for index in range(len(names)))
    since = "" if trend.since is None else f" since {names[trend.since]}"
    return f"{trend.direction}{since}: {trend.name}: {trend.quantity} {way}"


def _step(trend: Trend, index: int) -> str:
    """One error of a trend, with its tolerance row where that is another one than before."""
    error, row = trend.errors[index], trend.rows[index]
    if error is None:
        return "absent"
    before = trend.rows[index - 1] if index else row
    under = "" if row == before or before is None else f" ({row or 'no tolerance explains it'})"
    return f"{_ratio(error)}{under}"


def _ratio(error: Error) -> str:
    return levels.FAITHFUL_TEXT if levels.level_of(error) == levels.FAITHFUL else number(error.ratio, 3)


def _trend_fields(trend: Trend) -> dict[str, object]:
    known = [None if each is None else dataclasses.asdict(each) for each in trend.errors]
    errors = [None if each is None else {unit: _plain(value) for unit, value in each.items()} for each in known]
    return {
        **dataclasses.asdict(trend.name),
        "quantity": trend.quantity,
        "direction": trend.direction,
        "since": trend.since,
        "moved": trend.moved,
        "errors": errors,
        "rows": list(trend.rows),
    }


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity"
