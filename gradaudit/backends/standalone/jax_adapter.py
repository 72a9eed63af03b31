"""JAX's own operations and its vector-Jacobian products, eager and compiled by XLA.

Eager: every operation is dispatched by itself, but those that JAX itself compiles as one (`jax.nn.log_softmax`).
Compiled: forward and backward are one `jax.jit`, as in a training step. 64-bit types are switched on, without which
JAX makes float32 of every float64 in silence; what returns is checked for it.

JAX has no single operation for cross entropy. "fused" is what optax's losses are: for class indices logsumexp minus
the label's logit, both of the shifted logits; for probabilities and smoothed labels -sum(t log_softmax).
"log_softmax" is `jax.nn.log_softmax`, then `take_along_axis` or the product with one-hot rows; "unfused" is the
logarithm of `jax.nn.softmax`.

Run by path in any Python from 3.8 with NumPy and JAX; imports nothing of gradaudit.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Callable, Dict

Array = Any
Request = Dict[str, Any]

_compiled: dict[str, Any] = {}
_platform: list[str] = []

OWN_VARIABLES = ("NPROC", "XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL")
"""Environment variables that `hello` sets."""

MOST_COMPILED = 64
"""Compiled functions that are kept; each holds one program for every shape it has met."""


class UnsupportedError(Exception):
    """Not something that this JAX can be asked for."""


class MissingError(Exception):
    """This JAX, or this machine, has not the device."""


def hello(threads: int) -> dict[str, Any]:
    """Import JAX with 64-bit types and its threads pinned; the platform is chosen with the first device asked for."""
    pin_threads(threads)
    import jax
    import jaxlib

    jax.config.update("jax_enable_x64", True)
    _keep_small_programs()
    return {
        "versions": {"jax": jax.__version__, "jaxlib": jaxlib.__version__},
        "dtypes": ["float16", "bfloat16", "float32", "float64"],
        "threads": threads,
        "details": details(),
    }


def _keep_small_programs() -> None:
    """Where JAX_COMPILATION_CACHE_DIR asks for compiled programs to be kept, those that took less than a second too:
    those of a loss take some 50 ms each, and there are hundreds. What the environment says besides is left alone."""
    import jax

    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return
    for name, least in (
        ("jax_persistent_cache_min_compile_time_secs", 0.0),
        ("jax_persistent_cache_min_entry_size_bytes", -1),
    ):
        if name.upper() not in os.environ and hasattr(jax.config, name):
            jax.config.update(name, least)


def details() -> dict[str, str]:
    """JAX's switches that decide numbers, by name."""
    import jax

    names = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion", "jax_softmax_custom_jvp")
    found = {name: str(getattr(jax.config, name)) for name in names if hasattr(jax.config, name)}
    found["xla_flags"] = os.environ.get("XLA_FLAGS", "")
    # XLA's CPU client sets the processor to it for the time of a computation, and restores it afterwards.
    found["flushes_to_zero_while_computing"] = str(_flushes_to_zero())
    return found


def _flushes_to_zero() -> bool:
    """Whether a computation on the CPU loses subnormal numbers: half of the smallest normal float32.

    The client that is made for it is given back: the first device that is asked for chooses the platform.
    """
    import numpy as np

    device_of({})
    import jax.extend.backend
    import jax.numpy as jnp

    flushes = not float(jnp.asarray(np.float32(2.0**-126)) * np.float32(0.5))
    if hasattr(jax.extend.backend, "clear_backends"):
        jax.extend.backend.clear_backends()
        _platform.clear()
    return flushes


def pin_threads(threads: int) -> None:
    """The variables that XLA's CPU client reads once, when it is made."""
    os.environ["NPROC"] = str(threads)
    flags = os.environ.get("XLA_FLAGS", "").split()
    if threads == 1:
        flags = [flag for flag in flags if not flag.startswith("--xla_cpu_multi_thread_eigen")]
        flags.append("--xla_cpu_multi_thread_eigen=false")
    os.environ["XLA_FLAGS"] = " ".join(flags)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TPUs and GPUs that are not asked for are not complained of


def device_of(request: Request) -> Any:
    """The device that is asked for; MissingError where there is none. Other platforms are not initialised."""
    import jax

    name = request.get("device", "cpu")
    kind, _, index = name.partition(":")
    if kind not in _platform:
        if _platform:
            raise MissingError("jax computes on %s in this process, not on %r as well" % (_platform[0], name))
        jax.config.update("jax_platforms", kind if kind == "cpu" else kind + ",cpu")
    try:
        found = jax.devices(kind)[int(index or 0)]
    except (RuntimeError, IndexError) as error:
        if not _platform:
            jax.config.update("jax_platforms", "cpu")
        raise MissingError("jax %s has no device %r here: %s" % (jax.__version__, name, error)) from None
    if not _platform:
        _platform.append(kind)
    return found


