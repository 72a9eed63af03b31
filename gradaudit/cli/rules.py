"""`gradaudit rules`: what there is to find."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gradaudit.cli.streams import page_width, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradaudit.rules.interface import Rule


def rules(
    output_format: Annotated[Literal["text", "json"], typer.Option(help="Format on standard output.")] = "text",
) -> int:
    """List the rules and what each flags."""
    from gradaudit.rules import registry

    found = registry.rules()
    write(_json(found) if output_format == "json" else _text(found, page_width()))
    return 0


def _text(found: Sequence[Rule], width: int) -> str:
    import textwrap
    from itertools import groupby

    severities = max(len(rule.severity) for rule in found)
    blocks = []
    for family, members in groupby(found, key=lambda rule: (rule.code[:3], rule.family)):
        lines = [f"{family[0]} {family[1]}"]
        for rule in members:
            lines.append(f"  {rule.code} {rule.severity:<{severities}} {rule.name}")
            lines.append(textwrap.fill(rule.summary, width, initial_indent=" " * 9, subsequent_indent=" " * 9))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n\n`gradaudit explain CODE` tells all about one of them.\n"


def _json(found: Sequence[Rule]) -> str:
    import inspect
    import json

    fields = (
        "code",
        "name",
        "severity",
        "family",
        "summary",
        "why",
        "formula",
        "source",
        "fires",
        "fires_code",
        "silent",
        "silent_code",
        "advice",
    )
    documents = [{field: getattr(rule, field) for field in fields} for rule in found]
    cleaned = [
        {field: inspect.cleandoc(text) if isinstance(text, str) else text for field, text in document.items()}
        for document in documents
    ]
    return json.dumps(cleaned, indent=2, sort_keys=True) + "\n"
