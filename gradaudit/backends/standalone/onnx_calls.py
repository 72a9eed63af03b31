"""ONNX's own loss operator, SoftmaxCrossEntropyLoss, as files of one node; for the table of semantics.

Run by path; imports nothing of gradaudit.
"""

from __future__ import annotations

import os
from typing import Any, Dict


def write(folder: str, stem: str, options: Dict[str, Any]) -> str:
    """Write the operator with `options` as its attributes and return the file's path.

    The file takes float32 logits [N, C] and int64 labels [N], both of any extent, and returns one loss.
    """
    import onnx
    from onnx import TensorProto, helper

    node = helper.make_node("SoftmaxCrossEntropyLoss", ["logits", "labels"], ["loss"], reduction="mean", **options)
    graph = helper.make_graph(
        [node],
        stem,
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", "C"]),
            helper.make_tensor_value_info("labels", TensorProto.INT64, ["N"]),
        ],
        [helper.make_tensor_value_info("loss", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = os.path.join(folder, stem + ".onnx")
    onnx.save(model, path)
    return path
