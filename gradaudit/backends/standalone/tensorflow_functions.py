"""softmax, log_softmax, logsumexp and cross entropy as TensorFlow's users write them, by formulation.

    softmax        fused: tf.nn.softmax.  log_softmax: exp of tf.nn.log_softmax.  unshifted: exp, sum, quotient
    log_softmax    fused: tf.nn.log_softmax.  unfused: log of tf.nn.softmax.  unshifted: x - log sum exp
    logsumexp      fused: tf.reduce_logsumexp.  unshifted: log sum exp
    cross_entropy  fused: tf.nn.sparse_softmax_cross_entropy_with_logits for class indices,
                   tf.nn.softmax_cross_entropy_with_logits for probabilities and smoothed labels; else the
                   log-probabilities above, of which the labels' are gathered, or all are summed with their targets

Labels that are ignored become 0 and their losses are masked out, since TensorFlow refuses what is no class; class
weights multiply the losses. The kernel of tf.nn.softmax_cross_entropy_with_logits returns p - labels, which is the
gradient only where the labels of a row add up to 1: weights inside a row would break that, and are not offered there.

Run by path in any Python from 3.8 with NumPy and TensorFlow; imports nothing of gradaudit.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple

Tensor = Any
Request = Dict[str, Any]


class UnsupportedError(Exception):
    """Nothing that TensorFlow's users would write computes it."""


class Made(NamedTuple):
    """`forward(tensors)` computes the output; `key` is what it depends on beside the request and the shapes."""

    forward: Callable[[Dict[str, Tensor]], Tensor]
    key: str


def forward_of(request: Request, arrays: Dict[str, Any], axes: List[int]) -> Made:
    """What computes the output of the request from its tensors."""
    if request["function"] == "cross_entropy":
        return _cross_entropy(request, arrays, axes)

    def forward(given: Dict[str, Tensor]) -> Tensor:
        return _activation(request, given["logits"], axes)

    return Made(forward, "")


def scaled(request: Request, logits: Tensor) -> Tensor:
    """The logits times their scale, divided by the temperature, each only where it is not 1."""
    parameters = request["parameters"]
    scale, temperature = float(parameters.get("logit_scale", 1.0)), float(parameters.get("temperature", 1.0))
    z = logits if scale == 1.0 else logits * scale
    return z if temperature == 1.0 else z / temperature


def _activation(request: Request, logits: Tensor, axes: List[int]) -> Tensor:
    import tensorflow as tf

    function, formulation = request["function"], request["formulation"]
    z = scaled(request, logits)
    masked = request["parameters"].get("masked_classes") or ()
    if function == "logsumexp" and not masked:
        return _logsumexp(z, axes, formulation)
    z, axis = one_class_axis(z, axes)
    classes = z.shape[axis]
    kept = [j for j in range(classes) if j not in set(masked)]
    z = tf.gather(z, kept, axis=axis) if masked else z
    if function == "logsumexp":
        return _logsumexp(z, axis, formulation)
    if function == "softmax":
        y, missing = _softmax(z, axis, formulation), 0.0
    else:
        y, missing = _log_softmax(z, axis, formulation), float("-inf")
    if masked:
        y = _spread_out(y, axis, classes, kept, missing)
    return _class_axes_restored(y, list(logits.shape), axes)


def _spread_out(y: Tensor, axis: int, classes: int, kept: List[int], missing: float) -> Tensor:
    """The classes that take part back in their places, `missing` in the others."""
    import tensorflow as tf

    places = [kept.index(j) if j in kept else 0 for j in range(classes)]
    shape = [classes if i == axis else 1 for i in range(len(y.shape))]
    there = tf.reshape(tf.constant([j in kept for j in range(classes)]), shape)
    return tf.where(there, tf.gather(y, places, axis=axis), tf.constant(missing, y.dtype))


def one_class_axis(tensor: Tensor, axes: List[int]) -> tuple[Tensor, int]:
    """Several class axes flattened into one: in place where they are neighbours, else moved last."""
    import tensorflow as tf

    if len(axes) == 1:
        return tensor, axes[0]
    shape = list(tensor.shape)
    if axes != list(range(axes[0], axes[-1] + 1)):
        order = [i for i in range(len(shape)) if i not in axes] + axes
        tensor = tf.transpose(tensor, order)
        shape = [shape[i] for i in order]
        axes = list(range(len(shape) - len(axes), len(shape)))
    flat = [*shape[: axes[0]], -1, *shape[axes[-1] + 1 :]]
    return tf.reshape(tensor, flat), axes[0]


def _class_axes_restored(tensor: Tensor, shape: List[int], axes: List[int]) -> Tensor:
    import tensorflow as tf

    if len(axes) == 1:
        return tensor
    if axes == list(range(axes[0], axes[-1] + 1)):
        return tf.reshape(tensor, shape)
    order = [i for i in range(len(shape)) if i not in axes] + axes
    moved = tf.reshape(tensor, [shape[i] for i in order])
    return tf.transpose(moved, [order.index(i) for i in range(len(shape))])


def _softmax(z: Tensor, axis: int, formulation: str) -> Tensor:
    import tensorflow as tf

    if formulation == "fused":
        return tf.nn.softmax(z, axis=axis)
    if formulation == "log_softmax":
        return tf.exp(tf.nn.log_softmax(z, axis=axis))
    if formulation == "unshifted":
        w = tf.exp(z)
        return w / tf.reduce_sum(w, axis=axis, keepdims=True)
    raise UnsupportedError("tensorflow has no formulation %r of softmax" % formulation)


