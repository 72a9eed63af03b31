"""ONNX Runtime as MXNet: every recorded call, every option, every dtype; and MXNet's faults where asked for."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.backends import registry as backends
from gradaudit.functions import registry
from gradaudit.measurement.evaluation import measure
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Measurement
from gradaudit.reference import ladder
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth
from tests.backends.conftest import rounded_to
from tests.data.records import CLAMPED, ONE_DNN, OUT_GRAD, Record, records

Processes = dict[str, workers.BackendProcess]
RECORDS = records()
RESOLUTION = 5e-9
"""Half of the last digit of the table of oneDNN's logarithm."""


def ask(processes: Processes, inputs: Inputs, formulation: str = "fused", backend: str = "onnxruntime") -> Evaluation:
    key = EvaluationKey(backend, backend, formulation, inputs.dtype, 1.0)
    result = processes[backend].evaluate(key, inputs)
    assert isinstance(result, Evaluation), f"{result.kind}: {result.message}\n{result.detail}"
    return result


def measured(inputs: Inputs, result: Evaluation) -> Measurement:
    profile = backends.get("onnxruntime").profile(inputs.function.name, "fused", inputs.dtype)
    return measure(Truth(registry.translated(inputs)), result, profile, "values", formulation="fused")


def sound(inputs: Inputs, result: Evaluation) -> bool:
    explanation = measured(inputs, result).explanation
    return explanation.explains and not explanation.weaker


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: each.name)
def test_every_recorded_call_is_answered_soundly(processes: Processes, record: Record) -> None:
    result = ask(processes, record.inputs)
    assert result.output.shape == record.output.shape
    assert sound(record.inputs, result)


@pytest.mark.parametrize("record", [each for each in RECORDS if each.defect], ids=lambda each: each.name)
def test_as_mxnet_has_the_records_defect(processes: Processes, record: Record) -> None:
    result = ask(processes, record.inputs, "as_mxnet")
    assert not sound(record.inputs, result)
    if record.defect == CLAMPED:
        # Both took the logarithm of float32's 1e-8, each within 4 ULP.
        assert abs(result.output[0] - record.output[0]) <= 8 * np.spacing(record.output[0])
    elif record.defect == OUT_GRAD:
        assert sound(replace(record.inputs, upstream=result.output), result)
    else:
        assert record.defect == ONE_DNN
        truth = Truth(registry.translated(record.inputs))
        allowed = np.zeros_like(record.output, dtype=np.float64)
        for name in ("onnxruntime", "mxnet"):
            profile = backends.get(name).profile(record.inputs.function.name, "fused", "float32")
            (row, *_) = ladder.rows(truth.function.name, "fused", profile)
            tolerance = Tolerance(truth, row)
            allowed += tolerance.output(tolerance.block(truth.block_at(0))).values.reshape(record.output.shape)
        assert (np.abs(result.output.astype(np.float64) - record.output) <= allowed + RESOLUTION).all()


@pytest.mark.parametrize("record", [each for each in RECORDS if not each.defect], ids=lambda each: each.name)
def test_as_mxnet_answers_a_right_record_soundly(processes: Processes, record: Record) -> None:
    own = backends.get("onnxruntime").formulations["as_mxnet"]
    if record.inputs.function.name not in own.functions:
        key = EvaluationKey("onnxruntime", "onnxruntime", "as_mxnet", record.inputs.dtype, 1.0)
        refused = processes["onnxruntime"].evaluate(key, record.inputs)
        assert isinstance(refused, EvaluationFailure)
        assert refused.kind == "unsupported"
        assert refused.message == f"onnxruntime has no as_mxnet formulation of {record.inputs.function.name}"
        return
    result = ask(processes, record.inputs, "as_mxnet")
    if record.name == "log_softmax, temperature 2" or "log_softmax" not in record.name:
        assert sound(record.inputs, result)


