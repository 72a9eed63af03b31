"""Users' losses written in TensorFlow: right ones pass, faults are named at their lines, live ones run too."""

from __future__ import annotations

from pathlib import Path

import pytest

import gradaudit.measurement.subjects  # noqa: F401 - imported here, not by several threads of an audit at once
from gradaudit import pipeline
from gradaudit.records.report import CaseReport
from gradaudit.specs.loading import load_text

pytestmark = pytest.mark.frameworks

LOSSES = Path(__file__).parent / "subjects" / "tensorflow_losses.py"
SPEC = f"""
version: 1
defaults: {{function: cross_entropy, probes: none}}
cases:
  - name: right
    logits: {{random: {{distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}}}
    targets: {{random: {{seed: 2}}}}
    dtypes: [float32, bfloat16]
    subjects:
      - tensorflow: {LOSSES}:plain
      - tensorflow: {LOSSES}:traced
      - {{tensorflow: "{LOSSES}:Scaled", kwargs: {{factor: 1.0}}}}
      - {{tensorflow: "{LOSSES}:keras_loss", factory: true, kwargs: {{from_logits: true, dtype: float32}}}}
  - name: of Keras
    logits: {{random: {{distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}}}
    targets: {{random: {{seed: 2}}}}
    subjects: [{{tensorflow: "{LOSSES}:OfKeras"}}]
  - name: each output
    function: softmax
    logits: [[0.1, 2.0], [1.0, -1.0]]
    upstream: per_output
    subjects: [{{tensorflow: "{LOSSES}:softmax"}}]
  - name: wrong
    logits: [[100, 0, -100], [1, 2, 3]]
    targets: [2, 0]
    subjects: [{
    ", ".join(
        f'{{tensorflow: "{LOSSES}:{name}"}}'
        for name in ("summed", "clamped", "stopped", "by_hand", "failing", "noisy", "otherwise_in_a_graph")
    )
}]
"""


@pytest.fixture(scope="module")
def reports() -> dict[str, CaseReport]:
    report = pipeline.audit(load_text(SPEC, "tensorflow.yaml"), pipeline.Settings())
    return {case.case.name: case for case in report.cases}


@pytest.mark.parametrize("name", ["right", "of Keras", "each output"])
def test_right_code_passes(reports: dict[str, CaseReport], name: str) -> None:
    report = reports[name]
    assert report.measurements
    assert not report.failures
    assert [(each.subject, each.code) for each in report.findings if each.severity == "error"] == []


def test_faults_are_named(reports: dict[str, CaseReport]) -> None:
    found = {
        (finding.subject, finding.code)
        for finding in reports["wrong"].findings
        if finding.subject and finding.severity != "info" and finding.code[:3] in ("BUG", "CON", "RUN", "DIV")
    }
    assert {
        ("summed", "BUG401"),
        ("clamped", "BUG462"),
        ("stopped", "CON505"),
        ("by_hand", "BUG401"),
        ("failing", "RUN605"),
        ("noisy", "CON502"),
        ("otherwise_in_a_graph", "DIV306"),
    } <= found


def test_lines_of_the_user_s_are_told(reports: dict[str, CaseReport]) -> None:
    lines = LOSSES.read_text().splitlines()
    said = {finding.subject: finding.message for finding in reports["wrong"].findings if finding.severity == "error"}
    failing = 1 + next(i for i, line in enumerate(lines) if "[3, -1, 17]" in line)
    assert f"tensorflow_losses.py:{failing} in failing" in said["failing"]
    by_hand = 1 + next(i for i, line in enumerate(lines) if "return _by_hand" in line)
    assert f"tensorflow_losses.py:{by_hand}" in said["by_hand"]


def test_live_losses_are_asserted() -> None:
    import tensorflow as tf

    from gradaudit.testing import assert_gradients
    from gradaudit.testing.live import framework_of

    def right(logits: object, targets: object) -> object:
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))

    def wrong(logits: object, targets: object) -> object:
        return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))

    assert framework_of(right) == "tensorflow"
    assert_gradients(right, "cross_entropy", probes="none")
    with pytest.raises(AssertionError, match="BUG401"):
        assert_gradients(wrong, "cross_entropy", probes="none")


EXECUTIONS = f"""
version: 1
function: cross_entropy
logits: {{random: {{distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}}}
targets: {{random: {{seed: 2}}}}
execution: [eager, graph, compiled]
probes: none
subjects:
  - tensorflow: {LOSSES}:plain
  - tensorflow: {LOSSES}:otherwise_in_a_graph
"""


def test_each_execution_is_a_row() -> None:
    (case,) = pipeline.audit(load_text(EXECUTIONS, "executions.yaml"), pipeline.Settings(timeout=120.0)).cases
    assert not case.failures
    wrong = {finding.subject for finding in case.findings if finding.severity == "error"}
    assert {"otherwise_in_a_graph, graph", "otherwise_in_a_graph, compiled"} <= wrong
    assert not {"plain", "plain, graph", "plain, compiled"} & wrong
    told = [
        finding.message for finding in case.findings if finding.code == "DIV306" and finding.severity == "warning"
    ]
    assert len(told) == 1
    assert told[0].startswith("otherwise_in_a_graph custom in float32: right in eager execution, wrong in graph and")


SECOND = f"""
version: 1
function: cross_entropy
logits: {{random: {{distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}}}
targets: {{random: {{seed: 2}}}}
derivatives: 2
execution: [eager, graph]
probes: none
subjects:
  - tensorflow: {LOSSES}:plain
  - tensorflow: {LOSSES}:with_a_constant_gradient
"""


def test_the_second_order() -> None:
    (case,) = pipeline.audit(load_text(SECOND, "second.yaml"), pipeline.Settings(timeout=120.0)).cases
    verdicts = {each.key.subject: each.verdict for each in case.second_order}
    assert verdicts["plain"] == verdicts["plain, graph"] == "agrees"
    assert verdicts["with_a_constant_gradient"] == "cut"
    assert ("with_a_constant_gradient", "BUG471") in {(each.subject, each.code) for each in case.findings}
