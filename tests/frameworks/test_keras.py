"""Keras's losses on each framework below it: sound where they are, and named where they are not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import gradaudit.measurement.built_in  # noqa: F401 - imported here, not by several threads of an audit at once
from gradaudit import pipeline
from gradaudit.records.evaluation import Evaluation
from gradaudit.records.inputs import Inputs
from gradaudit.specs.loading import load_text
from tests.backends.test_functions import check, make_arrays
from tests.frameworks.surveys import asked, problems, started, survey
from tests.frameworks.test_tensorflow import inputs_of
from tests.reference.cases import Variant

pytestmark = pytest.mark.frameworks

MODERATE = 4.0
"""Logits whose probabilities no clip reaches and whose 1 / p stays within float32."""


def formulations(variant: Variant, inputs: Inputs) -> tuple[str, ...]:
    """`fused` for all, `from_probabilities` where nothing is clipped."""
    if variant.function != "cross_entropy":
        return ("fused",)
    scale = float(variant.parameters.get("logit_scale", 1.0))  # type: ignore[arg-type]
    scale /= float(variant.parameters.get("temperature", 1.0))  # type: ignore[arg-type]
    moderate = float(np.abs(inputs.logits.astype(np.float64)).max()) * scale <= MODERATE
    own = ("from_probabilities",) if moderate and variant.targets != "soft" else ()
    return (() if variant.targets == "soft" else ("fused",)) + own


def first_of(found: Iterator[tuple[str, Variant, Inputs]], every: int) -> Iterator[tuple[str, Variant, Inputs]]:
    """One of so many."""
    return (each for number, each in enumerate(found) if number % every == 0)


@pytest.mark.parametrize("below", ["tensorflow", "torch", "jax"])
def test_float32_keeps_what_is_declared(below: str) -> None:
    with started(f"keras-{below}") as process:
        for reduction in ("none", "mean", "sum"):
            parameters = {"reduction": reduction}
            arrays = make_arrays((5, 7), (1,), "cross_entropy", **parameters)
            result = asked(process, inputs_of("cross_entropy", "float32", (1,), arrays, **parameters))
            assert isinstance(result, Evaluation), result
            check(result, "cross_entropy", (1,), arrays, "float32", **parameters)
        worst, beyond, missed = survey(process, first_of(problems("float32"), 3), formulations)
    assert not beyond, "\n".join([f"{len(beyond)} of them", *beyond[:20]])
    assert not missed, "\n".join(missed)
    assert {"cross_entropy, fused", "cross_entropy, from_probabilities"} <= set(worst)
    assert {key for key, reached in worst.items() if not 0.01 < reached <= 1.0} == set(), worst


SPEC = """
version: 1
function: cross_entropy
logits: [[100, 0, -100], [1, 2, 3]]
targets: [2, 0]
backends: [keras-tensorflow, keras-torch, keras-jax]
formulations: [fused, from_probabilities, from_activation, softmax_as_logits]
execution: [eager, graph]
"""


def test_the_dead_gradient_at_16_118_is_named_and_told_from_the_graph() -> None:
    report = pipeline.audit(load_text(SPEC, "keras.yaml"), pipeline.Settings())
    (case,) = report.cases
    assert not case.failures
    named = {(each.subject, each.formulation, each.code): each.message for each in case.findings}
    errors = {(each.subject, each.formulation, each.code) for each in case.findings if each.severity == "error"}
    clamped = {
        ("keras-tensorflow", "from_probabilities"),
        ("keras-torch", "from_probabilities"),
        ("keras-torch", "from_activation"),
        ("keras-jax", "from_probabilities"),
        ("keras-jax", "from_activation"),
    }
    twice = {(f"keras-{below}", "softmax_as_logits", "BUG455") for below in ("tensorflow", "torch", "jax")}
    assert errors == {(*each, "BUG462") for each in clamped} | twice
    for each in clamped:
        assert "levels off at 16.1181 = -log(1e-07)" in named[(*each, "BUG462")]
    parted = {formulation for subject, formulation, code in named if code == "DIV306"}
    assert parted == {"from_probabilities", "softmax_as_logits"}


LABELS = """
version: 1
defaults:
  function: cross_entropy
  logits: {random: {distribution: normal, shape: [3, 300], seed: 1}}
  targets: [299, 257, 3]
cases:
  - {name: labels in bfloat16, dtypes: [bfloat16], backends: [keras-jax]}
  - {name: mean in float64, dtypes: [float64], backends: [keras-torch]}
"""


def test_labels_and_means_that_lose_digits_are_told() -> None:
    """bfloat16 has no 257 and no 299; on PyTorch the mean of float64 losses is formed in float32."""
    report = pipeline.audit(load_text(LABELS, "keras.yaml"), pipeline.Settings())
    for case in report.cases:
        assert {finding.severity for finding in case.findings} & {"error"}, case.case.name
