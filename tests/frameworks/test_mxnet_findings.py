"""What an audit of real MXNet finds, without being told what to expect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gradaudit import pipeline
from gradaudit.records.report import CaseReport
from gradaudit.specs.loading import load_text

pytestmark = pytest.mark.frameworks

SPEC = """
version: 1
defaults: {backends: [mxnet], dtypes: [float32, float64]}
cases:
  - name: forum
    function: softmax
    axis: 1
    logits: [[[[0.1]], [[2]]]]
    backends: [mxnet, numpy]
    dtypes: [float32]
  - name: forum, each output
    function: softmax
    logits: [0.1, 2]
    upstream: per_output
    dtypes: [float32]
  - name: log_softmax
    function: log_softmax
    logits: {random: {shape: [8, 5], seed: 1, scale: 3}}
    upstream: random
  - name: log_softmax over another axis
    function: log_softmax
    axis: 0
    logits: {random: {shape: [8, 5], seed: 1, scale: 3}}
    upstream: random
  - name: clamped
    function: {name: cross_entropy, reduction: sum}
    logits: [[30, 0, -2], [1, 2, 3], [0, 25.0, 1]]
    targets: [1, 2, 0]
    formulations: [softmax_cross_entropy, unfused]
  - name: head of each row
    function: {name: cross_entropy, reduction: none}
    upstream: random
    logits: {random: {shape: [8, 5], seed: 1}}
    targets: {random: {seed: 2}}
    formulations: [softmax_output]
  - name: head of the sum
    function: {name: cross_entropy, reduction: sum}
    upstream: {values: 2.5}
    logits: {random: {shape: [8, 5], seed: 1}}
    targets: {random: {seed: 2}}
    formulations: [softmax_output]
  - name: head of ones
    function: cross_entropy
    logits: {random: {shape: [8, 5], seed: 1}}
    targets: {random: {seed: 2}}
    formulations: [softmax_output]
    dtypes: [float32]
  - name: options in float32
    function: {name: cross_entropy, label_smoothing: 0.1}
    logits: {random: {shape: [8, 5], seed: 1}}
    targets: {random: {seed: 2}}
    formulations: [softmax_output]
    dtypes: [float64]
  - name: unfused
    function: cross_entropy
    logits: [[100, 0, -100]]
    targets: [2]
    formulations: [unfused]
    dtypes: [float32]
"""


@pytest.fixture(scope="module")
def reports() -> dict[str, CaseReport]:
    report = pipeline.audit(load_text(SPEC, "mxnet.yaml"), pipeline.Settings())
    assert not any(failure for case in report.cases for failure in case.failures)
    return {case.case.name: case for case in report.cases}


def errors(report: CaseReport) -> set[tuple[str, str | None, str | None]]:
    return {(each.code, each.formulation, each.dtype) for each in report.findings if each.severity == "error"}


def test_the_numbers_of_the_forum(reports: dict[str, CaseReport]) -> None:
    """discuss.mxnet.io: 0.13010848 and 0.8698916, a gradient of exactly 0, and 0.1131802 for one output alone."""
    forum = next(each for each in reports["forum"].measurements if each.key.backend == "mxnet")
    assert forum.output.values is not None
    assert forum.gradient is not None
    assert [f"{value:.8g}" for value in forum.output.values.got] == ["0.13010848", "0.86989158"]
    assert list(forum.gradient.values.got) == [0.0, 0.0]
    (each,) = reports["forum, each output"].measurements
    assert each.jacobian is not None
    assert [f"{value:.7f}" for value in each.jacobian.values.got] == [
        *("0.1131803", "-0.1131803"),
        *("-0.1131803", "0.1131802"),
    ]
    codes = {finding.code for finding in reports["forum"].findings if finding.backend in (None, "mxnet")}
    assert "CAN101" in codes


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("log_softmax", {("DIV304", "fused", "float32")}),
        ("log_softmax over another axis", set()),
        (
            "clamped",
            {("BUG462", "softmax_cross_entropy", "float32"), ("BUG462", "softmax_cross_entropy", "float64")},
        ),
        ("head of each row", {("BUG411", "softmax_output", "float32"), ("BUG411", "softmax_output", "float64")}),
        ("head of the sum", {("BUG411", "softmax_output", "float32"), ("BUG411", "softmax_output", "float64")}),
        ("head of ones", set()),
        ("options in float32", {("DIV304", "softmax_output", "float64")}),
        ("unfused", {("BUG461", "unfused", "float32")}),
    ],
)
def test_its_faults_are_found_by_name(
    reports: dict[str, CaseReport], name: str, found: set[tuple[str, str, str]]
) -> None:
    assert errors(reports[name]) == found


def test_the_clamp_is_told_by_its_number(reports: dict[str, CaseReport]) -> None:
    said = {each.dtype: each.message for each in reports["clamped"].findings if each.code == "BUG462"}
    assert "cut off below 1e-08: the loss levels off at 18.4207" in said["float32"]
    assert "the gradient is 0 beyond" not in said["float32"], "MXNet's gradient is right there"
    assert "cut off below 1e-08 in float32" in said["float64"]


def test_one_report_compares_two_interpreters_of_a_framework(tmp_path: Path) -> None:
    from gradaudit.backends import registry
    from gradaudit.workers import environment
    from gradaudit.workers.settings import WorkerSettings

    python = environment.interpreter(registry.get("mxnet").name, WorkerSettings())
    name = f"mxnet@{python}"
    spec = (
        f"version: 1\nfunction: log_softmax\nlogits: [[1.5, 2, 3]]\nbackends: [numpy, mxnet, '{name}']\n"
        "expect: [{code: DIV304, backend: mxnet}]\n"
    )
    report = pipeline.audit(load_text(spec, "two.yaml"), pipeline.Settings())
    assert report.exit_status == 0
    assert [each.key.subject for each in report.cases[0].measurements] == ["numpy", "mxnet", name]
    assert [state.name for state in report.environment.backends] == ["numpy", "mxnet", name]
    assert {state.version for state in report.environment.backends[1:]} == {"1.9.1"}
    from gradaudit.reports import json_document

    (case,) = json.loads(json_document.render(report))["cases"]
    assert [each["backend"] for each in case["evaluations"]] == ["numpy", "mxnet", name]
