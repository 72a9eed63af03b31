"""Users' own losses and activations written in JAX: `f(logits, targets)`, `f(logits)`, differentiated by `jax.vjp`.

Functions, `jax.jit`ted ones, `jax.custom_vjp` and `jax.custom_jvp`, classes that are constructed and called. 64-bit
types are on for logits of float64 alone, while the user's file is imported too: elsewhere most people have them off,
and `jnp.zeros(3)` is then float32.

Run by path in any Python from 3.8 with NumPy and JAX; imports nothing of gradaudit. The request is described in
`gradaudit.backends.interface`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional

Array = Any
Request = Dict[str, Any]

_subjects: dict[str, Any] = {}
_programs: dict[int, Any] = {}  # by the function, which `_subjects` keeps


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


user_code = _sibling("user_code")
MissingError = _sibling("jax_adapter").MissingError
OWN_VARIABLES = _sibling("jax_adapter").OWN_VARIABLES

MOST_SHAPES = 128
"""Shapes of arguments, for each function and dtype, after which compiled programs are forgotten."""

_met: set[str] = set()


class UnsupportedError(Exception):
    """Not something that can be asked of this JAX, or of the subject."""


class UnusableError(Exception):
    """What a function returned cannot be differentiated; raised to leave the differentiation."""


class Called(NamedTuple):
    """What a call returned. `gradient` is None where there is none, and `unusable` then says why. `backward` gives
    the gradient for another upstream gradient."""

    output: Any
    gradient: Optional[Array]
    seconds: float
    unusable: str
    backward: Optional[Callable[[Array], Array]]


def hello(threads: int) -> dict[str, Any]:
    """Import JAX and pin its threads."""
    result: dict[str, Any] = _sibling("jax_adapter").hello(threads)
    import jax
    import jax.numpy

    # The user's lines are wanted, and JAX's own between them do no harm.
    jax.config.update("jax_traceback_filtering", "off")
    jax.config.update("jax_enable_x64", False)
    user_code.watch()
    spaces = {"jax": jax, "jax.numpy": jax.numpy, "jax.nn": jax.nn, "jax.lax": jax.lax}
    _sibling("process_state").remember(spaces, _settings)
    return result


def _settings() -> dict[str, Any]:
    import jax

    names = ("jax_enable_x64", "jax_disable_jit", "jax_debug_nans", "jax_default_matmul_precision", "jax_platforms")
    return {name: getattr(jax.config, name) for name in names if hasattr(jax.config, name)}


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """One call of the subject, forward and backward, on what the arrays hold."""
    function = None
    _forget_programs(request, arrays)
    try:
        with precision(request["dtype"]):
            function, found = subject(request)
            tensors = given(request, arrays)
            response = _evaluated(request, function, found, tensors)
        user_code.refuse_forks()
    except BaseException as error:
        user_code.mark(error, function)
        raise
    response["notes"]["process"] = _sibling("process_state").changes()
    return response


def _forget_programs(request: Request, arrays: dict[str, Any]) -> None:
    """JAX keeps every program that it compiled, of each operation at each shape: some 10 MB a shape."""
    import jax

    shapes = sorted((name, array.shape) for name, array in arrays.items())
    new = str([request["subject"]["name"], request["dtype"], shapes])
    if new not in _met and len(_met) >= MOST_SHAPES:
        jax.clear_caches()
        _met.clear()
    _met.add(new)


def _evaluated(request: Request, function: Any, found: Any, tensors: dict[str, Array]) -> dict[str, Any]:
    import jax.numpy as jnp

    heads: list[Optional[Array]] = [tensors.get("upstream")]
    axes, shape = list(request["axis"]), list(tensors["logits"].shape)
    encoded = _sibling("jax_adapter").encoded
    if request["per_output"] and list(request["output_shape"]) == shape and request["outputs_of_a_row"] > 1:
        heads = list(_sibling("jax_adapter").one_hot_heads(tensors["logits"], axes))
    result = called(function, request, dict(tensors, upstream=heads[0]))
    response: dict[str, Any] = {"seconds": result.seconds, "notes": noted(found, result)}
    if response["notes"]["returned_tensor"]:
        response["output"] = encoded(result.output)
    if result.gradient is not None and result.backward is not None:
        if request["per_output"]:
            rest = [result.backward(head) for head in heads[1:] if head is not None]
            response["jacobian"] = encoded(jnp.stack([result.gradient, *rest]))
        else:
            response["gradient"] = encoded(result.gradient)
    return response


def experiment(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """Further runs of the subject on the same arrays; `jax_experiments` says which."""
    start = time.perf_counter()
    function = None
    own, encoded = sys.modules[__name__], _sibling("jax_adapter").encoded
    try:
        with precision(request["dtype"]):
            function, found = subject(request)
            shown = _sibling("jax_experiments").run(function, request, given(request, arrays), own, found)
            kept = {name: encoded(array) for name, array in shown.arrays.items()}
        if request["function"] == "self" and not request["per_output"]:
            found_alone, note = _sibling("jax_experiments").of_itself(request, arrays, own)
            kept.update({name: (array, "float64") for name, array in found_alone.items()})
            shown.notes.update(note)
    except BaseException as error:
        user_code.mark(error, function)
        raise
    notes = dict(shown.notes, process=_sibling("process_state").changes())
    return {"experiments": kept, "notes": notes, "seconds": time.perf_counter() - start}


def precision(dtype: str) -> Any:
    """A context in which 64-bit types are on for float64, and off otherwise."""
    import jax

    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(dtype == "float64")
    from jax import experimental  # its place before JAX 0.8

    return experimental.enable_x64(dtype == "float64")


def subject(request: Request) -> Any:
    """The callable that the request names, and the object that it was made of."""
    asked = request["subject"]
    key = json.dumps([asked, request["dtype"]], sort_keys=True, default=id)
    if key not in _subjects:
        wide = "64-bit types" if request["dtype"] == "float64" else ""
        found = asked["live"] if "live" in asked else user_code.find(asked["target"], asked["folders"], wide)
        kwargs = {name: _keyword(value, request["dtype"]) for name, value in asked["kwargs"].items()}
        _subjects[key] = (user_code.bound(found, kwargs, asked["factory"]), found)
    return _subjects[key]


def _keyword(value: Any, dtype: str) -> Any:
    """{"tensor": [...]} as an array of the case's dtype."""
    import jax.numpy as jnp

    if isinstance(value, dict) and set(value) == {"tensor"}:
        return jnp.asarray(value["tensor"], dtype=dtype)
    return value


