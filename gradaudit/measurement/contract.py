"""How a subject behaves as a function: what its further runs show, as breaches of the contract of one."""

from __future__ import annotations

from collections.abc import Sequence

from gradaudit.measurement.audited import Audited
from gradaudit.records.measurement import Breach
from gradaudit.records.subject import Subject


def breaches(subject: Subject, entries: Sequence[Audited]) -> tuple[Breach, ...]:
    """What `subject` does at one dtype that a function must not, from all its evaluations."""
    found: dict[str, Breach] = {}
    for entry in entries:
        notes = entry.evaluation.notes
        mutated = notes.get("mutated")
        if isinstance(mutated, list) and mutated:
            statement = f"{notes.get('defined')}: changes {', '.join(map(str, mutated))}"
            found.setdefault("input-mutated", Breach("input-mutated", entry.evaluation.key, statement, ()))
        if notes.get("unusable"):
            statement = f"{notes.get('defined')}: {notes['unusable']}"
            found.setdefault(
                "wrong-shape-or-dtype", Breach("wrong-shape-or-dtype", entry.evaluation.key, statement, ())
            )
    return tuple(found.values())
