"""Shorter spellings that the models accept: one item for a list of one, a name for a mapping of one key."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from gradaudit.functions import registry
from gradaudit.records.case import FORMULA, SELF

CODE_PATTERN = "^[A-Z]{3}[0-9]{3}$"
UNPRINTABLE = "unprintable"
"""Error type of a text with control characters in it."""


class OneOrMore:
    """Marks a list that may be written as its only item."""

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        listed = handler(schema)
        return {"anyOf": [listed["items"], listed]}


class NameOrMapping:
    """Marks a mapping with a `name` that may be written as the name alone; `semantics` tells whose names they are."""

    def __init__(self, semantics: str | None = None) -> None:
        self.semantics = semantics

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_named, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        names = registry.names(self.semantics)
        return {"anyOf": [{"enum": [*names, SELF] if self.semantics is None else [*names]}, handler(schema)]}


def _listed(value: object) -> object:
    return value if isinstance(value, list) or value is None else [value]


def _named(value: object) -> object:
    if isinstance(value, dict) and FORMULA in value and "name" not in value:
        return {"name": FORMULA, **value}
    return {"name": value} if isinstance(value, str) else value


def printable(value: object) -> object:
    """The value, unless it is a text that a terminal would obey or hide."""
    if isinstance(value, str) and not value.isprintable():
        raise PydanticCustomError(UNPRINTABLE, "control characters")
    return value


class CodeOrMapping:
    """Marks an expected finding that may be written as its code alone."""

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_coded, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string", "pattern": CODE_PATTERN}, handler(schema)]}


def _coded(value: object) -> object:
    return {"code": value} if isinstance(value, str) else value
