"""`gradaudit explain`: all that is known of one rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gradaudit.cli.streams import page_width, write

if TYPE_CHECKING:
    from gradaudit.rules.interface import Rule

INDENT = "  "


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="Code (CAN101) or name (summed-outputs-cancel).")],
) -> int:
    """Tell all about one rule.

    What it flags and why, the mathematics, a case that fires it and one that does not, and what to do.
    """
    from gradaudit.rules import registry

    write(page(registry.find(code), min(page_width(), 100)))
    return 0


def page(rule: Rule, width: int) -> str:
    """The documentation of a rule as plain text; prose is filled, formulas and specs stand as they were written."""
    fires = _verbatim(rule.fires) if rule.fires else _filled(rule.fires_note, width)
    sections = [
        ("What it flags", _filled(rule.summary, width)),
        ("Why it matters", _filled(rule.why, width)),
        ("The mathematics", _verbatim(rule.formula)),
        ("Source", _filled(rule.source, width)),
        ("What fires it", fires),
        ("What does not", _verbatim(rule.silent) if rule.silent else ""),
        ("What to do", _filled(rule.advice, width)),
    ]
    heading = f"{rule.code} {rule.name} ({rule.severity})\n{rule.family}\n"
    return heading + "".join(f"\n{title}\n{text}\n" for title, text in sections if text)


def _filled(text: str, width: int) -> str:
    import textwrap

    return textwrap.fill(" ".join(text.split()), width, initial_indent=INDENT, subsequent_indent=INDENT)


def _verbatim(text: str) -> str:
    import inspect
    import textwrap

    return textwrap.indent(inspect.cleandoc(text), INDENT)