def given(request: Request, arrays: dict[str, Any]) -> dict[str, Array]:
    """The arrays as JAX's; class indices as one-hot rows where the subject wants those."""
    import jax

    asked, as_jax = request["subject"], _sibling("jax_adapter").as_jax
    if "live" in asked:
        device = jax.devices(asked.get("device", "cpu").partition(":")[0])[0]
    else:
        device = _sibling("jax_adapter").device_of(asked)
    tensors = {name: as_jax(array, device) for name, array in arrays.items() if name != "weight"}
    targets = tensors.get("targets")
    if asked.get("targets") == "one_hot" and targets is not None and targets.dtype.kind == "i":
        tensors["targets"] = _one_hot(request, targets, tensors["logits"])
    return tensors


def _one_hot(request: Request, labels: Array, logits: Array) -> Array:
    """Rows of the logits' shape and dtype, 1 at the label; ignored rows are 0 throughout."""
    import jax
    import jax.numpy as jnp

    axes = list(request["axis"])
    sizes = [logits.shape[axis] for axis in axes]
    classes = 1
    for size in sizes:
        classes *= size
    ignored = labels == request["parameters"].get("ignore_index", -100)
    wrong = labels[~ignored & ((labels < 0) | (labels >= classes))]
    if wrong.size:
        raise UnsupportedError("no one-hot row of %d classes stands for the label %d" % (classes, int(wrong[0])))
    # A negative number is no class: its row is 0 throughout.
    rows = jax.nn.one_hot(jnp.where(ignored, -1, labels), classes, dtype=logits.dtype)
    rows = rows.reshape((*labels.shape, *sizes))
    return jnp.moveaxis(rows, list(range(rows.ndim - len(axes), rows.ndim)), axes)


