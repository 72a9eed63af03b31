"""The words of a JSON Schema: what the parts of the report's schema are made of."""

from __future__ import annotations

from collections.abc import Mapping

Schema = dict[str, object]

STRING: Schema = {"type": "string"}
BOOLEAN: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
INDEX: Schema = {"type": "array", "items": COUNT}
NUMBER: Schema = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
SCALAR: Schema = {"type": ["number", "string", "boolean", "null"]}
SCALARS: Schema = {"type": "object", "additionalProperties": SCALAR}
VERSIONS: Schema = {"type": "object", "additionalProperties": STRING}


def an_object(properties: Mapping[str, object]) -> Schema:
    """An object that has all of these properties."""
    return {"type": "object", "properties": dict(properties), "required": sorted(properties)}


def a_list(items: Schema) -> Schema:
    """A list of such entries."""
    return {"type": "array", "items": items}


def or_null(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def part(name: str) -> Schema:
    """The part of that name."""
    return {"$ref": f"#/$defs/{name}"}
