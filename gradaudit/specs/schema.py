"""The JSON Schema of a spec, for editors; made from the models."""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import models_json_schema

from gradaudit import plugins
from gradaudit.functions import registry
from gradaudit.specs.array_models import NESTED_NUMBERS
from gradaudit.specs.formulations import own_to_backends
from gradaudit.specs.models import case_model, case_name

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """A draft 2020-12 schema of a whole spec.

    It accepts what `load` accepts, up to what a schema cannot see: places of labels and shapes, files, NaN, and what
    `defaults:` lend to a case.
    """
    backends = plugins.names("gradaudit.backends")
    models = [(case_model(backends, semantics), "validation") for semantics in (None, *registry.semantics())]
    _, parts = models_json_schema(models, ref_template="#/$defs/{model}")  # type: ignore[arg-type]
    definitions = {name: _cleaned(part) for name, part in parts["$defs"].items()}
    definitions["NestedNumbers"] = dict(NESTED_NUMBERS)
    case = definitions["Case"]
    properties = {key: _without_null(key, value) for key, value in case["properties"].items()}
    functions: dict[str | None, Any] = {None: properties["function"]}
    for semantics in registry.semantics():
        other = definitions.pop(case_name(semantics))
        functions[semantics] = _without_null("function", other["properties"]["function"])
    properties["function"] = {
        "anyOf": list(functions.values()),
        "description": "What is computed: the name of a function, or a mapping of its name and its parameters.",
    }
    case["properties"] = properties
    version = {"const": 1, "title": "Version", "description": "Version of the format."}
    single = {
        "type": "object",
        "title": "One case",
        "properties": {"version": version, **properties},
        "required": ["version", "function", "logits"],
        "additionalProperties": False,
        "allOf": _of_semantics(functions, complete=True),
    }
    several = {
        "type": "object",
        "title": "Several cases",
        "properties": {
            "version": version,
            "defaults": {"$ref": "#/$defs/Case", "description": "Keys that every case has unless it says otherwise."},
            "cases": {
                "type": "array",
                "description": "The cases, audited in this order.",
                "minItems": 1,
                "items": {"$ref": "#/$defs/Case", "allOf": _of_semantics(functions)},
            },
        },
        "required": ["version", "cases"],
        "additionalProperties": False,
        "allOf": [_given_somewhere(key) for key in ("function", "logits")],
    }
    return {
        "$schema": DIALECT,
        "title": "gradaudit spec",
        "description": "What gradaudit audits: one case, or cases: with defaults:.",
        "type": "object",
        "if": {"anyOf": [{"required": ["cases"]}, {"required": ["defaults"]}]},
        "then": several,
        "else": single,
        "$defs": definitions,
    }


def _cleaned(part: Any) -> Any:
    """A part of a schema without OpenAPI's `discriminator`, which JSON Schema does not know."""
    if isinstance(part, dict):
        return {key: _cleaned(value) for key, value in part.items() if key != "discriminator"}
    return [_cleaned(item) for item in part] if isinstance(part, list) else part


def _without_null(key: str, value: dict[str, Any]) -> dict[str, Any]:
    """A property of a case without the null that stands for its absence; targets and autocast may be null."""
    if key in ("targets", "autocast"):
        return value
    kept = {name: part for name, part in value.items() if not (name == "default" and part is None)}
    if "anyOf" in kept:
        kept["anyOf"] = [choice for choice in kept["anyOf"] if choice != {"type": "null"}]
    return kept


def _of_semantics(functions: dict[str | None, Any], complete: bool = False) -> list[dict[str, Any]]:
    """What a case's `semantics` allows; where it is absent from a case that is not `complete`, it may be lent."""
    chosen = []
    own: dict[str, Any] = {"allOf": _conditions(None, complete)}
    if complete:
        own["properties"] = {"function": functions[None]}
    absent = {"properties": {"semantics": {"type": "null"}}}
    chosen.append({"if": absent, "then": own})
    for semantics in registry.semantics():
        named = {"properties": {"semantics": {"const": semantics}}, "required": ["semantics"]}
        then = {"properties": {"function": functions[semantics]}, "allOf": _conditions(semantics, complete)}
        chosen.append({"if": named, "then": then})
    return chosen


def _conditions(semantics: str | None, complete: bool) -> list[dict[str, Any]]:
    """What each function allows: its formulations, and targets or none (asked for where the case is `complete`)."""
    conditions = []
    for name in registry.names(semantics):
        function = registry.get(name if semantics is None else f"{semantics}.{name}")
        named = {
            "anyOf": [
                {"const": name},
                {"type": "object", "properties": {"name": {"const": name}}, "required": ["name"]},
            ]
        }
        formulations = [*function.formulations, *own_to_backends(function.name)]
        if semantics is None and not complete:
            others = [f"{other}.{name}" for other in registry.semantics() if name in registry.names(other)]
            formulations += [each for other in others for each in own_to_backends(other)]
        applicable = {"enum": list(dict.fromkeys(formulations))}
        allowed: Any = {"anyOf": [applicable, {"type": "array", "items": applicable}]}
        then: dict[str, Any] = {"properties": {"formulations": allowed if function.formulations else False}}
        if not function.takes_targets:
            then["properties"]["targets"] = {"type": "null"}
        elif complete:
            then["required"] = ["targets"]
            then["properties"]["targets"] = {"not": {"type": "null"}}
        conditions.append({"if": {"properties": {"function": named}, "required": ["function"]}, "then": then})
    return conditions


def _given_somewhere(key: str) -> dict[str, Any]:
    """`key` stands in the defaults or in every case."""
    return {
        "anyOf": [
            {"properties": {"defaults": {"required": [key]}}, "required": ["defaults"]},
            {"properties": {"cases": {"items": {"required": [key]}}}},
        ]
    }
