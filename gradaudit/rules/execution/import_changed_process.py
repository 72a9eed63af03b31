"""RUN607: importing a framework changed the process that everyone computes in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradaudit.records.evaluation import BackendState, ProcessFact
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule

NOTED = ("signals handled", "environment variable ")
"""What changes no numbers and is told all the same; filters of warnings and threads are in the report alone: nearly
every import adds some."""

SHOWN = 2
"""Of those so many stand in the message: TensorFlow sets half a dozen variables."""


def check(measured: MeasuredCase) -> Iterator[Finding]:
    """One finding for each backend whose import changed what decides numbers, and one for what else it changed."""
    for state in measured.backends:
        changed = [fact for fact in state.process if fact.changed]
        decisive = [fact for fact in changed if fact.numbers]
        other = [fact for fact in changed if not fact.numbers and fact.name.startswith(NOTED)]
        if decisive:
            yield _finding(measured, state, decisive, "warning", "what all code of the process computes with")
        if other:
            yield _finding(measured, state, other, "info", "which changes no numbers")


def _finding(
    measured: MeasuredCase, state: BackendState, facts: Sequence[ProcessFact], severity: str, meaning: str
) -> Finding:
    """What changed, in the evidence all of it; of what only informs the message names the first ones."""
    shown = facts if severity == "warning" else facts[:SHOWN]
    changes = "; ".join(_said(fact) for fact in shown)
    if len(facts) > len(shown):
        changes += f"; and {len(facts) - len(shown)} more"
    return Finding(
        code=RULE.code,
        name=RULE.name,
        severity=severity,
        message=f"importing {state.name} {state.version}: {changes}: {meaning}",
        location=measured.case.source,
        subject=state.name,
        backend=state.name,
        evidence={fact.name: f"{_shown(fact.before)} -> {_shown(fact.after)}" for fact in facts},
    )


def _said(fact: ProcessFact) -> str:
    if fact.name.startswith("environment variable "):
        variable = fact.name.rpartition(" ")[2]
        return f"sets {variable} to {_shown(fact.after)}" if fact.after else f"removes {variable}"
    if not fact.before:
        return f"{fact.name}: {fact.after} added"
    return f"{fact.name}: {_shown(fact.before)} before, {_shown(fact.after)} after"


def _shown(text: str) -> str:
    return text or "nothing"


RULE = Rule(
    code="RUN607",
    name="import-changed-process",
    severity="warning",
    summary="Importing a framework changed the process: flush-to-zero, rounding, traps, signals, variables.",
    why="""
        Whether subnormal numbers are kept, which way sums are rounded and how many threads add them up are
        settings of the process, not of a library. A package that sets them when it is imported changes the
        results of all others from then on (shared libraries that are linked with -ffast-math do so), and who
        imports it last decides. Signal handlers and environment variables change no numbers here, but what a
        crash says, and what is started later: that is information.
    """,
    formula="""
        before and after the import, in the worker: 2^-1022 / 2 = 0? 2^-1074 2^200 = 0? 1 + 2^-53 against 1, traps
        that are enabled, signals that have a handler, environment variables; a change of the first four, or of a
        variable that is about threads (OMP_, MKL_, OPENBLAS_, ...), is a warning
    """,
    source='docs/guide.md, "Failures are results"; IEEE 754-2019, sections 4.3 and 7',
    fires=None,
    silent=None,
    fires_note=(
        "No framework that is known here does so any more; the tests use an adapter that flushes subnormal numbers "
        "when it is imported."
    ),
    advice=(
        "Set it back after the import (torch.set_flush_denormal(False)), import the package in a process of its own, "
        "or upgrade it; the report's environment has the state before and after."
    ),
    check=check,
)
