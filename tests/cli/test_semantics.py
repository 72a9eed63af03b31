"""`gradaudit check --semantics`: the answers are the frameworks' own, and what cannot be asked is told."""

import json

import numpy as np
import pytest

from gradaudit import semantics
from gradaudit.measurement.answers import answer
from gradaudit.pipeline import Settings
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.semantics import AnsweredQuestion, SemanticTable
from gradaudit.reports import semantic_table
from gradaudit.specs import semantic_questions


@pytest.fixture(scope="module")
def of_torch():
    """Question -> the answer of torch's cross entropy."""
    table = semantics.semantic_table(Settings(), ["torch"])
    return {question.name: question.answers[0] for question in table.questions}


@pytest.mark.parametrize(
    ("question", "loss", "gradient"),
    [
        ("all rows ignored, mean", "NaN", "all 0"),
        ("-inf logit of another class", "0.3133", "[[0.2689, -0.2689, 0]]"),
        ("-inf logit of the label", "inf", "[[0.2689, 0.7311, -1]]"),
        ("a row of -inf alone", "NaN", "all NaN"),
        ("soft targets of zero", "0", "all 0"),
        ("an empty batch, mean", "NaN", "[]"),
        ("one class", "0", "[[0]]"),
    ],
)
def test_torch_answers(of_torch, question, loss, gradient):
    given = of_torch[question]
    assert (given.loss, given.gradient, given.refused, given.missing) == (loss, gradient, "", "")


def test_what_torch_refuses_is_told_in_its_own_words(of_torch):
    assert "IndexError: Target 3 is out of bounds." in of_torch["a label beyond the classes"].refused


def test_every_question_is_put_to_somebody_and_has_a_name_of_its_own():
    names = [question.name for question in semantic_questions.QUESTIONS]
    assert len(set(names)) == len(names)
    assert all(question.asks for question in semantic_questions.QUESTIONS)
    assert set(semantic_questions.backends()) == {"torch", "onnxruntime", "tensorflow", "jax", "mxnet"}


def test_an_array_that_is_too_long_to_be_written_out_keeps_its_nans():
    key = EvaluationKey("x", "torch", "custom", "float32", 1.0)
    gradient = np.arange(14.0).reshape(2, 7)
    for undefined, words in ((0, "14 numbers from 0 to 13"), (2, "14 numbers from 0 to 11, 2 of them NaN")):
        gradient.flat[14 - undefined :] = np.nan
        told = answer("f()", "torch", Evaluation(key, np.float32(1.5), gradient, None, 0.0))
        assert (told.loss, told.gradient) == ("1.5", words)


def test_calls_that_answer_alike_share_a_paragraph():
    key = EvaluationKey("x", "torch", "custom", "float32", 1.0)
    raised = EvaluationFailure(key, "raised", "ValueError:\n  no")
    missing = EvaluationFailure(key, "missing", "it is not there")
    answers = (answer("h()", "jax", missing), answer("f()", "torch", raised), answer("g()", "torch", raised))
    table = SemanticTable((AnsweredQuestion("a question", "logits [1.0]", "left open", answers),), ())
    lines = semantic_table.text(table, 80).splitlines()[2:]
    assert lines == [
        "a question",
        "  logits [1.0]; left open",
        "    refuses: ValueError: no",
        "      f(), g()",
        "    not asked: it is not there",
        "      h()",
    ]


def test_the_flag_prints_the_table_as_text_markdown_and_json(cli):
    text = cli("check", "--semantics", "--backend", "torch")
    assert text.status == 0
    assert "all rows ignored, mean\n" in text.out
    document = json.loads(cli("check", "--semantics", "--backend", "torch", "--output-format", "json").out)
    assert [each["name"] for each in document["backends"]] == ["torch"]
    page = cli("check", "--semantics", "--backend", "torch", "--output-format", "markdown").out
    assert "| torch F.cross_entropy() | inf; gradient [[0.2689, 0.7311, -1]] |" in page


def test_who_has_no_loss_of_its_own_is_not_asked(cli):
    result = cli("check", "--semantics", "--backend", "numpy")
    assert result.status == 2
    assert "--semantics asks torch" in result.err


def test_a_format_that_the_table_has_not_is_refused(cli):
    result = cli("check", "--semantics", "--backend", "torch", "--output-format", "junit")
    assert result.status == 2
    assert "--semantics prints full, json, markdown" in result.err
