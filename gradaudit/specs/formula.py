"""A formula as text -> its graph, through Python's parser and a whitelist of what may stand in it.

Nothing is evaluated: names, numbers, four operations, powers and calls of known functions become nodes; everything
else is an error with its column and what is allowed there.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from gradaudit.functions.expressions import (
    CLASS,
    FUNCTIONS,
    INPUTS,
    NUMBER,
    PICK,
    FormulaError,
    Graph,
    inputs_of,
    kind_of_result,
)
from gradaudit.records.expression import Expression
from gradaudit.specs.wording import did_you_mean, one_of, shortened

MOST_CHARACTERS = 4000
DEEPEST = 150
"""Levels of nesting: well inside what Python's own parser and recursion allow."""

NAMESPACE = "m"
"""What a formula's functions may be prefixed with, as in a user's Python function: m.logsumexp(z)."""

REFERENCE = re.compile(r"^(?P<target>[^\s()+*]+):(?P<attribute>[A-Za-z_][A-Za-z_0-9.]*)$")
"""module:attribute or path.py:attribute."""

ELSEWHERE = {
    "x": "z",
    "logits": "z",
    "targets": "y",
    "target": "y",
    "labels": "y",
    "label": "y",
    "t": "q",
    "probabilities": "q",
    "weight": "w",
    "weights": "w",
    "p": "softmax(z)",
    "C": "n",
    "lse": "logsumexp",
    "ln": "log",
    "gather": "take",
    "pow": "a**2",
}
"""What people call a thing elsewhere, and what a formula calls it."""

OPERATORS: Mapping[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
}


