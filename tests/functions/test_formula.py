"""Formulas are enclosed like the functions they spell, by balls of float64 and by arb."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest

from gradaudit.functions import registry
from gradaudit.functions.formula import PARAMETERS, function
from gradaudit.records.case import FORMULA
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.reference.special_values import Enclosed
from gradaudit.reference.truth import Truth
from gradaudit.specs.formula import parse

LOGITS = {"temperature": 1.0, "logit_scale": 1.0, "masked_classes": ()}
INDICES = {**LOGITS, "ignore_index": -100}
PLAIN = {**INDICES, "label_smoothing": 0.0, "weight": None}

BUILT_IN: tuple[tuple[str, dict[str, object], str, dict[str, object]], ...] = (
    ("logsumexp(z) - take(z, y)", {}, "cross_entropy", PLAIN),
    ("-log(take(exp(z) / sum(exp(z)), y))", {}, "cross_entropy", PLAIN),
    (
        "-(1 - eps) * take(log_softmax(z), y) - eps * mean(log_softmax(z))",
        {"eps": 0.1},
        "cross_entropy",
        {**PLAIN, "label_smoothing": 0.1},
    ),
    ("sum(q * log(q / softmax(z)))", {}, "kl_divergence", LOGITS),
    ("softmax(z)", {}, "softmax", LOGITS),
    ("z - logsumexp(z)", {}, "log_softmax", LOGITS),
    ("max(z) + log(sum(exp(z - max(z))))", {}, "logsumexp", LOGITS),
    ("-(1 - take(softmax(z), y)) ** g * log(take(softmax(z), y))", {"g": 2.0}, "focal", {**INDICES, "gamma": 2.0}),
    ("take(-log_softmax(z), y) + e * (1 - take(softmax(z), y))", {"e": 1.5}, "poly", {**INDICES, "epsilon": 1.5}),
    ("c * tanh(z / c)", {"c": 20.0}, "softcap", {**LOGITS, "cap": 20.0}),
    ("-take(log_softmax(z), y) + a * logsumexp(z) ** 2", {"a": 0.01}, "z_loss", {**INDICES, "coefficient": 0.01}),
)


def enclosed(call: FunctionCall, targets: np.ndarray | None, z: np.ndarray, dtype: str) -> tuple[Enclosed, Enclosed]:
    """Output and gradient, before any reduction, under an upstream gradient of ones."""
    row_output = registry.of_call(call).has_row_output
    upstream = np.ones(len(z) if row_output else z.shape, dtype)
    truth = Truth(Inputs(call, dtype, 1.0, (1,), z.astype(dtype), targets, upstream, False, None))
    (block,) = truth.blocks()
    return block.output, truth.gradient(block, None)


def called(text: str, constants: dict[str, object], **parameters: object) -> FunctionCall:
    """The call of a formula."""
    given = {parameter.name: parameter.default for parameter in PARAMETERS}
    own = {**given, "reduction": "none", "formula": text, "constants": tuple(constants.items()), **parameters}
    return FunctionCall(FORMULA, MappingProxyType(own), parse(text, constants))


@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0])
@pytest.mark.parametrize(("text", "constants", "name", "parameters"), BUILT_IN, ids=[case[0] for case in BUILT_IN])
def test_a_formula_is_enclosed_like_the_function_that_it_spells(
    text: str, constants: dict[str, object], name: str, parameters: dict[str, object], spread: float
) -> None:
    random = np.random.default_rng(3)
    z, labels = random.normal(size=(6, 9)) * spread, random.integers(0, 9, 6)
    defaults = {parameter.name: parameter.default for parameter in registry.get(name).parameters}
    known = {key: value for key, value in parameters.items() if key in defaults}
    assert known == parameters, f"{name} has {sorted(defaults)}"
    built_in = FunctionCall(name, MappingProxyType({**defaults, **known, "reduction": "none"}))
    takes = registry.get(name).takes_targets
    dense = random.dirichlet(np.ones(9), 6).astype(np.float32)
    targets = None if not takes else dense if name == "kl_divergence" else labels
    ours = enclosed(called(text, constants), targets, z, "float32")
    theirs = enclosed(built_in, targets, z, "float32")
    for own, other in zip(ours, theirs, strict=True):
        apart = np.abs(own.mid - other.mid)
        assert (apart <= own.rad + other.rad).all()
        # Of comparable size: what the formula costs is a few roundings of the same terms.
        assert np.median(own.rad) <= 16.0 * np.median(other.rad)


@pytest.mark.parametrize(
    "text", ["(1 - take(softmax(z), y)) ** 1.5 * logsumexp(tanh(z))", "sqrt(1 + z ** 2) * w1 - n"]
)
def test_balls_and_arb_agree(text: str) -> None:
    random = np.random.default_rng(5)
    call = called(text, {"w1": (1.0, 0.5, 2.0)})
    z = random.normal(size=(4, 3)).astype(np.float32)
    labels = random.integers(0, 3, 4)
    for narrow, wide in zip(enclosed(call, labels, z, "float32"), enclosed(call, labels, z, "float64"), strict=True):
        low = 0.0 if wide.low is None else wide.low
        assert (np.abs(narrow.mid - wide.mid - low) <= narrow.rad + wide.rad).all()
        assert (wide.rad <= 1e-25 * np.maximum(np.abs(wide.mid), 1e-6)).all()


def test_ignored_rows_are_exactly_zero() -> None:
    z = np.array([[1.0, 2.0], [1e30, 0.0]])
    output, gradient = enclosed(called("logsumexp(z) ** 4 - take(z, y)", {}), np.array([1, -100]), z, "float32")
    assert output.mid[1] == 0.0
    assert (gradient.mid[1] == 0.0).all()
    assert (gradient.rad[1] < np.finfo(np.float64).tiny).all()


def test_masked_classes_take_their_constants_with_them() -> None:
    z = np.array([[1.0, 7.0, 2.0]])
    whole = called("sum(c * z)", {"c": (1.0, 10.0, 100.0)}, masked_classes=(1,))
    output, gradient = enclosed(whole, None, z, "float32")
    assert output.mid == pytest.approx(201.0)
    assert gradient.mid == pytest.approx(np.array([[1.0, 100.0]]))


def test_class_weights_are_w() -> None:
    weight = np.array([1.0, 3.0], np.float32)
    call = called("take(w, y) * take(z, y)", {}, weight=(1.0, 3.0))
    inputs = Inputs(
        *(call, "float32", 1.0, (1,), np.array([[5.0, 7.0]], np.float32), np.array([1])),
        upstream=np.ones(1, np.float32),
        per_output=False,
        weight=weight,
    )
    (block,) = Truth(inputs).blocks()
    assert block.output.mid == pytest.approx(21.0)


@pytest.mark.parametrize(
    ("text", "row_sum", "targets"),
    [
        ("logsumexp(z) - take(z, y)", "zero", "indices"),
        ("logsumexp(z)", "varies", "any"),
        ("sum(q * log_softmax(z)) + logsumexp(z) ** 2", "varies", "probabilities"),
    ],
)
def test_what_is_known_of_a_formula(text: str, row_sum: str, targets: str) -> None:
    found = function(parse(text, {}))
    assert (found.gradient_row_sum, found.targets) == (row_sum, targets)
    assert found.has_row_output


def test_the_spelling_of_the_author_comes_last() -> None:
    names = [
        spelling.name
        for spelling in function(parse("-(1 - take(softmax(z), y)) * log(take(softmax(z), y))", {})).spellings
    ]
    assert names == ["fused", "1 - p", "p = exp(log p)", "1 - p = -expm1(log p)", "as written"]
    assert [each.name for each in function(parse("-take(log_softmax(z), y)", {})).spellings] == ["fused"]
