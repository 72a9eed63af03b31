"""pydantic's errors as messages of ours: the value, where it stands, what was expected, the nearest choice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gradaudit.functions import registry
from gradaudit.records.case import DEFAULT_BACKENDS, FORMULA, SELF
from gradaudit.specs.array_models import SOURCE
from gradaudit.specs.models import DEVICE_PATTERN, CaseKeys
from gradaudit.specs.nodes import Node, Problem, find, plain, problem_at, problem_at_key, walk
from gradaudit.specs.parameters import semantics_of
from gradaudit.specs.spellings import UNPRINTABLE
from gradaudit.specs.wording import did_you_mean, nearest, number, one_of, shown

Path = tuple[str | int, ...]

KINDS = {
    "logits": "nested lists of numbers, {random: ...}, {file: NAME.npy} or {grid: [...]}",
    "targets": "a class index, a list of them, lists of probabilities, {random: ...} or {file: NAME.npy}",
    "upstream": "ones, random, per_output, {values: ...} or {random: {seed: ...}}",
}
"""What an array may be given as."""
KIND_KEYS = {
    "logits": ("random", "file", "grid"),
    "targets": ("random", "file"),
    "upstream": ("values", "random"),
}
UPSTREAM_WORDS = ("ones", "random", "per_output")

FIRST_LINES = {
    "name": "a text",
    "function": "a name or {name: ..., parameters}",
    "axis": "a whole number, or a list of them",
    "scale": "a number, or a list of them",
    "device": "cpu, cuda or mps",
    "derivatives": "1 or 2",
    "autocast": "bfloat16, float16 or nothing (null)",
    "subjects": "a mapping such as {torch: losses.py:loss}",
    "probes": "none, standard, or a list of probes",
}


def problems(error: ValidationError, tree: Node, model: type[BaseModel]) -> Iterator[Problem]:
    """One problem for each of pydantic's errors; `tree` is what was validated against `model`."""
    every = error.errors(include_url=False)
    misspelt = {
        (each["loc"][:-1], nearest(str(each["loc"][-1]), _fields(model, each["loc"][:-1])))
        for each in every
        if each["type"] == "extra_forbidden"
    }
    for details in every:
        path = details["loc"]
        # `shap: [2]` is one mistake, not an unknown key and a missing one.
        if details["type"] != "missing" or (path[:-1], path[-1]) not in misspelt:
            yield _problem(details, tree, model)


def _problem(details: ErrorDetails, tree: Node, model: type[BaseModel]) -> Problem:
    path, kind, context = details["loc"], details["type"], details.get("ctx", {})
    # The formula's own key is called like the kind of function that pydantic puts into the path.
    place = ("function", *path[2:]) if path[:2] == ("function", FORMULA) else path
    node, key = find(tree, place), _written(place, tree)
    if kind == "extra_forbidden":
        return problem_at_key(node, unknown_key(str(path[-1]), _fields(model, path[:-1]), path[:-1]))
    if kind == "missing":
        return problem_at(node, _missing(str(path[-1]), _written(path[:-1], tree), node))
    if kind == SOURCE:
        return _source_problem(node, key)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _function_problem(node, semantics_of(tree))
    if kind == UNPRINTABLE:
        return problem_at(node, f"{key}: {shown(node.value)} holds control characters; use printable ones")
    return problem_at(node, f"{key}: {_value_message(kind, context, details['input'], key, details['msg'])}")


def unknown_key(key: str, known: Sequence[str], path: Path = ()) -> str:
    """What to say of a key that does not exist where it stands."""
    words = [str(part) for part in path if isinstance(part, str) and not part.startswith("<")]
    if not words and key in _parameters():
        return f"unknown key {shown(key)}; it is a parameter of the function: function: {{name: ..., {key}: ...}}"
    if len(words) == 1 and key in KIND_KEYS.get(words[0], ()):
        return f"{words[0]}.{key} stands beside {one_of(known)}; keep one of them"
    if words and words[0] == "function" and key in CaseKeys.model_fields:
        return f"unknown key {shown(key)}{_where(words)}; it is a key of the case, beside function:"
    match = nearest(key, known)
    hint = f"; did you mean {match!r}?" if match else f"; there are {', '.join(known)}"
    return f"unknown key {shown(key)}{_where(words)}{hint}"


def _parameters() -> set[str]:
    own = {parameter.name for name in registry.names() for parameter in registry.get(name).parameters}
    return own | {"formula", "constants"}


def _where(words: list[str]) -> str:
    if words and words[0] == "function":
        return f" of {words[1]}" if len(words) > 1 else " of the function"
    return f" in {words[-1]}" if words else ""


def _written(path: Path, tree: Node) -> str:
    """The path as people write it, as far as it is in the tree: `logits.random.shape[0]`."""
    text = ""
    for part, _ in walk(tree, path):
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the case"


def _missing(key: str, where: str, node: Node) -> str:
    examples = {
        "shape": "shape: [128, 256]",
        "code": "code: SAT201",
        "start": "start: -5",
        "stop": "stop: 5",
        "count": "count: 40",
    }
    return f"{where}: {shown(plain(node))} has no {key}; add {examples.get(key, key + ': ...')}"


