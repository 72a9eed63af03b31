"""formula: a user's own mathematics, an expression graph read over an algebra.

The graph is evaluated in its canonical form, so that the enclosure keeps the digits whatever the author's spelling;
the gradient is taken by a tape. Sound code is judged against the canonical form first, then against the steps in
which log-probabilities and probabilities may be formed, and last against the formula as it was written.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic

import numpy as np

from gradaudit.functions.canonical import COMPLEMENT, Steps, canonical, merged, spelled
from gradaudit.functions.expressions import (
    CLASS,
    INPUTS,
    ROW,
    inputs_of,
    kind_of_result,
)
from gradaudit.functions.interface import LOGIT_PARAMETERS, Formula, Function, Parameter, Spelling
from gradaudit.functions.rows import Rows
from gradaudit.numerics.algebra import Algebra, N
from gradaudit.records.case import FORMULA
from gradaudit.records.expression import Expression, Node

PARAMETERS = (
    *LOGIT_PARAMETERS,
    Parameter("reduction", "choice", "mean", "how the rows' losses are combined", choices=("none", "mean", "sum")),
    Parameter("weight", "floats", None, "one weight for each class, w in the formula", minimum=0.0),
    Parameter("ignore_index", "int", -100, "a label whose rows take no part"),
)
"""What a formula has beside its text and its constants."""

SHIFT_INVARIANT = ("softmax", "log_softmax", COMPLEMENT)
"""Operations that a number added to all logits does not change."""

EXACT_BITS = 8
"""Significant bits of bfloat16: a constant that has no more is the same number in every dtype."""

OPERATORS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "negate": operator.neg,
}

_STEPS = (
    ("1 - p", Steps()),
    ("p = exp(log p)", Steps(p_by_exp=True)),
    ("1 - p = -expm1(log p)", Steps(rest_by_expm1=True)),
)


@lru_cache(maxsize=64)
def function(expression: Expression) -> Function:
    """The function that a formula spells; FormulaError where its result is neither a loss nor an activation."""
    names = names_in(expression)
    kind = kind_of_result(expression, names)
    fused = canonical(expression, names)
    read = inputs_of(expression)
    zero = _is_shift_invariant(fused)
    output = _Interpreted(fused)
    return Function(
        name=FORMULA,
        summary="A formula of the user's.",
        formula=expression.text,
        gradient_formula="by reverse-mode differentiation of the formula",
        jacobian="by reverse-mode differentiation of the formula",
        invariants=("adding a constant to the logits changes nothing", "every gradient row adds up to 0")
        if zero
        else (),
        source='the user\'s formula; bounds: docs/numerics.md, "Formulas"',
        parameters=PARAMETERS,
        formulations=(),
        takes_targets=bool(read & {"y", "q"}),
        has_row_output=kind == ROW,
        gradient_row_sum="zero" if zero else "varies",
        output=output,
        spellings=_spellings(expression, fused, output),
        targets="indices" if "y" in read else "probabilities" if "q" in read else "any",
    )


def evaluated(expression: Expression) -> Formula:
    """The expression as a formula over any algebra."""
    return _Interpreted(expression)


def names_in(expression: Expression) -> dict[str, str]:
    """The kinds of the names that the expression reads; what is no input of ours is one number per class."""
    return dict.fromkeys(inputs_of(expression), CLASS) | INPUTS


def _spellings(expression: Expression, fused: Expression, output: Formula) -> tuple[Spelling, ...]:
    names = names_in(expression)
    found: dict[tuple[Node, ...], Spelling] = {fused.nodes: Spelling("fused", output)}
    for name, steps in _STEPS:
        graph = spelled(fused, names, steps)
        found.setdefault(graph.nodes, Spelling(name, _Interpreted(graph)))
    written = merged(expression, names)
    last = Spelling("as written", _Interpreted(written), looser=True, common_offset=True, alone=True)
    found.setdefault(written.nodes, last)
    return tuple(found.values())


def _is_shift_invariant(fused: Expression) -> bool:
    """Whether the logits are read by operations alone that a common shift does not change."""
    logits = {i for i, node in enumerate(fused.nodes) if node.operation == "input" and node.value == "z"}
    readers = [node for node in fused.nodes if logits & set(node.arguments)]
    return all(node.operation in SHIFT_INVARIANT for node in readers)


class _Interpreted:
    """An expression as a formula over any algebra."""

    def __init__(self, expression: Expression) -> None:
        self.expression = expression

    def __call__(self, m: Algebra[N], rows: Rows[N]) -> N:
        """The value of every row, [rows, 1] or [rows, n]; 0 in rows that are ignored."""
        result = _Interpreter(m, rows, self.expression.nodes).value()
        return result if rows.counted is None else m.where(rows.counted, result, m.exact(0.0))


class _Interpreter(Generic[N]):
    """One walk over the nodes, in their order, that makes what the result needs."""

    def __init__(self, m: Algebra[N], rows: Rows[N], nodes: tuple[Node, ...]) -> None:
        self.m = m
        self.rows = rows
        self.nodes = nodes
        self.values: dict[int, N] = {}
        self.functions: dict[str, Callable[[N], N]] = {
            "exp": m.exp,
            "log": m.log,
            "log1p": m.log1p,
            "expm1": m.expm1,
            "tanh": m.tanh,
            "sqrt": m.sqrt,
            "logsumexp": m.logsumexp,
            "softmax": m.softmax,
            "log_softmax": m.log_softmax,
            "sum": m.sum,
            "mean": m.mean,
            "max": m.maximum,
            COMPLEMENT: m.complement,
        }

    def value(self) -> N:
        """The value of the last node."""
        needed = {len(self.nodes) - 1}
        for position in range(len(self.nodes) - 1, -1, -1):
            if position in needed:
                needed.update(self._needs(self.nodes[position]))
        for position in sorted(needed):
            self.values[position] = self._of(self.nodes[position])
        return self.values[len(self.nodes) - 1]

    def _needs(self, node: Node) -> tuple[int, ...]:
        if node.operation != "take":
            return node.arguments
        picked = self.nodes[node.arguments[0]]
        # A log-probability of one class has a bound of its own, and costs no more than one class.
        return picked.arguments if picked.operation in ("log_softmax", COMPLEMENT) else node.arguments[:1]

    def _of(self, node: Node) -> N:
        m = self.m
        if node.operation == "constant":
            return self._number(float(node.value or 0.0))
        if node.operation == "input":
            return self._input(str(node.value))
        if node.operation == "take":
            return self._picked(node)
        if node.operation == "power":
            return m.power(self.values[node.arguments[0]], float(node.value or 0.0))
        values = [self.values[position] for position in node.arguments]
        if node.operation == "log" and self._is_mass(node.arguments[0]) and self.rows.support is not None:
            # 0 log 0 = 0, the limit of t log t.
            return m.log(m.where(self.rows.support, values[0], m.exact(1.0)))
        result: N = OPERATORS[node.operation](*values) if node.operation in OPERATORS else self._called(node, *values)
        return result

    def _called(self, node: Node, value: N) -> N:
        return self.functions[node.operation](value)

    def _is_mass(self, position: int) -> bool:
        """Whether a value is a multiple of the target probabilities."""
        node = self.nodes[position]
        if node.operation in ("multiply", "divide"):
            return self._is_mass(node.arguments[0])
        return node.operation == "input" and node.value == "q"

    def _picked(self, node: Node) -> N:
        m, labels = self.m, self.rows.labels
        assert labels is not None, "a formula with y has class indices; the spec was validated"
        picked = self.nodes[node.arguments[0]]
        if picked.operation == "log_softmax":
            return m.log_softmax(self.values[picked.arguments[0]], labels)
        if picked.operation == COMPLEMENT:
            return m.complement(self.values[picked.arguments[0]], labels)
        return m.take(self.values[node.arguments[0]], labels)

    def _number(self, value: float) -> N:
        mantissa, _ = np.frexp(value)
        short = float(mantissa) * 2.0**EXACT_BITS == round(float(mantissa) * 2.0**EXACT_BITS)
        return self.m.exact(value) if short else self.m.parameter(value)

    def _input(self, name: str) -> N:
        m, rows = self.m, self.rows
        if name == "z":
            return rows.z
        if name == "n":
            return m.exact(float(m.shape(rows.z)[-1]))
        if name == "q":
            assert rows.targets is not None
            assert rows.targets.dense is not None, "a formula with q has target probabilities"
            return rows.targets.dense
        return self._per_class(name) * m.parameter(1.0)

    def _per_class(self, name: str) -> N:
        """One number per class: the class weights, or a constant of the user's without the masked classes."""
        parameters = self.rows.parameters
        if name == "w":
            values = np.asarray(parameters["weight"], dtype=np.float64)
        else:
            constants, masked = parameters.get("constants"), parameters.get("masked_classes")
            assert isinstance(constants, tuple), "pairs of a name and a value"
            values = np.delete(np.asarray(dict(constants)[name], dtype=np.float64), list(masked or ()))  # type: ignore[call-overload]
        return self.m.exact(values[None, :])
