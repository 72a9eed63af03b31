"""What the parts of an audit say of one baseline, put together."""

from __future__ import annotations

from collections.abc import Sequence

from gradaudit.errors import ReportError
from gradaudit.records.baseline import KINDS, AgainstBaseline, BaselineChange
from gradaudit.records.report import Report


def merged_baseline(reports: Sequence[tuple[str, Report]], exit_status_alone: int) -> AgainstBaseline | None:
    """How the whole stands against the baseline that all parts, each given with its name, were held against.

    What every part calls changed if no other part holds its case is changed. Raises ReportError where not all parts
    were held against the same one.
    """
    held = []
    first_name, first = reports[0]
    for name, report in reports:
        path, expected = _path(report), _path(first)
        if path != expected:
            raise ReportError(
                f"{name}: the baseline is {path or 'absent'}, and {expected or 'absent'} in {first_name}"
            )
        if report.baseline is not None:
            held.append(report.baseline)
    if not held:
        return None
    nowhere = set(held[0].elsewhere).intersection(*(set(each.elsewhere) for each in held))
    changes = [change for each in held for change in each.changes]
    changes += [change for change in held[0].elsewhere if change in nowhere]
    # Those of one case stand in one part, in their order.
    changes.sort(key=_gravest_first)
    return AgainstBaseline(
        held[0].path, tuple(changes), sum(each.same for each in held), _versions(held), exit_status_alone
    )


def _gravest_first(change: BaselineChange) -> tuple[int, str]:
    return KINDS.index(change.kind), change.case


def _path(report: Report) -> str:
    return "" if report.baseline is None else report.baseline.path


def _versions(held: Sequence[AgainstBaseline]) -> tuple[tuple[str, str, str], ...]:
    """The versions that are other ones; what a part did not use is absent there, and may be there in another."""
    found: dict[str, list[tuple[str, str]]] = {}
    for each in held:
        for name, before, now in each.versions:
            found.setdefault(name, []).append((before, now))
    told = []
    for name in sorted(found):
        before, now = max(found[name], key=lambda pair: bool(pair[1]))
        if len(found[name]) == len(held) or not before:
            told.append((name, before, now))
    return tuple(told)
