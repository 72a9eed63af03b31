"""Users' ONNX files: the loss as ONNX Runtime computes it, and its gradient.

A file without a gradient of its own is differentiated by onnx-ad into a graph that ONNX Runtime executes; a file with
one (a training graph) is asked for that. Either way the gradient is held against the values of the same file
(`onnx_experiments`). The file computes in its own element type. Optional graph optimisations are off.

Run by path in any Python from 3.8 with NumPy, onnxruntime, onnx and onnx-ad; imports nothing of gradaudit. The
request is described in `gradaudit.backends.interface`; its "subject" has beside the usual keys "graph": {"inputs":
{role: name}, "output", "gradient", "external_data"}, whose values are what the spec says, or absent.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from typing import Any, Dict, NamedTuple, Optional

Array = Any
Request = Dict[str, Any]

_files: dict[str, Any] = {}
_programs: dict[str, Any] = {}


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


UnsupportedError = _sibling("onnx_sessions").UnsupportedError


class MissingError(Exception):
    """What differentiates a file is not installed here."""


class Program(NamedTuple):
    """A file made ready to be run at an element type and shapes.

    `part` is the model up to its output, `feeds` its inputs by role. `forward` returns `output`, and `backward` the
    `gradient`, of cotangents fed as `seed`; that is None where the gradient is an output of the file's own.
    `as_number` tells an output of shape [1] where a single number is due, as frameworks without such numbers have it.
    """

    part: Any
    forward: Any
    backward: Any
    feeds: Dict[str, str]
    output: str
    gradient: str
    seed: Optional[str]
    made_by: str
    as_number: bool


def hello(threads: int) -> dict[str, Any]:
    """Import onnxruntime and onnx; sessions will use `threads` threads."""
    result: dict[str, Any] = _sibling("onnxruntime_adapter").hello(threads)
    _sibling("onnx_sessions").pin(threads)
    user_code.watch()
    versions = dict(result["versions"])
    try:
        import onnx_ad

        versions["onnx-ad"] = onnx_ad.__version__
    except ImportError:
        versions["onnx-ad"] = "missing"
    return dict(result, versions=versions, dtypes=[each for each in result["dtypes"] if each != "bfloat16"])


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """The loss of what the arrays hold, and its gradient."""
    import numpy as np

    fed = given(request, arrays)
    program = ready(request, fed)
    start = time.perf_counter()
    output = forward(program, fed, request)
    with np.errstate(all="ignore"):  # files overflow on the probes that ask for it; what they return is what counts
        gradient = gradients(program, fed, heads(request, fed, output), request)
    name = os.path.basename(request["subject"]["target"])
    place = "%s in %s" % (name, "the output %s" % program.gradient if program.seed is None else "the graph")
    notes = {
        "defined": place,
        "returned": "a %s tensor of shape %s" % (output.dtype.name, list(output.shape)),
        "returned_tensor": True,
        "unusable": "",
        "mutated": [],
        "gradient_by": program.made_by,
        "written_by_hand": [place] if program.seed is None else [],
    }
    found = gradient if request["per_output"] else gradient[0]
    return {
        "output": (output, output.dtype.name),
        "jacobian" if request["per_output"] else "gradient": (found, found.dtype.name),
        "seconds": time.perf_counter() - start,
        "notes": notes,
    }


def experiment(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """Further runs of the file on the same arrays; `onnx_experiments` says which."""
    import numpy as np

    start = time.perf_counter()
    with np.errstate(all="ignore"):
        kept, notes = _sibling("onnx_experiments").run(request, given(request, arrays), sys.modules[__name__])
    return {
        "experiments": {name: (array, array.dtype.name) for name, array in kept.items()},
        "notes": notes,
        "seconds": time.perf_counter() - start,
    }


def given(request: Request, arrays: dict[str, Array]) -> dict[str, Array]:
    """The arrays by role; class indices as one-hot rows where the file wants those."""
    fed = dict(arrays, **_sibling("numpy_subjects").given(request, arrays))
    return {name: array.copy(order="C") for name, array in fed.items()}


def ready(request: Request, fed: dict[str, Array], dtype: Optional[str] = None) -> Program:
    """The program of the request's file for arrays of these shapes; `dtype` is "float32" or "float64" where every
    number of it is to be of that."""
    dtype = None if dtype == request["dtype"] else dtype
    asked = request["subject"]
    shapes = {role: [list(array.shape), array.dtype.name] for role, array in fed.items()}
    key = json.dumps([_stamp(asked), asked.get("graph"), request["output_shape"], shapes, dtype])
    if key not in _programs:
        _programs[key] = _marked(asked["target"], lambda: _made(request, fed, dtype))
    return _programs[key]


def _made(request: Request, fed: dict[str, Array], dtype: Optional[str]) -> Program:
    models, graph = _sibling("onnx_models"), request["subject"].get("graph") or {}
    file = _read(request["subject"])
    names = _sibling("onnx_signature").signature(
        *(file, graph, fed, request["output_shape"]), lambda output: models.origin(file.model, output)
    )
    shapes = {names.inputs[role]: array.shape for role, array in fed.items() if role in names.inputs}
    elements = {"float32": models.FLOAT, "float64": models.DOUBLE}
    whole = file.model if dtype is None else models.in_type(file.model, elements[dtype])
    part = models.up_to(whole, names.output)
    logits = names.inputs["logits"]
    if logits not in {each.name for each in part.graph.input}:
        raise models.NotDifferentiableError("its output %s does not depend on %s" % (names.output, logits))
    as_number = file.outputs[names.output].shape == (1,) and request["output_shape"] == []
    if names.gradient is not None:
        own = models.up_to(whole, names.gradient)
        made_by = "its own output %s" % names.gradient
        return Program(
            *(part, session(part), session(own), names.inputs, names.output, names.gradient, None),
            *(made_by, as_number),
        )
    derived = derivative(models.with_sizes(part, shapes), logits)
    return Program(
        *(part, session(part), session(derived.model), names.inputs, names.output, derived.gradient, derived.seed),
        *(derived.made_by, as_number),
    )


def derivative(part: Any, logits: str) -> Any:
    """The gradient graph of a part, by onnx-ad."""
    try:
        return _sibling("onnx_models").adjoint(part, logits)
    except ImportError:
        raise MissingError(
            "a file without a gradient of its own is differentiated by onnx-ad, which is not installed; pip install "
            "onnx-ad"
        ) from None


def _path(asked: dict[str, Any]) -> str:
    """The path that the subject names, looked for beside the spec, then in the working directory."""
    candidates = [os.path.abspath(os.path.join(folder, asked["target"])) for folder in asked["folders"]]
    path = next((each for each in candidates if os.path.lexists(each)), None)
    if path is None:
        searched = " and ".join(dict.fromkeys(os.path.dirname(each) for each in candidates))
        raise user_code.NoSuchSubjectError("there is no file %s in %s" % (os.path.basename(candidates[0]), searched))
    return path


def _stamp(asked: dict[str, Any]) -> Any:
    """What tells a file from the one of that name that was there before; where it is, if nothing more is known."""
    path = _path(asked)
    try:
        status = os.stat(path)
    except OSError:
        return [path]
    return [path, status.st_mtime_ns, status.st_size, status.st_ino]


def _read(asked: dict[str, Any]) -> Any:
    """The file that the subject names, read once."""
    external = bool((asked.get("graph") or {}).get("external_data"))
    key = json.dumps([_stamp(asked), external])
    if key not in _files:
        _files[key] = _sibling("onnx_files").read(_path(asked), external)
    return _files[key]


def _marked(target: str, make: Any) -> Any:
    """`make()`; what is wrong with the file becomes a sentence that begins with its name."""
    try:
        return make()
    except Exception as error:
        ours = (
            _sibling("onnx_files").UnreadableFileError,
            _sibling("onnx_signature").MismatchError,
            _sibling("onnx_models").NotDifferentiableError,
        )
        if isinstance(error, ours):
            error = user_code.UnusableSubjectError(str(error))
        if not isinstance(error, user_code.NoSuchSubjectError):
            error.gradaudit_place = target  # type: ignore[attr-defined]
        raise error from None


def session(model: Any) -> Any:
    """A session of the model; UnusableSubjectError where ONNX Runtime cannot run it."""
    return _sibling("onnx_sessions").made(model)


def _run(
    session: Any, result: str, program: Program, fed: dict[str, Array], request: Request, **more: Array
) -> Array:
    """One output of a session, of the arrays by role and `more` by the names of inputs."""
    feeds = dict({name: fed[role] for role, name in program.feeds.items() if role in fed}, **more)
    try:
        return _sibling("onnx_sessions").run(session, result, feeds, request.get("timeout") or 0.0)
    except user_code.UnusableSubjectError as error:
        error.gradaudit_place = request["subject"]["target"]
        raise


def forward(program: Program, fed: dict[str, Array], request: Request) -> Array:
    """What the file computes, in its own element type."""
    found = _run(program.forward, program.output, program, fed, request)
    return found.reshape(()) if program.as_number else found


def gradients(program: Program, fed: dict[str, Array], upstream: Array, request: Request) -> Array:
    """The gradients [K, *logits] of K upstream gradients [K, *output], all in one run where it was derived."""
    import numpy as np

    if program.seed is not None:
        seed = upstream[:, None] if program.as_number else upstream
        seed = np.ascontiguousarray(np.moveaxis(seed, 0, -1))
        found = _run(program.backward, program.gradient, program, fed, request, **{program.seed: seed})
        return np.ascontiguousarray(np.moveaxis(found, -1, 0))
    return np.stack([_own_gradient(program, fed, head, request) for head in upstream])


def _own_gradient(program: Program, fed: dict[str, Array], head: Array, request: Request) -> Array:
    """The file's own gradient; that of the summed outputs is multiplied where it takes no upstream gradient."""
    if "upstream" in program.feeds:
        fed = dict(fed, upstream=head)
    found = _run(program.backward, program.gradient, program, fed, request)
    if "upstream" in program.feeds or bool((head == 1).all()):
        return found
    axes = list(request["axis"])
    if head.ndim and head.ndim + len(axes) != found.ndim:
        raise UnsupportedError(
            "%s is the gradient for an upstream gradient of ones, and the file has no input for another one"
            % program.gradient
        )
    sizes = list(head.shape)
    for axis in axes if head.ndim else ():
        sizes.insert(axis, 1)
    return found * head.reshape(sizes)


def heads(request: Request, fed: dict[str, Array], output: Array) -> Array:
    """The upstream gradients [K, *output]: that of the case, one for each output of a row, or ones."""
    import numpy as np

    if not request["per_output"]:
        fits = fed["upstream"].shape == output.shape
        return fed["upstream"].astype(output.dtype)[None] if fits else np.ones((1, *output.shape), output.dtype)
    count, axes = request["outputs_of_a_row"], list(request["axis"])
    if count == 1 or list(output.shape) != list(request["output_shape"]):
        return np.ones((1, *output.shape), output.dtype)
    sizes = [count] + [size if i in axes else 1 for i, size in enumerate(output.shape)]
    eye = np.eye(count, dtype=output.dtype).reshape(sizes)
    return np.array(np.broadcast_to(eye, (count, *output.shape)))
