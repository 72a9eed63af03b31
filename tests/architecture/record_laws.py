"""Records are values: frozen, slotted, holding nothing that changes or has no order."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source import Package

CHANGEABLE = {
    "list",
    "dict",
    "set",
    "frozenset",
    "bytearray",
    "List",
    "Dict",
    "Set",
    "MutableMapping",
    "MutableSequence",
}
"""Types that change, or whose order differs from run to run."""

OPTIONS = {"frozen", "slots"}


def records_are_frozen_and_slotted(package: Package) -> Iterator[str]:
    """Every class of `records` is a dataclass with frozen=True and slots=True."""
    for module in package.under("records"):
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ClassDef):
                continue
            missing = OPTIONS - {name for decorator in node.decorator_list for name in _switched_on(decorator)}
            if missing:
                yield f"{module.at(node.lineno)}: {node.name} is no dataclass with {', '.join(sorted(missing))}=True"


def records_hold_values(package: Package) -> Iterator[str]:
    """No field of a record is a list, dict or set: tuples and read-only mappings are."""
    for module in package.under("records"):
        for node in ast.walk(module.tree):
            for field in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(field, ast.AnnAssign):
                    for word in sorted(CHANGEABLE & {getattr(n, "id", "") for n in ast.walk(field.annotation)}):
                        yield f"{module.at(field.lineno)}: {ast.unparse(field.target)} is a {word}"


def _switched_on(decorator: ast.expr) -> Iterator[str]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) in {"dataclass", "dataclasses.dataclass"}:
        for keyword in decorator.keywords:
            if isinstance(keyword.value, ast.Constant) and keyword.value.value is True and keyword.arg:
                yield keyword.arg
