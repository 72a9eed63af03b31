"""NumPy's own arithmetic: the textbook closed forms, forward and backward, in the candidate's dtype.

Every elementwise operation is rounded to the dtype. The classes of a row are contiguous, so that NumPy adds
float32 and float64 up pairwise; 16-bit types add up in float32, and the numbers of a whole row (sums, their
logarithm, the factor upstream / denominator) stay in float32.

Run by path in any Python from 3.8 with NumPy (bfloat16 needs ml_dtypes); imports nothing of gradaudit.
"""

from __future__ import annotations

import time
from typing import Any, Dict, NamedTuple

Array = Any
Request = Dict[str, Any]


BLOCK_ELEMENTS = 1 << 17
"""Elements of a block of rows: some arrays of that size stay in the second-level cache."""


class UnsupportedError(Exception):
    """This NumPy has no such dtype."""


class Arithmetic(NamedTuple):
    """The dtype of arrays and the wider one of a row's sums."""

    dtype: Any
    row: Any

    def rounded(self, array: Array) -> Array:
        """`array` rounded to the dtype of arrays."""
        return array.astype(self.dtype, copy=False)

    def total(self, array: Array) -> Array:
        """Row sums, one column; the conversion comes first, because NumPy's own would sum in chunks."""
        return array.astype(self.row, copy=False).sum(axis=-1, keepdims=True)

    def number(self, value: float) -> Array:
        """A parameter in the wider dtype; an array, because older NumPy narrows scalars to what they meet."""
        import numpy as np

        return np.full((1, 1), value, self.row)


class Labels(NamedTuple):
    """What cross entropy is asked for.

    `targets` are `indices` [rows, 1] or probabilities [rows, all classes]; `classes` those that take part; `counts`
    [rows, 1] is false for ignored rows; `factor` [rows, 1] is upstream / `denominator` (that of the mean).
    """

    targets: Array
    indices: bool
    classes: Array
    counts: Array
    smoothing: float
    weight: Array
    factor: Array
    denominator: Array


def hello(threads: int) -> dict[str, Any]:  # noqa: ARG001
    """NumPy's elementwise operations and sums use one thread, whatever `threads` asks for."""
    import numpy as np

    versions = {"numpy": np.__version__}
    dtypes = ["float16", "float32", "float64"]
    try:
        import ml_dtypes

        versions["ml_dtypes"] = ml_dtypes.__version__
        dtypes.insert(1, "bfloat16")
    except ImportError:
        pass
    return {"versions": versions, "dtypes": dtypes, "threads": 1}


def evaluate(request: Request, arrays: dict[str, Array]) -> dict[str, Any]:
    """Forward and backward of one function; see `gradaudit.backends.interface` for the request."""
    import numpy as np

    a = _arithmetic(request["dtype"])
    arrays = {name: _decoded(array, a.dtype) for name, array in arrays.items()}
    axes, per_class = list(request["axis"]), request["function"] in ("softmax", "log_softmax")
    shape = arrays["logits"].shape
    jacobian = request["per_output"] and per_class
    if jacobian:
        arrays["logits"], arrays["upstream"] = _tiled(arrays["logits"], axes)
        axes = [axis + 1 for axis in axes]
    start = time.perf_counter()
    with np.errstate(all="ignore"):
        output, gradient = _forward_and_backward(request, a, arrays, axes)
    seconds = time.perf_counter() - start
    result: dict[str, Any] = {"seconds": seconds}
    if jacobian:
        result["output"] = _encoded(output[0], request["dtype"])
        result["jacobian"] = _encoded(gradient, request["dtype"])
    elif request["per_output"]:
        result["output"] = _encoded(output, request["dtype"])
        result["jacobian"] = _encoded(gradient.reshape((1, *shape)), request["dtype"])
    else:
        result["output"] = _encoded(output, request["dtype"])
        result["gradient"] = _encoded(gradient, request["dtype"])
    return result


