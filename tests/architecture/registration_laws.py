"""Plugins of our own: what pyproject.toml names is there, and what is there is named."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution

from tests.architecture.source import Module, Package

OBJECTS = {
    "gradaudit.backends": ("backends", "BACKEND", "name"),
    "gradaudit.functions": ("functions", "FUNCTION", "name"),
    "gradaudit.rules": ("rules", "RULE", "code"),
    "gradaudit.reports": ("reports", "render", None),
}
"""Group -> its floor, what its objects are called, and the argument that holds the name they are registered under."""

FOREIGN = {"pytest11"}
"""Groups of others that the package registers something under."""

EntryPoints = Mapping[str, Mapping[str, str]]


def declared(package: Package) -> EntryPoints:
    """The entry points in the pyproject.toml beside the package; empty where there is none."""
    path = package.root.parent / "pyproject.toml"
    if not path.exists():
        return {}
    return tomllib.loads(path.read_text(encoding="utf-8"))["project"]["entry-points"]


def plugins_are_registered(package: Package) -> Iterator[str]:
    """Every backend, function, rule and report of our own has its entry point, and every entry point its object."""
    groups = declared(package)
    ours = {group for group in groups if group not in FOREIGN}
    for group in sorted(ours ^ set(OBJECTS)) if groups else ():
        yield f"pyproject.toml: the group {group} is {'not expected' if group in groups else 'missing'}"
    for group, (floor, wanted, argument) in OBJECTS.items():
        entries = groups.get(group, {})
        for name, value in entries.items():
            yield from _unfounded(package, f"pyproject.toml: {group}: {name} = {value!r}", name, value, argument)
        for module in package.under(floor):
            if _definition(module, wanted) is not None and f"{module.name}:{wanted}" not in entries.values():
                yield f"{module.at(1)}: {wanted} is not registered under {group}"


def _unfounded(package: Package, entry: str, name: str, value: str, argument: str | None) -> Iterator[str]:
    module_name, _, wanted = value.partition(":")
    module = package.modules.get(module_name)
    node = None if module is None else _definition(module, wanted)
    if node is None:
        yield f"{entry} stands for nothing"
    elif argument is not None and _argument(node, argument) != name:
        yield f"{entry} is called {_argument(node, argument)!r} by itself"


def _definition(module: Module, wanted: str) -> ast.AST | None:
    """What defines the top-level name `wanted`."""
    for node in module.tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == wanted:
            return node
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == [wanted]:
            return node.value
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == wanted:
            return node.value
    return None


def _argument(node: ast.AST, name: str) -> object:
    """The constant given as the keyword argument `name`."""
    for keyword in node.keywords if isinstance(node, ast.Call) else ():
        if keyword.arg == name and isinstance(keyword.value, ast.Constant):
            return keyword.value.value
    return None


def installed_differs(entry_points: EntryPoints, distribution: Distribution) -> Iterator[str]:
    """What the installed distribution registers otherwise than `entry_points` say."""
    installed = {
        (e.group, e.name, e.value)
        for e in distribution.entry_points
        if e.group.startswith("gradaudit.") or e.group in FOREIGN
    }
    wanted = {(group, name, value) for group, entries in entry_points.items() for name, value in entries.items()}
    for group, name, value in sorted(installed ^ wanted):
        where = "installed and not in" if (group, name, value) in installed else "not installed and in"
        yield f"{group}: {name} = {value!r} is {where} pyproject.toml"
