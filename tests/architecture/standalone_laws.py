"""What runs by path in a foreign interpreter: old grammar, old library, nothing of this package."""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator

from tests.architecture.import_laws import STANDALONE
from tests.architecture.source import Module, Package

OLDEST = (3, 8)
ALLOWED = {
    "numpy",
    "ml_dtypes",
    "torch",
    "onnx",
    "onnx_ad",
    "onnxruntime",
    "mxnet",
    "tensorflow",
    "keras",
    "jax",
    "jaxlib",
}
"""NumPy and the frameworks."""

NEWER_MODULES = {"graphlib", "tomllib", "zoneinfo"}
NEWER_METHODS = {
    "bit_count",
    "hardlink_to",
    "is_relative_to",
    "removeprefix",
    "removesuffix",
    "stdlib_module_names",
    "with_stem",
}
NEWER_NAMES = {
    ("contextlib", "chdir"),
    ("dataclasses", "KW_ONLY"),
    ("enum", "StrEnum"),
    ("functools", "cache"),
    ("itertools", "batched"),
    ("itertools", "pairwise"),
    ("math", "lcm"),
    ("math", "nextafter"),
    ("math", "ulp"),
    ("types", "NoneType"),
    ("typing", "Annotated"),
    ("typing", "ParamSpec"),
    ("typing", "Self"),
    ("typing", "TypeAlias"),
}
NEWER_KEYWORDS = {"zip": {"strict"}, "dataclass": {"kw_only", "slots"}}
"""Modules, methods, names of modules and arguments of the standard library that Python 3.8 does not have."""

BUILTIN_GENERICS = {"dict", "frozenset", "list", "set", "tuple", "type"}


def adapters_parse_in_old_python(package: Package) -> Iterator[str]:
    """The grammar of Python 3.8."""
    for module in package.under(STANDALONE):
        try:
            ast.parse(module.text, str(module.path), feature_version=OLDEST)
        except SyntaxError as error:
            yield f"{module.at(error.lineno or 1)}: {error.msg}"


def adapters_run_in_old_python(package: Package) -> Iterator[str]:
    """Nothing that Python 3.8 lacks is imported, called or evaluated."""
    for module in package.under(STANDALONE):
        if module.tree.body:
            yield from _newer(package, module)


def _newer(package: Package, module: Module) -> Iterator[str]:
    if "__future__" not in {found.target for found in package.imports[module.name]}:
        yield f"{module.at(1)}: without `from __future__ import annotations` annotations are evaluated"
    hints = {id(inner) for node in ast.walk(module.tree) for hint in _annotations(node) for inner in ast.walk(hint)}
    for node in ast.walk(module.tree):
        for what in [*_newer_names(node), *(_evaluated(node) if id(node) not in hints else ())]:
            yield f"{module.at(getattr(node, 'lineno', 1))}: {what}"


def _newer_names(node: ast.AST) -> Iterator[str]:
    """What the library of Python 3.8 does not have."""
    if isinstance(node, ast.ImportFrom):
        names = [alias.name for alias in node.names if (node.module, alias.name) in NEWER_NAMES]
        yield from (f"{node.module}.{name} is newer than Python 3.8" for name in names)
    elif isinstance(node, ast.Attribute):
        if node.attr in NEWER_METHODS or (getattr(node.value, "id", ""), node.attr) in NEWER_NAMES:
            yield f".{node.attr} is newer than Python 3.8"
    elif isinstance(node, ast.Call):
        name = getattr(node.func, "id", "")
        arguments = [keyword.arg for keyword in node.keywords if keyword.arg in NEWER_KEYWORDS.get(name, ())]
        yield from (f"{name}({argument}=) is newer than Python 3.8" for argument in arguments)


def _evaluated(node: ast.AST) -> Iterator[str]:
    """Expressions on types and dictionaries that Python 3.8 cannot evaluate."""
    if isinstance(node, ast.Subscript) and getattr(node.value, "id", "") in BUILTIN_GENERICS:
        yield f"{ast.unparse(node)} is evaluated, which Python 3.8 cannot"
    operands: tuple[ast.expr, ...] = ()
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        operands = (node.left, node.right)
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.BitOr):
        operands = (node.value,)
    if any(_is_type_or_dict(operand) for operand in operands):
        yield "| of types and dictionaries is newer than Python 3.8"


def _is_type_or_dict(node: ast.expr) -> bool:
    if isinstance(node, (ast.Dict, ast.DictComp)) or (isinstance(node, ast.Constant) and node.value is None):
        return True
    if isinstance(node, ast.Call):
        return getattr(node.func, "id", "") == "dict"
    name = getattr(node.value, "id", "") if isinstance(node, ast.Subscript) else getattr(node, "id", "")
    return isinstance(getattr(builtins, name, None), type)


def _annotations(node: ast.AST) -> Iterator[ast.expr]:
    """What is an annotation here, and so not evaluated."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        if node.returns is not None:
            yield node.returns
    elif isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation is not None:
        yield node.annotation


def adapters_stand_alone(package: Package) -> Iterator[str]:
    """The standard library, NumPy and the frameworks; nothing of this package, not even what lies beside them."""
    for module in package.under(STANDALONE):
        for found in package.imports[module.name]:
            name = found.target.split(".")[0]
            if name in NEWER_MODULES or (name not in ALLOWED and name not in sys.stdlib_module_names):
                yield f"{module.at(found.line)}: {found.target} is not there where an adapter runs"
