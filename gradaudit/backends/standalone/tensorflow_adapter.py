"""TensorFlow's own operations on the CPU, differentiated by GradientTape: eager, as a graph, or compiled by XLA.

Forward and backward stand in one function, as in a training step, and it is run as it is, under `tf.function`, or
under `tf.function(jit_compile=True)`. `tensorflow_functions.py` spells what is computed. Start-up is quiet: what
TensorFlow's C++ says while it is imported is kept, and printed only where the import fails.

Run by path in any Python from 3.8 with NumPy and TensorFlow; imports nothing of gradaudit.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import tempfile
import time
from typing import Any, Dict, Iterator

Tensor = Any
Request = Dict[str, Any]

MOST_FUNCTIONS = 64
"""Traced functions that are kept; each holds its graph, or its compiled code."""

OWN_VARIABLES = ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES", "KERAS_BACKEND")
"""What this file sets in the environment itself, before TensorFlow reads it."""

EXECUTIONS = ("eager", "graph", "compiled")

_traced: dict[str, Any] = {}


class UnsupportedError(Exception):
    """This TensorFlow has no kernel for it, or nothing that its users would write."""


def _sibling(stem: str) -> Any:
    """A file beside this one, loaded by path like this one."""
    name = "gradaudit_adapter_" + stem
    if name not in sys.modules:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), stem + ".py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def hello(threads: int) -> dict[str, Any]:
    """Import TensorFlow, pin its threads and run one operation, after which nothing more is set up."""
    with quiet():
        tf = imported(threads)
        tf.exp(tf.constant([0.0])).numpy()
    return {
        "versions": {"tensorflow": tf.__version__},
        "dtypes": ["float16", "bfloat16", "float32", "float64"],
        "threads": tf.config.threading.get_intra_op_parallelism_threads(),
        "details": details(),
    }


def imported(threads: int) -> Any:
    """TensorFlow on the CPU with its threads pinned; the environment is set before it is read."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.get_logger().setLevel("ERROR")
    return tf


def details() -> dict[str, str]:
    """The switches that change what is computed."""
    import tensorflow as tf

    tiny = tf.constant([1.1754943508222875e-38])
    return {
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "as built: " + _has_onednn()),
        "xla": "jit_compile where asked for; auto-clustering %s" % (tf.config.optimizer.get_jit() or "off"),
        "tensor_float_32": str(tf.config.experimental.tensor_float_32_execution_enabled()),
        "deterministic_ops": str(_deterministic()),
        "flushes_subnormals_inside_kernels": str(float((tiny * tf.constant([0.5])).numpy()[0]) == 0.0),
    }


def _has_onednn() -> str:
    with contextlib.suppress(Exception):
        from tensorflow.python.util import _pywrap_util_port

        return "on" if _pywrap_util_port.IsMklEnabled() else "off"
    return "unknown"


def _deterministic() -> Any:
    with contextlib.suppress(Exception):
        from tensorflow.python.framework import config

        return config.is_op_determinism_enabled()
    return "unknown"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What is written to descriptor 2 meanwhile is shown only if it ends in an exception."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as heard:
        os.dup2(heard.fileno(), 2)
        try:
            yield
        except BaseException:
            heard.seek(0)
            os.write(kept, heard.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """Forward and backward of one function; see `gradaudit.backends.interface` for the request."""
    import tensorflow as tf

    functions = _sibling("tensorflow_functions")
    arrays, axes, tiled = prepared(request, arrays)
    tensors = {name: as_tensor(array) for name, array in arrays.items()}
    try:
        make = functions.forward_of(request, arrays, axes)
    except functions.UnsupportedError as error:
        raise UnsupportedError(str(error)) from None
    asked = [request, axes, sorted((name, array.shape, str(array.dtype)) for name, array in arrays.items()), make.key]
    try:
        step = executed(make.forward, request.get("execution", "eager"), json.dumps(asked, default=str), tensors)
        start = time.perf_counter()
        output, gradient = step(tensors)
        output, gradient = output.numpy(), gradient.numpy()
        seconds = time.perf_counter() - start
    except (tf.errors.UnimplementedError, tf.errors.NotFoundError) as error:
        raise UnsupportedError("tensorflow %s: %s" % (tf.__version__, str(error)[:300])) from None
    result: dict[str, Any] = {"seconds": seconds, "output": encoded(output[0] if tiled else output)}
    if request["per_output"]:
        result["jacobian"] = encoded(gradient if tiled else gradient[None])
    else:
        result["gradient"] = encoded(gradient)
    return result


def executed(forward: Any, execution: str, key: str, tensors: dict[str, Tensor]) -> Any:
    """`forward` and its backward, run as `execution` says; what was traced for `key` is used again."""
    import tensorflow as tf

    if execution not in EXECUTIONS:
        raise UnsupportedError("tensorflow runs %s, not %r" % (", ".join(EXECUTIONS), execution))
    if execution == "eager":
        return lambda given: _step(forward, given)
    if key not in _traced:
        if len(_traced) >= MOST_FUNCTIONS:
            _traced.clear()
        _traced[key] = tf.function(lambda given: _step(forward, given), jit_compile=execution == "compiled")
        _traced[key].get_concrete_function(tensors)  # traced before the clock starts
    return _traced[key]


def _step(forward: Any, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(given["logits"])
        output = forward(given)
    gradient = tape.gradient(output, given["logits"], output_gradients=given.get("upstream"))
    return output, tf.convert_to_tensor(gradient)


def prepared(request: Request, arrays: dict[str, Any]) -> Any:
    """The arrays and class axes; for a Jacobian the logits once for every class, and one-hot upstream gradients."""
    axes = list(request["axis"])
    tiled = request["per_output"] and request["function"] in ("softmax", "log_softmax")
    if not tiled:
        return arrays, axes, False
    import numpy as np

    logits = arrays["logits"]
    classes = int(np.prod([logits.shape[axis] for axis in axes]))
    shape = (classes, *logits.shape)
    ones = [classes] + [size if i in axes else 1 for i, size in enumerate(logits.shape)]
    one = np.array(0x3F80, logits.dtype) if logits.dtype == np.uint16 else logits.dtype.type(1)
    eye = (np.eye(classes) > 0.0).reshape(ones)
    upstream = np.where(np.broadcast_to(eye, shape), one, np.zeros((), logits.dtype))
    copies = np.array(np.broadcast_to(logits, shape), order="C")
    return dict(arrays, logits=copies, upstream=upstream), [axis + 1 for axis in axes], True


def as_tensor(array: Any) -> Tensor:
    """A tensor of the array; bfloat16 arrives as its bits."""
    import numpy as np
    import tensorflow as tf

    if array.dtype == np.uint16:
        array = array.view(tf.bfloat16.as_numpy_dtype)
    return tf.constant(np.ascontiguousarray(array).reshape(array.shape))


def encoded(array: Any) -> tuple[Any, str]:
    """The array, bfloat16 as its bits, and the name of its dtype."""
    import numpy as np

    array = np.asarray(array)
    return (array.view(np.uint16) if array.dtype.name == "bfloat16" else array), array.dtype.name