def called(function: Any, request: Request, tensors: dict[str, Array], compiled: Optional[bool] = None) -> Called:
    """Forward and backward, with the upstream gradient of `tensors` (ones where it does not fit what came back).

    `compiled`: as one program; None leaves that to the execution of the request.
    """
    import jax

    settled(request["seed"])
    rest = [] if tensors.get("targets") is None else [tensors["targets"]]
    logits, head = tensors["logits"], tensors.get("upstream")
    if compiled is None:
        compiled = request.get("execution", "eager") == "compiled"
    start = time.perf_counter()
    try:
        if compiled:
            output, gradient = jax.block_until_ready(_program(function)(logits, rest, head))
        else:
            output, gradient, vjp = _both(function, logits, rest, head)
            output, gradient = jax.block_until_ready((output, gradient))
    except UnusableError:
        settled(request["seed"])
        output = function(logits, *rest)
        return Called(output, None, time.perf_counter() - start, why_no_gradient(output), None)
    seconds = time.perf_counter() - start
    if compiled:
        return Called(output, gradient, seconds, "", lambda upstream: _program(function)(logits, rest, upstream)[1])
    return Called(output, gradient, seconds, "", lambda upstream: vjp(_fitting(output, upstream))[0])


def _both(function: Any, logits: Array, rest: List[Array], head: Optional[Array]) -> Any:
    """The output, its gradient, and what gives the gradient for other upstream gradients."""
    import jax

    def loss(z: Array) -> Array:
        returned = function(z, *rest)
        if why_no_gradient(returned):
            raise UnusableError
        return returned

    output, vjp = jax.vjp(loss, logits)
    return output, vjp(_fitting(output, head))[0], vjp


def gradient(function: Any, logits: Array, rest: List[Array], head: Optional[Array]) -> Array:
    """The gradient alone."""
    return _both(function, logits, rest, head)[1]


def _fitting(output: Array, upstream: Optional[Array]) -> Array:
    import jax.numpy as jnp

    fits = upstream is not None and upstream.shape == output.shape
    return upstream.astype(output.dtype) if fits and upstream is not None else jnp.ones_like(output)


def _program(function: Any) -> Any:
    """Forward and backward under one `jax.jit`, made once as in a training step: JAX compiles it for each shape."""
    import jax

    if id(function) not in _programs:
        _programs[id(function)] = jax.jit(lambda logits, rest, head: _both(function, logits, rest, head)[:2])
    return _programs[id(function)]


def why_no_gradient(output: Any) -> str:
    """Why what a function returned cannot be differentiated; empty if it can."""
    import jax
    import jax.numpy as jnp

    if not isinstance(output, jax.Array):
        return "it returned %s where a JAX array is due" % described(output)
    if not jnp.issubdtype(output.dtype, jnp.floating):
        return "it returned %s where floating-point numbers are due" % described(output)
    return ""


def described(value: Any) -> str:
    """A value by its kind: "None", "the int 3", "a tuple of 2 (Array, dict)", "a float32 array of shape [7]"."""
    import jax
    import numpy as np

    if isinstance(value, (jax.Array, np.ndarray)):
        kind = "array" if isinstance(value, jax.Array) else "NumPy array"
        return "a %s %s of shape %s" % (value.dtype, kind, list(value.shape))
    if value is None:
        return "None"
    if isinstance(value, (bool, int, float)):
        return "the %s %r" % (type(value).__name__, value)
    if isinstance(value, (tuple, list)):
        kinds = ", ".join("Array" if isinstance(each, jax.Array) else type(each).__name__ for each in value[:4])
        return "a %s of %d (%s)" % (type(value).__name__, len(value), kinds)
    return "a %s.%s" % (type(value).__module__, type(value).__qualname__)


def noted(found: Any, result: Called) -> dict[str, Any]:
    """What is known of a call beside its arrays; a JAX array cannot be written to, so that nothing is mutated."""
    import jax
    import jax.numpy as jnp

    array = isinstance(result.output, jax.Array) and jnp.issubdtype(result.output.dtype, jnp.floating)
    mutated: List[str] = []
    return {
        "defined": str(user_code.place_of(found)),
        "returned": described(result.output),
        "returned_tensor": bool(array),
        "unusable": result.unusable,
        "mutated": mutated,
    }


def settled(seed: int) -> None:
    """Every call starts from the same state of the random generators; JAX's own have their keys."""
    user_code.settle(seed)
