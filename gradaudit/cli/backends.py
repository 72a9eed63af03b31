"""`gradaudit backends`: what computes, in which version, and why something is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradaudit.cli.streams import page_width, write, write_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradaudit.records.evaluation import BackendState


def backends(
    output_format: Annotated[Literal["text", "json"], typer.Option(help="Format on standard output.")] = "text",
) -> int:
    """List the backends, or why one is missing.

    Each is started to be asked for its versions and threads; a missing one says how to get it.
    """
    from gradaudit import pipeline

    states = pipeline.backend_states(pipeline.Settings())
    if output_format == "json":
        write(_json(states))
    else:
        write_lines(_lines(states, page_width()))
    return 0


def _lines(states: Sequence[BackendState], width: int) -> list[str]:
    import textwrap

    from gradaudit.reports.terminal import terminal_safe

    names = max((len(state.name) for state in states), default=0)
    lines = []
    for state in states:
        margin = " " * (names + 2)
        heading = terminal_safe(f"{state.name:<{names}}  {_headline(state)}")
        lines.append(textwrap.fill(heading, width, subsequent_indent=margin))
        lines += [
            textwrap.fill(terminal_safe(line), width, initial_indent=margin, subsequent_indent=margin)
            for line in _details(state)
        ]
    return [physical for line in lines for physical in line.splitlines()]


def _headline(state: BackendState) -> str:
    return state.version if state.available else f"missing: {state.reason}"


def _details(state: BackendState) -> list[str]:
    if not state.available:
        return [f"to get it: {state.remedy}"] if state.remedy else []
    facts = [f"Python {state.python}"] if state.python else []
    facts += [f"{name} {version}" for name, version in state.versions if name != state.name]
    if state.threads is not None:
        facts.append(f"{state.threads} thread{'' if state.threads == 1 else 's'}")
    if state.flush_to_zero is not None:
        facts.append("flushes subnormal numbers to zero" if state.flush_to_zero else "keeps subnormal numbers")
    return [", ".join(facts)] if facts else []


def _json(states: Sequence[BackendState]) -> str:
    import dataclasses
    import json

    documents = [
        {**dataclasses.asdict(state), "versions": dict(state.versions), "details": dict(state.details)}
        for state in states
    ]
    return json.dumps(documents, indent=2, sort_keys=True) + "\n"
