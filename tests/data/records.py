"""The calls of MXNet that `mxnet_1_9_1.json` holds, as inputs and what came back for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from gradaudit.functions import registry
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs

FILE = Path(__file__).parent / "mxnet_1_9_1.json"

ONE_DNN = "log_softmax of oneDNN: its logarithm is off by up to 3.8e-6"
CLAMPED = "the loss is cut off at -log 1e-8"
OUT_GRAD = "out_grad multiplies by the output of the forward"

DEFECTS = {
    "log_softmax": ONE_DNN,
    **{f"log_softmax, gap {gap}": ONE_DNN for gap in (5, 16, 17, 20, 40, 90, 120)},
    **{f"softmax_cross_entropy, wrong class ahead by {gap}": CLAMPED for gap in (19, 30, 50)},
    'SoftmaxOutput {"out_grad": true}': OUT_GRAD,
    "gluon SoftmaxCrossEntropyLoss {}": ONE_DNN,
    'gluon SoftmaxCrossEntropyLoss {"sparse_label": false}': ONE_DNN,
    'gluon SoftmaxCrossEntropyLoss {"weight": 0.5}': ONE_DNN,
}
"""Records that show a defect of MXNet's own; every other one is right."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One call: what MXNet was given, and what it returned."""

    name: str
    inputs: Inputs
    output: np.ndarray
    gradient: np.ndarray

    @property
    def defect(self) -> str | None:
        """What is wrong with the record; None where nothing is."""
        return DEFECTS.get(self.name)

    def evaluation(self) -> Evaluation:
        """The record as MXNet's evaluation of its inputs."""
        key = EvaluationKey("mxnet", "mxnet", "fused", self.inputs.dtype, 1.0)
        return Evaluation(key, self.output, self.gradient, None, 0.0)


def records() -> list[Record]:
    """All of them."""
    return [_record(each) for each in json.loads(FILE.read_text(encoding="utf-8"))["records"]]


def _record(entry: dict[str, Any]) -> Record:
    operator, _, picked = entry["op"].partition("()")
    function = registry.get(f"mxnet.{operator.rpartition('.')[2]}")
    dtype, given = entry["dtype"], dict(entry["params"])
    logits = np.array(entry["inputs"]["data"], dtype)
    axis = 1 if given.get("multi_output") else given.pop("axis", -1) % logits.ndim
    parameters = {each.name: each.default for each in function.parameters}
    for name, value in given.items():
        parameters[name] = tuple(value) if isinstance(value, list) else value
    if "ignore_label" in given:
        parameters["ignore_label"] = int(given["ignore_label"])
    targets = None
    if "label" in entry["inputs"]:
        label = np.array(entry["inputs"]["label"])
        targets = label.astype(dtype) if label.shape == logits.shape else label.astype(np.int64)
    output, head = np.array(entry["output"], dtype), entry["head_gradient"]
    upstream = np.ones(output.shape, dtype) if isinstance(head, str) else np.array(head, dtype)
    if picked:
        # The softmax of which one output was taken: the other one is that of the record before.
        upstream = np.zeros(logits.shape, dtype)
        upstream[0, int(picked[-2])] = 1.0
        output = np.array([[0.13010847568511963, 0.8698915839195251]], dtype)
        assert output[0, int(picked[-2])] == entry["output"][0]
    call = FunctionCall(function.name, MappingProxyType(parameters))
    inputs = Inputs(call, dtype, 1.0, (axis,), logits, targets, upstream, False, None)
    return Record(entry["name"], inputs, output, np.array(entry["gradient"], dtype))