OPTIONS: dict[str, list[dict[str, object]]] = {
    "softmax": [{}, {"temperature": 0.3}, {"use_length": True, "length": (3, 1, 5, 7, 2, 6)}],
    "log_softmax": [{}, {"temperature": 3.0}],
    "softmin": [{}, {"temperature": 0.7}],
    "SoftmaxOutput": [
        {"preserve_shape": True},
        {"preserve_shape": True, "grad_scale": -0.3, "normalization": "batch"},
        {"preserve_shape": True, "use_ignore": True, "ignore_label": 1, "normalization": "valid"},
        {"preserve_shape": True, "smooth_alpha": 0.15, "out_grad": True},
        {"preserve_shape": True, "smooth_alpha": 1.0},
        {"multi_output": True},
        {"multi_output": True, "normalization": "batch", "out_grad": True},
        {"multi_output": True, "normalization": "valid", "ignore_label": 0},
    ],
    "SoftmaxCrossEntropyLoss": [{}, {"weight": 0.3}, {"batch_axis": 1}, {"from_logits": True}],
}
CASES = [(name, options) for name, several in OPTIONS.items() for options in several]


def drawn(name: str, options: dict[str, object], dtype: str, *, per_output: bool, soft: bool = False) -> Inputs:
    function = registry.get(f"mxnet.{name}")
    parameters = {each.name: each.default for each in function.parameters} | options
    rng = np.random.default_rng(7)
    shape = (2, 7, 3) if options.get("multi_output") else (2, 3, 7)
    axis = 1 if options.get("multi_output") else 2
    logits = rng.normal(size=shape) * 2
    if options.get("from_logits"):
        logits = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    targets = None
    if function.takes_targets:
        targets = rng.integers(0, 7, size=(2, 3))
        if soft:
            mass = rng.random(shape)
            targets = rounded_to(mass / mass.sum(axis, keepdims=True), dtype)
            parameters |= {"sparse_label": False} if "sparse_label" in parameters else {}
    sample_axis = parameters.get("batch_axis", 0)
    assert isinstance(sample_axis, int)
    out = (shape[sample_axis],) if function.has_row_output else shape
    upstream = None if per_output else rounded_to(rng.normal(size=out), dtype)
    call = FunctionCall(function.name, MappingProxyType(parameters))
    return Inputs(call, dtype, 1.0, (axis,), rounded_to(logits, dtype), targets, upstream, per_output, None)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_every_option_is_sound_in_every_dtype(
    processes: Processes, name: str, options: dict[str, object], dtype: str
) -> None:
    inputs = drawn(name, options, dtype, per_output=False)
    assert sound(inputs, ask(processes, inputs))


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_one_backward_for_each_output_too(processes: Processes, name: str, options: dict[str, object]) -> None:
    inputs = drawn(name, options, "float32", per_output=True)
    result = ask(processes, inputs)
    assert result.jacobian is not None
    planes = 1 if registry.get(f"mxnet.{name}").has_row_output else 7
    assert result.jacobian.shape == (planes, *inputs.logits.shape)
    assert sound(inputs, result)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SoftmaxOutput", {"preserve_shape": True, "grad_scale": 0.3}),
        ("SoftmaxOutput", {"multi_output": True, "out_grad": True}),
        ("SoftmaxCrossEntropyLoss", {}),
        ("SoftmaxCrossEntropyLoss", {"weight": 1.7, "from_logits": True}),
    ],
    ids=str,
)
def test_probabilities_as_labels(processes: Processes, name: str, options: dict[str, object]) -> None:
    inputs = drawn(name, options, "float32", per_output=False, soft=True)
    assert sound(inputs, ask(processes, inputs))


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_who_does_not_evaluate_mxnets_operators_says_so(processes: Processes, name: str) -> None:
    inputs = drawn("softmin", {}, "float32", per_output=False)
    refused = processes[name].evaluate(EvaluationKey(name, name, "fused", "float32", 1.0), inputs)
    assert isinstance(refused, EvaluationFailure)
    assert (refused.kind, refused.message) == ("unsupported", f"{name} does not evaluate mxnet's softmin")
