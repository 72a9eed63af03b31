"""Two reports side by side: what changed, by how much in tolerance units, and what may explain it.

Worse and better are told by the rule of the baseline (`gradaudit.regression.levels`), each probe against itself.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from gradaudit.records.baseline import ADDED, BETTER, MISSING, WORSE
from gradaudit.records.measurement import Measurement
from gradaudit.records.report import Report
from gradaudit.regression import levels, standing
from gradaudit.regression.differences import (
    Change,
    changed_versions,
    exit_status,
    gravest_first,
    measured_told,
    of_findings,
    row_change,
    rows_told,
    unaudited,
    was_due,
)
from gradaudit.regression.standing import APART, OWN, PROBES, QUANTITIES, EvaluationName, Standing
from gradaudit.reports.case_labels import cases_by_label
from gradaudit.reports.number_format import count, number

Evaluated = tuple[Measurement | None, Standing]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Something that is not as it was around the evaluations: `what` it belongs to, `name`, `before` and `now`."""

    what: str
    name: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The changes from one report to a later one, the gravest first; `same` counts the evaluations that stand as they
    did. `environment` and `profiles` (the arithmetic that is declared) are what may explain them."""

    changes: tuple[Change, ...]
    same: int
    environment: tuple[Explanation, ...]
    profiles: tuple[Explanation, ...]
    exit_status: int


def comparison(before: Report, now: Report) -> Comparison:
    """What changed from `before` to `now`.

    The exit status is that against a baseline of `before`, but that what was added does not fail.
    """
    severities = {name: finding.severity for name, finding in standing.findings(before).items()}
    former, present = standing.each_evaluation(before), standing.each_evaluation(now)
    compared, same = _compared(former, present, now)
    changes = [*unaudited(now), *of_findings(severities, now), *compared, *_come_and_gone(former, present, now)]
    changes.sort(key=gravest_first)
    return Comparison(
        tuple(changes),
        same,
        tuple(_environment(before, now)),
        tuple(_profiles(former, present)),
        exit_status(changes, now),
    )


def _compared(
    former: dict[EvaluationName, Evaluated], present: dict[EvaluationName, Evaluated], now: Report
) -> tuple[list[Change], int]:
    """The changes of evaluations that both reports have, those of a subject's probes in one; how many have none."""
    places = {label: case.case.source for label, case in cases_by_label(now).items()}
    groups: dict[tuple[str, EvaluationName], list[tuple[float, EvaluationName, str]]] = {}
    totals: dict[EvaluationName, int] = {}
    same = 0
    for name, (measurement, standing_now) in present.items():
        if name not in former:
            continue
        together = _together(name)
        totals[together] = totals.get(together, 0) + 1
        kind, growth, text = _change(*former[name], measurement, standing_now)
        same += not kind
        if kind:
            groups.setdefault((kind, together), []).append((growth, name, text))
    changes = []
    for (kind, together), found in groups.items():
        pick = min if kind == BETTER else max
        _, name, text = pick(found, key=lambda each: each[0])
        if together.inputs == PROBES:
            of = f"{len(found):,} of {count(totals[together], 'probe')}"
            text = f"on {of}; {'most on ' if len(found) > 1 else ''}{name.inputs}: {text}"
        changes.append(Change(kind, together, text, kind in (WORSE, MISSING), places.get(name.case)))
    return changes, same


def _change(
    measured: Measurement | None, was: Standing, measured_now: Measurement | None, now: Standing
) -> tuple[str, float, str]:
    """What became of an evaluation ("": it stands as it did), the factor by which its error grew, and the numbers."""
    kind = row_change(was.row, now)
    alone = measured is None or measured_now is None
    if alone and kind:
        return kind, math.inf if kind == WORSE else 0.0, rows_told(was.row, now.row, alone=True)
    if set(was.errors) != set(now.errors):
        return MISSING, math.inf, measured_told(was.errors, now.errors)
    before, after = _special(measured), _special(measured_now)
    if before != after:
        kind = WORSE if after > before else BETTER
        return (
            kind,
            math.inf if kind == WORSE else 0.0,
            f"special values that are not as due: {before:,} -> {after:,}",
        )
    if kind:
        return kind, math.inf if kind == WORSE else 0.0, rows_told(was.row, now.row)
    pairs = {name: (was.errors[name], now.errors[name]) for name in QUANTITIES if name in now.errors}
    worse = [name for name, (old, new) in pairs.items() if levels.is_worse(new, levels.level_of(old))]
    better = [name for name, (old, new) in pairs.items() if levels.is_worse(old, levels.level_of(new))]
    told = worse or better
    if not told:
        return "", 1.0, ""
    text = "; ".join(f"{_growth(name, *pairs[name])}{_absolute(name, measured, measured_now)}" for name in told)
    factors = [_factor(*pairs[name]) for name in told]
    return (WORSE, max(factors), text) if worse else (BETTER, min(factors), text)


