"""Names by which the cases of a report are told apart, the same ones in a part of an audit as in the whole."""

from __future__ import annotations

from collections.abc import Iterable

from gradaudit.records.report import CaseReport, Report


def case_labels(report: Report) -> tuple[str, ...]:
    """A name for each case of the report: its own, with (2), (3), ... where another case before it has that name."""
    shard = report.shard
    if shard is not None and len(shard.names) == shard.cases:
        labels = _told_apart(shard.names)
        return tuple(labels[position] for position in shard.positions)
    return _told_apart(case.case.name for case in report.cases)


def cases_by_label(report: Report) -> dict[str, CaseReport]:
    """The cases by their labels."""
    return dict(zip(case_labels(report), report.cases, strict=True))


def _told_apart(names: Iterable[str]) -> tuple[str, ...]:
    labels: dict[str, None] = {}
    for name in names:
        label, number = name, 1
        while label in labels:
            number += 1
            label = f"{name} ({number})"
        labels[label] = None
    return tuple(labels)