def _log_softmax(z: Tensor, axis: int, formulation: str) -> Tensor:
    import tensorflow as tf

    if formulation in ("fused", "log_softmax"):
        return tf.nn.log_softmax(z, axis=axis)
    if formulation == "unfused":
        return tf.math.log(tf.nn.softmax(z, axis=axis))
    if formulation == "unshifted":
        return z - tf.math.log(tf.reduce_sum(tf.exp(z), axis=axis, keepdims=True))
    raise UnsupportedError("tensorflow has no formulation %r of log_softmax" % formulation)


def _logsumexp(z: Tensor, axis: Any, formulation: str) -> Tensor:
    import tensorflow as tf

    if formulation == "fused":
        return tf.reduce_logsumexp(z, axis=axis)
    if formulation == "unshifted":
        return tf.math.log(tf.reduce_sum(tf.exp(z), axis=axis))
    raise UnsupportedError("tensorflow has no formulation %r of logsumexp" % formulation)


def _cross_entropy(request: Request, arrays: Dict[str, Any], axes: List[int]) -> Made:
    parameters = request["parameters"]
    indices = arrays["targets"].dtype.kind == "i"
    ignore = int(parameters.get("ignore_index", -100))
    # Whether anything is ignored is known before anything is traced, as it is to whoever writes the loss.
    ignores = indices and bool((arrays["targets"] == ignore).any())
    smoothing = float(parameters.get("label_smoothing", 0.0))
    leaves_some_out = bool(parameters.get("masked_classes")) and not indices
    if request["formulation"] == "fused" and (leaves_some_out or ("weight" in arrays and (smoothing or not indices))):
        raise UnsupportedError(
            "tf.nn.softmax_cross_entropy_with_logits takes p - labels for its gradient, which is right only where "
            "the labels of a row add up to 1; weighted or masked ones do not: take the formulation log_softmax"
        )

    def forward(given: Dict[str, Tensor]) -> Tensor:
        return _loss(request, given, axes, ignore if ignores else None)

    return Made(forward, "ignores" if ignores else "")


def _loss(request: Request, given: Dict[str, Tensor], axes: List[int], ignore: Any) -> Tensor:
    import tensorflow as tf

    parameters = request["parameters"]
    smoothing = float(parameters.get("label_smoothing", 0.0))
    z, targets, weight = _classes_last(scaled(request, given["logits"]), axes), given["targets"], given.get("weight")
    counted = None
    masked = parameters.get("masked_classes") or ()
    kept = [j for j in range(z.shape[-1]) if j not in set(masked)]
    if targets.dtype.is_integer:
        if ignore is not None:
            counted = tf.not_equal(targets, ignore)
            targets = tf.where(counted, targets, tf.cast(kept[0], targets.dtype))
        if masked:
            places = [kept.index(j) if j in kept else -1 for j in range(z.shape[-1])]
            targets = tf.gather(tf.constant(places, targets.dtype), targets)
    else:
        targets = _classes_last(targets, axes)
        targets = tf.gather(targets, kept, axis=-1) if masked else targets
    if masked:
        z = tf.gather(z, kept, axis=-1)
        weight = weight if weight is None else tf.gather(weight, kept)
    weights = None
    if targets.dtype.is_integer:
        losses = _of_indices(z, targets, weight, smoothing, request["formulation"])
        weights = None if weight is None else tf.gather(weight, targets)
        if weights is not None and not smoothing:
            losses = losses * weights
        if counted is not None:
            losses = tf.where(counted, losses, tf.zeros_like(losses))
            ones = tf.ones_like(losses) if weights is None else weights
            weights = tf.where(counted, ones, tf.zeros_like(ones))
    else:
        losses = _of_probabilities(z, targets, weight, smoothing, request["formulation"])
    return _reduced(losses, weights, parameters.get("reduction", "mean"))


def _reduced(losses: Tensor, weights: Any, reduction: str) -> Tensor:
    import tensorflow as tf

    if reduction == "none":
        return losses
    if reduction == "sum":
        return tf.reduce_sum(losses)
    if weights is None:
        return tf.reduce_mean(losses)
    return tf.reduce_sum(losses) / tf.reduce_sum(weights)


def _classes_last(tensor: Tensor, axes: List[int]) -> Tensor:
    import tensorflow as tf

    tensor, axis = one_class_axis(tensor, axes)
    rank = len(tensor.shape)
    if axis == rank - 1:
        return tensor
    return tf.transpose(tensor, [i for i in range(rank) if i != axis] + [axis])


def _of_indices(z: Tensor, labels: Tensor, weight: Any, smoothing: float, formulation: str) -> Tensor:
    """One loss a row; where labels are smoothed the class weights are in it."""
    import tensorflow as tf

    classes = z.shape[-1]
    if formulation == "fused" and not smoothing:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=z)
    if formulation == "fused":
        smoothed = tf.one_hot(labels, classes, dtype=z.dtype) * (1.0 - smoothing) + smoothing / classes
        return tf.nn.softmax_cross_entropy_with_logits(labels=smoothed, logits=z)
    log_p = _log_softmax(z, -1, formulation)
    own = -tf.gather(log_p, labels, axis=-1, batch_dims=len(labels.shape))
    if not smoothing:
        return own
    own = own if weight is None else own * tf.gather(weight, labels)
    spread = -tf.reduce_sum(log_p if weight is None else log_p * weight, axis=-1)
    return (1.0 - smoothing) * own + (smoothing / classes) * spread


def _of_probabilities(z: Tensor, q: Tensor, weight: Any, smoothing: float, formulation: str) -> Tensor:
    import tensorflow as tf

    t = q * (1.0 - smoothing) + smoothing / q.shape[-1] if smoothing else q
    if formulation == "fused":
        return tf.nn.softmax_cross_entropy_with_logits(labels=t, logits=z)
    t = t if weight is None else t * weight
    return -tf.reduce_sum(t * _log_softmax(z, -1, formulation), axis=-1)