def _special(measurement: Measurement | None) -> int:
    """How many elements are not finite and should be, or differ at special inputs; their errors have no size."""
    if measurement is None:
        return 0
    quantities = (measurement.output, measurement.gradient, measurement.jacobian)
    return sum(each.non_finite + each.special_mismatch for each in quantities if each is not None)


def _growth(name: str, old: levels.Error, new: levels.Error) -> str:
    what, unit = (
        (name, "of the tolerance") if name != APART else ("gradient off that in float64 by", "of the largest")
    )
    factor = _factor(old, new)
    times = f" ({number(factor, 3)} times)" if 0.0 < factor < math.inf else ""
    return f"{what} {number(old.ratio, 3)} -> {number(new.ratio, 3)} {unit}{times}"


def _factor(old: levels.Error, new: levels.Error) -> float:
    if old.ratio == new.ratio:
        return 1.0
    return new.ratio / old.ratio if 0.0 < old.ratio < math.inf else math.inf


def _absolute(name: str, measured: Measurement | None, measured_now: Measurement | None) -> str:
    """The errors in the units of the numbers themselves, which no change of a tolerance touches."""
    errors = []
    for each in (measured, measured_now):
        if each is None:
            return ""
        quantity = {"loss": each.output, "gradient": each.gradient, "jacobian": each.jacobian}[name]
        assert quantity is not None, "both have it"
        errors.append(number(quantity.max_abs_error, 3))
    return f", absolute error {' -> '.join(errors)}"


def _come_and_gone(
    former: dict[EvaluationName, Evaluated], present: dict[EvaluationName, Evaluated], now: Report
) -> Iterator[Change]:
    places = {label: case.case.source for label, case in cases_by_label(now).items()}
    failed = standing.failed(now)
    gone = [name for name in former if name not in present and was_due(name.case, now)]
    gone = [name for name in gone if replace(name, inputs=OWN) not in failed]
    for together, who in _counted(gone, former):
        yield Change(MISSING, together, f"{who} no longer there", True, places.get(together.case))
    for together, who in _counted([name for name in present if name not in former], present):
        yield Change(ADDED, together, f"{who} in the last report alone", False, places.get(together.case))


def _counted(names: Iterable[EvaluationName], of: Iterable[EvaluationName]) -> Iterator[tuple[EvaluationName, str]]:
    """Each name, those of probes together, with how many these are of all, and the verb."""
    amounts, whole = (Counter(_together(name) for name in each) for each in (names, of))
    for together, amount in amounts.items():
        probes = "" if amount == whole[together] else f"{amount:,} of {count(whole[together], 'probe')} "
        yield together, f"{probes}{'is' if not probes or amount == 1 else 'are'}"


def _together(name: EvaluationName) -> EvaluationName:
    return name if name.inputs == OWN else replace(name, inputs=PROBES)


def _environment(before: Report, now: Report) -> Iterator[Explanation]:
    for name, old, new in changed_versions(standing.versions(before), standing.versions(now)):
        yield Explanation("version", name, old, new)
    first, second = before.environment, now.environment
    for field in ("python", "platform", "seed", "threads"):
        old, new = str(getattr(first, field)), str(getattr(second, field))
        if old != new:
            yield Explanation("environment", field, old, new)
    states = {state.name: state for state in second.backends}
    for state in first.backends:
        other = states.get(state.name)
        if other is None or not (state.available and other.available):
            continue
        facts = {**dict(state.details), "threads": str(state.threads), "flushes to zero": str(state.flush_to_zero)}
        present = {**dict(other.details), "threads": str(other.threads), "flushes to zero": str(other.flush_to_zero)}
        for name, old, new in changed_versions(facts, present):
            yield Explanation(state.name, name, old, new)


def _profiles(
    former: dict[EvaluationName, Evaluated], present: dict[EvaluationName, Evaluated]
) -> Iterator[Explanation]:
    """The fields of the declared arithmetic that differ, once for each subject, formulation and dtype."""
    seen = set()
    for name in present:
        if name not in former:
            continue
        was, now = former[name][0], present[name][0]
        if was is None or now is None:
            continue
        old, new = dataclasses.asdict(was.profile), dataclasses.asdict(now.profile)
        where = " ".join(dict.fromkeys((name.subject, name.backend, name.formulation, name.dtype)))
        for field in old:
            found = Explanation(where, field, str(old[field]), str(new[field]))
            if found.before != found.now and found not in seen:
                seen.add(found)
                yield found
