"""Shards of one audit, put together: the report that an audit in one piece would have made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradaudit.errors import ReportError
from gradaudit.records import backend_name
from gradaudit.records.evaluation import BackendState
from gradaudit.records.report import CaseReport, Environment, Report, Shard
from gradaudit.reports.merged_baseline import merged_baseline

WORST_FIRST = (130, 2, 3, 1, 0)
"""Of several exit statuses the first of these holds."""

Part = tuple[str, Report, Shard]


def merged(reports: Sequence[tuple[str, Report]], command: tuple[str, ...]) -> Report:
    """One report of all shards, each given with its name, in any order; the cases in the order of the whole.

    Raises ReportError where a report is no shard, a shard is missing or there twice, they belong to different audits,
    or they were not made alike: by other versions, with another seed, judged by another severity.
    """
    parts = sorted((_part(name, report) for name, report in reports), key=lambda part: part[2].index)
    _check_whole(parts)
    _check_alike(parts)
    placed: list[tuple[int, CaseReport]] = []
    for name, report, shard in parts:
        if len(report.cases) != len(shard.positions):
            raise ReportError(f"{name}: it has {len(report.cases)} cases, and places for {len(shard.positions)}")
        placed += zip(shard.positions, report.cases, strict=True)
    done = len(placed) + sum(len(report.not_run) for _, report, _ in parts)
    if done != parts[0][2].cases or len({place for place, _ in placed}) != len(placed):
        raise ReportError(f"the shards hold {done} of {parts[0][2].cases} cases; they were changed after the audit")
    cases = tuple(case for _, case in sorted(placed, key=lambda each: each[0]))
    first = parts[0][1]
    held = [report.baseline for _, report, _ in parts if report.baseline is not None]
    alone = _worst(each.exit_status_alone for each in held)
    against = merged_baseline([(name, report) for name, report, _ in parts], alone)
    fallen_short = against is not None and any(change.fails for change in against.changes)
    rules = {rule.code: rule for _, report, _ in parts for rule in report.rules}
    return Report(
        version=first.version,
        command=command,
        environment=_environment(parts, cases),
        cases=cases,
        rules=tuple(rules[code] for code in sorted(rules)),
        exit_status=_worst([*(report.exit_status for _, report, _ in parts), int(fallen_short)]),
        interrupted=any(report.interrupted for _, report, _ in parts),
        fail_on=first.fail_on,
        not_run=tuple(case for _, report, _ in parts for case in report.not_run),
        baseline=against,
        files=dict(sorted(item for _, report, _ in parts for item in report.files.items())),
    )


def _worst(statuses: Iterable[int]) -> int:
    found = set(statuses)
    return next((status for status in WORST_FIRST if status in found), 0)


def _part(name: str, report: Report) -> Part:
    if report.shard is None:
        raise ReportError(f"{name}: it is a whole, not a shard; `gradaudit check --shard 1/4` makes shards")
    return name, report, report.shard


def _check_whole(parts: Sequence[Part]) -> None:
    first_name, _, first = parts[0]
    there: dict[int, str] = {}
    for name, _, shard in parts:
        if shard.of != first.of:
            raise ReportError(f"{name}: it is one of {shard.of} shards, and {first_name} one of {first.of}")
        if shard.plan != first.plan or shard.cases != first.cases:
            raise ReportError(f"{name}: it belongs to other cases than {first_name}: the specs were not the same")
        if shard.index in there:
            raise ReportError(f"{name}: it is shard {shard.index}/{shard.of}, and so is {there[shard.index]}")
        there[shard.index] = name
    missing = [f"{index}/{first.of}" for index in range(1, first.of + 1) if index not in there]
    if missing:
        raise ReportError(f"of {first.of} shards {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing")


def _check_alike(parts: Sequence[Part]) -> None:
    first_name, first, _ = parts[0]
    expected = _conditions(first)
    for name, report, _ in parts[1:]:
        for what, value in _conditions(report).items():
            if value != expected[what]:
                raise ReportError(f"{name}: {what} is {value}, and {expected[what]} in {first_name}")
    states: dict[str, tuple[str, BackendState]] = {}
    for name, report, _ in parts:
        for state in report.environment.backends:
            other_name, other = states.setdefault(state.name, (name, state))
            if _made_of(state) != _made_of(other):
                raise ReportError(
                    f"{name}: {state.name} is {_made_of(state)}, and {_made_of(other)} in {other_name}; run all "
                    "shards with the same versions"
                )


def _conditions(report: Report) -> dict[str, str]:
    environment = report.environment
    return {
        "gradaudit": report.version,
        "--fail-on": report.fail_on,
        "the platform": environment.platform,
        "Python": environment.python,
        "the seed": str(environment.seed),
        "the number of threads": str(environment.threads),
        "the versions": ", ".join(f"{name} {version}" for name, version in sorted(environment.versions)),
    }


def _made_of(state: BackendState) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in sorted(state.versions))
    return f"{state.version} ({versions}; Python {state.python})" if state.available else "missing"


def _environment(parts: Sequence[Part], cases: Sequence[CaseReport]) -> Environment:
    """The backends in the order in which the cases name them: their own formulations first, then users' functions."""
    states: dict[str, BackendState] = {}
    for _, report, _ in parts:
        for state in report.environment.backends:
            states.setdefault(state.name, state)
    named = [name for report in cases for name in report.case.backends]
    named += [subject.backend for report in cases for subject in report.case.subjects]
    order = {name: place for place, name in reversed(list(enumerate(named)))}
    first = parts[0][1].environment
    last = len(named)
    ranked = sorted(states, key=lambda name: (order.get(name, order.get(backend_name.plain(name), last)), name))
    return Environment(
        first.python,
        first.platform,
        first.versions,
        tuple(states[name] for name in ranked),
        first.seed,
        first.threads,
    )
