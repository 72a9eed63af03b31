"""A backend's formulation as its adapter computes it: the functions that take part, taken out of that file.

Adapters use nothing but NumPy and their framework, and so does what is taken out of them.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

from gradaudit.errors import ReplayError
from gradaudit.replay.script.page import Call

ENTRY = "evaluate"
SETUP = {"torch": "torch.set_num_threads(1)", "jax": 'jax.config.update("jax_enable_x64", True)'}
LEAN = ("numpy", "torch", "jax")
"""Backends whose adapters are one file."""


def call(backend: str, adapter: Path, request: dict[str, object], arrays: tuple[str, ...], bits: bool) -> Call:
    """The source of `compute()`; `arrays` are the roles of the inputs, given as the `bits` of bfloat16 on demand.

    Raises ReplayError where the adapter is more than one file.
    """
    if backend not in LEAN or request.get("execution") not in (None, "eager", "compiled"):
        raise ReplayError(f"there is no script for what {backend} was asked; there are for {', '.join(LEAN)}")
    if backend == "torch" and request.get("execution") != "eager":
        raise ReplayError("there is no script for torch.compile; scripts call torch eagerly")
    given = ", ".join(f"{role!r}: {_given(role, bits)}" for role in arrays)
    asked = {name: value for name, value in request.items() if name != "request"}
    setup = f"    {SETUP[backend]}\n" if backend in SETUP else ""
    widened = "    bits = np.asarray(array)\n    return (bits.astype(np.uint32) << 16).view(np.float32) if dtype == "
    source = f"""{taken_out(adapter)}


REQUEST = {_python(asked)}


def as_numbers(array, dtype):
{widened}"bfloat16" else bits


def compute():
{setup}    result = evaluate(REQUEST, {{{given}}})
    found = {{"loss": as_numbers(*result["output"])}}
    for name in ("gradient", "jacobian"):
        if name in result:
            found[name] = as_numbers(*result[name])
    return found"""
    imports = ("import numpy as np", *(() if backend == "numpy" else (f"import {backend}",)), *_imports(adapter))
    return Call(tuple(dict.fromkeys(("numpy", backend))), imports, source)


def _given(role: str, bits: bool) -> str:
    name = f"{role.upper()}.copy()"
    if not bits:
        return name
    floats = f"({role.upper()}.view(np.uint32) >> 16).astype(np.uint16)"
    return f"{floats} if {role.upper()}.dtype == np.float32 else {name}"


def taken_out(adapter: Path) -> str:
    """The definitions of the file that `evaluate` reaches, in their order."""
    text = adapter.read_text(encoding="utf-8")
    tree = ast.parse(text)
    defined = {name: node for node in tree.body for name in _names(node)}
    wanted, waiting = set(), [ENTRY]
    while waiting:
        name = waiting.pop()
        if name in wanted or name not in defined:
            continue
        wanted.add(name)
        waiting += [each.id for each in ast.walk(defined[name]) if isinstance(each, ast.Name)]
    kept = dict.fromkeys(id(defined[name]) for name in wanted)
    lines = text.splitlines()
    parts = []
    for node in tree.body:
        if id(node) in kept and not isinstance(node, ast.Import | ast.ImportFrom):
            first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
            parts.append("\n".join(lines[first - 1 : node.end_lineno]))
    return "\n\n\n".join(parts)


def _imports(adapter: Path) -> list[str]:
    tree = ast.parse(adapter.read_text(encoding="utf-8"))
    found = ["from __future__ import annotations"]
    return found + [ast.unparse(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]


def _names(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


def _python(value: object) -> str:
    # Infinite parameters have no literal of their own.
    return repr(json.loads(json.dumps(value))).replace("inf", 'float("inf")').replace("nan", 'float("nan")')
