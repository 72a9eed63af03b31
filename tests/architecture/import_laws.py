"""Who may import whom: the floors, their dependencies, and no going round in circles."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from tests.architecture.source import Import, Module, Package

FLOORS = (
    "records",
    "errors",
    "plugins",
    "numerics",
    "functions",
    "specs",
    "backends",
    "workers",
    "reference",
    "measurement",
    "rules",
    "reports",
    "regression",
    "replay",
    "judged",
    "surroundings",
    "resumption",
    "pipeline",
    "semantics",
    "testing",
    "cli",
    "__main__",
    "pytest_plugin",
)
"""From the ground up: a floor imports only floors before it. `records` and `errors` are open to all."""

OPEN = {"records", "errors"}
RENDERERS = "reports"
"""Renderers are pure functions of the report: they import `records` and `errors` alone."""

STANDALONE = "backends.standalone"

HOMES = {
    "numpy": FLOORS,
    "ml_dtypes": FLOORS,
    "flint": ("numerics",),
    "pydantic": ("specs",),
    "pydantic_core": ("specs",),
    "yaml": ("specs",),
    "rich": ("reports", "cli"),
    "typer": ("cli",),
    "pytest": ("pytest_plugin",),
    "torch": (STANDALONE,),
    "onnx": (STANDALONE,),
    "onnx_ad": (STANDALONE,),
    "onnxruntime": (STANDALONE,),
    "mxnet": (STANDALONE,),
    "tensorflow": (STANDALONE,),
    "keras": (STANDALONE,),
    "jax": (STANDALONE,),
    "jaxlib": (STANDALONE,),
}
"""Where a dependency may be imported; what is not here is no dependency."""

FRAMEWORKS = {"torch", "onnx", "onnx_ad", "onnxruntime", "mxnet", "tensorflow", "keras", "jax", "flint"}
"""Imported inside functions only: nobody pays for the import, or is harmed by it, who does not use them."""


def floors_import_downwards(package: Package) -> Iterator[str]:
    """Every module stands on a floor of the list and imports its own floor and those before it."""
    for module in package.modules.values():
        own = package.floor(module.name)
        if own and own not in FLOORS:
            yield f"{module.at(1)}: {own!r} is no floor; there are {', '.join(FLOORS)}"
            continue
        for found in package.own_imports(module):
            other = package.floor(found.target)
            if own and other and not _may_import(own, other):
                yield f"{module.at(found.line)}: {own} imports {found.target}, which {_reason(own, other)}"


def _may_import(own: str, other: str) -> bool:
    if other == own or other in OPEN:
        return True
    if own == RENDERERS or other not in FLOORS:
        return False
    return FLOORS.index(other) < FLOORS.index(own)


def _reason(own: str, other: str) -> str:
    if own == RENDERERS:
        return f"is not among {', '.join(sorted(OPEN))}"
    return "is no floor" if other not in FLOORS else f"stands above {own}"


def modules_form_no_circle(package: Package) -> Iterator[str]:
    """No module imports itself by way of others, wherever the imports stand.

    A package's `__init__` is not counted as imported with its modules: it runs before them in any case.
    """
    edges = {
        name: sorted({i.target for i in package.own_imports(m)} & set(package.modules))
        for name, m in package.modules.items()
    }
    for circle in _circles(edges):
        yield " imports ".join([*circle, circle[0]])


def _circles(edges: dict[str, list[str]]) -> Iterator[list[str]]:
    """One circle for each strongly connected part, by depth-first search."""
    done: set[str] = set()
    for start in edges:
        path: list[str] = []
        yield from _walk(start, edges, path, done)


def _walk(name: str, edges: dict[str, list[str]], path: list[str], done: set[str]) -> Iterator[list[str]]:
    if name in path:
        yield path[path.index(name) :]
        return
    if name in done:
        return
    path.append(name)
    for other in edges[name]:
        yield from _walk(other, edges, path, done)
    path.pop()
    done.add(name)


def dependencies_stay_in_their_floors(package: Package) -> Iterator[str]:
    """The standard library is open to all, a dependency to the floors that exist for it."""
    for module, found in _foreign(package):
        name = found.target.split(".")[0]
        if name not in HOMES:
            yield f"{module.at(found.line)}: {name} is no dependency of {package.name}"
        elif not any(module in package.under(home) for home in HOMES[name]):
            yield f"{module.at(found.line)}: {name} belongs into {', '.join(HOMES[name])}"


USERS_CODE = "backends.standalone.user_code"


def frameworks_are_imported_in_functions(package: Package) -> Iterator[str]:
    """A framework is imported where it is used, also for the sake of types."""
    for module, found in _foreign(package):
        name = found.target.split(".")[0]
        if name in FRAMEWORKS and found.place != "function":
            yield f"{module.at(found.line)}: {name} is imported outside a function ({found.place})"


def _foreign(package: Package) -> Iterator[tuple[Module, Import]]:
    for module in package.modules.values():
        for found in package.imports[module.name]:
            name = found.target.split(".")[0]
            if name != package.name and name not in sys.stdlib_module_names:
                yield module, found


def imports_are_written_out(package: Package) -> Iterator[str]:
    """`import_module` and `__import__` hide from these laws; plugins are loaded by their entry points.

    What users name in their specs cannot be written out; one file imports it, in a worker.
    """
    for module in package.modules.values():
        if module.name == f"{package.name}.{USERS_CODE}":
            continue
        for node in ast.walk(ast.parse(module.text)):
            word = getattr(node, "attr", getattr(node, "id", getattr(node, "name", None)))
            if word in {"import_module", "__import__"}:
                yield f"{module.at(getattr(node, 'lineno', 1))}: {word} hides what is imported"
