"""Ignored rows that nobody asked for: what a spec says of padding, and whom probes with ignored rows may accuse."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest

from gradaudit.measurement.subjects import audited
from gradaudit.records.case import Case
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.subject import Subject
from gradaudit.reference.truth import Truth
from gradaudit.specs import probes
from gradaudit.specs.loading import load_text

SAMPLES = Path(__file__).parents[2] / "sample_configs"
SPEC = """
    version: 1
    name: a loss
    function: {function}
    logits: {{random: {{distribution: normal, shape: [6, 5], seed: 1}}}}
    targets: {targets}
    subjects: [{{torch: losses.py:loss}}]
"""


def case(function: str = "cross_entropy", targets: str = "{random: {seed: 1}}") -> Case:
    text = textwrap.dedent(SPEC.format(function=function, targets=targets))
    (loaded,) = load_text(text, "spec.yaml", str(SAMPLES))
    return loaded


@pytest.mark.parametrize(
    ("function", "targets", "padded"),
    [
        ("cross_entropy", "{random: {seed: 1}}", False),
        ("{name: cross_entropy, label_smoothing: 0.1}", "[0, 1, 2, 3, 4, 0]", False),
        ("{name: cross_entropy, ignore_index: -100}", "{random: {seed: 1}}", True),
        ("cross_entropy", "{random: {seed: 1, ignored: 2}}", True),
        ("cross_entropy", "[0, 1, -100, 3, 4, 0]", True),
    ],
)
def test_a_spec_speaks_of_padding_by_its_label_or_by_its_targets(function: str, targets: str, padded: bool) -> None:
    assert case(function, targets).padded is padded


@pytest.mark.parametrize("probe", ["ignored-rows", "micro-batches", "all-ignored"])
def test_a_probe_says_whether_its_ignored_rows_were_asked_for(probe: str) -> None:
    assert probes.inputs(case(), probe, "float32", 0).unasked
    assert not probes.inputs(case(targets="[0, 1, -100, 3, 4, 0]"), probe, "float32", 0).unasked
    assert not probes.inputs(case(), "ordinary", "float32", 0).unasked


@pytest.mark.parametrize(
    ("framework", "function", "special"),
    [
        ("torch", "cross_entropy", False),
        ("numpy", "{name: cross_entropy, label_smoothing: 0.1}", False),
        ("onnxruntime", "cross_entropy", True),
        ("torch", "poly", True),
        ("torch", "z_loss", True),
        ("torch", "{name: z_loss, ignore_index: -100}", False),
        ("torch", "{name: cross_entropy, entropy_regularization: 0.1}", True),
        ("numpy", "focal", True),
    ],
)
def test_where_no_label_marks_padding_nobody_is_accused_of_having_none(
    framework: str, function: str, special: bool
) -> None:
    inputs = probes.inputs(case(function), "ignored-rows", "float32", 0)
    subject = Subject("loss", framework, "losses.py:loss")
    key = EvaluationKey("loss", framework, "custom", "float32", 1.0, "ignored-rows")
    wrong = Evaluation(key, np.float32(1.0), np.zeros_like(inputs.logits), None, 0.0)
    entry = audited(inputs, Truth(inputs), subject, wrong, "values")
    assert entry.measurement is not None
    assert (entry.inputs.special, entry.measurement.special_probe) == (special, special)
