"""ONNX Runtime's own arithmetic: forward and backward as one ONNX graph of primitives, run by its CPU kernels.

ONNX Runtime registers no gradients of softmax, so the backward is spelled with the operators of the forward. The
graph is run as written (all optional optimisations are off). A float16 graph has float16 tensors throughout;
bfloat16 has no kernels, so its graph casts to float32 on entry and to bfloat16 on exit.

Run by path in any Python from 3.8 with NumPy, onnxruntime and onnx; imports nothing of gradaudit.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from typing import Any, Dict

Array = Any
Request = Dict[str, Any]

BFLOAT16 = 16
"""ONNX's number of the element type that NumPy does not have."""

MXNET = "mxnet."
"""What the names of MXNet's operators begin with."""

_options: dict[str, int] = {"threads": 1}
_sessions: dict[str, Any] = {}


class UnsupportedError(Exception):
    """This ONNX Runtime cannot carry the dtype."""


def hello(threads: int) -> dict[str, Any]:
    """Import onnxruntime and onnx; sessions will use `threads` threads."""
    import onnx
    import onnx.helper
    import onnx.numpy_helper
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    _options["threads"] = threads
    dtypes = ["float16", "float32", "float64"]
    if hasattr(onnxruntime.OrtValue, "ortvalue_from_numpy_with_onnx_type"):
        dtypes.insert(1, "bfloat16")
    return {
        "versions": {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__},
        "dtypes": dtypes,
        "threads": threads,
        "details": {"graph_optimization_level": "ORT_DISABLE_ALL", "provider": "CPUExecutionProvider"},
    }


def evaluate(request: Request, arrays: dict[str, Array]) -> dict[str, Any]:
    """Forward and backward of one function; see `gradaudit.backends.interface` for the request."""
    axes, per_class = list(request["axis"]), _is_per_class(request["function"])
    jacobian = request["per_output"] and per_class
    arrays = dict(arrays)
    if jacobian:
        arrays["logits"], arrays["upstream"] = _tiled(arrays["logits"], axes, request["dtype"])
        axes = [axis + 1 for axis in axes]
    if "targets" in arrays:
        _check_labels(request, arrays, axes)
    session = _session(request, arrays, axes)
    run = _run_bfloat16 if request["dtype"] == "bfloat16" else _run
    output, gradient, seconds = run(session, arrays)
    result: dict[str, Any] = {"seconds": seconds, "output": (output[0] if jacobian else output, request["dtype"])}
    if request["per_output"]:
        result["jacobian"] = (gradient if jacobian else gradient[None], request["dtype"])
    else:
        result["gradient"] = (gradient, request["dtype"])
    return result


def _is_per_class(function: str) -> bool:
    """Whether a function has an output for every class."""
    if function.startswith(MXNET):
        return function[len(MXNET) :] in _graphs("mxnet_graphs").PER_CLASS
    return function in ("softmax", "log_softmax")


def _model(request: Request, arrays: dict[str, Array], axes: list[int]) -> bytes:
    """The serialised model that answers `request`."""
    if request["function"].startswith(MXNET):
        return bytes(_graphs("mxnet_graphs").build(_graphs(), request, arrays, axes[0]))
    return bytes(_graphs().build(request, arrays, axes))


def _graphs(file: str = "onnx_graphs") -> Any:
    """A sibling file that builds graphs, loaded by path like this one."""
    name = __name__ + "_" + file
    if name not in sys.modules:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), file + ".py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def _tiled(logits: Array, axes: list[int], dtype: str) -> tuple[Array, Array]:
    """The logits once for every class along a new first axis, and one-hot upstream gradients."""
    import numpy as np

    classes = int(np.prod([logits.shape[axis] for axis in axes]))
    shape = (classes, *logits.shape)
    one_hot = np.eye(classes, dtype=logits.dtype)
    one_hot = one_hot * np.asarray(0x3F80, np.uint16) if dtype == "bfloat16" else one_hot  # the bits of 1.0
    one_hot = one_hot.reshape([classes] + [size if i in axes else 1 for i, size in enumerate(logits.shape)])
    return (
        np.asarray(np.broadcast_to(logits, shape), order="C"),
        np.asarray(np.broadcast_to(one_hot, shape), order="C"),
    )


def _check_labels(request: Request, arrays: dict[str, Array], axes: list[int]) -> None:
    """A label that no class answers to would be a row without any target mass."""
    import numpy as np

    labels, parameters = arrays["targets"], request["parameters"]
    if labels.dtype.kind != "i":
        return
    classes = _graphs().active_classes(parameters, arrays["logits"].shape, axes)
    ignored = parameters["ignore_label"] if parameters.get("use_ignore") else parameters.get("ignore_index", -100)
    wrong = labels[~np.isin(labels, classes) & (labels != ignored)]
    if wrong.size:
        raise IndexError("label %d is not one of the %d classes that take part" % (wrong[0], len(classes)))


def _session(request: Request, arrays: dict[str, Array], axes: list[int]) -> Any:
    """The session of this graph; one is made for every new combination of shapes and parameters."""
    import onnxruntime

    kept = {name: request[name] for name in ("function", "parameters", "formulation", "dtype", "per_output")}
    shapes = {name: [array.shape, array.dtype.str] for name, array in arrays.items()}
    key = json.dumps([kept, shapes, axes], sort_keys=True)
    if key not in _sessions:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = _options["threads"]
        options.inter_op_num_threads = 1
        options.log_severity_level = 4
        options.enable_cpu_mem_arena = False  # it grows by doubling, and the address space is capped
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = _model(request, arrays, axes)
        _sessions[key] = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return _sessions[key]


def _run(session: Any, arrays: dict[str, Array]) -> tuple[Array, Array, float]:
    import numpy as np

    feeds = {item.name: np.asarray(arrays[item.name], order="C") for item in session.get_inputs()}
    start = time.perf_counter()
    output, gradient = session.run(["output", "gradient"], feeds)
    return output, gradient, time.perf_counter() - start


def _run_bfloat16(session: Any, arrays: dict[str, Array]) -> tuple[Array, Array, float]:
    """The same with bits in uint16: NumPy has no type by which the Python API could carry bfloat16."""
    import ctypes

    import numpy as np
    from onnxruntime import OrtValue

    feeds = {}
    for item in session.get_inputs():
        array = np.asarray(arrays[item.name], order="C")
        if array.dtype == np.uint16:
            feeds[item.name] = OrtValue.ortvalue_from_numpy_with_onnx_type(array, BFLOAT16)
        else:
            feeds[item.name] = OrtValue.ortvalue_from_numpy(array)
    start = time.perf_counter()
    values = session.run_with_ort_values(["output", "gradient"], feeds)
    seconds = time.perf_counter() - start
    bits = []
    for value in values:
        result = np.empty(value.shape(), np.uint16)
        ctypes.memmove(result.ctypes.data, value.data_ptr(), result.nbytes)
        bits.append(result)
    return bits[0], bits[1], seconds