def as_jax(array: Any, device: Any) -> Array:
    """A JAX array of its own memory; bfloat16 arrives as its bits."""
    import jax
    import ml_dtypes
    import numpy as np

    # jnp.array would have XLA compile a program for every shape; the memory that is put there is nobody else's.
    return jax.device_put(np.array(array.view(ml_dtypes.bfloat16) if array.dtype == "uint16" else array), device)


def encoded(array: Array) -> tuple[Any, str]:
    """The NumPy array of a JAX array, bfloat16 as its bits, and the name of its dtype."""
    import numpy as np

    found, dtype = np.asarray(array), str(array.dtype)
    return (found.view("uint16") if dtype == "bfloat16" else found), dtype


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """Forward and backward of one function; see `gradaudit.backends.interface` for the request."""
    import jax

    device = device_of(request)
    with jax.default_device(device):
        given = {name: as_jax(array, device) for name, array in arrays.items()}
        run = _runner(request)
        start = time.perf_counter()
        output, derivative = jax.block_until_ready(run(given))
        seconds = time.perf_counter() - start
    for name, array in (("output", output), ("gradient", derivative)):
        if str(array.dtype) != request["dtype"]:
            raise RuntimeError(
                "the %s of %s came back as %s: jax_enable_x64 is off" % (name, request["dtype"], array.dtype)
            )
    name = "jacobian" if request["per_output"] else "gradient"
    return {"seconds": seconds, "output": encoded(output), name: encoded(derivative)}


def _runner(request: Request) -> Callable[[dict[str, Array]], tuple[Array, Array]]:
    """Forward and backward on the arrays, as the execution asks; compiled ones are kept."""
    import jax

    if request.get("execution", "eager") == "eager":
        return lambda given: _both(request, given)
    names = ("function", "parameters", "formulation", "axis", "per_output", "dtype")
    key = json.dumps([request[name] for name in names], sort_keys=True)
    if key not in _compiled:
        while len(_compiled) >= MOST_COMPILED:
            del _compiled[next(iter(_compiled))]
        _compiled[key] = jax.jit(lambda given: _both(request, given))
    found: Callable[[dict[str, Array]], tuple[Array, Array]] = _compiled[key]
    return found


def _both(request: Request, given: dict[str, Array]) -> tuple[Array, Array]:
    """The output, and the gradient, or with `per_output` one for each output of a row."""
    import jax
    import jax.numpy as jnp

    logits, axes = given["logits"], list(request["axis"])
    output, backward = jax.vjp(lambda z: _forward(request, z, given, axes), logits)
    if not request["per_output"]:
        return output, backward(given["upstream"])[0]
    if request["function"] in ("softmax", "log_softmax"):
        return output, jax.vmap(backward)(one_hot_heads(logits, axes))[0]
    return output, backward(jnp.ones_like(output))[0][None]


def one_hot_heads(logits: Array, axes: list[int]) -> Array:
    """One upstream gradient for each class: 1 there in every row, 0 elsewhere; [classes, *logits.shape]."""
    import jax.numpy as jnp

    classes = 1
    for axis in axes:
        classes *= logits.shape[axis]
    shape = [classes] + [size if i in axes else 1 for i, size in enumerate(logits.shape)]
    eye = jnp.eye(classes, dtype=logits.dtype).reshape(shape)
    return jnp.broadcast_to(eye, (classes, *logits.shape))


def _forward(request: Request, logits: Array, given: dict[str, Array], axes: list[int]) -> Array:
    import jax
    import jax.numpy as jnp

    parameters, formulation = request["parameters"], request["formulation"]
    scale, temperature = float(parameters.get("logit_scale", 1.0)), float(parameters.get("temperature", 1.0))
    z = logits if scale == 1.0 else logits * scale
    z = z if temperature == 1.0 else z / temperature
    classes_shape = [z.shape[axis] for axis in axes]
    z, axis = one_class_axis(z, axes)
    classes = z.shape[axis]
    masked = set(parameters.get("masked_classes") or ())
    active = [j for j in range(classes) if j not in masked]
    z = jnp.take(z, jnp.array(active), axis=axis) if masked else z
    if request["function"] == "logsumexp":
        return jax.nn.logsumexp(z, axis=axis) if formulation == "fused" else jnp.log(jnp.sum(jnp.exp(z), axis=axis))
    if request["function"] == "cross_entropy":
        return _cross_entropy(request, z, axis, given, axes, active if masked else None)
    if request["function"] == "softmax":
        y, missing = _softmax(z, axis, formulation), 0.0
    else:
        y, missing = _log_softmax(z, axis, formulation), float("-inf")
    if masked:
        whole = jnp.full((*y.shape[:axis], classes, *y.shape[axis + 1 :]), missing, y.dtype)
        y = whole.at[(slice(None),) * axis + (jnp.array(active),)].set(y)
    return _class_axes_restored(y, axis, classes_shape, axes)


