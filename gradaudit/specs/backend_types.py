"""How a spec may spell a backend: `torch`, or `torch@/path/to/python`."""

from __future__ import annotations

from typing import Any, Literal, Never

from pydantic import BeforeValidator, ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator

from gradaudit.records import backend_name


def of_backends(backends: tuple[str, ...]) -> tuple[Any, ...]:
    """What annotates a backend in the models: a registered name, alone or before the @ of an interpreter."""
    if not backends:
        return (Never, None)
    pattern = f"^({'|'.join(backends)})@.+$"
    schema = {"anyOf": [{"enum": list(backends), "type": "string"}, {"pattern": pattern, "type": "string"}]}
    return Literal[backends], WrapValidator(_checked), WithJsonSchema(schema)


def _checked(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """Only the part before @ has to be known."""
    if not isinstance(value, str) or backend_name.AT not in value:
        return handler(value)
    handler(backend_name.plain(value))
    return value


def _merged(value: object) -> object:
    """The mapping of several ones: the flag may stand more than once."""
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return {name: path for each in value for name, path in each.items()}
    return value


MERGED = BeforeValidator(_merged)
