"""Formulas as text: what they become, and what is said of everything else that may stand in one."""

from __future__ import annotations

import pytest

from gradaudit.errors import SpecError
from gradaudit.functions.expressions import written
from gradaudit.records.case import FORMULA, SELF
from gradaudit.specs.formula import UnreadableFormulaError, is_reference, parse
from gradaudit.specs.loading import load_text

CONSTANTS = {"gamma": 2.0, "prior": (0.5, 0.25, 0.25)}

READ = {
    "logsumexp(z) - take(z, y)": "logsumexp(z) - take(z, y)",
    "  m.logsumexp(z) - z[y] ": "logsumexp(z) - take(z, y)",
    "+z ** gamma": "z**2",
    "z**-gamma": "z**-2",
    "-(1 - softmax(z)) ** 0.5 / n": "(-((1 - softmax(z))**0.5)) / n",
    "take(z + log(prior), y) * 1e-3": "take(z + log(prior), y) * 0.001",
    "sum(q * z)": "sum(q * z)",
}

REFUSED = {
    "": (1, "it is empty; write for example logsumexp(z) - take(z, y)"),
    "z +": (1, "invalid syntax; expected one expression, for example logsumexp(z) - take(z, y)"),
    "logsumexp(x)": (11, "there is no 'x'; did you mean 'z'?; name numbers of your own under constants: {x: 2.0}"),
    "gama * z": (
        1,
        "there is no 'gama'; did you mean 'gamma'?; name numbers of your own under constants: {gama: 2.0}",
    ),
    "2 * softmx(z)": (5, "there is no function 'softmx'; did you mean 'softmax'?"),
    "lse(z)": (1, "there is no function 'lse'; did you mean 'logsumexp'?"),
    "z * logsumexp": (5, "logsumexp is a function; give it an argument, as in logsumexp(z)"),
    "take(z)": (1, "take takes 2 values, 1 came: take(a, y)"),
    "exp(z, z)": (1, "exp takes 1 value, 2 came: exp(a)"),
    "exp(*z)": (1, "exp takes 1 value, 1 came: exp(a)"),
    "sum(z, axis=1)": (1, "sum takes no keywords; a formula is about one row and all of its classes"),
    "2 * sum(take(z, y))": (5, "sum goes over the classes of a row, but its argument is one number per row"),
    "max(2) * z": (1, "max goes over the classes of a row, but its argument is the same number for every row"),
    "y * z": (1, "* of a label; a label is there to pick a class, as in take(z, y)"),
    "exp(y) * z": (1, "exp of a label; a label is there to pick a class, as in take(z, y)"),
    "z[0]": (1, "take(a, y) picks at a label, but its second argument is the same number for every row"),
    "take(max(z), y)": (1, "take(a, y) picks one class of a, but its first argument is one number per row"),
    "z ^ 2": (1, "^ is no power here; write **, as in a**2"),
    "1 - z(y)": (5, "z is a value and no function; its class at the label is z[y] or take(z, y)"),
    "prior(y) * z": (1, "prior is a value and no function; its class at the label is prior[y] or take(prior, y)"),
    "gamma(z)": (1, "gamma is a value and no function; a product is written with *"),
    "-softmax(z)(y)": (2, "the result of a call is a value and no function; the class of a at the label is a[y] or "),
    "2 (z)": (
        1,
        "a number is a value and no function; the class of a at the label is a[y] or take(a, y), a ",
    ),
    "(1 - z)(y)": (2, "an expression in parentheses is a value and no function; "),
    "z ** gama": (
        6,
        "there is no 'gama'; did you mean 'gamma'?; name numbers of your own under constants: {gama: 2.0} "
        "(declared there: gamma, prior)",
    ),
    "alpha * z": (
        1,
        "there is no 'alpha'; expected z, y, q, w, n, gamma or prior; name numbers of your own under constants: "
        "{alpha: 2.0} (declared there: gamma, prior)",
    ),
    "z ** z": (6, "an exponent is a number, or the name of a constant that is one"),
    "z ** prior": (6, "an exponent is a number, or the name of a constant that is one"),
    "1 + 2": (1, "the result is the same number for every row; expected one number per row, or one per class"),
    "y": (1, "the result is a label; expected one number per row, or one per class"),
    "sum(prior)": (1, "the result does not depend on the logits z"),
    "take(q * z, y)": (1, "both the label y and the target probabilities q; a case has one kind of targets"),
    "1e999 * z": (1, "a number beyond the range of float64"),
    "True * z": (1, "True is no real number"),
    "'a' * z": (1, "'a' is no real number"),
    "2j * z": (1, "2j is no real number"),
    "z.sum()": (1, "only functions by name can be called: exp, log, "),
    "z.T": (1, "an attribute has no meaning here; allowed are numbers, z, q, w, n, y, constants, + - * / **, "),
    "z if z else z": (1, "a condition has no meaning here; "),
    "z @ z": (1, "the operator MatMult has no meaning here; "),
    "~z": (1, "the operator Invert has no meaning here; "),
    "[z]": (1, "a List has no meaning here; "),
    "(lambda: z)()": (2, "only functions by name can be called: "),
    "z > 0": (1, "a comparison has no meaning here; "),
    "__import__('os').system('true')": (1, "only functions by name can be called: "),
    "exp(z": (4, "'(' was never closed; "),
    "-" * 500 + "z": (152, "nested more than 150 levels deep; split it"),
    "z" * 5000: (4001, "5,000 characters; at most 4,000 are read, write it as a Python function"),
    "\x00": (1, "source code string cannot contain null bytes; "),
}