def one_class_axis(array: Array, axes: list[int]) -> tuple[Array, int]:
    """Several class axes flattened into one: in place where they are neighbours, else moved last."""
    import jax.numpy as jnp

    if len(axes) == 1:
        return array, axes[0]
    first = axes[0]
    if axes != list(range(first, axes[-1] + 1)):
        first = array.ndim - len(axes)
        array = jnp.moveaxis(array, axes, list(range(first, array.ndim)))
    return array.reshape((*array.shape[:first], -1, *array.shape[first + len(axes) :])), first


def _class_axes_restored(array: Array, axis: int, sizes: list[int], axes: list[int]) -> Array:
    import jax.numpy as jnp

    if len(axes) == 1:
        return array
    array = array.reshape((*array.shape[:axis], *sizes, *array.shape[axis + 1 :]))
    return jnp.moveaxis(array, list(range(axis, axis + len(axes))), axes)


def _softmax(z: Array, axis: int, formulation: str) -> Array:
    import jax
    import jax.numpy as jnp

    if formulation == "fused":
        return jax.nn.softmax(z, axis=axis)
    if formulation == "log_softmax":
        return jnp.exp(jax.nn.log_softmax(z, axis=axis))
    w = jnp.exp(z)
    return w / jnp.sum(w, axis=axis, keepdims=True)


def _log_softmax(z: Array, axis: int, formulation: str) -> Array:
    import jax
    import jax.numpy as jnp

    if formulation in ("fused", "log_softmax"):
        return jax.nn.log_softmax(z, axis=axis)
    if formulation == "unfused":
        return jnp.log(jax.nn.softmax(z, axis=axis))
    return z - jnp.log(jnp.sum(jnp.exp(z), axis=axis, keepdims=True))


def _cross_entropy(
    request: Request, z: Array, axis: int, given: dict[str, Array], axes: list[int], active: list[int] | None
) -> Array:
    """Cross entropy in PyTorch's semantics, in the terms of JAX."""
    import jax.numpy as jnp

    parameters, targets, weight = request["parameters"], given["targets"], given.get("weight")
    smoothing, reduction = float(parameters.get("label_smoothing", 0.0)), parameters.get("reduction", "mean")
    weight = weight if weight is None or active is None else jnp.take(weight, jnp.array(active))
    if jnp.issubdtype(targets.dtype, jnp.integer):
        valid = targets != parameters.get("ignore_index", -100)
        labels = jnp.where(valid, targets, 0)
        labels = labels if active is None else jnp.where(valid, jnp.searchsorted(jnp.array(active), labels), 0)
        counted = valid.astype(z.dtype) if weight is None else jnp.where(valid, weight[labels], 0)
        losses = _of_indices(request["formulation"], z, axis, labels, weight, smoothing)
        # An ignored row's own loss may be infinite, so that it is replaced, not multiplied by zero.
        losses, denominator = jnp.where(valid, losses, 0), jnp.sum(counted)
    else:
        q = one_class_axis(targets, axes)[0]
        q = q if active is None else jnp.take(q, jnp.array(active), axis=axis)
        losses = _of_probabilities(_log_p(request, z, axis), q, axis, weight, smoothing)
        denominator = jnp.asarray(losses.size, losses.dtype)
    if reduction == "none":
        return losses
    return jnp.sum(losses) if reduction == "sum" else jnp.sum(losses) / denominator


def _log_p(request: Request, z: Array, axis: int) -> Array:
    return _log_softmax(z, axis, request["formulation"])


def _of_indices(formulation: str, z: Array, axis: int, labels: Array, weight: Array, smoothing: float) -> Array:
    """The losses of the rows, every one as if it counted."""
    import jax
    import jax.numpy as jnp

    if smoothing:
        one_hot = jax.nn.one_hot(labels, z.shape[axis], dtype=z.dtype, axis=axis)
        log_p = _log_softmax(z, axis, formulation)
        return _of_probabilities(log_p, one_hot, axis, weight, smoothing)
    at = jnp.expand_dims(labels, axis)
    if formulation == "fused":
        shifted = z - jax.lax.stop_gradient(jnp.max(z, axis=axis, keepdims=True))
        own = jnp.take_along_axis(shifted, at, axis=axis)
        losses = jnp.log(jnp.sum(jnp.exp(shifted), axis=axis)) - jnp.squeeze(own, axis)
    else:
        log_p = _log_softmax(z, axis, formulation)
        losses = -jnp.squeeze(jnp.take_along_axis(log_p, at, axis=axis), axis)
    return losses if weight is None else losses * weight[labels]


def _of_probabilities(log_p: Array, q: Array, axis: int, weight: Array, smoothing: float) -> Array:
    """-sum t log p, the targets smoothed and weighted as PyTorch does."""
    import jax.numpy as jnp

    t = q * (1.0 - smoothing) + smoothing / log_p.shape[axis] if smoothing else q
    if weight is not None:
        t = t * weight.reshape([-1 if i == axis else 1 for i in range(log_p.ndim)])
    return -jnp.sum(t * log_p, axis=axis)
