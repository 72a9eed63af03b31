"""NumPy's own results, told otherwise: the environment variable LIE names how.

Run by path in a worker like any adapter.
"""

import importlib.util
import json
import os
from pathlib import Path

import numpy as np

SOUND = Path(__file__).resolve().parents[3] / "gradaudit" / "backends" / "standalone" / "numpy_adapter.py"
_spec = importlib.util.spec_from_file_location("sound", SOUND)
sound = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sound)

UnsupportedError = sound.UnsupportedError
hello = sound.hello


def evaluate(request, arrays):
    return LIES[os.environ.get("LIE", "honest")](request, arrays)


def honest(request, arrays):
    return sound.evaluate(request, arrays)


def planted(request, arrays):
    """The environment variable PLANTED maps "function dtype" to [array, flat index, value] that replace elements."""
    result = sound.evaluate(request, arrays)
    for name, at, value in json.loads(os.environ["PLANTED"])[request["function"] + " " + request["dtype"]]:
        change(result, name, request, lambda flat, at=at, value=value: flat.__setitem__(at, value))
    return result


def wrong_when_compiled(request, arrays):
    return (all_signs if request["execution"] == "compiled" else honest)(request, arrays)


def layer_without_upstream(request, arrays):
    """The own formulation drops the upstream gradient, the standard ones follow it."""
    if request["formulation"] == "layer":
        request = {**request, "formulation": "fused"}
        arrays = {**arrays, "upstream": np.ones_like(arrays["upstream"])}
    return sound.evaluate(request, arrays)


def one_sign(request, arrays):
    return changed(request, arrays, lambda flat: flat.__setitem__(0, -flat[0]))


def all_signs(request, arrays):
    return changed(request, arrays, lambda flat: np.negative(flat, out=flat))


def one_sign_of_the_output(request, arrays):
    result = sound.evaluate(request, arrays)
    change(result, "output", request, lambda flat: flat.__setitem__(1, -flat[1]))
    return result


def a_thousandth_more(request, arrays):
    return changed(request, arrays, lambda flat: np.multiply(flat, 1.001, out=flat))


def two_classes_swapped(request, arrays):
    return changed(request, arrays, lambda flat: flat.__setitem__([0, 1], flat[[1, 0]]))


def one_nan(request, arrays):
    return changed(request, arrays, lambda flat: flat.__setitem__(2, np.nan))


def one_infinity(request, arrays):
    return changed(request, arrays, lambda flat: flat.__setitem__(2, np.inf))


def nan_in_the_output(request, arrays):
    result = sound.evaluate(request, arrays)
    change(result, "output", request, lambda flat: flat.__setitem__(0, np.nan))
    return result


def zeros(request, arrays):
    return changed(request, arrays, lambda flat: flat.fill(0.0))


def float32_for_float64(request, arrays):
    """What is returned is float64, what was computed is float32."""
    narrow = {name: a.astype(np.float32) if a.dtype == np.float64 else a for name, a in arrays.items()}
    result = sound.evaluate(dict(request, dtype="float32"), narrow)
    return {name: (v[0].astype(np.float64), "float64") if name != "seconds" else v for name, v in result.items()}


def float16_for_float32(request, arrays):
    """Computed as it should be, returned in half the bits."""
    result = sound.evaluate(request, arrays)
    return {name: (v[0].astype(np.float16), "float16") if name != "seconds" else v for name, v in result.items()}


def sums_in_float16(request, arrays):
    """log_softmax in float16 whose sums never leave float16."""
    x, g = arrays["logits"], arrays["upstream"]
    t = x - x.max(axis=-1, keepdims=True)
    log_p = t - np.log(one_by_one(np.exp(t)))
    gradient = g - np.exp(log_p) * one_by_one(g)
    return {"output": (log_p, "float16"), "gradient": (gradient, "float16"), "seconds": 0.0}


def one_by_one(a):
    """The sum over the last axis, each addition rounded to the dtype of `a`."""
    total = np.zeros_like(a[..., :1])
    for k in range(a.shape[-1]):
        total = total + a[..., k : k + 1]
    return total


def unfused_inside(request, arrays):
    return sound.evaluate(dict(request, formulation="unfused"), arrays)


def unshifted_inside(request, arrays):
    return sound.evaluate(dict(request, formulation="unshifted"), arrays)


def other_axis(request, arrays):
    return sound.evaluate(dict(request, axis=[1 - request["axis"][0]]), arrays)


def upstream_of_ones(request, arrays):
    return sound.evaluate(request, dict(arrays, upstream=np.ones_like(arrays["upstream"])))


def ignored_rows_leak(request, arrays):
    result = sound.evaluate(request, arrays)
    ignored = arrays["targets"] == request["parameters"]["ignore_index"]
    result["gradient"][0][ignored] = 1e-30
    return result


def ignored_rows_are_nan(request, arrays):
    result = sound.evaluate(request, arrays)
    result["gradient"][0][arrays["targets"] == request["parameters"]["ignore_index"]] = np.nan
    return result


def nan_at_masked_classes(request, arrays):
    result = sound.evaluate(request, arrays)
    result["gradient"][0][..., request["parameters"]["masked_classes"]] = np.nan
    return result


def flushes_to_zero(request, arrays):
    """What is subnormal in float32 becomes 0."""

    def flush(flat):
        flat[np.abs(flat) < np.finfo(np.float32).smallest_normal] = 0.0

    result = sound.evaluate(request, arrays)
    change(result, "output", request, flush)
    return result


def the_last_of_many(request, arrays):
    return changed(request, arrays, lambda flat: flat.__setitem__(-1, 0.5))


def masked_classes_leak(request, arrays):
    result = sound.evaluate(request, arrays)
    result["gradient"][0][..., request["parameters"]["masked_classes"]] = 0.25
    return result


_before = []


def the_answer_before(request, arrays):
    """Whatever was asked first is answered again."""
    _before.append(sound.evaluate(request, arrays))
    return _before[0]


def wrong_shape(request, arrays):
    result = sound.evaluate(request, arrays)
    return dict(result, gradient=(result["gradient"][0].T, request["dtype"]))


def changed(request, arrays, lie):
    """The sound result, its gradient or Jacobian changed in place by `lie`, which gets it flat."""
    result = sound.evaluate(request, arrays)
    change(result, "jacobian" if "jacobian" in result else "gradient", request, lie)
    return result


def change(result, name, request, lie):
    array, dtype = result[name]
    values = np.ascontiguousarray(array)
    if dtype == "bfloat16":
        import ml_dtypes

        values = values.view(ml_dtypes.bfloat16)
    flat = values.reshape(-1)
    lie(flat)
    values = flat.reshape(array.shape)
    result[name] = (values.view(np.uint16) if dtype == "bfloat16" else values, dtype)


LIES = {name: value for name, value in globals().items() if callable(value)}