def _arithmetic(dtype: str) -> Arithmetic:
    import numpy as np

    if dtype == "bfloat16":
        try:
            import ml_dtypes
        except ImportError:
            raise UnsupportedError("bfloat16 in NumPy needs the package ml_dtypes") from None
        return Arithmetic(np.dtype(ml_dtypes.bfloat16), np.dtype(np.float32))
    if dtype == "float16":
        return Arithmetic(np.dtype(np.float16), np.dtype(np.float32))
    return Arithmetic(np.dtype(dtype), np.dtype(dtype))


def _decoded(array: Array, dtype: Any) -> Array:
    """bfloat16 arrives as its bits."""
    return array.view(dtype) if array.dtype == "uint16" else array


def _encoded(array: Array, dtype: str) -> tuple[Array, str]:
    return (array.view("uint16") if dtype == "bfloat16" else array), dtype


def _tiled(logits: Array, axes: list[int]) -> tuple[Array, Array]:
    """The logits once for every class along a new first axis, and one-hot upstream gradients."""
    import numpy as np

    classes = int(np.prod([logits.shape[axis] for axis in axes]))
    shape = (classes, *logits.shape)
    one_hot = np.eye(classes, dtype=logits.dtype)
    one_hot = one_hot.reshape([classes] + [size if i in axes else 1 for i, size in enumerate(logits.shape)])
    return np.broadcast_to(logits, shape), np.broadcast_to(one_hot, shape)


