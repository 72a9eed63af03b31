"""Files that torch and MXNet exported (tests/backends/onnx_files says how), audited whole."""

from __future__ import annotations

import pytest

from gradaudit.pipeline import Settings, audit
from gradaudit.records.report import CaseReport
from gradaudit.specs.loading import load_text
from tests.end_to_end.conftest import PROJECT

FILES = PROJECT / "tests" / "backends" / "onnx_files"
LOSS = "targets: {random: {seed: 2}}\n"

EXPORTED = {
    "torch_cross_entropy": ("{name: cross_entropy, ignore_index: 2}", LOSS, "standard", set()),
    # the exporter drops label_smoothing without a word
    "torch_smoothed": ("{name: cross_entropy, reduction: sum, label_smoothing: 0.1}", LOSS, "standard", {"BUG431"}),
    "torch_focal": ("{name: focal, gamma: 2.0}", LOSS, "standard", set()),
    "torch_logsumexp": ("logsumexp", "upstream: random\n", "standard", set()),
    "torch_unfused": ("cross_entropy", LOSS, "standard", {"BUG461"}),
    "torch_training": ("{name: cross_entropy, label_smoothing: 0.1}", LOSS, "none", set()),
    "mxnet_softmax": ("{name: softmax, temperature: 2.0}", "upstream: per_output\n", "none", set()),
    "mxnet_log_softmax": ("log_softmax", "upstream: random\n", "none", set()),
    "mxnet_cross_entropy": ("cross_entropy", LOSS, "none", set()),
}
"""File -> function, what else the case says, probes, and the codes of errors."""


def report_of(name: str, function: str, more: str, probes: str) -> CaseReport:
    text = (
        f"version: 1\nfunction: {function}\nprobes: {probes}\n{more}"
        "logits: {random: {distribution: normal, shape: [7, 11], scale: 2.0, seed: 1}}\n"
        f"subjects: [{{onnx: {FILES / name}.onnx}}]\n"
    )
    (case,) = audit(load_text(text, "spec.yaml"), Settings()).cases
    return case


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] if "standard" in EXPORTED[name] else []) for name in EXPORTED],
)
def test_an_exported_file_is_what_it_is(name: str) -> None:
    function, more, probes, errors = EXPORTED[name]
    case = report_of(name, function, more, probes)
    assert {each.code for each in case.findings if each.severity == "error"} == errors
    own = [each for each in case.measurements if each.key.probe is None]
    assert len(own) == 1
    assert own[0].explanation.explains == (errors != {"BUG431"})
    if "per_output" not in more:
        assert {said.verdict for said in case.self_consistency} == {"agrees"}
        assert all("complex step within" in said.statement for said in case.self_consistency)


def test_a_planted_sign_in_a_training_graph_is_named_without_being_asked_for(tmp_path) -> None:
    from tests.backends.onnx_models import saved, training

    saved(training("sign"), tmp_path)
    text = (
        "version: 1\nfunction: cross_entropy\nlogits: [[1, 2, 3], [3, 1, 0.5]]\ntargets: [0, 1]\nprobes: none\n"
        f"subjects: [{{onnx: {tmp_path / 'loss.onnx'}}}]\n"
    )
    report = audit(load_text(text, "spec.yaml"), Settings())
    (found,) = [each for each in report.cases[0].findings if each.code == "BUG481"]
    assert "gradient = reference x -1" in found.message
    assert report.exit_status == 1
