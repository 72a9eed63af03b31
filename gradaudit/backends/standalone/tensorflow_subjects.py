"""Users' own losses and activations written in TensorFlow: `f(logits, targets)`, `f(logits)`, under GradientTape.

Functions, `tf.function`s, `tf.custom_gradient`, classes that are constructed and called (tf.Module). Keras's losses
are called as Keras calls them, `loss(targets, logits)`: instances of keras.losses.Loss, and Keras's own functions.
Run by path in any Python from 3.8 with NumPy and TensorFlow; imports nothing of gradaudit. The request is described
in `gradaudit.backends.interface`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from typing import Any, Dict, List, NamedTuple, Optional

Tensor = Any
Request = Dict[str, Any]

_subjects: dict[str, Any] = {}
_programs: Dict[Any, Any] = {}


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
UnsupportedError = _sibling("numpy_subjects").UnsupportedError
OWN_VARIABLES = _sibling("tensorflow_adapter").OWN_VARIABLES


class Called(NamedTuple):
    """What a call returned, with a gradient for each upstream gradient that was given. `gradients` is empty where
    there are none, and `unusable` then says why. `mutated` names what does not hold its bytes any more."""

    output: Any
    gradients: List[Tensor]
    seconds: float
    unusable: str
    mutated: List[str]


def hello(threads: int) -> dict[str, Any]:
    """Import TensorFlow and pin its threads."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    result: dict[str, Any] = _sibling("tensorflow_adapter").hello(threads)
    import tensorflow as tf

    user_code.watch()
    spaces = {"tensorflow": tf, "tensorflow.nn": tf.nn, "tensorflow.math": tf.math}
    _sibling("process_state").remember(spaces, _settings)
    return result


def _settings() -> dict[str, Any]:
    import tensorflow as tf

    return {
        "whether tf.functions run eagerly": tf.config.functions_run_eagerly(),
        "XLA's auto-clustering": tf.config.optimizer.get_jit(),
        "whether TF32 is used": tf.config.experimental.tensor_float_32_execution_enabled(),
        "the default dtype of Keras": sys.modules["keras"].config.floatx() if "keras" in sys.modules else "float32",
    }


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """One call of the subject, forward and backward, on what the arrays hold."""
    import numpy as np

    function = None
    try:
        function, found = subject(request)
        tensors = given(request, arrays)
        result = called(function, request, tensors, _heads(request, tensors))
        user_code.refuse_forks()
    except BaseException as error:
        mark(error, function)
        raise
    encoded = _sibling("tensorflow_adapter").encoded
    returned = why_no_gradient(result.output) == ""
    notes = {
        "defined": str(user_code.place_of(found)),
        "returned": described(result.output),
        "returned_tensor": returned,
        "unusable": result.unusable,
        "mutated": ["call: " + name for name in result.mutated],
        "process": _sibling("process_state").changes(),
    }
    response: dict[str, Any] = {"seconds": result.seconds, "notes": notes}
    if returned:
        response["output"] = encoded(result.output.numpy())
    if result.gradients:
        whole = np.stack([each.numpy() for each in result.gradients])
        response["jacobian" if request["per_output"] else "gradient"] = encoded(
            whole if request["per_output"] else whole[0]
        )
    return response


