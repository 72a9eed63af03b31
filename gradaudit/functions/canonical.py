"""Equal formulas made one: what a formula means once logarithms, exponentials and shifts have met.

`canonical` turns log(softmax(z)), log(sum(exp(z))), z - logsumexp(z), exp(log_softmax(z)), exp(z) / sum(exp(z)),
1 - softmax(z) and their kin into the operations that have bounds of their own, so that the author's spelling of a
formula neither widens a tolerance nor loses the digits of its enclosure. `spelled` goes the other way: the same
mathematics by the steps that a candidate may take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gradaudit.functions.expressions import BINARY, CLASS, ELEMENTWISE, Graph, rebuilt
from gradaudit.records.expression import Expression, Node

COMPLEMENT = "complement"
"""1 - softmax(a) without its cancellation: it only appears in canonical formulas."""


def canonical(expression: Expression, names: dict[str, str]) -> Expression:
    """The same mathematics with everything fused that can be."""
    return _translated(expression, names, _Fused)


@dataclass(frozen=True, slots=True)
class Steps:
    """How a candidate gets from log-probabilities to probabilities: by softmax, or as exp of the log-probability;
    1 - p by subtraction, or as minus expm1 of the log-probability."""

    p_by_exp: bool = False
    rest_by_expm1: bool = False


def spelled(expression: Expression, names: dict[str, str], steps: Steps) -> Expression:
    """A canonical formula in the steps of a candidate."""
    return _translated(expression, names, lambda graph: _Spelled(graph, steps))


def _translated(expression: Expression, names: dict[str, str], make: Callable[[_Graph], _Plain]) -> Expression:
    graph = _Graph(names)
    builder = make(graph)
    places: list[int] = []
    for node in expression.nodes:
        places.append(builder.make(node, [places[position] for position in node.arguments]))
    return graph.expression(places[-1], expression.text)


class _Graph(Graph):
    """A graph that may hold complements."""

    def kind(self, node: Node) -> str:
        return CLASS if node.operation == COMPLEMENT else super().kind(node)


class _Plain:
    """Nodes as they are."""

    def __init__(self, graph: _Graph) -> None:
        self.graph = graph

    def make(self, node: Node, arguments: Sequence[int]) -> int:
        return self.graph.add(node.operation, *arguments, value=node.value)

    def node(self, position: int) -> Node:
        return self.graph.nodes[position]

    def kind(self, position: int) -> str:
        return self.graph.kinds[position]

    def is_(self, position: int, operation: str) -> bool:
        return self.graph.nodes[position].operation == operation

    def is_constant(self, position: int, value: float) -> bool:
        node = self.graph.nodes[position]
        return node.operation == "constant" and node.value == value

    def negative(self, position: int) -> int:
        return self.graph.add("negate", position)


class _Spelled(_Plain):
    """Canonical nodes in a candidate's steps."""

    def __init__(self, graph: _Graph, steps: Steps) -> None:
        super().__init__(graph)
        self.steps = steps

    def make(self, node: Node, arguments: Sequence[int]) -> int:
        add, steps = self.graph.add, self.steps
        if node.operation == "softmax" and steps.p_by_exp:
            return add("exp", add("log_softmax", arguments[0]))
        if node.operation == COMPLEMENT:
            if steps.rest_by_expm1:
                return self.negative(add("expm1", add("log_softmax", arguments[0])))
            p = add("exp", add("log_softmax", arguments[0])) if steps.p_by_exp else add("softmax", arguments[0])
            return add("subtract", self.graph.constant(1.0), p)
        return super().make(node, arguments)


