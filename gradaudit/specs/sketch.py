"""What a user's function looks like, read from its source text: nothing of it is imported or run."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gradaudit.errors import FlagError
from gradaudit.specs import source_traits
from gradaudit.specs.source_files import imported, parsed

FRAMEWORKS = {
    "torch": "torch",
    "jax": "jax",
    "flax": "jax",
    "optax": "jax",
    "tensorflow": "tensorflow",
    "keras": "tensorflow",
    "numpy": "numpy",
}
"""The framework that the import of a package speaks for; earlier ones go first."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
CALLS = ("forward", "__call__", "call")
"""The methods by which a class of losses computes, by framework."""
MOST_IMPORTS = 8
"""How many files a name is followed through."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A function or a class as its source shows it.

    `inputs` are what it is called with (logits, targets), empty where that does not show; `options` its other
    parameters, each with its default, `required` those without one. `text` is the source of the definition.
    `factory`: it returns what is to be called; `targets_first`: its inputs are named in the other order;
    `one_hot`: it wants labels as rows; `reading`: what its first input is named as.
    """

    framework: str
    attribute: str
    inputs: tuple[str, ...]
    options: tuple[tuple[str, object], ...]
    required: tuple[str, ...]
    text: str
    factory: bool = False
    targets_first: bool = False
    one_hot: bool = False
    reading: str = "logits"


def sketch(path: Path, attribute: str) -> Sketch:
    """What `attribute` of a file is; FlagError where the file is no Python or has no such name.

    A name that the file imports from a file of the user's is looked up there.
    """
    text, tree = parsed(path)
    node = _definition(tree, attribute, path)
    for _ in range(MOST_IMPORTS):
        elsewhere = None if node is not None else imported(tree, path, attribute)
        if elsewhere is None:
            break
        path, name = elsewhere
        text, tree = parsed(path)
        node = _definition(tree, name, path)
    packages = _packages(tree)
    if node is None:
        return Sketch(_framework(packages.values()), attribute, (), (), (), "")
    used = {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
    named = [package for alias, package in packages.items() if alias in used]
    framework = _framework(named or packages.values())
    source = ast.get_source_segment(text, node) or ""
    if not isinstance(node, ast.ClassDef) and source_traits.makes_a_loss(node):
        given = _parameters(node)
        options = tuple((name, default) for name, default in given if default is not ...)
        required = tuple(name for name, default in given if default is ...)
        return Sketch(framework, attribute, (), options, required, source, factory=True)
    inputs, options, required = _signature(node, framework)
    call = _call(node)
    swapped = source_traits.targets_first(inputs)
    targets = inputs[:1] if swapped else inputs[1:2]
    return Sketch(
        framework,
        attribute,
        inputs,
        options,
        required,
        source,
        # Losses of Keras are called in Keras's order.
        targets_first=swapped and not (isinstance(node, ast.ClassDef) and _is_kerass(node)),
        one_hot=call is not None and bool(targets) and source_traits.takes_one_hot(call, targets[0]),
        reading="logits" if swapped else source_traits.reading(inputs),
    )


def _definition(tree: ast.Module, attribute: str, path: Path) -> Definition | None:
    """The definition of a dotted name; None for a name that is bound otherwise, by assignment or import."""
    body: Sequence[ast.stmt] = tree.body
    node: Definition | None = None
    for part in attribute.split("."):
        known = dict(_bound(body))
        if part not in known:
            if "*" in known:
                return None
            own = [name for name, bound in known.items() if bound is not None]
            names = [name for name in own or known if not name.startswith("_")]
            close = difflib.get_close_matches(part, names, n=1)
            hint = (
                f"did you mean {close[0]}?"
                if close
                else f"there are {', '.join(names[:8])}"
                if names
                else "it is empty"
            )
            raise FlagError(f"{path}: there is no {part!r} in it; {hint}")
        node = known[part]
        if node is None:
            return None
        body = node.body
    return node


def _bound(body: Sequence[ast.stmt]) -> Iterator[tuple[str, Definition | None]]:
    for node in body:
        if isinstance(node, Definition):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name.partition(".")[0], None) for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (
                (name.id, None) for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)
            )
        elif isinstance(node, ast.If | ast.Try | ast.With):
            yield from _bound(node.body)
            yield from _bound(getattr(node, "orelse", []))


def _packages(tree: ast.Module) -> dict[str, str]:
    """The names that imports bind, with the package that each comes from."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.split(".")[0]: alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {alias.asname or alias.name: node.module.split(".")[0] for alias in node.names}
    return found


def _framework(packages: object) -> str:
    there = set(packages)  # type: ignore[call-overload]
    return next((framework for package, framework in FRAMEWORKS.items() if package in there), "torch")


def _signature(
    node: Definition, framework: str
) -> tuple[tuple[str, ...], tuple[tuple[str, object], ...], tuple[str, ...]]:
    if isinstance(node, ast.ClassDef):
        methods = _methods(node)
        call = _call(node)
        inputs = tuple(name for name, _ in _parameters(call)[1:]) if call else ()
        made = _parameters(methods["__init__"])[1:] if "__init__" in methods else []
        if any("Function" in ast.unparse(base) for base in _named_bases(node)):
            # An autograd.Function: `forward(ctx, logits, targets)`, and it is not constructed.
            return inputs, (), ()
    else:
        given = _parameters(node)
        most = 3 if framework == "numpy" else 2
        inputs = tuple(name for name, default in given[:most] if default is ...)
        made = given[len(inputs) :]
    options = tuple((name, default) for name, default in made if default is not ...)
    return inputs, options, tuple(name for name, default in made if default is ...)


def _methods(node: ast.ClassDef) -> dict[str, ast.FunctionDef]:
    return {each.name: each for each in node.body if isinstance(each, ast.FunctionDef)}


def _call(node: Definition) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """What computes: a function itself, of a class the method that its framework calls."""
    if not isinstance(node, ast.ClassDef):
        return node
    methods = _methods(node)
    return next((methods[name] for name in CALLS if name in methods), None)


def _named_bases(node: ast.ClassDef) -> list[ast.expr]:
    return [base for base in node.bases if isinstance(base, ast.Attribute | ast.Name)]


def _is_kerass(node: ast.ClassDef) -> bool:
    """Whether a class is a loss of Keras, by its bases and its method."""
    return "call" in _methods(node) and any("Loss" in ast.unparse(base) for base in _named_bases(node))


def _parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[tuple[str, object]]:
    """The parameters with their defaults; `...` where there is none, None where it is no plain value."""
    arguments = node.args
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args)]
    defaults: list[object] = [...] * (len(names) - len(arguments.defaults))
    found = list(zip(names, defaults + [_value(each) for each in arguments.defaults], strict=True))
    for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        found.append((each.arg, ... if default is None else _value(default)))
    return found


def _value(node: ast.expr) -> object:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return value if isinstance(value, int | float | str) else None
