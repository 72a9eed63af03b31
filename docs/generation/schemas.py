"""JSON Schema as tables: the keys of an object, what each may be, and what it means."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from generation.markdown import code, prose, table

Schema = Mapping[str, Any]
Link = Callable[[str], str]
"""The Markdown that a name of `$defs` is shown as."""

NON_FINITE = ["NaN", "Infinity", "-Infinity"]
"""How the JSON report writes what JSON has no number for."""

MANY = {
    "text": "texts",
    "a number": "numbers",
    "a whole number": "whole numbers",
    "a whole number, at least 0": "whole numbers, at least 0",
    "a mapping": "mappings",
}

BEYOND = 10**9
"""Limits from here on keep arithmetic sound, and tell readers nothing."""

SPELLED = 12
"""Of longer lists of choices the first ones are shown."""


def keys(schema: Schema, link: Link, told: Mapping[str, str] | None = None) -> str:
    """A table of the properties of an object; `told` are those whose kind is given as Markdown."""
    required = schema.get("required", ())
    rows = []
    for name, value in schema.get("properties", {}).items():
        default = value.get("default")
        absent = "default" not in value or default in (None, [], {})
        given = "required" if name in required else "" if absent else code(json.dumps(default))
        stated = (told or {}).get(name) or kind(value, link)
        rows.append((code(name), stated, given, prose(_text(value))))
    return table(("key", "is", "unless given", "means"), rows)


def fields(schema: Schema, link: Link) -> str:
    """A table of the properties of an object that all are there; objects inside have rows of their own."""
    rows = [(code(name), kind(value, link), prose(_text(value))) for name, value in _flat(schema, "")]
    return table(("field", "is", "means"), rows)


def kind(schema: Any, link: Link) -> str:
    """What a value may be, as Markdown: `one of ...`, `a list of ...`, names of other parts as links."""
    if schema is True or schema == {}:
        return "any value"
    if "$ref" in schema:
        return link(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return code(json.dumps(schema["const"]).strip('"'))
    if "enum" in schema:
        words = [code(_word(each)) for each in schema["enum"][:SPELLED]]
        return ", ".join(words) + (", ..." if len(schema["enum"]) > SPELLED else "")
    if "type" not in schema and ("anyOf" in schema or "oneOf" in schema):
        return _either_of(schema.get("anyOf") or schema["oneOf"], link)
    stated = schema.get("type", "any value")
    names = [stated] if isinstance(stated, str) else list(stated)
    return _either([_typed(name, schema, link) for name in names])


def _either_of(choices: list[Schema], link: Link) -> str:
    """The choices; a number that may be NaN is a number, and one or more of a kind are told as that."""
    if {"enum": NON_FINITE} in choices:
        return "a number"
    if len(choices) == 2 and choices[1].get("items") == choices[0]:
        return f"{kind(choices[0], link)}; or a list of such"
    return _either([kind(each, link) for each in choices])


def _typed(name: str, schema: Schema, link: Link) -> str:
    if name == "array":
        items = schema.get("items")
        if not items:
            return "a list"
        inner_kind = kind(items, link)
        return f"a list of {MANY.get(inner_kind, inner_kind)}"
    if name == "object":
        inner = schema.get("additionalProperties")
        return f"a mapping to {kind(inner, link)}" if isinstance(inner, Mapping) and inner else "a mapping"
    words = {
        "string": "text",
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "null": "null",
    }
    bounds = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"))
    limits = "".join(f", {word} {schema[key]:g}" for key, word in bounds if key in schema and schema[key] < BEYOND)
    return words.get(name, name) + limits


def _either(kinds: list[str]) -> str:
    return " or ".join(dict.fromkeys(each for each in kinds if each))


def _flat(schema: Schema, prefix: str) -> list[tuple[str, Schema]]:
    """The properties, those of objects inside by dotted names after their own, those in lists with []."""
    rows: list[tuple[str, Schema]] = []
    for name, value in schema.get("properties", {}).items():
        inner, mark = value, ""
        rows.append((prefix + name, value))
        for each in value.get("anyOf", ()):
            inner = each if each != {"type": "null"} else inner
        if inner.get("type") == "array":
            inner, mark = inner.get("items") or {}, "[]"
        if inner.get("properties"):
            rows += _flat(inner, f"{prefix}{name}{mark}.")
    return rows


def _text(schema: Schema) -> str:
    return str(schema.get("description", ""))


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
