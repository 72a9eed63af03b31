"""Differences as text and as JSON."""

from __future__ import annotations

import dataclasses
import json

from gradaudit import __version__
from gradaudit.records.baseline import ADDED, EVALUATION, FINDING, KINDS, NEW
from gradaudit.regression import marking
from gradaudit.regression.differences import Change, Differences
from gradaudit.regression.standing import EvaluationName
from gradaudit.reports import against
from gradaudit.reports.number_format import count

SCHEMA_VERSION = 1


def lines(found: Differences, path: str = against.DEFAULT_FILE) -> tuple[str, ...]:
    """What changed of the baseline in the file `path`, kind by kind, the gravest first; then what to do and what the
    exit status says. Names of others are in the lines as they are."""
    held = marking.against(found, path, found.exit_status)
    meaning = against.MEANINGS.get(found.exit_status, "unknown")
    return (*against.lines(held), f"{against.counted(held)}; exit status {found.exit_status}: {meaning}")


def recorded(found: Differences, *, first: bool) -> tuple[str, ...]:
    """What an update of the baseline takes over; of a `first` one, how much there is."""
    if first:
        new, added = len(found.of_kind(NEW)), len(found.of_kind(ADDED))
        return (f"recorded: {count(added, 'evaluation')} and {count(new, 'finding')}",)
    told = []
    for kind in KINDS:
        told += [f"{against.TITLES[kind]}: {said(change)}" for change in found.of_kind(kind)]
    return (*told, *([against.version_line(found.versions)] if found.versions else ()))


def said(change: Change) -> str:
    """One change in one line."""
    return against.said(marking.told(change))


def document(found: Differences, baseline: str) -> str:
    """All of it as JSON: sorted keys, indented by 2, ASCII."""
    return dumped(
        {
            "schema_version": SCHEMA_VERSION,
            "tool": {"name": "gradaudit", "version": __version__},
            "baseline": baseline,
            "exit_status": found.exit_status,
            "counts": {**{kind: len(found.of_kind(kind)) for kind in KINDS}, "same": found.same},
            "changes": [change_fields(change) for change in found.changes],
            "versions": [{"name": name, "before": before, "now": now} for name, before, now in found.versions],
        }
    )


def change_fields(change: Change) -> dict[str, object]:
    """A change as an object."""
    location = None if change.location is None else dataclasses.asdict(change.location)
    what = EVALUATION if isinstance(change.name, EvaluationName) else FINDING
    return {
        "kind": change.kind,
        "what": what,
        **dataclasses.asdict(change.name),
        "text": change.text,
        "fails": change.fails,
        "location": location,
    }


def dumped(document: object) -> str:
    """JSON, the same bytes for the same document."""
    return json.dumps(document, indent=2, sort_keys=True, allow_nan=False) + "\n"
