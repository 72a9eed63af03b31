"""Differences as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from gradaudit import __version__
from gradaudit.regression.differences import (
    ADDED,
    BETTER,
    KINDS,
    MISSING,
    NEW,
    RESOLVED,
    UNAUDITED,
    WORSE,
    Change,
    Differences,
)
from gradaudit.regression.standing import EvaluationName, FindingName
from gradaudit.reports.findings import place
from gradaudit.reports.number_format import count

SCHEMA_VERSION = 1

TITLES = {kind: kind for kind in KINDS} | {UNAUDITED: "could not be audited"}

UPDATE = "gradaudit baseline update"

MEANINGS = {
    0: "nothing is worse than the baseline",
    1: "the audit falls short of the baseline",
    2: "the request is wrong",
    3: "something that was asked for could not be audited",
    130: "interrupted",
}


def lines(found: Differences, update: str = UPDATE) -> tuple[str, ...]:
    """What changed, kind by kind, the gravest first; then what to do and what the exit status says.

    `update` is the command that records the present state. Names of others are in the lines as they are.
    """
    told: list[str] = []
    for kind in KINDS:
        changes = found.of_kind(kind)
        if changes:
            told += [f"{TITLES[kind]}: {len(changes):,}", *(f"  {said(change)}" for change in changes), ""]
    if found.versions:
        told += [*version_lines(found.versions), ""]
    advice = _advice(found, update)
    return (*told, *advice, summary(found))


def recorded(found: Differences, *, first: bool) -> tuple[str, ...]:
    """What an update of the baseline takes over; of a `first` one, how much there is."""
    if first:
        new, added = len(found.of_kind(NEW)), len(found.of_kind(ADDED))
        return (f"recorded: {count(added, 'evaluation')} and {count(new, 'finding')}",)
    told = []
    for kind in KINDS:
        told += [f"{TITLES[kind]}: {said(change)}" for change in found.of_kind(kind)]
    return (*told, *(version_lines(found.versions) if found.versions else ()))


def said(change: Change) -> str:
    """One change in one line."""
    where = "" if change.location is None else f"{place(change.location)}: "
    # The message of a finding begins with what it is about.
    spoken = isinstance(change.name, FindingName) and change.kind != RESOLVED
    return f"{where}{change.name.case if spoken else change.name}: {change.text}"


def version_lines(changed: Iterable[tuple[str, str, str]]) -> list[str]:
    """What computes in another version than before."""
    listed = [f"{name} {before or 'absent'} -> {now or 'absent'}" for name, before, now in changed]
    return [f"other versions: {', '.join(listed)}"]


def summary(found: Differences) -> str:
    """The closing line."""
    parts = [f"{len(found.of_kind(kind)):,} {TITLES[kind]}" for kind in KINDS if found.of_kind(kind)]
    parts.append(f"{count(found.same, 'evaluation')} as before")
    meaning = MEANINGS.get(found.exit_status, "unknown")
    return f"{', '.join(parts)}; exit status {found.exit_status}: {meaning}"


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
    what = "evaluation" if isinstance(change.name, EvaluationName) else "finding"
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


def _advice(found: Differences, update: str) -> list[str]:
    told = []
    if found.of_kind(BETTER) or found.of_kind(RESOLVED):
        told.append(f"`{update}` records what is better or resolved, so that it stays so")
    if found.of_kind(WORSE) or found.of_kind(NEW):
        told.append(f"where what is new or worse is meant, `{update}` records it, for a review to accept")
    if found.of_kind(MISSING) or found.of_kind(ADDED):
        told.append(f"audit what the baseline was made of; where the specs have changed, `{update}` follows them")
    return [*told, ""] if told else []
