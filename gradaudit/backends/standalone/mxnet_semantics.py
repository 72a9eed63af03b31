"""MXNet's operators with all their own options, run by MXNet; `gradaudit/functions/mxnet` has the words of a request.

Run by path in any Python from 3.8 with NumPy and MXNet 1.9; imports nothing of gradaudit.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Dict, Tuple

Request = Dict[str, Any]
Tensor = Any


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """Forward and backward of one operator; with `per_output` one backward for each output of a row: lengths and
    batch axes leave no axis to tile along."""
    import mxnet as mx
    import numpy as np

    adapter = sys.modules["gradaudit_adapter_mxnet_adapter"]
    name, axis = request["function"].partition(".")[2], int(request["axis"][0])
    compute = OPERATORS.get(name)
    if compute is None or request["formulation"] != "fused":
        raise adapter.UnsupportedError(
            "MXNet has no operator %s in the formulation %s" % (name, request["formulation"])
        )
    logits, upstream = arrays["logits"], arrays.get("upstream")
    planes = logits.shape[axis] if request["per_output"] and name in PER_CLASS else 1
    heads = [upstream]
    if request["per_output"] and name in PER_CLASS:
        heads = [np.broadcast_to(_one_hot(k, axis, logits), logits.shape) for k in range(planes)]
    gradients, seconds, output = [], 0.0, None
    for head in heads:
        data = adapter.as_tensor(logits)
        data.attach_grad()
        targets = None if "targets" not in arrays else adapter.as_tensor(arrays["targets"])
        # A head gradient is an array of its own: the operators look at its memory.
        cotangent = None if head is None else adapter.as_tensor(np.ascontiguousarray(head))
        mx.nd.waitall()
        start = time.perf_counter()
        with mx.autograd.record():
            result = compute(data, targets, request["parameters"], axis)
        result.backward(None if cotangent is None else cotangent.reshape(result.shape))
        mx.nd.waitall()
        seconds += time.perf_counter() - start
        output = result.asnumpy()
        gradients.append(data.grad.asnumpy())
    assert output is not None
    found: dict[str, Any] = {"seconds": seconds, "output": (output, output.dtype.name)}
    if request["per_output"]:
        jacobian = np.stack(gradients)
        found["jacobian"] = (jacobian, jacobian.dtype.name)
    else:
        found["gradient"] = (gradients[0], gradients[0].dtype.name)
    return found


def _one_hot(k: int, axis: int, logits: Any) -> Any:
    import numpy as np

    shape = [size if i == axis else 1 for i, size in enumerate(logits.shape)]
    return (np.arange(logits.shape[axis]) == k).astype(logits.dtype).reshape(shape)


def _softmax(data: Tensor, _: Tensor, options: Dict[str, Any], axis: int) -> Tensor:
    import mxnet as mx

    given = _temperature(options)
    if not options.get("use_length"):
        return mx.nd.softmax(data, axis=axis, **given)
    outer = tuple(size for i, size in enumerate(data.shape) if i != axis)
    length = mx.nd.array(options["length"], dtype="int32").reshape(outer or (1,))
    return mx.nd.softmax(data, length, axis=axis, use_length=True, **given)


def _log_softmax(data: Tensor, _: Tensor, options: Dict[str, Any], axis: int) -> Tensor:
    import mxnet as mx

    return mx.nd.log_softmax(data, axis=axis, **_temperature(options))


def _softmin(data: Tensor, _: Tensor, options: Dict[str, Any], axis: int) -> Tensor:
    import mxnet as mx

    return mx.nd.softmin(data, axis=axis, **_temperature(options))


def _temperature(options: Dict[str, Any]) -> Dict[str, float]:
    """Only what is given: MXNet takes another kernel where it is."""
    temperature = options.get("temperature")
    return {} if temperature is None else {"temperature": float(temperature)}


def _softmax_output(data: Tensor, targets: Tensor, options: Dict[str, Any], _: int) -> Tensor:
    import mxnet as mx

    names = ("grad_scale", "ignore_label", "multi_output", "use_ignore", "preserve_shape", "normalization")
    given = {name: options[name] for name in (*names, "out_grad", "smooth_alpha") if options.get(name) is not None}
    return mx.nd.SoftmaxOutput(data, _labels(targets, data), **given)


def _softmax_cross_entropy(data: Tensor, targets: Tensor, _: Dict[str, Any], __: int) -> Tensor:
    import mxnet as mx

    return mx.nd.softmax_cross_entropy(data, _labels(targets, data))


def _gluon(data: Tensor, targets: Tensor, options: Dict[str, Any], axis: int) -> Tensor:
    import mxnet as mx

    names = ("sparse_label", "from_logits", "weight", "batch_axis")
    given = {name: options[name] for name in names if options.get(name) is not None}
    return mx.gluon.loss.SoftmaxCrossEntropyLoss(axis=axis, **given)(data, targets)


def _labels(targets: Tensor, data: Tensor) -> Tensor:
    """Labels as numbers of the data's dtype, as these operators want them."""
    import numpy as np

    adapter = sys.modules["gradaudit_adapter_mxnet_adapter"]
    converted = targets.astype(data.dtype)
    if targets.dtype == np.int64 and (converted.astype(np.int64).asnumpy() != targets.asnumpy()).any():
        raise adapter.UnsupportedError("%s has no number for one of the labels" % data.dtype.__name__)
    return converted


PER_CLASS: Tuple[str, ...] = ("softmax", "log_softmax", "softmin", "SoftmaxOutput")
"""Operators whose output has the data's shape."""

OPERATORS = {
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "softmin": _softmin,
    "SoftmaxOutput": _softmax_output,
    "softmax_cross_entropy": _softmax_cross_entropy,
    "SoftmaxCrossEntropyLoss": _gluon,
}
