"""Keras's losses and activations on one of its backends, each differentiated by that backend's own means.

    fused               SparseCategoricalCrossentropy (class indices) or CategoricalCrossentropy (probabilities, and
                        smoothed labels as one-hot rows) with from_logits=True
    from_probabilities  the same with from_logits=False, of the framework's own softmax
    from_activation     from_logits=False of keras.activations.softmax, which on TensorFlow remembers its logits
    softmax_as_logits   from_logits=True of the framework's softmax, a mistake of its user

softmax, log_softmax and logsumexp are those of keras.ops, "fused". The losses get `dtype`: by default they convert to
Keras's floatx. Class weights are sample weights with the reduction "mean_with_sample_weight", as `fit(class_weight=)`
leaves them, and rows are ignored by `ignore_class`.

KERAS_BACKEND is set by the three adapters beside this file, each for one backend, before Keras is imported. Run by
path in any Python from 3.8 with NumPy, Keras and the backend; imports nothing of gradaudit.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import sys
import time
from typing import Any, Dict, List

Tensor = Any
Request = Dict[str, Any]

OWN_VARIABLES = ("KERAS_BACKEND", "TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES", "NPROC", "XLA_FLAGS")
"""What this file and those of the frameworks set in the environment before Keras reads it."""

FORMULATIONS = ("fused", "from_probabilities", "from_activation", "softmax_as_logits")
EXECUTIONS = {
    "tensorflow": ("eager", "graph", "compiled"),
    "torch": ("eager",),
    "jax": ("eager", "compiled"),
}

MOST_COMPILED = 64
"""Programs of JAX that are kept, as in `jax_adapter.py`."""

_compiled: Dict[str, Any] = {}


class UnsupportedError(Exception):
    """Nothing that Keras has computes it."""


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


def hello(backend: str, threads: int) -> Dict[str, Any]:
    """Import Keras on `backend`, whose own adapter pins the threads and tells of its switches."""
    os.environ["KERAS_BACKEND"] = backend
    framework = _sibling(backend + "_adapter").hello(threads)
    quiet = _sibling("tensorflow_adapter").quiet if backend == "tensorflow" else contextlib.nullcontext
    with quiet():
        import keras
    if keras.backend.backend() != backend:
        raise ImportError("Keras took the backend %r where %r was asked for" % (keras.backend.backend(), backend))
    details = {"keras_backend": backend, "keras_epsilon": repr(keras.config.epsilon())}
    details["keras_floatx"] = keras.config.floatx()
    return dict(
        framework,
        versions=dict(framework["versions"], keras=keras.__version__),
        details=dict(framework.get("details", {}), **details),
    )


def evaluate(backend: str, request: Request, arrays: Dict[str, Any]) -> Dict[str, Any]:
    """Forward and backward of one function; see `gradaudit.backends.interface` for the request."""
    if request.get("execution", "eager") not in EXECUTIONS[backend]:
        raise UnsupportedError("keras on %s runs %s" % (backend, ", ".join(EXECUTIONS[backend])))
    arrays, axes, tiled = _sibling("tensorflow_adapter").prepared(request, arrays)
    forward = _forward_of(backend, request, arrays, axes)
    kinds = sorted((name, array.shape, str(array.dtype)) for name, array in arrays.items())
    ignored = int(request["parameters"].get("ignore_index", -100))
    ignores = "targets" in arrays and bool((arrays["targets"] == ignored).any())
    key = json.dumps([request, axes, kinds, ignores], default=str)
    execution = request.get("execution", "eager")
    if backend == "torch":
        output, gradient, seconds = _by_torch(forward, arrays)
    else:
        compute = {"tensorflow": _by_tensorflow, "jax": _by_jax}[backend]
        output, gradient, seconds = compute(forward, arrays, execution, key)
    result: Dict[str, Any] = {"seconds": seconds, "output": _encoded(output[0] if tiled else output)}
    if request["per_output"]:
        result["jacobian"] = _encoded(gradient if tiled else gradient[None])
    else:
        result["gradient"] = _encoded(gradient)
    return result


def _by_tensorflow(forward: Any, arrays: Dict[str, Any], execution: str, key: str) -> Any:
    adapter = _sibling("tensorflow_adapter")
    tensors = {name: adapter.as_tensor(array) for name, array in arrays.items()}
    step = adapter.executed(forward, execution, key, tensors)
    start = time.perf_counter()
    output, gradient = step(tensors)
    output, gradient = output.numpy(), gradient.numpy()
    return output, gradient, time.perf_counter() - start


def _by_torch(forward: Any, arrays: Dict[str, Any]) -> Any:
    import torch

    adapter = _sibling("torch_adapter")
    tensors = {name: adapter.as_tensor(array) for name, array in arrays.items()}
    logits = tensors["logits"].requires_grad_()
    start = time.perf_counter()
    output = forward(tensors)
    (gradient,) = torch.autograd.grad(output, logits, tensors.get("upstream", torch.ones_like(output)))
    seconds = time.perf_counter() - start
    return adapter.encoded(output)[0], adapter.encoded(gradient)[0], seconds


def _by_jax(forward: Any, arrays: Dict[str, Any], execution: str, key: str) -> Any:
    import jax
    import ml_dtypes
    import numpy as np

    views = {n: a.view(ml_dtypes.bfloat16) if a.dtype == np.uint16 else a for n, a in arrays.items()}

    def step(given: Dict[str, Any]) -> Any:
        rest = {name: array for name, array in given.items() if name != "logits"}
        output, pull = jax.vjp(lambda logits: forward(dict(rest, logits=logits)), given["logits"])
        upstream = given.get("upstream", jax.numpy.ones(output.shape, output.dtype))
        return output, pull(upstream)[0]

    if execution == "compiled":
        if key not in _compiled:
            while len(_compiled) >= MOST_COMPILED:
                del _compiled[next(iter(_compiled))]
            _compiled[key] = jax.jit(step)
        step = _compiled[key]
    given = {name: jax.numpy.asarray(array) for name, array in views.items()}
    start = time.perf_counter()
    output, gradient = step(given)
    output, gradient = np.asarray(output), np.asarray(gradient)
    return output, gradient, time.perf_counter() - start


def _encoded(array: Any) -> Any:
    import numpy as np

    array = np.asarray(array)
    if array.dtype == np.uint16:  # torch's bfloat16 is its bits already
        return array, "bfloat16"
    return (array.view(np.uint16) if array.dtype.name == "bfloat16" else array), array.dtype.name


def _forward_of(backend: str, request: Request, arrays: Dict[str, Any], axes: List[int]) -> Any:
    """What computes the output of the request from tensors of the backend."""
    function, formulation = request["function"], request["formulation"]
    if function != "cross_entropy":
        if formulation != "fused":
            raise UnsupportedError("keras.ops.%s is one operation; its formulation is fused" % function)
        return lambda given: _activation(request, given["logits"], axes)
    if formulation not in FORMULATIONS:
        raise UnsupportedError(
            "keras has the formulations %s of cross_entropy, not %r" % (", ".join(FORMULATIONS), formulation)
        )
    parameters, indices = request["parameters"], arrays["targets"].dtype.kind == "i"
    smoothing = float(parameters.get("label_smoothing", 0.0))
    ignores = indices and bool((arrays["targets"] == parameters.get("ignore_index", -100)).any())
    if "weight" in arrays and (smoothing or not indices):
        raise UnsupportedError("keras weights samples, not the classes inside a smoothed or given distribution")
    if ignores and smoothing:
        raise UnsupportedError("keras ignores no class where it smooths: CategoricalCrossentropy has no ignore_class")
    return lambda given: _loss(backend, request, given, axes, ignores)


def _scaled(request: Request, logits: Tensor) -> Tensor:
    parameters = request["parameters"]
    scale, temperature = float(parameters.get("logit_scale", 1.0)), float(parameters.get("temperature", 1.0))
    z = logits if scale == 1.0 else logits * scale
    return z if temperature == 1.0 else z / temperature


def _activation(request: Request, logits: Tensor, axes: List[int]) -> Tensor:
    from keras import ops

    z, function = _scaled(request, logits), request["function"]
    if request["parameters"].get("masked_classes"):
        raise UnsupportedError("keras leaves no classes out of %s" % function)
    if function == "logsumexp":
        return ops.logsumexp(z, axis=tuple(axes))
    call = {"softmax": ops.softmax, "log_softmax": ops.log_softmax}[function]
    if len(axes) == 1:
        return call(z, axis=axes[0])
    order = [i for i in range(len(z.shape)) if i not in axes] + axes
    last = _classes_last(z, axes)
    moved = ops.reshape(call(last, axis=-1), [logits.shape[i] for i in order])
    return ops.transpose(moved, [order.index(i) for i in range(len(order))])


def _classes_last(tensor: Tensor, axes: List[int]) -> Tensor:
    from keras import ops

    rank = len(tensor.shape)
    order = [i for i in range(rank) if i not in axes] + axes
    if order != list(range(rank)):
        tensor = ops.transpose(tensor, order)
    return tensor if len(axes) == 1 else ops.reshape(tensor, [*tensor.shape[: rank - len(axes)], -1])


def _loss(backend: str, request: Request, given: Dict[str, Tensor], axes: List[int], ignores: bool) -> Tensor:
    import keras
    from keras import ops

    parameters = request["parameters"]
    smoothing = float(parameters.get("label_smoothing", 0.0))
    z, targets = _classes_last(_scaled(request, given["logits"]), axes), given["targets"]
    indices = "int" in keras.backend.standardize_dtype(targets.dtype)
    masked = parameters.get("masked_classes") or ()
    weight = given.get("weight")
    targets = targets if indices else _classes_last(targets, axes)
    if masked:
        kept = [j for j in range(z.shape[-1]) if j not in set(masked)]
        places = [kept.index(j) if j in kept else 0 for j in range(z.shape[-1])]
        z = ops.take(z, kept, axis=-1)
        weight = None if weight is None else ops.take(weight, kept, axis=-1)
        targets = ops.take(targets, kept, axis=-1) if not indices else _renumbered(targets, places, parameters)
    formulation = request["formulation"]
    prediction = z
    if formulation in ("from_probabilities", "softmax_as_logits"):
        prediction = _own_softmax(backend, z)
    elif formulation == "from_activation":
        prediction = keras.activations.softmax(z)
    options = {
        "from_logits": formulation in ("fused", "softmax_as_logits"),
        "dtype": request["dtype"],
        "reduction": {"none": None, "sum": "sum", "mean": "sum_over_batch_size"}[parameters.get("reduction", "mean")],
    }
    if not indices or smoothing:
        if indices:
            targets = ops.one_hot(targets, z.shape[-1], dtype=request["dtype"])
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing, **options)
        return loss(targets, prediction)
    ignored = int(parameters.get("ignore_index", -100))
    sample_weight = None
    if weight is not None:
        counted = ops.where(ops.equal(targets, ignored), ops.zeros_like(targets), targets) if ignores else targets
        sample_weight = ops.take(weight, counted, axis=0)
        if options["reduction"] == "sum_over_batch_size":
            options["reduction"] = "mean_with_sample_weight"
    loss = keras.losses.SparseCategoricalCrossentropy(ignore_class=ignored if ignores else None, **options)
    return loss(targets, prediction, sample_weight=sample_weight)


def _renumbered(labels: Tensor, places: List[int], parameters: Dict[str, Any]) -> Tensor:
    """Labels counted among the classes that take part; ignored ones stay."""
    from keras import ops

    ignored = ops.equal(labels, int(parameters.get("ignore_index", -100)))
    counted = ops.where(ignored, ops.zeros_like(labels), labels)
    renumbered = ops.take(ops.convert_to_tensor(places, dtype="int64"), counted, axis=0)
    return ops.where(ignored, labels, ops.cast(renumbered, labels.dtype))


def _own_softmax(backend: str, z: Tensor) -> Tensor:
    """The softmax of the framework below: Keras's own may remember its logits."""
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.nn.softmax(z)
    if backend == "torch":
        import torch

        return torch.softmax(z, -1)
    import jax

    return jax.nn.softmax(z)
