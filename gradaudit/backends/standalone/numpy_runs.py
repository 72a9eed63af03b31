"""One call of a user's NumPy function, and what it did to the arrays that it was handed.

Run by path in any Python from 3.8 with NumPy; imports nothing of gradaudit.
"""

from __future__ import annotations

import time
from typing import Any, Dict, List, NamedTuple, Optional

Array = Any
Request = Dict[str, Any]

FLOATS = ("float16", "bfloat16", "float32", "float64")


class Fed(NamedTuple):
    """The arguments of one call, and each array (with all the memory around it) beside a copy of its bytes."""

    arguments: List[Array]
    pristine: Dict[str, Any]


class Called(NamedTuple):
    """What a call returned. `gradient` is None where there is none, and `unusable` then says why."""

    output: Optional[Array]
    gradient: Optional[Array]
    seconds: float
    returned: str
    unusable: str
    mutated: List[str]


def feed(request: Request, arrays: Dict[str, Array]) -> Fed:
    """Copies of the arrays in the memory layout that the request asks for."""
    logits, around = laid_out(arrays["logits"], request.get("layout", "contiguous"), list(request["axis"]))
    upstream, upstream_around = _upstream(arrays["upstream"], request.get("upstream_layout", "contiguous"))
    targets = arrays.get("targets")
    targets = None if targets is None else targets.copy()
    arguments = [logits, upstream] if targets is None else [logits, targets, upstream]
    handed = {"logits": logits, "targets": targets, "upstream gradient": upstream}
    memory = {"the memory around the logits": around, "the memory around the upstream gradient": upstream_around}
    pristine = {
        name: (array, array.copy(order="C")) for name, array in {**handed, **memory}.items() if array is not None
    }
    return Fed(arguments, pristine)


def laid_out(array: Array, layout: str, axes: List[int]) -> Any:
    """The array and the memory around it: "contiguous", "transposed" (the class axis varies slowest) or "strided"
    (every other element of memory that holds NaN between them)."""
    import numpy as np

    if layout == "transposed" and array.ndim > 1:
        order = axes + [i for i in range(array.ndim) if i not in axes]
        order = order[::-1] if order == list(range(array.ndim)) else order
        return np.array(array.transpose(order), order="C").transpose(np.argsort(order)), None
    if layout == "strided" or (layout == "transposed" and array.ndim == 1):
        around = np.full((*array.shape, 2), np.nan, array.dtype)
        around[..., 0] = array
        return around[..., 0], around
    return np.array(array, order="C"), None


def _upstream(upstream: Array, layout: str) -> Any:
    import numpy as np

    if layout == "strided" and upstream.ndim:
        return laid_out(upstream, "strided", [])
    if layout == "expanded" and upstream.size:
        narrow = upstream
        for axis in range(upstream.ndim):
            first = narrow.take([0], axis=axis)
            narrow = first if same_bits(np.broadcast_to(first, narrow.shape), narrow) else narrow
        narrow = np.array(narrow)
        return np.broadcast_to(narrow, upstream.shape), narrow
    return np.array(upstream, order="C"), None


def called(function: Any, fed: Fed) -> Called:
    """One call; the function computes forward and backward together."""
    start = time.perf_counter()
    returned = function(*fed.arguments)
    seconds = time.perf_counter() - start
    mutated = changed(fed)
    said = described(returned)
    if not (isinstance(returned, (tuple, list)) and len(returned) == 2):
        return Called(None, None, seconds, said, "it returned %s where (loss, gradient) is due" % said, mutated)
    output, gradient = (_floats(each) for each in returned)
    unusable = ""
    for name, array, value in (("loss", output, returned[0]), ("gradient", gradient, returned[1])):
        if array is None and not unusable:
            unusable = "the %s that it returned is %s where an array of floating-point numbers is due" % (
                name,
                described(value),
            )
    return Called(output, None if unusable else gradient, seconds, said, unusable, mutated)


def _floats(value: Any) -> Any:
    """What was returned as an array of a format that can be measured; None where it is none."""
    import numpy as np

    if isinstance(value, float) and not isinstance(value, np.generic):
        return np.asarray(value, np.float64)
    if not isinstance(value, (np.ndarray, np.generic)):
        return None
    array = np.array(value)
    return array if array.dtype.name in FLOATS else None


def described(value: Any) -> str:
    """A value by its kind: "None", "the int 3", "a tuple of 2 (float32 array [7], None)"."""
    import numpy as np

    if value is None:
        return "None"
    if isinstance(value, (np.ndarray, np.generic)):
        return "a %s array of shape %s" % (value.dtype.name, list(value.shape))
    if isinstance(value, (bool, int, float)):
        return "the %s %r" % (type(value).__name__, value)
    if isinstance(value, (tuple, list)):
        kinds = ", ".join(
            "%s %s" % (each.dtype.name, list(each.shape)) if isinstance(each, np.ndarray) else type(each).__name__
            for each in value[:4]
        )
        return "a %s of %d (%s)" % (type(value).__name__, len(value), kinds)
    return "a %s.%s" % (type(value).__module__, type(value).__qualname__)


def changed(fed: Fed) -> List[str]:
    """The names of what does not hold the bytes any more that it was handed over with."""
    found = [name for name, (array, pristine) in fed.pristine.items() if not same_bits(array, pristine)]
    return [name for name in found if not (name.startswith("the memory") and name.split("the ")[-1] in found)]


def same_bits(first: Array, second: Array) -> bool:
    """Whether two arrays agree in shape, dtype and every bit."""
    import numpy as np

    if first.shape != second.shape or first.dtype != second.dtype:
        return False
    bits = [np.array(array, order="C").reshape(-1).view(np.uint8) for array in (first, second)]
    return bool((bits[0] == bits[1]).all())
