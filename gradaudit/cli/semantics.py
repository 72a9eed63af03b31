"""`gradaudit check --semantics`: the table of what frameworks answer where the mathematics leaves something open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gradaudit.cli.streams import page_width, say, write
from gradaudit.errors import FlagError

if TYPE_CHECKING:
    from gradaudit.pipeline import Settings

FORMATS = ("full", "json", "markdown")
MISSING = 3


def show(settings: Settings, backends: Sequence[str], output_format: str, *, quiet: bool) -> int:
    """Ask and print. Exit status 3 where a backend that was named cannot be asked; the others' answers stand.

    `backends` narrow the table to those frameworks.
    """
    from gradaudit import semantics
    from gradaudit.reports import semantic_table
    from gradaudit.specs import semantic_questions

    if output_format not in FORMATS:
        raise FlagError(f"--output-format {output_format!r}: --semantics prints {', '.join(FORMATS)}")
    asked = semantic_questions.backends()
    named = [name for text in backends for name in text.replace(",", " ").split()]
    for name in named:
        if name not in asked:
            raise FlagError(f"--backend {name!r}: --semantics asks {', '.join(asked)} for their own losses")
    if not quiet:
        say(f"asking {', '.join(named or asked)} for their own losses")
    table = semantics.semantic_table(settings, named)
    if output_format == "full":
        write(semantic_table.text(table, page_width()))
    else:
        write(semantic_table.document(table) if output_format == "json" else semantic_table.markdown(table))
    missing = [state for state in table.backends if not state.available]
    if not quiet:
        for state in missing:
            say(f"{state.name} is missing: {state.reason}; to get it: {state.remedy}")
    return MISSING if any(state.name in named for state in missing) else 0
