"""Small ONNX models, made where they are needed: losses by one operator, training graphs, a loop without an end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

TYPES = {"float16": 10, "float32": 1, "float64": 11, "int64": 7, "int32": 6}
LABELS = "int64"


def model(
    nodes: Sequence[Any],
    inputs: dict[str, tuple[str, Any]],
    outputs: dict[str, tuple[str, Any]],
    opset: int = 18,
    constants: dict[str, np.ndarray] | None = None,
    domains: Sequence[str] = (),
) -> Any:
    """A model; inputs and outputs map names to dtype and shape."""
    from onnx import helper, numpy_helper

    def declared(values: dict[str, tuple[str, Any]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TYPES[dtype], shape) for name, (dtype, shape) in values.items()]

    initializers = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(list(nodes), "loss", declared(inputs), declared(outputs), initializers)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9 if opset > 12 else 6)


def node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> Any:
    """One operator with one output."""
    from onnx import helper

    return helper.make_node(kind, list(inputs), [output], **attributes)


def of_operator(
    kind: str, reduction: str, weighted: bool, ignore_index: int | None, dtype: str = "float32", labels: str = LABELS
) -> Any:
    """SoftmaxCrossEntropyLoss, or NegativeLogLikelihoodLoss of a LogSoftmax, over rows and classes of any number."""
    attributes: dict[str, Any] = {"reduction": reduction}
    if ignore_index is not None:
        attributes["ignore_index"] = ignore_index
    inputs = {"x": (dtype, ["N", "C"]), "y": (labels, ["N"])}
    if weighted:
        inputs["w"] = (dtype, ["C"])
    nodes, first = [], "x"
    if kind == "NegativeLogLikelihoodLoss":
        nodes, first = [node("LogSoftmax", ["x"], "log_p", axis=1)], "log_p"
    nodes.append(node(kind, [first, "y", *(["w"] if weighted else [])], "loss", **attributes))
    return model(nodes, inputs, {"loss": (dtype, ["N"] if reduction == "none" else [])})


def training(fault: str = "", dtype: str = "float32", gradient: str = "logits_gradient") -> Any:
    """The mean cross entropy with its gradient as a second output; `fault` is "sign", "factor" or "element"."""
    nodes = [
        node("LogSoftmax", ["logits"], "log_p", axis=1),
        node("NegativeLogLikelihoodLoss", ["log_p", "labels"], "loss"),
        node("Exp", ["log_p"], "p"),
        node("Shape", ["logits"], "shape"),
        node("Gather", ["shape", "one"], "classes"),
        node("Gather", ["shape", "zero"], "rows"),
        node("OneHot", ["labels", "classes", "values"], "narrow", axis=1),
        node("CastLike", ["narrow", "logits"], "mass"),
        node("Sub", ["mass", "p"] if fault == "sign" else ["p", "mass"], "residual"),
        node("CastLike", ["rows", "logits"], "count"),
    ]
    last = "residual" if fault == "factor" else "mean"
    if fault != "factor":
        nodes.append(node("Div", ["residual", "count"], "mean"))
    constants = {"one": np.array(1), "zero": np.array(0), "values": np.array([0, 1], np.float32)}
    if fault == "element":
        factor = np.ones((7, 11), dtype)
        factor[2, 3] = 1.001
        constants["factor"] = factor
        nodes.append(node("Mul", [last, "factor"], gradient))
    else:
        nodes.append(node("Identity", [last], gradient))
    return model(
        nodes,
        {"logits": (dtype, ["N", "C"]), "labels": (LABELS, ["N"])},
        {"loss": (dtype, []), gradient: (dtype, ["N", "C"])},
        constants=constants,
    )


def endless() -> Any:
    """A Loop without a limit whose condition stays true."""
    from onnx import helper

    inside = helper.make_graph(
        [node("Identity", ["go"], "on"), node("Identity", ["value"], "next")],
        "body",
        [
            helper.make_tensor_value_info("number", TYPES["int64"], []),
            helper.make_tensor_value_info("go", 9, []),
            helper.make_tensor_value_info("value", TYPES["float32"], None),
        ],
        [
            helper.make_tensor_value_info("on", 9, []),
            helper.make_tensor_value_info("next", TYPES["float32"], None),
        ],
    )
    nodes = [
        node("ReduceLogSumExp", ["x", "axis"], "sum", keepdims=0),
        node("Loop", ["", "true", "sum"], "loss", body=inside),
    ]
    constants = {"true": np.array(True), "axis": np.array([1])}
    return model(nodes, {"x": ("float32", ["N", "C"])}, {"loss": ("float32", ["N"])}, constants=constants)


def saved(made: Any, folder: Path, name: str = "loss.onnx", external: str | None = None) -> Path:
    """The model in a file; with `external`, its constants in another one."""
    import onnx

    path = folder / name
    if external is None:
        onnx.save(made, path)
    else:
        onnx.save(made, path, save_as_external_data=True, location=external, size_threshold=0)
    return path
