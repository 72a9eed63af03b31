"""reference/rules/: one page a rule, as `gradaudit explain` tells it, under the families."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from generation.markdown import contents, page, prose, table
from gradaudit.rules import registry
from gradaudit.rules.explanation import explain

CITED = ("numerics.md", "guide.md")


def pages() -> Iterator[tuple[str, str]]:
    """The index, then the rules by their codes."""
    rules = registry.rules()
    parts = ["# Rules"]
    for family, members in groupby(rules, key=lambda rule: rule.family):
        rows = [(f"[{rule.code}]({rule.code}.md)", rule.name, rule.severity, prose(rule.summary)) for rule in members]
        parts += [f"## {family[:1].upper()}{family[1:]}", table(("code", "name", "severity", "flags"), rows)]
    note = (
        "A code is stable for ever. The severity is that of an ordinary finding; where the context asks for it a "
        "rule says less or more. `gradaudit explain CODE` prints the same pages, and `gradaudit rules` this table."
    )
    hidden = contents(*(rule.code for rule in rules)).replace(":maxdepth: 1", ":hidden:")
    yield "rules/index.md", page(parts[0], note, *parts[1:], hidden)
    for rule in rules:
        yield f"rules/{rule.code}.md", _linked(explain(rule))


def _linked(page: str) -> str:
    """The page with its sources as links, those with a heading in quotation marks to that heading."""
    for name in CITED:
        before, cited, after = page.partition(f"Source: docs/{name}")
        if not cited:
            continue
        source, end, rest = after.partition("\n\n")
        for heading in re.findall(r'"([^"]+)"', source):
            source = source.replace(f'"{heading}"', f'["{heading}"](../../{name}#{_anchor(heading)})')
        page = f"{before}Source: [docs/{name}](../../{name}){source}{end}{rest}"
    return page


def _anchor(heading: str) -> str:
    return "-".join(heading.lower().split())
