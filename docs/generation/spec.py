"""reference/spec.md: the keys of a spec, from its JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator

from generation import schemas
from generation.markdown import block, page, prose
from gradaudit.functions import registry
from gradaudit.functions.unregistered import UNREGISTERED
from gradaudit.specs.schema import json_schema

INTRODUCTION = """
A spec is a YAML file: one case at its top level, or `cases:` with `defaults:` that they share. Unknown keys, keys
given twice and YAML aliases are errors, told with file, line and column and the nearest key that there is. `gradaudit
schema` prints the JSON Schema that this page is made from; an editor with a YAML language server takes it from a
first line such as `# yaml-language-server: $schema=gradaudit.schema.json`.
"""

EXAMPLE = """
version: 1
defaults:
  function: {name: cross_entropy, label_smoothing: 0.1}
  dtypes: [float32, bfloat16]
cases:
  - name: drawn logits, by two backends
    logits: {random: {shape: [128, 256], scale: 3.0, seed: 42}}
    targets: {random: {seed: 1, ignored: 5}}
    scale: [1, 10, 100]
    backends: [numpy, torch]
  - name: one row in full, softmax and logarithm apart
    logits: [100, 0, -100]
    targets: 2
    backends: torch
    formulations: unfused
    expect: BUG461
"""
"""Both sources of arrays, defaults, and lists that are written as their only item."""

FUNCTION = "the name of one of [the functions](functions/index.md), or a mapping of `name` and its parameters"


def pages() -> Iterator[tuple[str, str]]:
    """One page: the whole file, a case, and what its values are made of."""
    schema = json_schema()
    definitions = {name: part for name, part in schema["$defs"].items() if name not in _functions()}
    case = definitions.pop("Case")
    parts = ["# The spec", INTRODUCTION, block(EXAMPLE, "yaml"), "## A file with one case"]
    parts += ["`version: 1`, and the keys of a case.", "## A file with several cases"]
    parts += [schemas.keys(schema["then"], link), "## Case", prose(case["description"])]
    parts += [
        "`function` and `logits` are required, by the case or by `defaults`; `targets` by most losses.",
        schemas.keys(case, link, {"function": FUNCTION}),
    ]
    for name, part in definitions.items():
        body = schemas.keys(part, link) if part.get("properties") else ""
        parts += [f"## {name}", prose(part.get("description", "")), body]
    yield "spec.md", page(*parts)


def link(name: str) -> str:
    """A part of the schema: on this page, or the page of a function."""
    functions = _functions()
    if name in functions:
        return f"[{functions[name]}](functions/{functions[name]}.md)"
    return f"[{name}](#{name.lower()})"


def _functions() -> dict[str, str]:
    """Definitions that have pages of their own: `mxnet_softmax` is that of `mxnet.softmax`."""
    names = [*registry.names(), *UNREGISTERED]
    for semantics in registry.semantics():
        names += [f"{semantics}.{name}" for name in registry.names(semantics)]
    return {name.replace(".", "_", 1): name for name in names}