class _Fused(_Plain):
    """Every node is made in its simplest form from arguments that are in theirs."""

    def make(self, node: Node, arguments: Sequence[int]) -> int:
        """The position of the node's simplest form; of its plain one where the simplest is of another kind."""
        rules: dict[str, Callable[..., int]] = {
            "negate": self._negate,
            "take": self._take,
            "add": self._add,
            "subtract": self._subtract,
            "multiply": self._multiply,
            "divide": self._divide,
            "softmax": self._softmax,
            "log_softmax": self._log_softmax,
            "logsumexp": self._logsumexp,
            "mean": self._mean,
            "exp": self._exp,
            "log": self._log,
            "log1p": self._log1p,
            "expm1": self._expm1,
        }
        rule = rules.get(node.operation)
        if rule is None:
            return super().make(node, arguments)
        result = rule(*arguments)
        plain = Node(node.operation, tuple(arguments), node.value)
        return result if self.kind(result) == self.graph.kind(plain) else super().make(node, arguments)

    # -- signs, sums and products ------------------------------------------------------------------------------

    def _negate(self, a: int) -> int:
        node = self.node(a)
        if node.operation == "negate":
            return node.arguments[0]
        if node.operation == "subtract":
            return self._subtract(node.arguments[1], node.arguments[0])
        return self.negative(a)

    def _add(self, a: int, b: int) -> int:
        for first, second in ((a, b), (b, a)):
            node = self.node(second)
            if node.operation == "negate":
                return self._subtract(first, node.arguments[0])
            if node.operation == "subtract" and node.arguments[1] == first:
                return node.arguments[0]
            if self.is_constant(second, 0.0):
                return first
        return self.graph.add("add", a, b)

    def _subtract(self, a: int, b: int) -> int:
        left, right = self.node(a), self.node(b)
        if right.operation == "negate":
            return self._add(a, right.arguments[0])
        if left.operation == "negate":
            return self._negate(self._add(left.arguments[0], b))
        if self.is_constant(b, 0.0):
            return a
        if self.is_constant(a, 0.0):
            return self._negate(b)
        for first, second, sign in ((a, b, 1), (b, a, -1)):
            fused = self._log_probability(first, second)
            if fused is None and self.is_constant(first, 1.0):
                fused = self._complement_of(second)
            if fused is not None:
                return fused if sign > 0 else self._negate(fused)
        rest = self._shifted_difference(a, b)
        return self.graph.add("subtract", a, b) if rest is None else rest

    def _shifted_difference(self, a: int, b: int) -> int | None:
        """a - b where a number that both contain goes away, or where all but a number makes a log-probability."""
        left, right = self.node(a), self.node(b)
        if left.operation == right.operation == "subtract" and left.arguments[1] == right.arguments[1]:
            return self._subtract(left.arguments[0], right.arguments[0])
        if right.operation == "subtract":
            fused = self._log_probability(a, right.arguments[0])
            if fused is not None:
                return self._add(fused, right.arguments[1])
        if left.operation == "subtract":
            fused = self._log_probability(left.arguments[0], b)
            if fused is not None:
                return self._subtract(fused, left.arguments[1])
        if right.operation == "add":
            for first, second in (right.arguments, right.arguments[::-1]):
                fused = self._log_probability(a, first)
                if fused is not None:
                    return self._subtract(fused, second)
        return None

    def _multiply(self, a: int, b: int) -> int:
        if self.is_constant(a, 1.0):
            return b
        if self.is_constant(b, 1.0):
            return a
        if self.is_(a, "negate"):
            return self._negate(self._multiply(self.node(a).arguments[0], b))
        if self.is_(b, "negate"):
            return self._negate(self._multiply(a, self.node(b).arguments[0]))
        return self.graph.add("multiply", a, b)

    def _divide(self, a: int, b: int) -> int:
        left, right = self.node(a), self.node(b)
        if self.is_constant(b, 1.0):
            return a
        if left.operation == "negate":
            return self._negate(self._divide(left.arguments[0], b))
        if right.operation == "sum" and self.is_(right.arguments[0], "exp"):
            z = self.node(right.arguments[0]).arguments[0]
            if left.operation == "exp" and left.arguments[0] == z:
                return self._softmax(z)
            if left.operation == "exp":
                picked = self.node(left.arguments[0])
                if picked.operation == "take" and picked.arguments[0] == z:
                    return self._take(self._softmax(z), picked.arguments[1])
        return self.graph.add("divide", a, b)

    def _mean(self, a: int) -> int:
        node = self.node(a)
        return (
            self._negate(self._mean(node.arguments[0])) if node.operation == "negate" else self.graph.add("mean", a)
        )

    # -- picks: at the leaves, so that what is done to all classes is done to one of them ----------------------

    def _take(self, a: int, y: int) -> int:
        node = self.node(a)
        if self.kind(a) != CLASS:
            return a
        if node.operation in BINARY or node.operation in ELEMENTWISE or node.operation in ("negate", "power"):
            return self.make(node, [self._take(argument, y) for argument in node.arguments])
        return self.graph.add("take", a, y)

    def _at_pick(self, operation: str, a: int, fuse: Callable[[int], int]) -> int:
        """f(take(x, y)) as take(f(x), y) where f(x) fuses, else f of `a`."""
        if self.is_(a, "take"):
            inner, y = self.node(a).arguments
            outer = fuse(inner)
            if not self.is_(outer, operation):
                return self._take(outer, y)
        return self.graph.add(operation, a)

    # -- softmax and its kin -----------------------------------------------------------------------------------

    def _unshifted(self, a: int) -> int:
        """a without what all its classes have in common: softmax is the same without it."""
        node = self.node(a)
        if node.operation == "subtract" and self.kind(node.arguments[1]) != CLASS:
            return self._unshifted(node.arguments[0])
        if node.operation == "add":
            for own, other in (node.arguments, node.arguments[::-1]):
                if self.kind(other) != CLASS:
                    return self._unshifted(own)
        return node.arguments[0] if node.operation == "log_softmax" else a

    def _softmax(self, a: int) -> int:
        return self.graph.add("softmax", self._unshifted(a))

    def _log_softmax(self, a: int) -> int:
        return self.graph.add("log_softmax", self._unshifted(a))

    def _logsumexp(self, a: int) -> int:
        node = self.node(a)
        if node.operation == "subtract" and self.kind(node.arguments[1]) != CLASS:
            return self._subtract(self._logsumexp(node.arguments[0]), node.arguments[1])
        if node.operation == "add":
            for own, other in (node.arguments, node.arguments[::-1]):
                if self.kind(other) != CLASS:
                    return self._add(self._logsumexp(own), other)
        return self.graph.add("logsumexp", a)

    def _log_probability(self, a: int, b: int) -> int | None:
        """a - b where that is a log-probability, or the mean of them."""
        left, right = self.node(a), self.node(b)
        if right.operation != "logsumexp":
            return None
        z = right.arguments[0]
        if a == z:
            return self._log_softmax(z)
        if left.operation == "mean" and left.arguments[0] == z:
            return self.graph.add("mean", self._log_softmax(z))
        # Picks stand at the leaves: the pick of z is looked for in the form that it has there.
        labels = self.graph.known(Node("input", (), "y"))
        if labels is not None and self.kind(a) != CLASS and a == self._take(z, labels):
            return self._take(self._log_softmax(z), labels)
        return None

    def _complement_of(self, a: int) -> int | None:
        """1 - a where a is a probability, or a rest."""
        node = self.node(a)
        if node.operation == "softmax":
            return self.graph.add(COMPLEMENT, node.arguments[0])
        if node.operation == COMPLEMENT:
            return self._softmax(node.arguments[0])
        if node.operation == "take":
            inner = self._complement_of(node.arguments[0])
            return None if inner is None else self._take(inner, node.arguments[1])
        return None

    # -- exponentials and logarithms ---------------------------------------------------------------------------

    def _exp(self, a: int) -> int:
        node = self.node(a)
        if node.operation == "log_softmax":
            return self._softmax(node.arguments[0])
        if node.operation == "log" and self._is_positive(node.arguments[0]):
            return node.arguments[0]
        return self._at_pick("exp", a, self._exp)

    def _expm1(self, a: int) -> int:
        node = self.node(a)
        if node.operation == "log_softmax":
            return self._negate(self.graph.add(COMPLEMENT, node.arguments[0]))
        return self._at_pick("expm1", a, self._expm1)

    def _log(self, a: int) -> int:
        node = self.node(a)
        if node.operation == "softmax":
            return self._log_softmax(node.arguments[0])
        if node.operation == "exp":
            return node.arguments[0]
        if node.operation == "sum" and self.is_(node.arguments[0], "exp"):
            return self._logsumexp(self.node(node.arguments[0]).arguments[0])
        if node.operation == "divide" and all(map(self._is_positive, node.arguments)):
            first, second = node.arguments
            below = self._log(second)
            return self._negate(below) if self.is_constant(first, 1.0) else self._subtract(self._log(first), below)
        if node.operation == "power" and self._is_positive(node.arguments[0]):
            return self._multiply(self.graph.constant(float(node.value or 0.0)), self._log(node.arguments[0]))
        return self._at_pick("log", a, self._log)

    def _log1p(self, a: int) -> int:
        node = self.node(a)
        rest = self._complement_of(node.arguments[0]) if node.operation == "negate" else None
        return self.graph.add("log1p", a) if rest is None else self._log(rest)

    def _is_positive(self, a: int) -> bool:
        """Whether the value is known to lie above 0, whatever the logits."""
        node = self.node(a)
        if node.operation == "constant":
            return float(node.value or 0.0) > 0.0
        if node.operation in ("multiply", "divide", "add", "power", "sum", "mean", "max"):
            return all(map(self._is_positive, node.arguments))
        if node.operation == "take":
            return self._is_positive(node.arguments[0])
        if node.operation == "input":
            return node.value == "q"
        return node.operation in ("exp", "softmax", COMPLEMENT)


def merged(expression: Expression, names: dict[str, str]) -> Expression:
    """The formula as it was written, equal nodes computed once."""
    graph, result = rebuilt(expression, names)
    return graph.expression(result, expression.text)
