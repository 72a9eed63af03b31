"""reference/report.md: the fields of the JSON report, from its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator

from generation import schemas
from generation.markdown import page, prose
from gradaudit.reports.report_schema import report_schema

INTRODUCTION = """
What `--report json=PATH` writes, and what every other format is made of: `gradaudit render` reads it again. Within
one `schema_version` fields are added; none is removed, and none changes its meaning. NaN and infinities, for which
JSON has no numbers, are the texts `"NaN"`, `"Infinity"` and `"-Infinity"`. Keys are sorted, and the same audit gives
the same bytes but for the times. `gradaudit schema report` prints the JSON Schema that this page is made from.

Of a field `a.b`, `b` belongs to the object `a`; of `a[].b`, to each entry of the list `a`.
"""


def pages() -> Iterator[tuple[str, str]]:
    """One page: the report, then the objects it is made of."""
    schema = report_schema()
    parts = ["# The JSON report", INTRODUCTION, "## Report", schemas.fields(schema, link)]
    for name, part in schema["$defs"].items():  # type: ignore[attr-defined]
        parts += [f"## {name[:1].upper()}{name[1:]}", prose(part.get("description", ""))]
        if part.get("properties"):
            parts.append(schemas.fields(part, link))
        for choice in part.get("oneOf", ()):
            parts.append(f"{_kind(choice)}:")
            parts.append(schemas.fields(choice, link))
    yield "report.md", page(*parts)


def link(name: str) -> str:
    """A part of the schema, on this page."""
    return f"[{name}](#{name.lower()})"


def _kind(choice: schemas.Schema) -> str:
    return f"kind `{choice['properties']['kind']['const']}`"