@pytest.mark.parametrize(("text", "meaning"), READ.items())
def test_a_formula_becomes_a_graph(text: str, meaning: str) -> None:
    expression = parse(text, CONSTANTS)
    assert written(expression) == meaning
    assert expression.text == text


@pytest.mark.parametrize(("text", "column", "message"), [(text, *said) for text, said in REFUSED.items()])
def test_everything_else_is_refused_with_its_column(text: str, column: int, message: str) -> None:
    with pytest.raises(UnreadableFormulaError) as refused:
        parse(text, CONSTANTS)
    assert refused.value.column == column
    assert str(refused.value).startswith(f"column {column} of the formula: {message}")


@pytest.mark.parametrize("text", ["alpha * z", "z**alpha"])
def test_where_no_constant_is_declared_the_message_says_so(text: str) -> None:
    with pytest.raises(UnreadableFormulaError) as refused:
        parse(text, {})
    message = str(refused.value)
    assert "there is no 'alpha'" in message
    assert message.endswith("; name numbers of your own under constants: {alpha: 2.0} (none is yet)")


@pytest.mark.parametrize("text", ["losses.py:loss", "package.losses:Loss.formula", "../losses.py:loss"])
def test_a_reference_names_a_python_function(text: str) -> None:
    assert is_reference(text)


@pytest.mark.parametrize("text", ["z", "take(z, y)", "losses.py", "z[1:2]", "a b:c"])
def test_an_expression_is_no_reference(text: str) -> None:
    assert not is_reference(text)


HEAD = "version: 1\nlogits: [[0.1, 2, 3], [1, 2, 3]]\n"
SUBJECT = "subjects: {torch: losses:loss}\n"
LABELS = "targets: [0, 2]\n"

