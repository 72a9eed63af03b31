"""How a subject behaves as a function: what its further runs show, as breaches of the contract of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.contract import results, runs
from gradaudit.measurement.contract.backward_by_hand import backward_alone
from gradaudit.records.measurement import Breach
from gradaudit.records.subject import Subject

CHECKS: tuple[Callable[[Subject, Audited], Iterator[Breach]], ...] = (
    results.mutated,
    results.wrong_shape_or_dtype,
    runs.nondeterministic,
    runs.second_backward,
    runs.rows_not_independent,
    runs.layout_changes,
    runs.execution_changes,
    runs.linear,
    results.process_changed,
)
COMPARING = (runs.second_backward, runs.rows_not_independent, runs.layout_changes, runs.execution_changes)
"""Checks that compare one call with another."""


def breaches(subject: Subject, entries: Sequence[Audited]) -> tuple[Breach, ...]:
    """What `subject` does at one dtype that a function must not: each kind once, by what shows it first.

    `entries` are all its evaluations, those of probes included.
    """
    found: dict[str, Breach] = {}
    for check in CHECKS:
        if check in COMPARING and "nondeterministic" in found:
            continue  # what differs from call to call differs here too
        for entry in entries:
            if entry.inputs.expects_error:
                continue
            for breach in check(subject, entry):
                found.setdefault(breach.fault, breach)
    for breach in (*backward_alone(entries), *results.accepted(entries)):
        found.setdefault(breach.fault, breach)
    return tuple(found.values())
