"""framework_configs/: every framework answers in one report, and their faults are found without being expected."""

import re

import pytest

from gradaudit.pipeline import Settings, audit
from gradaudit.records.report import Report
from gradaudit.specs.loading import load_text
from tests.end_to_end.conftest import PROJECT, run
from tests.end_to_end.readme import README, blocks, printed, without_numbers

pytestmark = pytest.mark.frameworks

CONFIGS = PROJECT / "framework_configs"
EVERY = ("numpy", "torch", "onnxruntime", "mxnet", "tensorflow", "jax")
_EXPECT = re.compile(r"^    expect:.*\n(?:      .*\n)*", re.MULTILINE)


def unaided(name: str) -> Report:
    """The report of a file without its expectations."""
    text = (CONFIGS / name).read_text(encoding="utf-8")
    stripped, count = _EXPECT.subn("", text)
    assert count
    assert "expect:" not in re.sub(r"#.*", "", stripped)
    return audit(load_text(stripped, name), Settings())


def errors(report: Report) -> set[tuple[str, str, str]]:
    """Case, code, and the subject with its formulation, of every error."""
    return {
        (case.case.name, finding.code, f"{finding.subject} {finding.formulation}")
        for case in report.cases
        for finding in case.findings
        if finding.severity == "error"
    }


@pytest.fixture(scope="module")
def four_questions() -> Report:
    return unaided("four_questions.yaml")


def test_the_four_questions_are_answered_by_all_six(four_questions):
    for case in four_questions.cases:
        assert not case.failures
        assert {measurement.key.backend for measurement in case.measurements} == set(EVERY)


def test_the_forum_s_numbers_come_from_mxnet_itself(four_questions):
    (case,) = [each for each in four_questions.cases if each.case.name == "1: each output by itself"]
    (mxnet,) = [each for each in case.measurements if each.key.backend == "mxnet"]
    got = mxnet.jacobian.values.got.astype(float).reshape(2, 2)
    assert got.round(5).tolist() == [[0.11318, -0.11318], [-0.11318, 0.11318]]


def test_nobody_is_accused_but_the_unfused_chains_and_mxnet_s_log_softmax(four_questions):
    unfused = {("4: softmax and log, fused and apart", "BUG461", f"{name} unfused") for name in EVERY}
    assert errors(four_questions) == unfused | {("2: cross entropy of the same", "DIV304", "mxnet fused")}


def test_mxnet_s_faults_are_named_unaided():
    assert errors(unaided("mxnet.yaml")) == {
        ("a loss beyond 18.42", "BUG462", "mxnet softmax_cross_entropy"),
        ("a head gradient of 3", "BUG411", "mxnet softmax_output"),
        ("a head gradient of 3", "DIV304", "mxnet gluon"),
        ("log_softmax and its gaps", "DIV304", "mxnet fused"),
    }


def test_keras_s_dead_gradient_is_named_unaided_and_told_apart_from_the_graph_s():
    report = unaided("keras.yaml")
    assert errors(report) == {
        ("Keras on TensorFlow, eager and as a graph", "BUG462", "keras-tensorflow from_probabilities"),
        ("Keras on PyTorch and JAX", "BUG462", "keras-torch from_probabilities"),
        ("Keras on PyTorch and JAX", "BUG462", "keras-torch from_activation"),
        ("Keras on PyTorch and JAX", "BUG462", "keras-jax from_probabilities"),
        ("Keras on PyTorch and JAX", "BUG462", "keras-jax from_activation"),
        *(
            ("a softmax for logits", "BUG455", f"keras-{below} softmax_as_logits")
            for below in ("tensorflow", "torch", "jax")
        ),
    }
    (clamped, *_) = [f for case in report.cases for f in case.findings if f.code == "BUG462"]
    assert "the loss levels off at 16.1181 = -log(1e-07)" in clamped.message
    (differing,) = [f for case in report.cases for f in case.findings if f.code == "DIV306"]
    assert dict(differing.evidence) == {"right": "graph", "wrong": "eager"}


@pytest.mark.parametrize("block", [*blocks(README.read_text(encoding="utf-8"), every_framework=True)])
def test_a_command_over_every_framework_prints_what_the_readme_shows(block):
    assert "exit status 0" in block.output, "what the files expect is found, and nothing else"
    assert without_numbers(printed(block.command)) == without_numbers(block.output)


def test_the_page_on_semantics_is_what_the_tool_prints():
    page = run("check", "--semantics", "--output-format", "markdown", cwd=PROJECT).out
    assert page == (PROJECT / "docs" / "semantics.md").read_text(encoding="utf-8")
