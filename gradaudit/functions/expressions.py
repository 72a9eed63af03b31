"""The grammar of formulas: which operations there are, what they take, and how a graph of them is put together.

A formula is written for one row. Its values are of four kinds: a "number" (the same for all rows), a number per row
("row"), a number per class ("class"), and the row's "label". Numbers and rows are broadcast over the classes.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradaudit.records.expression import Expression, Node

NUMBER, ROW, CLASS, LABEL = "number", "row", "class", "label"

INPUTS = {"z": CLASS, "y": LABEL, "q": CLASS, "w": CLASS, "n": NUMBER}
"""What every formula may read: the scaled logits, the label, the target probabilities, the class weights, and the
number of classes."""

ELEMENTWISE = ("exp", "log", "log1p", "expm1", "tanh", "sqrt")
"""Functions of one value, class by class."""

ALONG_CLASSES = {"logsumexp": ROW, "sum": ROW, "mean": ROW, "max": ROW, "softmax": CLASS, "log_softmax": CLASS}
"""Functions of all classes of a row, and the kind of their result."""

PICK = "take"
"""take(a, y): the value of `a` at the row's label."""

BINARY = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
"""Operators between two values, and how they are written."""

FUNCTIONS = (*ELEMENTWISE, *ALONG_CLASSES, PICK)
"""Everything that is called by name."""

MOST_NODES = 1000
"""Operations of the largest formula."""

KIND_WORDS = {
    NUMBER: "the same number for every row",
    ROW: "one number per row",
    CLASS: "one number per class",
    LABEL: "a label",
}


class FormulaError(ValueError):
    """An operation that the mathematics of formulas does not have; the message says what it takes instead."""


class Graph:
    """A graph under construction in which equal nodes are one. `kinds` holds the kind of every node."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.nodes: list[Node] = []
        self.kinds: list[str] = []
        self._known: dict[Node, int] = {}

    def add(self, operation: str, *arguments: int, value: float | str | None = None) -> int:
        """The position of a node, which is added unless it is there; FormulaError where it makes no sense."""
        node = Node(operation, arguments, value)
        known = self._known.get(node)
        if known is not None:
            return known
        kind = self.kind(node)
        if len(self.nodes) == MOST_NODES:
            raise FormulaError(f"more than {MOST_NODES:,} operations; give the formula as cases of smaller ones")
        self.nodes.append(node)
        self.kinds.append(kind)
        self._known[node] = len(self.nodes) - 1
        return self._known[node]

    def known(self, node: Node) -> int | None:
        """The position of a node that is there already."""
        return self._known.get(node)

    def constant(self, value: float) -> int:
        """The position of a constant."""
        return self.add("constant", value=float(value))

    def expression(self, result: int, text: str) -> Expression:
        """The nodes that `result` depends on, in the order they are computed."""
        needed = {result}
        for position in range(result, -1, -1):
            if position in needed:
                needed.update(self.nodes[position].arguments)
        places = {old: new for new, old in enumerate(sorted(needed))}
        nodes = (self.nodes[old] for old in sorted(needed))
        kept = (Node(node.operation, tuple(places[a] for a in node.arguments), node.value) for node in nodes)
        return Expression(tuple(kept), text)

    def kind(self, node: Node) -> str:
        """The kind of a node's value; FormulaError where its arguments are of no use to it."""
        kinds = [self.kinds[position] for position in node.arguments]
        operation = node.operation
        if operation == "constant":
            return NUMBER
        if operation == "input":
            return self.names[str(node.value)]
        if operation == PICK:
            return _kind_of_pick(kinds)
        if LABEL in kinds:
            spelled = BINARY.get(operation, operation)
            raise FormulaError(f"{spelled} of a label; a label is there to pick a class, as in take(z, y)")
        if operation in ALONG_CLASSES:
            if kinds != [CLASS]:
                raise FormulaError(
                    f"{operation} goes over the classes of a row, but its argument is {KIND_WORDS[kinds[0]]}"
                )
            return ALONG_CLASSES[operation]
        if operation in BINARY or operation in ELEMENTWISE or operation in ("negate", "power"):
            return CLASS if CLASS in kinds else ROW if ROW in kinds else NUMBER
        raise FormulaError(f"there is no operation {operation!r}")


def _kind_of_pick(kinds: Sequence[str]) -> str:
    first, second = kinds
    if second != LABEL:
        raise FormulaError(f"take(a, y) picks at a label, but its second argument is {KIND_WORDS[second]}")
    if first != CLASS:
        raise FormulaError(f"take(a, y) picks one class of a, but its first argument is {KIND_WORDS[first]}")
    return ROW


def rebuilt(expression: Expression, names: dict[str, str]) -> tuple[Graph, int]:
    """A graph of the expression's nodes, each checked, with equal ones merged; and the position of the result."""
    graph = Graph(names)
    places: list[int] = []
    for node in expression.nodes:
        arguments = (places[position] for position in node.arguments)
        places.append(graph.add(node.operation, *arguments, value=node.value))
    return graph, places[-1]


def kind_of_result(expression: Expression, names: dict[str, str]) -> str:
    """ROW or CLASS; FormulaError where the formula is neither a loss nor an activation."""
    graph, result = rebuilt(expression, names)
    kind = graph.kinds[result]
    if kind not in (ROW, CLASS):
        raise FormulaError(f"the result is {KIND_WORDS[kind]}; expected one number per row, or one per class")
    if not any(node.operation == "input" and node.value == "z" for node in graph.nodes):
        raise FormulaError("the result does not depend on the logits z")
    return kind


def inputs_of(expression: Expression) -> frozenset[str]:
    """The names that the expression reads."""
    return frozenset(str(node.value) for node in expression.nodes if node.operation == "input")


def written(expression: Expression) -> str:
    """The expression as text, fully parenthesised where two operators meet."""
    return _written(expression.nodes, len(expression.nodes) - 1, outer=True)


def _written(nodes: Sequence[Node], position: int, *, outer: bool = False) -> str:
    node = nodes[position]
    parts = [_written(nodes, argument) for argument in node.arguments]
    if node.operation == "constant":
        return f"{float(node.value or 0.0):g}"
    if node.operation == "input":
        return str(node.value)
    if node.operation in BINARY:
        text = f" {BINARY[node.operation]} ".join(parts)
    elif node.operation == "negate":
        text = f"-{parts[0]}"
    elif node.operation == "power":
        text = f"{parts[0]}**{float(node.value or 0.0):g}"
    else:
        inner = [_written(nodes, argument, outer=True) for argument in node.arguments]
        return f"{node.operation}({', '.join(inner)})"
    return text if outer else f"({text})"
