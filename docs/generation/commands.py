"""reference/commands.md: the command line, as Typer's own help has it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generation.markdown import code, page, prose, table

STATUSES = {
    0: "Nothing at or above `--fail-on` (error, unless given) beyond what the specs expect.",
    1: "Findings, or an expected finding that is absent; with a baseline, what is new, worse, missing or added.",
    2: "The request is wrong: a spec, a flag, nothing selected. Nothing was audited.",
    3: "What was asked for could not be audited: a missing backend, a crash, a timeout; or gradaudit broke.",
    130: "Interrupted, by Ctrl-C or SIGTERM; what was done until then is reported.",
}
"""More than the closing line of a report has room for."""


def pages() -> Iterator[tuple[str, str]]:
    """One page: every command, and every command of a command."""
    import typer.main

    from gradaudit.cli.main import app

    root = typer.main.get_command(app)
    statuses = [(code(str(status)), prose(meaning)) for status, meaning in STATUSES.items()]
    yield (
        "commands.md",
        page(
            "# Command line",
            prose(root.help or ""),
            *_commands(root, "gradaudit"),
            "## Exit status",
            table(("status", "means"), statuses),
            "Where several hold, the first of 130, 2, 3, 1, 0 is returned.",
        ),
    )


def _commands(command: Any, name: str, parent: Any = None) -> Iterator[str]:
    context = command.context_class(command, info_name=name, parent=parent, **command.context_settings)
    if parent is not None:
        yield f"## {context.command_path}"
        yield f"```text\n{context.get_usage().removeprefix('Usage: ')}\n```"
        yield from (prose(part) for part in (command.help or "").split("\n\n"))
        yield from _parameters(command, context)
        yield from (prose(part) for part in (command.epilog or "").split("\n\n"))
    for each, below in sorted(getattr(command, "commands", {}).items()):
        if not below.hidden:
            yield from _commands(below, each, context)


def _parameters(command: Any, context: Any) -> Iterator[str]:
    records = [(each.param_type_name, each.get_help_record(context)) for each in command.get_params(context)]
    for kind, heading in (("argument", "argument"), ("option", "option")):
        rows = [(code(record[0]), prose(record[1])) for name, record in records if name == kind and record]
        if rows:
            yield table((heading, "does" if kind == "option" else "is"), rows)
