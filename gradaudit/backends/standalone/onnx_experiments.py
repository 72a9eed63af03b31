"""Further runs of a user's ONNX file, and its gradient held against its own values.

The runs are those of `torch_experiments` that a file can differ in: again, perturbed, doubled. Then, for any function
of the case, what `self_consistency` needs to estimate the derivative from the values: they are computed in float64 by
a copy of the file whose every number is one (where ONNX Runtime has the kernels), and beside them stands the complex
step of onnx.reference, which shares no code with ONNX Runtime or onnx-ad. Of a file with its own gradient, the part
up to its loss is differentiated as well, to be compared element by element:

    sliced.own, sliced.derived                 the file's gradient and that of onnx-ad, in the file's element type
                                               (in float32 where that is float64)
    sliced.own_wide, sliced.derived_wide       both in float64

Run by path in any Python from 3.8 with NumPy, onnx, onnxruntime and onnx-ad; imports nothing of gradaudit.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from typing import Any, Callable, Dict, Tuple

Array = Any
Request = Dict[str, Any]

RUNS = 300
"""What differences and complex steps cost, in forward runs; those of onnx.reference are the slowest."""

SHARE_OF_TIMEOUT = 0.5
DEFAULT_TIMEOUT = 20.0
"""Seconds, where a request has no timeout."""


class TooSlowError(Exception):
    """The file is too large to be held against its own values in time."""


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


def run(request: Request, fed: Dict[str, Array], own: Any) -> Tuple[Dict[str, Array], Dict[str, Any]]:
    """The arrays and notes of every experiment that applies; `own` is the adapter's file."""
    rows = _sibling("numpy_subjects")
    kept: Dict[str, Array] = {}
    raised: Dict[str, str] = {}
    notes: Dict[str, Any] = {"raised": raised}

    def attempt(name: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            raised[name] = "%s: %s" % (type(error).__name__, str(error)[:500])

    def call(name: str, arrays: Dict[str, Array]) -> None:
        def both() -> None:
            program = own.ready(request, arrays)
            output = own.forward(program, arrays, request)
            upstream = own.heads(request, arrays, output)[:1]
            kept[name + ".output"] = output
            kept[name + ".gradient"] = own.gradients(program, arrays, upstream, request)[0]

        attempt(name, both)

    call("again", fed)
    row = rows.middle_row(request, fed)
    if row is not None:
        notes["perturbed_row"] = row
        call("perturbed", dict(fed, logits=rows.doubled(fed["logits"], row, list(request["axis"]))))
    if "upstream" in fed:
        call("doubled", dict(fed, upstream=fed["upstream"] * fed["upstream"].dtype.type(2)))
    if not request["per_output"]:
        arrays, note = _sibling("self_consistency").run(request, lambda dtype: _itself(request, fed, own, dtype))
        kept.update(arrays)
        notes.update(note)
        attempt("sliced", lambda: kept.update(_sliced(request, fed, own)))
    return kept, notes


def _in(fed: Dict[str, Array], dtype: str) -> Dict[str, Array]:
    return {role: array.astype(dtype) if array.dtype.kind == "f" else array for role, array in fed.items()}


def _itself(request: Request, fed: Dict[str, Array], own: Any, dtype: str) -> Any:
    """The file as a function of its logits, with its gradient there, in float64 or in its own element type."""
    import numpy as np

    models = _sibling("onnx_models")
    program = own.ready(request, fed, dtype)
    arrays = _in(fed, dtype)
    first = own.forward(program, arrays, request)
    start = time.perf_counter()
    own.forward(program, arrays, request)
    seconds = time.perf_counter() - start
    if RUNS * seconds > SHARE_OF_TIMEOUT * (request.get("timeout") or DEFAULT_TIMEOUT):
        # What is tried for our own sake is not to take a file's evaluation beyond its time.
        raise TooSlowError("one run takes %.2g s, and some %d would be needed" % (seconds, RUNS))
    fits = fed["upstream"].shape == first.shape
    random = np.random.RandomState(request["seed"] % (1 << 32))
    head = arrays["upstream"] if fits else random.standard_normal(first.shape).astype(dtype)
    (gradient,) = own.gradients(program, arrays, head[None], request)
    weights = head.astype(np.float64)

    def value(x: Array) -> Any:
        rounded = np.array(x).astype(dtype)
        parts = weights * own.forward(program, dict(arrays, logits=rounded), request).astype(np.float64)
        return float(parts.sum()), float(np.abs(parts).sum()), rounded.astype(np.float64)

    def along(d: Array) -> float:
        feeds = {name: arrays[role] for role, name in program.feeds.items() if role in arrays}
        logits = program.feeds["logits"]
        read = {each.name for each in program.part.graph.input}
        step = models.complex_step(program.part, {name: feeds[name] for name in feeds if name in read}, logits)
        moved = step(arrays["logits"].astype(np.float64), d)
        return float((weights * moved.reshape(weights.shape)).sum())

    start, said = fed["logits"].astype(np.float64), "given" if fits else "drawn"
    differentiable = _sibling("self_consistency").Differentiable
    return differentiable(start, gradient.astype(np.float64), value, along, dtype, said, "complex step")


def _sliced(request: Request, fed: Dict[str, Array], own: Any) -> Dict[str, Array]:
    """The file's own gradient beside that of the part up to its loss; nothing where it has none of its own."""
    if own.ready(request, fed).seed is not None or fed["upstream"].shape != tuple(request["output_shape"]):
        return {}
    found: Dict[str, Array] = {}
    narrow = "float32" if request["dtype"] == "float64" else request["dtype"]
    for suffix, dtype in (("", narrow), ("_wide", "float64")):
        program, arrays = own.ready(request, fed, dtype), _in(fed, dtype)
        output = own.forward(program, arrays, request)
        upstream = own.heads(request, arrays, output)
        names = program.feeds
        shapes = {names[role]: array.shape for role, array in arrays.items() if role in names}
        part = _sibling("onnx_models").with_sizes(program.part, shapes)
        derived = own.derivative(part, names["logits"])
        beside = program._replace(backward=own.session(derived.model), gradient=derived.gradient, seed=derived.seed)
        found["sliced.own" + suffix] = own.gradients(program, arrays, upstream, request)[0]
        found["sliced.derived" + suffix] = own.gradients(beside, arrays, upstream, request)[0]
    return found
