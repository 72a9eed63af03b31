"""MXNet's own operators and its autograd, on the CPU, as its users write them.

Class axes stay where they are and are named to the operators; several class axes are flattened into one. What MXNet
has no operator for is composed of those that it has: `backends/mxnet.py` writes each composition down. The operators
that only MXNet has are in `mxnet_losses.py`, its own semantics of them in `mxnet_semantics.py`.

Run by path in any Python from 3.8 with NumPy and MXNet 1.9; imports nothing of gradaudit.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import warnings
from typing import Any, Dict, List

Array = Any
Request = Dict[str, Any]

DTYPES = ("float16", "float32", "float64")

GONE_VALUES = {
    **{"PZERO": 0.0, "NZERO": -0.0, "PINF": float("inf"), "NINF": float("-inf"), "Inf": float("inf")},
    **{"Infinity": float("inf"), "infty": float("inf"), "NaN": float("nan"), "NAN": float("nan")},
    **{"bool": bool, "int": int, "float": float, "complex": complex, "object": object, "str": str},
}
GONE_ALIASES = {
    **{"alltrue": "all", "sometrue": "any", "product": "prod", "cumproduct": "cumprod", "in1d": "isin"},
    **{"trapz": "trapezoid", "msort": "sort", "round_": "round", "row_stack": "vstack", "float_": "float64"},
}
GONE_FUNCTIONS = ("fv", "ipmt", "irr", "mirr", "nper", "npv", "pmt", "ppmt", "pv", "rate")
"""Names that MXNet 1.9.1 reads while it is imported, and that NumPy has removed since; the last ones already did
nothing but raise."""

SETTINGS = ("MXNET_MKLDNN_ENABLED", "MXNET_SAFE_ACCUMULATION", "MXNET_ENFORCE_DETERMINISM", "MXNET_ENGINE_TYPE")
"""Environment variables by which MXNet chooses its kernels."""


class UnsupportedError(Exception):
    """MXNet has no operator for this."""


def beside(name: str) -> Any:
    """A file beside this one, loaded by path like this one."""
    module = "gradaudit_adapter_" + name
    if module not in sys.modules:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".py")
        spec = importlib.util.spec_from_file_location(module, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[module])
    return sys.modules[module]


def hello(threads: int) -> dict[str, Any]:
    """Import MXNet; its threads are pinned by OMP_NUM_THREADS, before anything is imported."""
    supplied = _supply_gone_names()
    try:
        import mxnet
    finally:
        _take_back(supplied)
    features = mxnet.runtime.Features()
    details = {name.lower(): os.environ[name] for name in SETTINGS if name in os.environ}
    built = "MKLDNN" in features and features.is_enabled("MKLDNN")
    details["onednn"] = "on" if built and os.environ.get("MXNET_MKLDNN_ENABLED", "1") != "0" else "off"
    details["safe_accumulation"] = "on" if os.environ.get("MXNET_SAFE_ACCUMULATION", "0") == "1" else "off"
    details["features"] = " ".join(sorted(name for name in features if features.is_enabled(name)))
    if supplied:
        details["numpy_names_supplied"] = str(len(supplied))
    return {
        "versions": {"mxnet": mxnet.__version__},
        "dtypes": list(DTYPES),
        "threads": threads,
        "details": details,
    }


def _supply_gone_names() -> List[str]:
    """Give NumPy the names that MXNet reads while it is imported; which ones it had not."""
    import numpy as np

    def gone(*arguments: Any, **named: Any) -> Any:  # noqa: ARG001
        raise RuntimeError("NumPy has removed this function")

    names = dict(GONE_VALUES, **dict.fromkeys(GONE_FUNCTIONS, gone))
    names.update({name: getattr(np, other) for name, other in GONE_ALIASES.items() if other in vars(np)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names that NumPy still has and warns of
        supplied = [name for name in names if not hasattr(np, name)]
    for name in supplied:
        setattr(np, name, names[name])
    return supplied


def _take_back(names: List[str]) -> None:
    """NumPy is left as it was found: what users of it see must not depend on MXNet."""
    import numpy as np

    for name in names:
        delattr(np, name)


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """Forward and backward of one function; see `gradaudit.backends.interface` for the request."""
    import mxnet as mx

    if request["dtype"] not in DTYPES:
        raise UnsupportedError("MXNet's operators have no %s" % request["dtype"])
    if any(0 in array.shape for array in arrays.values()):
        raise UnsupportedError("MXNet reads an extent of 0 as one that is not known yet")
    if request["function"].startswith("mxnet."):
        return dict(beside("mxnet_semantics").evaluate(request, arrays))
    axes, shape = list(request["axis"]), arrays["logits"].shape
    jacobian = request["per_output"] and request["function"] in ("softmax", "log_softmax")
    if jacobian:
        arrays["logits"], arrays["upstream"] = _tiled(arrays["logits"], axes)
        axes = [axis + 1 for axis in axes]
    tensors = {name: as_tensor(array) for name, array in arrays.items()}
    logits = tensors["logits"]
    logits.attach_grad()
    mx.nd.waitall()
    start = time.perf_counter()
    with mx.autograd.record():
        layer, output = forward(request, logits, tensors, axes)
    # Without a head gradient MXNet takes ones.
    layer.backward(head_of(layer, tensors.get("upstream")))
    mx.nd.waitall()
    seconds = time.perf_counter() - start
    found, gradient = output.asnumpy(), logits.grad.asnumpy()
    per_class = request["function"] in ("softmax", "log_softmax")
    if jacobian:
        found = found[0]
    elif not per_class:
        outer = tuple(size for i, size in enumerate(shape) if i not in axes)
        each = request["function"] == "logsumexp" or request["parameters"].get("reduction", "mean") == "none"
        found = found.reshape(outer if each else ())
    result: dict[str, Any] = {"seconds": seconds, "output": (found, found.dtype.name)}
    name = "jacobian" if request["per_output"] else "gradient"
    gradient = gradient if jacobian or not request["per_output"] else gradient[None]
    result[name] = (gradient, gradient.dtype.name)
    return result


def as_tensor(array: Array) -> Any:
    """An MXNet array; it has no scalars, so a scalar is one element."""
    import mxnet as mx

    array = array if array.ndim else array.reshape(1)
    return mx.nd.array(array, dtype=array.dtype)


def head_of(layer: Any, upstream: Any) -> Any:
    """The upstream gradient as the head gradient of `layer`, whose shape it gets where that is another."""
    if upstream is None or layer.shape == upstream.shape:
        return upstream
    if upstream.size == 1:
        return upstream.reshape((1,) * len(layer.shape)).broadcast_to(layer.shape)
    if layer.size == upstream.size:
        return upstream.reshape(layer.shape)
    return upstream.reshape((-1, 1)).broadcast_to(layer.shape)


def _tiled(logits: Array, axes: List[int]) -> tuple[Array, Array]:
    """The logits once for every class along a new first axis, and one-hot head gradients."""
    import numpy as np

    classes = int(np.prod([logits.shape[axis] for axis in axes]))
    shape = (classes, *logits.shape)
    one_hot = np.eye(classes, dtype=logits.dtype)
    one_hot = one_hot.reshape([classes] + [size if i in axes else 1 for i, size in enumerate(logits.shape)])
    tiled = [np.broadcast_to(array, shape) for array in (logits, one_hot)]
    return np.ascontiguousarray(tiled[0]), np.ascontiguousarray(tiled[1])


def forward(request: Request, logits: Any, tensors: dict[str, Any], axes: List[int]) -> Any:
    """What `backward` is called on, and the output of the function: the same but for SoftmaxOutput."""
    parameters, function = request["parameters"], request["function"]
    scale, temperature = float(parameters.get("logit_scale", 1.0)), float(parameters.get("temperature", 1.0))
    z = logits if scale == 1.0 else logits * scale
    z = z if temperature == 1.0 else z / temperature
    z, axis = one_class_axis(z, axes)
    classes = z.shape[axis]
    masked = set(parameters.get("masked_classes") or ())
    active = [j for j in range(classes) if j not in masked]
    z = _taken(z, active, axis) if masked else z
    if function == "cross_entropy":
        return beside("mxnet_losses").cross_entropy(request, z, axis, tensors, axes, active)
    if function == "logsumexp":
        output = _logsumexp(z, axis, request["formulation"])
        return output, output
    if function == "softmax":
        y, missing = _softmax(z, axis, request["formulation"]), 0.0
    else:
        y, missing = log_probabilities(z, axis, request["formulation"]), float("-inf")
    y = _with_missing(y, active, classes, axis, missing) if masked else y
    y = _class_axes_restored(y, axis, logits.shape, axes)
    return y, y


def one_class_axis(tensor: Any, axes: List[int]) -> tuple[Any, int]:
    """Several class axes flattened into one: in place where they are neighbours, else moved last."""
    if len(axes) == 1:
        return tensor, axes[0]
    outer = [i for i in range(tensor.ndim) if i not in axes]
    first = axes[0] if axes == list(range(axes[0], axes[-1] + 1)) else len(outer)
    if first == len(outer):
        tensor = tensor.transpose(outer + axes)
    shape = [tensor.shape[i] for i in range(tensor.ndim)]
    return tensor.reshape((*shape[:first], -1, *shape[first + len(axes) :])), first


def _class_axes_restored(tensor: Any, axis: int, shape: Any, axes: List[int]) -> Any:
    if len(axes) == 1:
        return tensor
    tensor = tensor.reshape((*tensor.shape[:axis], *[shape[i] for i in axes], *tensor.shape[axis + 1 :]))
    outer = [i for i in range(len(shape)) if i not in axes]
    if axis < len(outer):
        return tensor
    order = outer + axes
    return tensor.transpose([order.index(i) for i in range(len(shape))])


def _taken(tensor: Any, positions: List[int], axis: int) -> Any:
    import mxnet as mx

    return mx.nd.take(tensor, mx.nd.array(positions, dtype="int32"), axis=axis)


def _with_missing(y: Any, active: List[int], classes: int, axis: int, missing: float) -> Any:
    """All classes, those that take no part being `missing`."""
    import mxnet as mx

    rest = [j for j in range(classes) if j not in set(active)]
    shape = (*y.shape[:axis], len(rest), *y.shape[axis + 1 :])
    together = mx.nd.concat(y, mx.nd.full(shape, missing, dtype=y.dtype), dim=axis)
    order = active + rest
    return _taken(together, [order.index(j) for j in range(classes)], axis)


def _exponentials(z: Any, axis: int) -> tuple[Any, Any]:
    """w = exp(z) and its sums."""
    w = z.exp()
    return w, w.sum(axis=axis, keepdims=True)


def _softmax(z: Any, axis: int, formulation: str) -> Any:
    import mxnet as mx

    if formulation == "fused":
        return mx.nd.softmax(z, axis=axis)
    if formulation == "log_softmax":
        return mx.nd.log_softmax(z, axis=axis).exp()
    w, s = _exponentials(z, axis)
    return mx.nd.broadcast_div(w, s)


def log_probabilities(z: Any, axis: int, formulation: str) -> Any:
    """The log-softmax in one of the four ways."""
    import mxnet as mx

    if formulation in ("fused", "log_softmax"):
        return mx.nd.log_softmax(z, axis=axis)
    if formulation == "unfused":
        return mx.nd.softmax(z, axis=axis).log()
    _, s = _exponentials(z, axis)
    return mx.nd.broadcast_sub(z, s.log())


def _logsumexp(z: Any, axis: int, formulation: str) -> Any:
    """MXNet has no operator for it: the sum of exponentials, about the maximum where fused."""
    import mxnet as mx

    if formulation == "unshifted":
        return z.exp().sum(axis=axis).log()
    shift = mx.nd.BlockGrad(z.max(axis=axis, keepdims=True))
    total = mx.nd.broadcast_sub(z, shift).exp().sum(axis=axis, keepdims=True)
    return (total.log() + shift).squeeze(axis=axis)
