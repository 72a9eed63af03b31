"""Equal formulas become one, and the canonical form means what was written."""

from __future__ import annotations

import numpy as np
import pytest

from gradaudit.functions.canonical import Steps, canonical, merged, spelled
from gradaudit.functions.expressions import CLASS, INPUTS, MOST_NODES, FormulaError, Graph, written
from gradaudit.functions.formula import evaluated, names_in
from gradaudit.numerics import arb_algebra
from gradaudit.numerics.arb_algebra import ArbAlgebra
from gradaudit.specs.formula import parse
from tests.functions import random_formulas

CONSTANTS = {"c": 30.0, "eps": 0.1}

LOSS = "-take(log_softmax(z), y)"
FOCAL = "-((take(complement(z), y)**2) * take(log_softmax(z), y))"

EQUAL = {
    LOSS: (
        "logsumexp(z) - take(z, y)",
        "-take(log(softmax(z)), y)",
        "-log(take(softmax(z), y))",
        "log(1 / take(softmax(z), y))",
        "log(sum(exp(z))) - z[y]",
        "log(sum(exp(z - max(z)))) - take(z - max(z), y)",
        "max(z) + log(sum(exp(z - max(z)))) - take(z, y)",
        "-log(exp(take(z, y)) / sum(exp(z)))",
        "0 - 1 * take(z - logsumexp(z), y) / 1",
    ),
    FOCAL: (
        "-(1 - take(softmax(z), y))**2 * log(take(softmax(z), y))",
        "-(1 - exp(take(log_softmax(z), y)))**2 * take(log_softmax(z), y)",
        "(-expm1(take(z, y) - logsumexp(z)))**2 * (logsumexp(z) - take(z, y))",
        "take(-(1 - softmax(z))**2 * log(softmax(z)), y)",
    ),
    "softmax(z)": ("exp(z) / sum(exp(z))", "exp(z - logsumexp(z))", "exp(log(softmax(z)))", "softmax(z - max(z))"),
    "-take(log_softmax(30 * tanh(z / 30)), y)": ("logsumexp(c * tanh(z / c)) - take(c * tanh(z / c), y)",),
    "-log(take(complement(z), y))": ("-log1p(-take(softmax(z), y))",),
    "-mean(log_softmax(z))": ("logsumexp(z) - mean(z)", "mean(-log(softmax(z)))"),
    "sum(q * (log(q) - log_softmax(z)))": ("sum(q * log(q / softmax(z)))",),
}


@pytest.mark.parametrize(("form", "text"), [(form, text) for form, texts in EQUAL.items() for text in texts])
def test_equal_formulas_have_one_form(form: str, text: str) -> None:
    expression = parse(text, CONSTANTS)
    assert written(canonical(expression, names_in(expression))) == form


@pytest.mark.parametrize("seed", range(120))
def test_the_canonical_form_means_what_was_written(seed: int) -> None:
    random = np.random.default_rng(seed)
    text = f"({random_formulas.of_rows(random, 3)}) + 0 * logsumexp(z)"
    expression = parse(text, dict(random_formulas.CONSTANTS))
    names = names_in(expression)
    forms = [merged(expression, names), canonical(expression, names)]
    forms += [spelled(forms[1], names, steps) for steps in (Steps(), Steps(p_by_exp=True), Steps(rest_by_expm1=True))]
    with arb_algebra.precision():
        m = ArbAlgebra()
        rows = random_formulas.rows(m, random.normal(size=(3, 5)), random.integers(0, 5, 3))
        exact, *others = [evaluated(form)(m, rows) for form in forms]
        assert all(value.is_finite() for value in exact.ravel()), text
        for other in others:
            assert other.shape == exact.shape == (3, 1), text
            assert all(a.overlaps(b) for a, b in zip(exact.ravel(), other.ravel(), strict=True)), text


def test_equal_nodes_are_computed_once() -> None:
    expression = parse("logsumexp(z) * logsumexp(z) + logsumexp(z)", {})
    assert [node.operation for node in merged(expression, INPUTS).nodes].count("logsumexp") == 1


def test_a_graph_has_a_largest_size() -> None:
    graph = Graph({"z": CLASS})
    last = graph.add("input", value="z")
    for _ in range(MOST_NODES - 1):
        last = graph.add("negate", last)
    with pytest.raises(FormulaError, match="more than 1,000 operations"):
        graph.add("negate", last)


def test_logarithms_are_split_only_where_both_sides_are_positive() -> None:
    expression = parse("mean(log((z - 1) / (z - 2)))", {})
    assert written(canonical(expression, INPUTS)) == "mean(log((z - 1) / (z - 2)))"
