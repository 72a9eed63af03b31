"""A package as text and syntax trees, and who imports what in it; nothing of it is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Import:
    """One import: the dotted name of what is imported, a module where that is known.

    `place` is "module" where importing the module executes it, "typing" under `if TYPE_CHECKING`, and "function".
    """

    target: str
    line: int
    place: str


@dataclass(frozen=True)
class Module:
    """A module of a package: its dotted name, its path from the package's parent, its text and its syntax tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module

    def at(self, line: int) -> str:
        """`path:line`, as violations begin."""
        return f"{self.path.as_posix()}:{line}"


@dataclass(frozen=True)
class Package:
    """All modules under one folder, by dotted name."""

    root: Path
    modules: dict[str, Module]

    @property
    def name(self) -> str:
        return self.root.name

    def under(self, *prefixes: str) -> list[Module]:
        """The modules that are, or lie below, one of the dotted `prefixes` (without the package's own name)."""
        starts = tuple(f"{self.name}.{prefix}" for prefix in prefixes)
        return [
            m for m in self.modules.values() if m.name in starts or m.name.startswith(tuple(s + "." for s in starts))
        ]

    def floor(self, name: str) -> str:
        """The first part of a dotted name below the package; "" for the package itself."""
        parts = name.split(".")
        return parts[1] if len(parts) > 1 else ""

    @cached_property
    def imports(self) -> dict[str, tuple[Import, ...]]:
        """The imports of every module, by its name."""
        return {name: tuple(_imports(self, module)) for name, module in self.modules.items()}

    def own_imports(self, module: Module) -> list[Import]:
        """The imports of this package's own modules."""
        return [i for i in self.imports[module.name] if i.target.split(".")[0] == self.name]


def read(root: Path) -> Package:
    """The package in the folder `root`."""
    modules = {}
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root.parent)
        parts = relative.with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        modules[name] = Module(name, relative, text, ast.parse(text, str(relative)))
    return Package(root, modules)


def _imports(package: Package, module: Module) -> Iterator[Import]:
    for node, place in _with_place(module.tree, "module"):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, place)
        elif isinstance(node, ast.ImportFrom):
            base = _base(module, node)
            for alias in node.names:
                longer = f"{base}.{alias.name}"
                yield Import(longer if longer in package.modules else base, node.lineno, place)


def _base(module: Module, node: ast.ImportFrom) -> str:
    """The dotted name after `from`, relative ones resolved."""
    if node.level == 0:
        return node.module or ""
    own = module.name.split(".")
    if module.path.name != "__init__.py":
        own = own[:-1]
    own = own[: len(own) - (node.level - 1)]
    return ".".join([*own, node.module] if node.module else own)


def _with_place(node: ast.AST, place: str) -> Iterator[tuple[ast.AST, str]]:
    for child in ast.iter_child_nodes(node):
        inner = place
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inner = "function"
        elif isinstance(node, ast.If) and _is_type_checking(node.test) and child in node.body:
            inner = "typing"
        yield child, inner
        yield from _with_place(child, inner)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"
