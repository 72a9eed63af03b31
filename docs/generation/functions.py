"""reference/functions/: one page a function, as `gradaudit explain` tells it."""

from __future__ import annotations

from collections.abc import Iterator

from generation.markdown import block, code, contents, page, prose, table
from gradaudit.functions import registry
from gradaudit.functions.interface import Function, Parameter
from gradaudit.functions.unregistered import UNREGISTERED, Kind


def pages() -> Iterator[tuple[str, str]]:
    """The index, gradaudit's own functions, what may stand in their place, and other frameworks' operators."""
    own = [registry.get(name) for name in registry.names()]
    others = [
        registry.get(f"{semantics}.{name}")
        for semantics in registry.semantics()
        for name in registry.names(semantics)
    ]
    rows = [(each.name, each.summary) for each in (*own, *UNREGISTERED.values(), *others)]
    listed = table(("function", "computes"), [(f"[{name}]({name}.md)", prose(text)) for name, text in rows])
    note = (
        "What a spec's `function` may be. Operators of other frameworks are called by their own names, with "
        "`semantics: FRAMEWORK` beside them."
    )
    # "./self": `self` alone is the index itself.
    hidden = contents(*(f"./{name}" for name, _ in rows)).replace(":maxdepth: 1", ":hidden:")
    yield "functions/index.md", page("# Functions", note, listed, hidden)
    for function in (*own, *others):
        yield f"functions/{function.name}.md", function_page(function)
    for kind in UNREGISTERED.values():
        yield f"functions/{kind.name}.md", kind_page(kind)


def function_page(function: Function) -> str:
    """Definition with the mean's denominator, gradient, parameters, and what always holds."""
    rows = [_row(parameter) for parameter in function.parameters]
    return page(
        f"# {prose(function.name)}",
        prose(function.summary),
        "## What it computes",
        prose(function.formula),
        "## Its gradient",
        prose(function.gradient_formula),
        "## Its Jacobian",
        prose(function.jacobian),
        "## What always holds",
        "\n".join(f"* {prose(each)}" for each in function.invariants),
        "## Parameters",
        table(("parameter", "is", "unless given", "means"), rows) if rows else "None.",
        "## Formulations of backends",
        ", ".join(code(each) for each in function.formulations) if function.formulations else "None: subjects alone.",
        "## Source",
        prose(function.source),
    )


def kind_page(kind: Kind) -> str:
    """What is audited of `formula` or `self` and how, an example, and what cannot be told."""
    return page(
        f"# {kind.name}",
        prose(kind.summary),
        "## What is audited",
        prose(kind.audited),
        "## How",
        prose(kind.how),
        "## An example",
        block(kind.spec, "yaml"),
        "with this losses.py beside it:",
        block(kind.silent, "python"),
        "## What it finds fault with",
        f"With this losses.py instead, [{kind.found}](../rules/{kind.found}.md):",
        block(kind.fires, "python"),
        "## Limits",
        "\n".join(f"* {prose(each)}" for each in kind.limits),
    )


def _row(parameter: Parameter) -> tuple[str, str, str, str]:
    bounds = (
        ("at least", parameter.minimum),
        ("above", parameter.exclusive_minimum),
        ("at most", parameter.maximum),
    )
    kind = ", ".join(parameter.choices) or parameter.kind
    limits = "".join(f", {word} {bound:g}" for word, bound in bounds if bound is not None)
    absent = parameter.default is None or parameter.default == ()
    return (
        code(parameter.name),
        prose(kind + limits),
        "" if absent else code(str(parameter.default)),
        prose(parameter.doc),
    )
