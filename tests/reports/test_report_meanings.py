"""The JSON Schema of the report tells what each field means, and of no other."""

from collections.abc import Iterator, Mapping
from typing import Any

from gradaudit.reports.report_meanings import MEANINGS, REPORT, described
from gradaudit.reports.report_schema import report_schema


def fields(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The fields of a part by their names as MEANINGS has them."""
    for name, value in schema.get("properties", {}).items():
        yield prefix + name, value
        yield from fields(value, f"{prefix}{name}.")
    for several in ("anyOf", "oneOf"):
        for choice in schema.get(several, ()):
            yield from fields(choice, prefix)
    if schema.get("items"):
        yield from fields(schema["items"], f"{prefix.removesuffix('.')}[].")


def test_every_field_has_a_meaning_and_every_meaning_a_field() -> None:
    schema = report_schema()
    parts = {REPORT: schema, **schema["$defs"]}  # type: ignore[dict-item]
    assert set(parts) == set(MEANINGS)
    for part, structure in parts.items():
        found = dict(fields(structure))
        without = [name for name, value in found.items() if not value.get("description")]
        assert not without, f"report_meanings.MEANINGS[{part!r}] lacks {without}"
        assert set(found) == set(MEANINGS[part]), part


def test_meanings_are_sentences() -> None:
    for part, meanings in MEANINGS.items():
        for name, text in meanings.items():
            assert len(text) < 160, (part, name)
            assert "\n" not in text
            assert text.endswith(".") or name in ("values", "worst"), (part, name)


def test_shared_parts_of_the_schema_are_left_alone() -> None:
    count = {"type": "integer"}
    inner = {"type": "object", "properties": {"line": count}}
    part = {"properties": {"line": count, "other": {"anyOf": [inner, {"type": "null"}]}}}
    given = described(part, "location")
    assert given["properties"]["line"] == {**count, "description": "From 1."}  # type: ignore[index]
    assert count == {"type": "integer"}
    assert "description" not in str(given["properties"]["other"])  # type: ignore[index]
    assert described(part, "a part that nobody described") == part
