"""Users' own losses and activations written in NumPy: `f(logits, targets, upstream)` or `f(logits, upstream)`.

They return (loss, gradient). The experiments are those of `torch_experiments` that need no graph: again, reseeded,
perturbed, doubled, transposed, strided, expanded. Run by path in any Python from 3.8 with NumPy (bfloat16 needs
ml_dtypes); imports nothing of gradaudit. The request is described in `gradaudit.backends.interface`.
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

OTHER_SEED = 1
"""Added to the seed of a request for the call that is seeded otherwise."""

_subjects: dict[str, Any] = {}


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


class UnsupportedError(Exception):
    """Not something that can be asked of this NumPy, or of the subject."""


def hello(threads: int) -> dict[str, Any]:
    """NumPy, and the state of the process that users' code should leave alone."""
    import numpy as np

    result: dict[str, Any] = _sibling("numpy_adapter").hello(threads)
    user_code.watch()
    _sibling("process_state").remember({"numpy": np}, lambda: {"numpy's error state": np.geterr()})
    return result


def evaluate(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """One call of the subject on what the arrays hold."""
    import numpy as np

    function = None
    try:
        function, found = subject(request)
        fed = given(request, arrays)
        results = [called(function, request, head) for head in _heads(request, fed)]
        user_code.refuse_forks()
    except BaseException as error:
        user_code.mark(error, function)
        raise
    first = results[0]
    notes = {
        "defined": str(user_code.place_of(found)),
        "returned": first.returned,
        "returned_tensor": first.output is not None,
        "unusable": first.unusable,
        "mutated": ["call: " + name for name in dict.fromkeys(name for each in results for name in each.mutated)],
        "written_by_hand": [str(user_code.place_of(found))],
        "process": _sibling("process_state").changes(),
    }
    response: dict[str, Any] = {"seconds": sum(each.seconds for each in results), "notes": notes}
    if first.output is not None:
        response["output"] = _encoded(first.output)
    if all(each.gradient is not None for each in results):
        whole = np.stack([each.gradient for each in results]) if request["per_output"] else first.gradient
        response["jacobian" if request["per_output"] else "gradient"] = _encoded(whole)
    return response


def experiment(request: Request, arrays: dict[str, Any]) -> dict[str, Any]:
    """Further runs of the subject on the same arrays."""
    start = time.perf_counter()
    kept: dict[str, Array] = {}
    raised: dict[str, str] = {}
    notes: dict[str, Any] = {"raised": raised}
    function, found = subject(request)
    fed = _heads(request, given(request, arrays))[0]

    def call(name: str, inputs: dict[str, Array], **changes: Any) -> None:
        try:
            result = called(function, dict(request, **changes), inputs)
        except Exception as error:
            place = user_code.place_of_failure(error, found)
            raised[name] = "%s: %s: %s" % (place, type(error).__name__, str(error)[:500])
            return
        for quantity, array in (("output", result.output), ("gradient", result.gradient)):
            if array is not None:
                kept["%s.%s" % (name, quantity)] = array

    call("again", fed)
    before = user_code.generators()
    call("reseeded", fed, seed=request["seed"] + OTHER_SEED)
    after = user_code.generators()
    notes["seeded"] = [name for name, state in before.items() if after[name] == state]
    row = middle_row(request, fed)
    if row is not None:
        notes["perturbed_row"] = row
        call("perturbed", dict(fed, logits=doubled(fed["logits"], row, list(request["axis"]))))
    call("doubled", dict(fed, upstream=fed["upstream"] * fed["upstream"].dtype.type(2)))
    if request.get("layout", "contiguous") == "contiguous":
        call("transposed", fed, layout="transposed")
        call("strided", fed, layout="strided")
    if fed["upstream"].size > 1 and bool((fed["upstream"] == fed["upstream"].reshape(-1)[0]).all()):
        call("expanded", fed, upstream_layout="expanded")
    if request["function"] == "self" and not request["per_output"]:
        alone, note = _sibling("self_consistency").of_numpy(request, arrays, sys.modules[__name__])
        kept.update(alone)
        notes.update(note)
    return {
        "experiments": {name: _encoded(array) for name, array in kept.items()},
        "notes": dict(notes, process=_sibling("process_state").changes()),
        "seconds": time.perf_counter() - start,
    }


def subject(request: Request) -> Any:
    """The callable that the request names, and the object that it was made of."""
    asked = request["subject"]
    key = json.dumps([asked, request["dtype"]], sort_keys=True, default=id)
    if key not in _subjects:
        found = asked["live"] if "live" in asked else user_code.find(asked["target"], asked["folders"])
        kwargs = {name: _keyword(value, request["dtype"]) for name, value in asked["kwargs"].items()}
        _subjects[key] = (user_code.bound(found, kwargs, asked["factory"]), found)
    return _subjects[key]


def given(request: Request, arrays: dict[str, Array]) -> dict[str, Array]:
    """The arrays in their dtypes; class indices as one-hot rows where the subject wants those."""
    dtype = dtype_of(request["dtype"])
    decoded = {
        name: array.view(dtype) if array.dtype == "uint16" else array
        for name, array in arrays.items()
        if name != "weight"
    }
    targets = decoded.get("targets")
    if request["subject"].get("targets") == "one_hot" and targets is not None and targets.dtype.kind == "i":
        decoded["targets"] = _one_hot(request, targets, decoded["logits"])
    return decoded


def called(function: Any, request: Request, arrays: dict[str, Array]) -> Any:
    """One call, from the same state of the random generators."""
    user_code.settle(request["seed"])
    runs = _sibling("numpy_runs")
    return runs.called(function, runs.feed(request, arrays))


def _heads(request: Request, arrays: dict[str, Array]) -> list[dict[str, Array]]:
    """The arrays with each upstream gradient that is asked for: one for each output of a row where `per_output`."""
    import numpy as np

    if not request["per_output"]:
        return [arrays]
    logits, axes = arrays["logits"], list(request["axis"])
    if list(request["output_shape"]) != list(logits.shape) or request["outputs_of_a_row"] == 1:
        return [dict(arrays, upstream=np.ones(request["output_shape"], logits.dtype))]
    sizes = [size if i in axes else 1 for i, size in enumerate(logits.shape)]
    eye = np.eye(request["outputs_of_a_row"], dtype=np.float32).astype(logits.dtype)
    return [dict(arrays, upstream=np.array(np.broadcast_to(row.reshape(sizes), logits.shape))) for row in eye]


def _one_hot(request: Request, labels: Array, logits: Array) -> Array:
    """Rows of the logits' shape and dtype, 1 at the label; ignored rows are 0 throughout."""
    import numpy as np

    axes = list(request["axis"])
    outer = [i for i in range(logits.ndim) if i not in axes]
    classes = int(np.prod([logits.shape[axis] for axis in axes]))
    counts = labels != request["parameters"].get("ignore_index", -100)
    wrong = labels[counts & ((labels < 0) | (labels >= classes))]
    if wrong.size:
        raise UnsupportedError("no one-hot row of %d classes stands for the label %d" % (classes, wrong[0]))
    rows = ((np.arange(classes) == labels[..., None]) & counts[..., None]).astype(logits.dtype)
    rows = rows.reshape([logits.shape[i] for i in outer + axes])
    return np.array(rows.transpose(np.argsort(outer + axes)), order="C")


def middle_row(request: Request, arrays: dict[str, Array]) -> Any:
    """The row in the middle of those that have targets and something to double; None where there is just one row."""
    import numpy as np

    rows = _rows(arrays["logits"], list(request["axis"]))
    if len(rows) < 2:
        return None
    values = rows.astype(np.float64)
    counts = np.isfinite(values).any(1) & (values != 0).any(1)
    targets = arrays.get("targets")
    if targets is not None and targets.dtype.kind == "i":
        counts &= targets.reshape(-1) != request["parameters"].get("ignore_index", -100)
    candidates = np.flatnonzero(counts)
    return int(candidates[len(candidates) // 2]) if candidates.size else None


def _rows(array: Array, axes: list[int]) -> Array:
    outer = [i for i in range(array.ndim) if i not in axes]
    moved = array.transpose(outer + axes)
    count = 1
    for i in outer:
        count *= array.shape[i]
    return moved.reshape(count, -1)


def doubled(logits: Array, row: int, axes: list[int]) -> Array:
    """The logits with one of the rows doubled, which is exact."""
    import numpy as np

    outer = [i for i in range(logits.ndim) if i not in axes]
    rows = np.array(_rows(logits, axes))
    rows[row] *= rows.dtype.type(2)
    return rows.reshape([logits.shape[i] for i in outer + axes]).transpose(np.argsort(outer + axes))


def _keyword(value: Any, dtype: str) -> Any:
    """{"tensor": [...]} as an array of the case's dtype."""
    import numpy as np

    if isinstance(value, dict) and set(value) == {"tensor"}:
        return np.asarray(value["tensor"], np.float64).astype(dtype_of(dtype))
    return value


def dtype_of(name: str) -> Any:
    """NumPy's dtype of a name; bfloat16 is that of ml_dtypes."""
    import numpy as np

    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        raise UnsupportedError("bfloat16 in NumPy needs the package ml_dtypes") from None
    return np.dtype(ml_dtypes.bfloat16)


def _encoded(array: Array) -> tuple[Array, str]:
    return (array.view("uint16") if array.dtype.name == "bfloat16" else array), array.dtype.name