class UnreadableFormulaError(ValueError):
    """What is wrong with the text of a formula; `column` counts its characters from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"column {column} of the formula: {message}")
        self.column = column


def is_reference(text: str) -> bool:
    """Whether the text names a Python function (losses.py:loss) and is no formula itself."""
    return REFERENCE.match(text) is not None


def parse(text: str, constants: Mapping[str, object]) -> Expression:
    """The graph of a formula; UnreadableFormulaError where there is something else in it.

    `constants` are the user's own names: numbers, or one number for each class.
    """
    if len(text) > MOST_CHARACTERS:
        raise UnreadableFormulaError(
            f"{len(text):,} characters; at most {MOST_CHARACTERS:,} are read, write it as a Python function",
            MOST_CHARACTERS + 1,
        )
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        raise UnreadableFormulaError(_syntax(error, text), min(error.offset or 1, len(text) + 1)) from None
    except (ValueError, RecursionError, MemoryError):
        raise UnreadableFormulaError("this is no expression that can be read; nest it less deeply", 1) from None
    names = {name: CLASS for name, value in constants.items() if not isinstance(value, (int, float))} | INPUTS
    reader = _Reader(names, constants, len(text) - len(text.lstrip()))
    result = reader.read(tree.body, 0)
    expression = reader.graph.expression(result, text)
    try:
        kind_of_result(expression, names)
    except FormulaError as error:
        raise UnreadableFormulaError(str(error), 1) from None
    if {"y", "q"} <= inputs_of(expression):
        raise UnreadableFormulaError(
            "both the label y and the target probabilities q; a case has one kind of targets", 1
        )
    return expression


def _syntax(error: SyntaxError, text: str) -> str:
    if not text.strip():
        return "it is empty; write for example logsumexp(z) - take(z, y)"
    return f"{error.msg}; expected one expression, for example logsumexp(z) - take(z, y)"


class _Reader:
    """Nodes of Python's syntax tree into nodes of a graph."""

    def __init__(self, names: dict[str, str], constants: Mapping[str, object], indent: int) -> None:
        self.graph = Graph(names)
        self.constants = constants
        self.indent = indent
        self.readers: dict[type[ast.expr], Callable[[Any, int], int]] = {
            ast.Constant: self.constant,
            ast.Name: self.name,
            ast.UnaryOp: self.sign,
            ast.BinOp: self.operator,
            ast.Call: self.call,
            ast.Subscript: self.subscript,
        }

    def read(self, node: ast.expr, depth: int) -> int:
        """The position of what `node` stands for."""
        if depth > DEEPEST:
            raise self.problem(f"nested more than {DEEPEST} levels deep; split it", node)
        reader = self.readers.get(type(node))
        if reader is None:
            raise self.problem(f"{_described(node)} has no meaning here; allowed are {_allowed()}", node)
        return reader(node, depth + 1)

    def constant(self, node: ast.Constant, _: int) -> int:
        return self.add(node, "constant", value=self.number(node))

    def sign(self, node: ast.UnaryOp, depth: int) -> int:
        if not isinstance(node.op, (ast.USub, ast.UAdd)):
            raise self.problem(f"{_described(node)} has no meaning here; allowed are {_allowed()}", node)
        inner = self.read(node.operand, depth)
        return self.add(node, "negate", inner) if isinstance(node.op, ast.USub) else inner

    def operator(self, node: ast.BinOp, depth: int) -> int:
        if isinstance(node.op, ast.Pow):
            return self.add(node, "power", self.read(node.left, depth), value=self.exponent(node.right))
        if isinstance(node.op, ast.BitXor):
            raise self.problem("^ is no power here; write **, as in a**2", node)
        if type(node.op) not in OPERATORS:
            raise self.problem(f"{_described(node)} has no meaning here; allowed are {_allowed()}", node)
        return self.add(node, OPERATORS[type(node.op)], self.read(node.left, depth), self.read(node.right, depth))

    def subscript(self, node: ast.Subscript, depth: int) -> int:
        return self.add(node, PICK, self.read(node.value, depth), self.read(node.slice, depth))

    def number(self, node: ast.Constant) -> float:
        if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
            raise self.problem(f"{shortened(repr(node.value))} is no real number", node)
        try:
            value = float(node.value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise self.problem("a number beyond the range of float64", node)
        return value

    def name(self, node: ast.Name, _: int) -> int:
        value = self.constants.get(node.id)
        if isinstance(value, (int, float)):
            return self.add(node, "constant", value=float(value))
        if node.id in self.graph.names:
            return self.add(node, "input", value=node.id)
        if node.id in FUNCTIONS:
            raise self.problem(f"{node.id} is a function; give it an argument, as in {node.id}(z)", node)
        shown = shortened(node.id)
        known = tuple(dict.fromkeys((*INPUTS, *self.constants)))
        meant = f"; did you mean {ELSEWHERE[node.id]!r}?" if node.id in ELSEWHERE else did_you_mean(node.id, known)
        raise self.problem(f"there is no {shown!r}{meant}{self.declaring(shown)}", node)

    def declaring(self, name: str) -> str:
        """How a number of the user's own gets its name, and which have one."""
        declared = f"declared there: {', '.join(map(shortened, self.constants))}" if self.constants else "none is yet"
        return f"; name numbers of your own under constants: {{{name}: 2.0}} ({declared})"

    def call(self, node: ast.Call, depth: int) -> int:
        name = self.called(node.func)
        if node.keywords:
            raise self.problem(f"{name} takes no keywords; a formula is about one row and all of its classes", node)
        due = 2 if name == PICK else 1
        if len(node.args) != due or any(isinstance(argument, ast.Starred) for argument in node.args):
            usage = "take(a, y)" if name == PICK else f"{name}(a)"
            raise self.problem(f"{name} takes {due} value{'s' * (due > 1)}, {len(node.args)} came: {usage}", node)
        return self.add(node, name, *(self.read(argument, depth) for argument in node.args))

    def called(self, node: ast.expr) -> str:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == NAMESPACE:
            name = node.attr
        elif isinstance(node, ast.Name):
            name = node.id
        elif isinstance(node, (ast.Call, ast.BinOp, ast.Subscript, ast.UnaryOp, ast.Constant)):
            picked = "the class of a at the label is a[y] or take(a, y), a product is written with *"
            what = "an expression in parentheses" if isinstance(node, (ast.BinOp, ast.UnaryOp)) else _described(node)
            raise self.problem(f"{what} is a value and no function; {picked}", node)
        else:
            raise self.problem(f"only functions by name can be called: {one_of(FUNCTIONS)}", node)
        if name in self.graph.names or name in self.constants:
            picked = f"; its class at the label is {name}[y] or take({name}, y)"
            hint = picked if self.graph.names.get(name) == CLASS else "; a product is written with *"
            raise self.problem(f"{name} is a value and no function{hint}", node)
        if name not in FUNCTIONS:
            hint = f"; did you mean {ELSEWHERE[name]!r}?" if name in ELSEWHERE else did_you_mean(name, FUNCTIONS)
            raise self.problem(f"there is no function {shortened(name)!r}{hint}", node)
        return name

    def exponent(self, node: ast.expr) -> float:
        """The value of a constant exponent: a number, a named one, or minus one of them."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            inner = self.exponent(node.operand)
            return -inner if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.Constant):
            return self.number(node)
        if isinstance(node, ast.Name):
            value = self.constants.get(node.id)
            if isinstance(value, (int, float)):
                return float(value)
            if node.id not in self.graph.names and node.id not in FUNCTIONS:
                shown = shortened(node.id)
                meant, own = did_you_mean(node.id, tuple(self.constants)), self.declaring(shown)
                raise self.problem(f"there is no {shown!r}{meant}{own}", node)
        general = "; powers of other values are exp(b * log(a))"
        raise self.problem(f"an exponent is a number, or the name of a constant that is one{general}", node)

    def add(self, node: ast.expr, operation: str, *arguments: int, value: float | str | None = None) -> int:
        try:
            return self.graph.add(operation, *arguments, value=value)
        except FormulaError as error:
            raise self.problem(str(error), node) from None

    def problem(self, message: str, node: ast.expr) -> UnreadableFormulaError:
        return UnreadableFormulaError(message, node.col_offset + self.indent + 1)


def _described(node: ast.expr) -> str:
    if isinstance(node, (ast.BinOp, ast.UnaryOp)):
        return f"the operator {type(node.op).__name__}"
    words = {
        ast.Attribute: "an attribute",
        ast.Compare: "a comparison",
        ast.IfExp: "a condition",
        ast.Lambda: "a lambda",
        ast.BoolOp: "a logical operation",
        ast.NamedExpr: "an assignment",
        ast.Call: "the result of a call",
        ast.Constant: "a number",
        ast.Subscript: "a picked class",
    }
    return words.get(type(node), f"a {type(node).__name__}")


def _allowed() -> str:
    rowwise = [name for name, kind in INPUTS.items() if kind in (CLASS, NUMBER)]
    return f"numbers, {', '.join([*rowwise, 'y'])}, constants, + - * / **, parentheses and {one_of(FUNCTIONS)}"