def experiment(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """Further runs of the subject on the same arrays; `tensorflow_experiments` says which."""
    start = time.perf_counter()
    function = None
    own, encoded = sys.modules[__name__], _sibling("tensorflow_adapter").encoded
    try:
        function, found = subject(request)
        shown = _sibling("tensorflow_experiments").run(function, request, given(request, arrays), own, found)
        kept = {name: encoded(array) for name, array in shown.arrays.items()}
        if request["function"] == "self" and not request["per_output"]:
            found_alone, note = _sibling("tensorflow_experiments").of_itself(request, arrays, own)
            kept.update({name: (array, "float64") for name, array in found_alone.items()})
            shown.notes.update(note)
    except BaseException as error:
        mark(error, function)
        raise
    notes = dict(shown.notes, process=_sibling("process_state").changes())
    return {"experiments": kept, "notes": notes, "seconds": time.perf_counter() - start}


def subject(request: Request) -> Any:
    """The callable f(logits, targets) that the request names, and the object that it was made of."""
    asked = request["subject"]
    key = json.dumps([asked, request["dtype"]], sort_keys=True, default=id)
    if key not in _subjects:
        found = asked["live"] if "live" in asked else user_code.find(asked["target"], asked["folders"])
        kwargs = {name: _keyword(value, request["dtype"]) for name, value in asked["kwargs"].items()}
        function = user_code.bound(found, kwargs, asked["factory"])
        _subjects[key] = (_targets_last(function, found), found)
    return _subjects[key]


def _targets_last(function: Any, found: Any) -> Any:
    """Keras's own order of arguments is (targets, predictions)."""
    losses = getattr(sys.modules.get("keras"), "losses", None)
    of_keras = str(getattr(found, "__module__", "") or "").partition(".")[0] == "keras"
    if losses is None or not (isinstance(function, losses.Loss) or of_keras):
        return function

    def call(logits: Tensor, targets: Tensor) -> Any:
        return function(targets, logits)

    return call


def _keyword(value: Any, dtype: str) -> Any:
    """{"tensor": [...]} as a tensor of the case's dtype."""
    import tensorflow as tf

    if isinstance(value, dict) and set(value) == {"tensor"}:
        return tf.constant(value["tensor"], dtype=dtype)
    return value


def given(request: Request, arrays: dict[str, Any]) -> dict[str, Tensor]:
    """The arrays as tensors; class indices as one-hot rows where the subject wants those."""
    decoded = _sibling("numpy_subjects").given(request, arrays)
    return {name: _sibling("tensorflow_adapter").as_tensor(array) for name, array in decoded.items()}


def _heads(request: Request, tensors: dict[str, Tensor]) -> List[Optional[Tensor]]:
    """The upstream gradients: one for each output of a row where `per_output`."""
    import tensorflow as tf

    if not request["per_output"]:
        return [tensors.get("upstream")]
    logits, axes = tensors["logits"], list(request["axis"])
    if list(request["output_shape"]) != list(logits.shape) or request["outputs_of_a_row"] == 1:
        return [None]
    sizes = [size if i in axes else 1 for i, size in enumerate(logits.shape)]
    eye = tf.eye(request["outputs_of_a_row"], dtype=logits.dtype)
    return [tf.broadcast_to(tf.reshape(row, sizes), logits.shape) for row in tf.unstack(eye)]


def called(function: Any, request: Request, tensors: dict[str, Tensor], heads: List[Optional[Tensor]]) -> Called:
    """Forward once, and backward with each of `heads` (ones where that is None, or does not fit what came back), in
    the execution of the request."""
    settled(request["seed"])
    logits, rest = tensors["logits"], [] if tensors.get("targets") is None else [tensors["targets"]]
    before = {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
    step, execution = differentiated(function), request.get("execution", "eager")
    start = time.perf_counter()
    if execution == "eager":
        output, gradients = step(logits, rest, heads)
    else:
        found = _program(function, step, execution, [logits, *rest, *heads])(logits, rest, heads)
        if found:
            output, gradients = found
        else:  # what is no tensor does not leave a graph
            settled(request["seed"])
            output, gradients = function(logits, *rest), None
    unusable = why_no_gradient(output) or ("" if gradients else NOTHING_FLOWS)
    seconds = time.perf_counter() - start
    mutated = [name for name, tensor in tensors.items() if tensor.numpy().tobytes() != before[name]]
    named = {"upstream": "upstream gradient"}
    return Called(
        output,
        [] if unusable else list(gradients),
        seconds,
        unusable,
        [named.get(each, each) for each in mutated],
    )


def differentiated(function: Any) -> Any:
    """A step (logits, rest, heads) -> the output and its gradients; no gradients where there are none, and nothing at
    all of a graph whose output is no tensor."""
    import tensorflow as tf

    def step(logits: Tensor, rest: List[Tensor], heads: List[Optional[Tensor]]) -> Any:
        with tf.GradientTape(persistent=len(heads) > 1) as tape:
            tape.watch(logits)
            output = function(logits, *rest)
        if why_no_gradient(output):
            return (output, []) if tf.executing_eagerly() else ()
        gradients = [tape.gradient(output, logits, output_gradients=_fitting(output, head)) for head in heads]
        if any(gradient is None for gradient in gradients):
            return output, []
        return output, [tf.convert_to_tensor(gradient) for gradient in gradients]

    return step


def _fitting(output: Tensor, head: Optional[Tensor]) -> Tensor:
    import tensorflow as tf

    fits = head is not None and head.shape == output.shape
    return tf.cast(head, output.dtype) if fits else tf.ones_like(output)


def _program(function: Any, step: Any, execution: str, arguments: List[Any]) -> Any:
    """The step as a tf.function, compiled by XLA or not; one for each set of shapes, lest TensorFlow complains of
    retracing."""
    import tensorflow as tf

    kinds = [None if each is None else (each.dtype.name, tuple(each.shape)) for each in arguments]
    key = (id(function), execution, str(kinds))  # `_subjects` keeps the function
    if key not in _programs:
        _programs[key] = tf.function(step, jit_compile=True if execution == "compiled" else None)
    return _programs[key]


NOTHING_FLOWS = (
    "the gradient of the logits is None: what it returned does not depend on them on the tape. It was computed by "
    "stop_gradient, .numpy(), NumPy or a py_function without a gradient, or of integers"
)


def why_no_gradient(output: Any) -> str:
    """Why what a function returned cannot be differentiated; empty if it can."""
    import tensorflow as tf

    if not isinstance(output, tf.Tensor):
        return "it returned %s where a tensor is due" % described(output)
    if not output.dtype.is_floating:
        return "it returned %s where floating-point numbers are due" % described(output)
    return ""


def described(value: Any) -> str:
    """A value by its kind: "None", "the int 3", "a tuple of 2 (Tensor, dict)", "a float32 tensor of shape [7]"."""
    import numpy as np
    import tensorflow as tf

    if isinstance(value, (tf.Tensor, tf.Variable, np.ndarray)):
        kind = "NumPy array" if isinstance(value, np.ndarray) else "variable" if _is_variable(value) else "tensor"
        dtype = getattr(value.dtype, "name", str(value.dtype))
        return "a %s %s of shape %s" % (dtype, kind, list(value.shape))
    if value is None:
        return "None"
    if isinstance(value, (bool, int, float)):
        return "the %s %r" % (type(value).__name__, value)
    if isinstance(value, (tuple, list)):
        kinds = ", ".join("Tensor" if isinstance(each, tf.Tensor) else type(each).__name__ for each in value[:4])
        return "a %s of %d (%s)" % (type(value).__name__, len(value), kinds)
    return "a %s.%s" % (type(value).__module__, type(value).__qualname__)


def _is_variable(value: Any) -> bool:
    import tensorflow as tf

    return isinstance(value, tf.Variable)


def settled(seed: int) -> None:
    """Every call starts from the same state of the random generators."""
    import tensorflow as tf

    tf.random.set_seed(seed)
    user_code.settle(seed)


def place_of_failure(error: BaseException, found: Any) -> Any:
    """Where it failed in the user's file; of what AutoGraph rewrote it is told beside the traceback."""
    translated = getattr(getattr(error, "ag_error_metadata", None), "translated_stack", None) or ()
    for frame in translated:  # the innermost one first
        if user_code.is_users(frame.filename, user_code.place_of(found).file if found is not None else ""):
            return user_code.Place(frame.filename, frame.lineno, frame.function_name)
    return user_code.place_of_failure(error, found)


def mark(error: BaseException, found: Any) -> None:
    """Write the place of the user's mistake on the exception."""
    place = place_of_failure(error, found)
    if place is not None and not hasattr(error, "gradaudit_place"):
        try:
            error.gradaudit_place = str(place)  # type: ignore[attr-defined]
        except Exception:
            return
