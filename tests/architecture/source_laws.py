"""What stands in the modules: documentation, size, names, and words that have no business here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.source import Module, Package

LONGEST = 400
VAGUE = {
    "util",
    "utils",
    "utility",
    "utilities",
    "helper",
    "helpers",
    "misc",
    "manager",
    "managers",
    "handler",
    "handlers",
}
"""Words that say nothing in any name."""

VAGUE_ALONE = {"common", "core", "general", "misc", "stuff", "tools", "various"}
"""Words that say nothing unless another one follows: a common offset is one."""

TUNED = {
    "rtol",
    "atol",
    "allclose",
    "isclose",
    "assert_allclose",
    "assert_almost_equal",
    "assert_array_almost_equal",
    "assert_array_almost_equal_nulp",
    "assert_array_max_ulp",
    "assert_close",
    "approx",
}
"""Comparisons under a tolerance that somebody chose."""

UNPICKLING = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "multiprocessing"}
"""Modules that make objects, hence run code, from what they read."""


def modules_are_short(package: Package) -> Iterator[str]:
    """A module over 400 lines has a second module in it."""
    for module in package.modules.values():
        lines = module.text.count("\n")
        if lines > LONGEST:
            yield f"{module.at(lines)}: {lines} lines, {LONGEST} are allowed"


def public_names_are_documented(package: Package) -> Iterator[str]:
    """Modules, and the functions, classes and methods that are not private, have a docstring."""
    for module in package.modules.values():
        if module.tree.body and not ast.get_docstring(module.tree):
            yield f"{module.at(1)}: the module has no docstring"
        for node, name in _public(module.tree, ""):
            if not ast.get_docstring(node):
                yield f"{module.at(node.lineno)}: {name} has no docstring"


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _public(tree: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[Definition, str]]:
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_") and not _is_overload(node):
            yield node, prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from _public(node, f"{prefix}{node.name}.")


def _is_overload(node: Definition) -> bool:
    return any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)


def names_are_not_vague(package: Package) -> Iterator[str]:
    """No module, class or function is called after nothing in particular."""
    for module in package.modules.values():
        for part in module.path.with_suffix("").parts:
            if _is_vague(part):
                yield f"{module.at(1)}: the module name {part!r} is vague"
        for node in ast.walk(module.tree):
            if isinstance(node, Definition) and _is_vague(node.name):
                yield f"{module.at(node.lineno)}: the name {node.name!r} is vague"


def _is_vague(name: str) -> bool:
    words = _words(name)
    return bool(VAGUE & set(words)) or (len(words) == 1 and words[0] in VAGUE_ALONE)


def _words(name: str) -> list[str]:
    """The words of a name in snake or camel case, in small letters."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def no_tolerance_is_tuned(package: Package) -> Iterator[str]:
    """`rtol`, `atol` and their kin occur as no name, argument, attribute or key."""
    for module in package.modules.values():
        for word, line in _identifiers(module):
            if word in TUNED:
                yield f"{module.at(line)}: {word}: tolerances are derived, not tuned"


def nothing_is_unpickled(package: Package) -> Iterator[str]:
    """No module that unpickles is imported, and no loader is told that it may."""
    for module in package.modules.values():
        for found in package.imports[module.name]:
            name = found.target.split(".")[0]
            if name in UNPICKLING:
                yield f"{module.at(found.line)}: {name} unpickles"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                yield from _unpickling_calls(module, node)


def _unpickling_calls(module: Module, node: ast.Call) -> Iterator[str]:
    for keyword in node.keywords:
        refuses = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        if keyword.arg == "allow_pickle" and not refuses:
            yield f"{module.at(node.lineno)}: allow_pickle is not False"
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
    if (owner, called) == ("torch", "load") or called == "ProcessPoolExecutor":
        yield f"{module.at(node.lineno)}: {called} unpickles"


def _identifiers(module: Module) -> Iterator[tuple[str, int]]:
    """Every name, attribute, argument, keyword and whole string of the module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name):
            yield node.id, node.lineno
        elif isinstance(node, ast.Attribute):
            yield node.attr, node.lineno
        elif isinstance(node, (ast.arg, ast.keyword)):
            yield node.arg or "", node.lineno
        elif isinstance(node, (ast.alias, *NAMED)):
            yield node.name, node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node.lineno
