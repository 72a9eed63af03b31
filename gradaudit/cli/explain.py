"""`gradaudit explain`: all that is known of one rule, or of one function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gradaudit.cli.streams import page_width, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gradaudit.functions.interface import Function, Parameter
    from gradaudit.functions.unregistered import Kind
    from gradaudit.rules.interface import Rule

INDENT = "  "
CODE_FILE = "losses.py"


def explain(
    code: Annotated[
        str,
        typer.Argument(
            metavar="CODE",
            help="Code (CAN101), name (summed-outputs-cancel) or family (CAN); or function (focal, formula, self).",
        ),
    ],
) -> int:
    """Tell all about a rule or a function, or list a family of rules.

    What a rule flags and why, the mathematics, a case that fires it and one that does not, and what to do; what
    a function computes, with its gradient and its parameters.
    """
    from gradaudit.functions import registry as functions
    from gradaudit.functions.unregistered import UNREGISTERED
    from gradaudit.rules import registry

    width = min(page_width(), 100)
    name = code.strip()
    if name.lower() in UNREGISTERED:
        write(kind_page(UNREGISTERED[name.lower()], width))
        return 0
    function = functions.spelled(name)
    if function is not None:
        write(function_page(functions.get(function), width))
        return 0
    begun = registry.beginning_with(code)
    write(listing(begun, width) if begun else page(registry.find(code), width))
    return 0


def listing(rules: Sequence[Rule], width: int) -> str:
    """The codes and names of some rules under the names of their families, with what each flags."""
    lines: list[str] = []
    for rule in rules:
        heading = f"{rule.code[:3]} {rule.family}"
        lines += [] if heading in lines else [*([""] if lines else []), heading, ""]
        lines += [f"{INDENT}{rule.code} {rule.name} ({rule.severity})", _filled(rule.summary, width, 3)]
    return "\n".join([*lines, "", f"`gradaudit explain {rules[0].code}` tells all about the first of them.", ""])


def page(rule: Rule, width: int) -> str:
    """The documentation of a rule as plain text; prose is filled, formulas are folded where they are longer than the
    page, specs stand as they were written."""
    from gradaudit.rules.notation import letters

    fires = _example(rule.fires, rule.fires_code) if rule.fires else _filled(rule.fires_note, width)
    sections = [
        ("What it flags", _filled(rule.summary, width)),
        ("Why it matters", _filled(rule.why, width)),
        (
            "The mathematics",
            "\n\n".join(filter(None, (_formulas(rule.formula, width), _filled(letters(rule), width)))),
        ),
        ("Source", _filled(rule.source, width)),
        ("What fires it", fires),
        ("What does not", _example(rule.silent, rule.silent_code)),
        ("What to do", _filled(rule.advice, width)),
    ]
    heading = f"{rule.code} {rule.name} ({rule.severity})\n{rule.family}\n"
    return heading + "".join(f"\n{title}\n{text}\n" for title, text in sections if text)


def function_page(function: Function, width: int) -> str:
    """The documentation of a function: its definition with the mean's denominator, its gradient, its parameters."""
    sections = [
        ("What it computes", _filled(function.formula, width)),
        ("Its gradient", _filled(function.gradient_formula, width)),
        ("Its Jacobian", _filled(function.jacobian, width)),
        ("What always holds", "\n".join(_filled(f"* {each}", width) for each in function.invariants)),
        ("Parameters", "\n".join(_filled(_parameter(each), width) for each in function.parameters)),
        ("Source", _filled(function.source, width)),
    ]
    heading = f"{function.name}\n{function.summary}\n"
    return heading + "".join(f"\n{title}\n{text}\n" for title, text in sections if text)


def kind_page(kind: Kind, width: int) -> str:
    """The documentation of `formula` or `self`: what is audited and how, an example, and what cannot be told."""
    sections = [
        ("What is audited", _filled(kind.audited, width)),
        ("How", _filled(kind.how, width)),
        ("An example", _example(kind.spec, kind.silent)),
        ("What it finds fault with", _example(None, kind.fires)),
        ("Limits", "\n".join(_filled(f"* {each}", width) for each in kind.limits)),
    ]
    heading = f"{kind.name}\n{kind.summary}\n"
    return heading + "".join(f"\n{title}\n{text}\n" for title, text in sections)


def _parameter(parameter: Parameter) -> str:
    absent = parameter.default is None or parameter.default == ()
    choices = f", one of {', '.join(parameter.choices)}" if parameter.choices else ""
    unless = "absent" if absent else parameter.default
    return f"{parameter.name} ({parameter.kind}{choices}; {unless} unless given): {parameter.doc}"


def _example(spec: str | None, code: str | None) -> str:
    """A spec, and the losses.py beside it; code by itself stands beside the spec of the other example."""
    beside = f"{INDENT}with {CODE_FILE} {'beside it' if spec else 'changed to'}:"
    parts = ([_verbatim(spec)] if spec else []) + ([beside, _verbatim(code, 2)] if code else [])
    return "\n\n".join(parts)


def _filled(text: str, width: int, levels: int = 1) -> str:
    import textwrap

    indent = INDENT * levels
    return textwrap.fill(" ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent)


def _formulas(text: str, width: int) -> str:
    """Lines as they were written; one that is longer than the page is folded, where it has blanks if it can be."""
    import inspect
    import re
    import textwrap

    lines = []
    for line in textwrap.indent(inspect.cleandoc(text), INDENT).splitlines():
        if len(line) <= width:
            lines.append(line)
            continue
        depth = " " * (len(line) - len(line.lstrip()) + 2 * len(INDENT))
        first, *parts = re.split(r"(?<=\S)(?=  +\S)", line)
        folded = [first]
        for part in parts:
            if len(folded[-1] + part) <= width:
                folded[-1] += part
            else:
                folded.append(depth + part.strip())
        for part in folded:
            lines += textwrap.wrap(
                part, width, subsequent_indent=depth, break_long_words=False, break_on_hyphens=False
            )
    return "\n".join(lines)


def _verbatim(text: str, levels: int = 1) -> str:
    import inspect
    import textwrap

    return textwrap.indent(inspect.cleandoc(text), INDENT * levels)