def _source_problem(node: Node, key: str) -> Problem:
    field = key.split(".", maxsplit=1)[0]
    kinds = KIND_KEYS[field]
    if isinstance(node.value, dict):
        for name, child in node.value.items():
            return problem_at_key(child, f"unknown key {shown(name)} in {key}{did_you_mean(name, kinds)}")
    hint = ""
    if isinstance(node.value, str):
        text = node.value
        match = nearest(text, UPSTREAM_WORDS) if field == "upstream" else None
        if re.search(r"\.(npy|npz)(:|$)", text):
            hint = f"; for a file write {{file: {text}}}"
        elif match:
            hint = f"; did you mean {match!r}?"
        elif field != "upstream":
            hint = "; lists stand in brackets: [0.1, 2]"
    if isinstance(node.value, (int, float)) and field == "logits":
        hint = f"; one logit is a list of one, [{shown(node.value)}]"
    return problem_at(node, f"{key}: {shown(plain(node))} is none of {KINDS[field]}{hint}")


def _function_problem(node: Node, semantics: str | None) -> Problem:
    names = registry.names(semantics) if semantics else (*registry.names(), FORMULA, SELF)
    if isinstance(node.value, dict):
        if "name" not in node.value:
            return problem_at(
                node,
                f"function: {shown(plain(node))} has no name; add name: {names[0]}, or another of {one_of(names)}",
            )
        node = node.value["name"]
    said = f"function: {shown(plain(node))} is no "
    if semantics:
        return problem_at(node, f"{said}function of semantics: {semantics}{did_you_mean(node.value, names)}")
    for other in registry.semantics():
        if node.value in registry.names(other):
            return problem_at(node, f"{said}function of gradaudit's own; add semantics: {other}")
    return problem_at(node, f"{said}function of this version{did_you_mean(node.value, names)}")


_TYPES = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "nothing (null)",
}


def _value_message(kind: str, context: dict[str, Any], value: object, key: str, message: str) -> str:
    if kind in _TYPES:
        return _wrong_type(kind, value, key)
    said = shown(value)
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context["expected"])) or [str(context["expected"])]
        return f"{said} is not known{did_you_mean(value, choices)}"
    if kind == "too_short" and value == [] and key in _LEFT_OUT:
        return f"{said} names nothing; name at least one, or leave the key out: {_LEFT_OUT[key]}"
    reason = _REASONS.get(kind)
    return f"{said} {reason(context)}" if reason else f"{said}: {message}"


def _wrong_type(kind: str, value: object, key: str) -> str:
    expected = FIRST_LINES.get("subjects" if re.fullmatch(r"subjects\[\d+\]", key) else key, _TYPES[kind])
    if value is None:
        return f"the value is empty; expected {expected}"
    hint = number_hint(value) if isinstance(value, str) and kind in ("float_type", "int_type") else ""
    return f"{shown(value)} is not {expected}{hint}"


def _bound(words: str, name: str) -> Callable[[dict[str, Any]], str]:
    return lambda context: f"is out of range; expected {words} {number(float(context[name]))}"


def _length(words: str, name: str) -> Callable[[dict[str, Any]], str]:
    return lambda context: f"{words} {context[name]}"


_LEFT_OUT = {
    "backends": f"{', '.join(DEFAULT_BACKENDS)} then, and none beside subjects",
    "subjects": "none then",
    "scale": "1 then",
    "dtypes": "float32 then",
    "formulations": "fused then",
    "execution": "eager then",
}
"""Lists that cannot be empty, and what holds where they are left out."""

CODE = "code; codes are three letters and three digits, such as SAT201"
DEVICE = "device; there are cpu, mps, cuda and cuda:NUMBER"

_REASONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": _bound("a number above", "gt"),
    "greater_than_equal": _bound("at least", "ge"),
    "less_than": _bound("a number below", "lt"),
    "less_than_equal": _bound("at most", "le"),
    "finite_number": lambda _: "is not a finite number",
    "too_short": _length("is too short; the least number of entries is", "min_length"),
    "too_long": _length("is too long; the largest number of entries is", "max_length"),
    "string_too_short": _length("is too short; the least number of characters is", "min_length"),
    "string_too_long": _length("is too long; the largest number of characters is", "max_length"),
    "string_pattern_mismatch": lambda context: (
        f"is no {DEVICE}" if context.get("pattern") == DEVICE_PATTERN else f"is no {CODE}"
    ),
}
"""What is said of a value, by the type of pydantic's error."""


def number_hint(text: str) -> str:
    """How a text that was meant as a number is written."""
    word = text.strip().lower()
    special = {
        "inf": ".inf",
        "+inf": ".inf",
        "-inf": "-.inf",
        "infinity": ".inf",
        "-infinity": "-.inf",
        "nan": ".nan",
    }
    if word in special:
        return f"; write {special[word]}"
    bare = word.replace("_", "")
    try:
        float(bare)
    except ValueError:
        return ""
    return f"; write {bare} without quotes"


def _fields(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that exist in the mapping at `path`."""
    models = [model]
    tag = ""
    for part in path:
        if isinstance(part, int):
            continue
        below = [
            found
            for each in models
            if part in each.model_fields
            for found in _models(each.model_fields[part].annotation)
        ]
        if below:
            models = below
        else:
            tag = part.strip("<>")
            narrowed = [each for each in models if tag in (_plain_name(each), *each.model_fields)]
            models = narrowed or models
    return list(dict.fromkeys(name for each in models for name in each.model_fields if name != "name" or not path))


def _plain_name(model: type[BaseModel]) -> str:
    """The name of a function's model, without that of the framework."""
    return reduce(lambda name, semantics: name.removeprefix(f"{semantics}_"), registry.semantics(), model.__name__)


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models(argument)]
