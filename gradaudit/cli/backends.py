"""`gradaudit backends`: what computes, in which version and where, why something is missing; and how to get it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradaudit.cli.streams import page_width, say, write, write_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradaudit.records.evaluation import BackendState, ProcessFact

OutputFormat = Annotated[Literal["text", "json"], typer.Option(help="Format on standard output.")]
Name = Annotated[str, typer.Argument(metavar="BACKEND", help="A name that `gradaudit backends` lists.")]

QUIET = ("warnings filters", "threads")
"""What nearly every import changes; it is in the JSON."""

app = typer.Typer(
    help="List the backends, or why one is missing. Each is started to be asked for its versions and threads; a "
    "missing one says how to get it.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


@app.callback()
def backends(context: typer.Context, output_format: OutputFormat = "text") -> int:
    """List the backends, or why one is missing.

    Each is started to be asked for its versions and threads; a missing one says how to get it.
    """
    if context.invoked_subcommand is not None:
        return 0
    from gradaudit import pipeline

    states = pipeline.backend_states(pipeline.Settings())
    if output_format == "json":
        write(_json(states))
    else:
        write_lines(_lines(states, page_width()))
    return 0


@app.command()
def install(
    name: Name,
    again: Annotated[
        bool, typer.Option("--again", help="Also where there is one that works: build it anew.")
    ] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
) -> int:
    """Build an environment for one backend alone, under your data folder.

    For frameworks that cannot live beside the others, such as mxnet, and for any other: tensorflow, jax or torch go
    into environments of their own too, and what is installed beside gradaudit stays as it is. Packages are fetched by
    uv, where there is one, or by pip with its configuration; audits use the environment from then on. What fails or
    is interrupted leaves nothing behind.
    """
    from gradaudit.backends import registry
    from gradaudit.workers import installation

    backend = registry.get(_registered(name))
    done = installation.install(backend, _silent if quiet else say, again=again)
    what = "is installed already" if done.already else "is installed"
    write_lines([f"{name} {done.state.version} {what} (Python {done.state.python}): {done.folder}"])
    variable = _overriding(name)
    if variable and not quiet:
        say(f"{variable} is set and goes before it")
    return 0


@app.command()
def remove(name: Name) -> int:
    """Remove the environment that `install` built for a backend."""
    from gradaudit.workers import installation, isolated

    folder = installation.remove(_registered(name), say)
    if folder is None:
        write_lines([f"there is no environment of {name}: nothing in {isolated.folder_of(name)}"])
    else:
        write_lines([f"removed {folder}"])
    return 0


def _registered(name: str) -> str:
    """A name of the registry, without an interpreter; FlagError for any other."""
    from gradaudit.backends import registry
    from gradaudit.errors import FlagError

    if "@" in name:
        raise FlagError(f"{name!r} names an interpreter of your own; give the backend's name alone")
    registry.get(name)
    return name


def _overriding(name: str) -> str | None:
    from gradaudit.workers import environment

    variable = environment.variable(name)
    return variable if os.environ.get(variable) else None


def _silent(text: str) -> None:
    """Progress that nobody wants to see."""


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
    noted = [fact for fact in state.process if fact.changed and fact.name not in QUIET]
    changes = "; ".join(f"{fact.name} {_change(fact)}" for fact in noted)
    told = f"its import changes: {changes}" if changes else ""
    return [line for line in (", ".join(facts), f"runs in {_interpreter(state)}", told) if line]


def _change(fact: ProcessFact) -> str:
    return " -> ".join(text or "nothing" for text in (fact.before, fact.after))


def _interpreter(state: BackendState) -> str:
    """Where the Python is that has it, as people would look for it."""
    import sys
    from pathlib import Path

    from gradaudit.workers.process import INTERPRETER

    python = dict(state.details).get(INTERPRETER, sys.executable)
    home = str(Path.home())
    return f"~{python.removeprefix(home)}" if python.startswith(f"{home}{os.sep}") else python


def _json(states: Sequence[BackendState]) -> str:
    import dataclasses
    import json
    import sys

    from gradaudit.workers.process import INTERPRETER

    documents = [
        {
            **dataclasses.asdict(state),
            "versions": dict(state.versions),
            "details": {name: text for name, text in state.details if name != INTERPRETER},
            "interpreter": dict(state.details).get(INTERPRETER, sys.executable) if state.available else None,
        }
        for state in states
    ]
    return json.dumps(documents, indent=2, sort_keys=True) + "\n"