WRONG = (
    (
        "function: {formula: logsumexp(x)}\n" + LABELS,
        "3:21: function.formula: column 11 of the formula: there is no 'x'; did",
    ),
    ("function: {formula: 'take(z, y)'}\n", "3:21: function.formula: y stands for the labels; give targets:"),
    (
        "function: {formula: 'sum(q * z)'}\n" + LABELS,
        "3:21: function.formula: q stands for target probabilities, but the targets are indices; write y",
    ),
    (
        "function: {formula: 'take(w * z, y)'}\n" + LABELS,
        "3:21: function.formula: w stands for the class weights; give function.weight:",
    ),
    (
        "function: {formula: softmax(z), reduction: sum}\n",
        "3:44: function.reduction: 'sum' is for losses, but the formula has one output per class; remove it",
    ),
    (
        "function: {formula: c * z, constants: {c: [1, 2]}}\n",
        "3:40: function.constants.c: 2 numbers for 3 classes; give one number, or one for each class",
    ),
    (
        "function: {formula: z, constants: {exp: 1}}\n",
        "3:36: function.constants.exp: exp has a meaning of its own in formulas; choose another name",
    ),
    (
        "function: {formula: z, constants: {c: .inf}}\n",
        "3:36: function.constants.c: .inf is no finite number, nor a list of one for each class",
    ),
    (
        "function: {formula: z, gamma: 2}\n",
        "3:24: unknown key 'gamma' of formula; there are temperature, logit_scale, masked_classes, reduction, "
        "weight, ignore_index, formula, constants",
    ),
    (
        "function: {formula: z}\nbackends: torch\n",
        "4:11: backends: no backend has a formula built in; remove them, and give subjects:",
    ),
    (
        "function: self\nbackends: torch\n",
        "4:11: backends: no backend has a function that is audited against itself built in; remove them, and give",
    ),
    ("function: {name: self, output: loss, temperature: 2}\n", "3:38: unknown key 'temperature' of self; there are"),
    (
        "function: {name: self, output: activation, reduction: mean}\n",
        "3:55: function.reduction: 'mean' is for losses, but an activation has one output per class; remove it",
    ),
    (
        "function: self\nupstream: per_output\n",
        "4:11: upstream: per_output asks for a Jacobian, and function: self follows one number along directions; ",
    ),
    (
        "formula: z\n",
        "3:1: unknown key 'formula'; it is a parameter of the function: function: {name: ..., formula: ...}",
    ),
)


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_does_not_fit_is_said_where_it_stands(text: str, message: str) -> None:
    with pytest.raises(SpecError) as refused:
        load_text(HEAD + text + SUBJECT, "spec.yaml")
    assert str(refused.value).startswith(f"spec.yaml:{message}")


@pytest.mark.parametrize("function", ["self", "{formula: z}"])
def test_there_has_to_be_something_to_audit(function: str) -> None:
    with pytest.raises(SpecError, match=r"^spec.yaml:3:11: function: .* is what functions of your own are"):
        load_text(f"{HEAD}function: {function}\n", "spec.yaml")


def test_a_formula_of_a_spec_is_read() -> None:
    (case,) = load_text(
        HEAD + SUBJECT + LABELS + "function: {formula: 'c * take(z, y)', constants: {c: 2}}\n", "spec.yaml"
    )
    assert case.function.name == FORMULA
    assert case.function.expression is not None
    assert written(case.function.expression) == "2 * take(z, y)"
    assert case.function.parameters["reduction"] == "mean"
    assert case.function.parameters["constants"] == (("c", 2.0),)


def test_an_activation_has_no_reduction() -> None:
    (case,) = load_text(HEAD + SUBJECT + "function: {formula: softmax(z)}\nupstream: random\n", "spec.yaml")
    assert case.function.parameters["reduction"] == "none"
    assert case.upstream.source is not None
    assert case.upstream.source.shape == (2, 3)  # type: ignore[union-attr]


def test_a_python_formula_is_not_called_while_the_spec_is_read() -> None:
    text = "function: {formula: 'nowhere.py:loss'}\n"
    (case,) = load_text(HEAD + SUBJECT + LABELS + text, "spec.yaml")
    assert case.function.expression is None
    assert case.function.parameters["formula"] == "nowhere.py:loss"


@pytest.mark.parametrize(("targets", "output", "reduction"), [(LABELS, "loss", "mean"), ("", "activation", "none")])
def test_self_is_a_loss_where_there_are_targets(targets: str, output: str, reduction: str) -> None:
    subjects = "subjects: [{numpy: 'numpy:exp'}]\n"
    (case,) = load_text(HEAD + targets + subjects + "function: self\n", "spec.yaml")
    assert case.function.name == SELF
    assert (case.function.parameters["output"], case.function.parameters["reduction"]) == (output, reduction)
    assert len(case.probes) <= 1