def _forward_and_backward(
    request: Request, a: Arithmetic, arrays: dict[str, Array], axes: list[int]
) -> tuple[Array, Array]:
    """In blocks of rows that stay in the cache; rows have nothing to do with one another before the reduction."""
    import numpy as np

    parameters, function = request["parameters"], request["function"]
    shape, logits = arrays["logits"].shape, _rows(arrays["logits"], axes)
    outer = tuple(size for i, size in enumerate(shape) if i not in axes)
    active = _active_classes(parameters, logits.shape[1])
    per_class = function in ("softmax", "log_softmax")
    labels = _labels(request, a, arrays, axes, active) if function == "cross_entropy" else None
    if labels is None:
        upstream = arrays.get("upstream", np.ones(outer, a.dtype))
        upstream = _rows(upstream, axes) if per_class else upstream.reshape(-1, 1)
    rows, classes = logits.shape[0], logits[:1, active].shape[1]
    gradient = np.empty((rows, classes), a.dtype)
    output = np.empty((rows, classes if per_class else 1), a.row if labels else a.dtype)
    step = max(1, BLOCK_ELEMENTS // max(1, classes))
    for part in (slice(first, first + step) for first in range(0, rows, step)):
        z = _scaled(a, parameters, logits[part, active])
        if labels is not None:
            output[part], g = _cross_entropy(a, z, labels, part, request["formulation"])
        elif per_class:
            compute = _softmax if function == "softmax" else _log_softmax
            output[part], g = compute(a, z, _columns(upstream, part, active), request["formulation"])
        else:
            output[part], g = _logsumexp(a, z, upstream[part], request["formulation"])
        gradient[part] = _unscaled(a, parameters, g)
    gradient = _restored(gradient, active, 0.0, shape, axes)
    if labels is not None:
        reduction = parameters.get("reduction", "mean")
        return _reduced(a, output, reduction, labels.denominator).reshape(
            outer if reduction == "none" else ()
        ), gradient
    if not per_class:
        return output.reshape(outer), gradient
    return _restored(output, active, 0.0 if function == "softmax" else -np.inf, shape, axes), gradient


def _scaled(a: Arithmetic, parameters: dict[str, Any], logits: Array) -> Array:
    """z = logits scale / temperature, contiguous."""
    import numpy as np

    scale, temperature = parameters.get("logit_scale", 1.0), parameters.get("temperature", 1.0)
    z = logits if scale == 1 else a.rounded(logits * a.number(scale))
    return np.ascontiguousarray(z if temperature == 1 else a.rounded(z / a.number(temperature)))


def _unscaled(a: Arithmetic, parameters: dict[str, Any], gradient: Array) -> Array:
    """The gradient with respect to the logits, of that with respect to z."""
    scale, temperature = parameters.get("logit_scale", 1.0), parameters.get("temperature", 1.0)
    gradient = gradient if temperature == 1 else a.rounded(gradient / a.number(temperature))
    return gradient if scale == 1 else a.rounded(gradient * a.number(scale))


def _active_classes(parameters: dict[str, Any], classes: int) -> Array:
    """The classes that take part: a slice of all, or indices along the flattened class axes."""
    import numpy as np

    masked = list(parameters.get("masked_classes") or ())
    return np.setdiff1d(np.arange(classes), masked) if masked else slice(None)


def _rows(array: Array, axes: list[int]) -> Array:
    """`array` as [rows, classes], the class axes flattened in C order."""
    import numpy as np

    outer = [i for i in range(array.ndim) if i not in axes]
    moved = array.transpose(outer + axes)
    classes = int(np.prod([array.shape[axis] for axis in axes]))
    return np.ascontiguousarray(moved.reshape(-1, classes) if classes else moved.reshape(moved.shape[0], 0))


def _columns(array: Array, part: slice, classes: Array) -> Array:
    """Some rows and classes, the classes of a row contiguous: NumPy lays what indices pick out column by column,
    and adds the rows of such an array up one after another."""
    import numpy as np

    return np.ascontiguousarray(array[part, classes])


def _restored(rows: Array, active: Array, missing: float, shape: tuple[int, ...], axes: list[int]) -> Array:
    """[rows, active classes] back in the logits' shape; classes that take no part are `missing`."""
    import numpy as np

    outer = [i for i in range(len(shape)) if i not in axes]
    if not isinstance(active, slice):
        full = np.full((rows.shape[0], int(np.prod([shape[axis] for axis in axes]))), missing, rows.dtype)
        full[:, active] = rows
        rows = full
    moved = rows.reshape([shape[i] for i in outer + axes])
    return moved.transpose(np.argsort(outer + axes))


def _exponentials(a: Arithmetic, z: Array, formulation: str) -> tuple[Array, Array, Array]:
    """t = z - max (z itself where unshifted), w = exp(t) and the row sums of w."""
    import numpy as np

    t = z if formulation == "unshifted" else z - z.max(axis=-1, keepdims=True)
    w = np.exp(t)
    return t, w, a.total(w)


def _softmax_vjp(a: Arithmetic, p: Array, g: Array) -> Array:
    return p * a.rounded(g - a.total(p * g))


def _log_softmax_vjp(a: Arithmetic, p: Array, g: Array) -> Array:
    return g - a.rounded(p * a.total(g))


def _softmax(a: Arithmetic, z: Array, g: Array, formulation: str) -> tuple[Array, Array]:
    import numpy as np

    t, w, s = _exponentials(a, z, formulation)
    if formulation == "log_softmax":
        p = np.exp(a.rounded(t - np.log(s)))
        return p, _log_softmax_vjp(a, p, p * g)
    p = a.rounded(w / s)
    return p, _softmax_vjp(a, p, g)


def _log_softmax(a: Arithmetic, z: Array, g: Array, formulation: str) -> tuple[Array, Array]:
    import numpy as np

    t, w, s = _exponentials(a, z, formulation)
    if formulation == "unfused":
        p = a.rounded(w / s)
        return np.log(p), _softmax_vjp(a, p, g / p)
    log_p = a.rounded(t - np.log(s))
    p = a.rounded(w / s) if formulation == "unshifted" else np.exp(log_p)
    return log_p, _log_softmax_vjp(a, p, g)


def _logsumexp(a: Arithmetic, z: Array, g: Array, formulation: str) -> tuple[Array, Array]:
    import numpy as np

    shift = z.max(axis=-1, keepdims=True)
    # An infinite maximum is its own result; inf - inf would lose it.
    shift = np.where(np.isinf(shift) | (formulation == "unshifted"), np.zeros((), a.dtype), shift)
    w = np.exp(z - shift)
    s = a.total(w)
    return a.rounded(shift + np.log(s)), a.rounded(w / s) * g


def _cross_entropy(a: Arithmetic, z: Array, labels: Labels, part: slice, formulation: str) -> tuple[Array, Array]:
    """The loss of each row of `part`, in the row's dtype, and the gradient."""
    import numpy as np

    t, w, s = _exponentials(a, z, formulation)
    mass, factor = _target_mass(a, labels, part), labels.factor[part]
    if formulation == "unfused":
        p = a.rounded(w / s)
        log_p = np.log(p)
        gradient = _softmax_vjp(a, p, a.rounded(-(mass * factor)) / p)
    else:
        log_p = a.rounded(t - np.log(s))
        if formulation == "log_softmax":
            gradient = _log_softmax_vjp(a, np.exp(log_p), a.rounded(-(mass * factor)))
        else:
            p = a.rounded(w / s)
            residual = a.rounded(a.total(mass) * p) - mass
            gradient = a.rounded(residual * factor)
    # 0 log 0 is 0, and a row that does not count has neither loss nor gradient, whatever its logits are.
    losses = -a.total(np.where(mass == 0, mass, mass * log_p))
    return losses, np.where(labels.counts[part], gradient, np.zeros((), a.dtype))


def _target_mass(a: Arithmetic, labels: Labels, part: slice) -> Array:
    """t_ij = w_j ((1 - eps) q_ij + eps / C), q one-hot for class indices; 0 in rows that do not count."""
    import numpy as np

    counts = labels.counts[part]
    if labels.indices:
        mass = (labels.targets[part] == labels.classes).astype(a.dtype)
    else:
        mass = _columns(labels.targets, part, labels.classes)
    if labels.smoothing:
        mass = a.rounded(mass * a.number(1.0 - labels.smoothing))
        mass = a.rounded(mass + a.number(labels.smoothing / mass.shape[1]))
    mass = mass if labels.weight is None else mass * labels.weight
    return np.where(counts, mass, np.zeros((), a.dtype))


def _labels(request: Request, a: Arithmetic, arrays: dict[str, Array], axes: list[int], active: Array) -> Labels:
    import numpy as np

    parameters, targets = request["parameters"], arrays["targets"]
    classes = np.arange(int(np.prod([arrays["logits"].shape[axis] for axis in axes])))[active]
    weight = arrays.get("weight")
    indices = targets.dtype.kind == "i"
    targets = targets.reshape(-1, 1) if indices else _rows(targets, axes)
    rows = len(targets)
    counts = np.ones((rows, 1), bool)
    denominator = a.row.type(rows)
    if indices:
        counts = targets != parameters.get("ignore_index", -100)
        _check_labels(targets[counts], classes)
        counted = np.ones(counts.sum(), a.row) if weight is None else weight[targets[counts]].astype(a.row)
        denominator = counted.sum()
    upstream = np.ones(1) if request["per_output"] else arrays["upstream"]
    factor = upstream.reshape(-1, 1).astype(a.row)
    factor = factor / denominator if parameters.get("reduction", "mean") == "mean" else factor
    smoothing = float(parameters.get("label_smoothing", 0.0))
    weight = weight if weight is None else weight[active]
    factor = np.broadcast_to(factor, (rows, 1))
    return Labels(targets, indices, classes, counts, smoothing, weight, factor, denominator)


def _check_labels(labels: Array, classes: Array) -> None:
    import numpy as np

    wrong = labels[~np.isin(labels, classes)]
    if wrong.size:
        raise IndexError("label %d is not one of the %d classes that take part" % (wrong[0], len(classes)))


def _reduced(a: Arithmetic, losses: Array, reduction: str, denominator: Array) -> Array:
    if reduction == "none":
        return a.rounded(losses)
    total = losses.sum()
    return a.rounded(total / denominator if reduction == "mean" else total)
