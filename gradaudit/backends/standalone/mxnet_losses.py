"""Cross entropy as MXNet's users write it: by log_softmax and pick, and by the three operators that MXNet has for it.

    softmax_output          nd.SoftmaxOutput, a layer that returns p and has (p - label) for its backward, whatever
                            the head gradient is; the loss shown is -log of the probability at the label
    softmax_cross_entropy   nd.softmax_cross_entropy, the sum over the rows, with p in the loss not below 1e-8
    gluon                   gluon.loss.SoftmaxCrossEntropyLoss, a loss for each row

Run by path in any Python from 3.8 with NumPy and MXNet 1.9; imports nothing of gradaudit.
"""

from __future__ import annotations

import sys
from typing import Any, Dict, List, NamedTuple

Request = Dict[str, Any]
Tensor = Any

EXACT_LABELS = {"float16": 2**11, "float32": 2**24, "float64": 2**53}
"""Below these every label is a number of the dtype, which the symbolic operators want their labels in."""


class Labels(NamedTuple):
    """Targets by row: class indices `labels` (int32, 0 where a row does not count) or `probabilities` [rows, C].

    `counts` [rows] is 1 where a row counts (None: all do), `weight` [C] holds the class weights or is None.
    """

    labels: Tensor
    probabilities: Tensor
    counts: Tensor
    weight: Tensor
    smoothing: float
    reduction: str


def cross_entropy(
    request: Request, z: Tensor, axis: int, tensors: dict[str, Tensor], axes: List[int], active: List[int]
) -> tuple[Tensor, Tensor]:
    """What `backward` is called on, and the loss: [rows] without a reduction, else of one element."""
    adapter = sys.modules["gradaudit_adapter_mxnet_adapter"]
    own = {"softmax_output": _softmax_output, "softmax_cross_entropy": _operator, "gluon": _gluon}
    if request["formulation"] in own:
        z = _as_rows(z, axis)
        labels = _labels(request, tensors, axes, active, z.dtype)
        return own[request["formulation"]](z, labels)
    labels = _labels(request, tensors, axes, active, z.dtype)
    log_p = _as_rows(adapter.log_probabilities(z, axis, request["formulation"]), axis)
    loss = _reduced(_row_losses(log_p, labels), labels)
    return loss, loss


def _as_rows(z: Tensor, axis: int) -> Tensor:
    """[rows, classes], by a copy where the classes are not last."""
    axis %= z.ndim
    if axis != z.ndim - 1:
        z = z.transpose([*(i for i in range(z.ndim) if i != axis), axis])
    return z.reshape((-1, z.shape[-1])) if z.ndim != 2 else z


def _labels(request: Request, tensors: dict[str, Tensor], axes: List[int], active: List[int], dtype: Any) -> Labels:
    import mxnet as mx
    import numpy as np

    adapter = sys.modules["gradaudit_adapter_mxnet_adapter"]
    parameters, targets = request["parameters"], tensors["targets"]
    smoothing, reduction = float(parameters.get("label_smoothing", 0.0)), str(parameters.get("reduction", "mean"))
    weight = tensors.get("weight")
    weight = None if weight is None else mx.nd.take(weight, mx.nd.array(active, dtype="int32"))
    if targets.dtype != np.int64:
        q, axis = adapter.one_class_axis(targets, axes)
        q = mx.nd.take(_as_rows(q, axis), mx.nd.array(active, dtype="int32"), axis=1)
        return Labels(None, q, None, weight, smoothing, reduction)
    given = targets.asnumpy().reshape(-1)
    counts = given != parameters.get("ignore_index", -100)
    position = {label: i for i, label in enumerate(active)}
    wrong = [int(label) for label in given[counts] if int(label) not in position]
    if wrong:
        # pick clips them, which would be another label in silence.
        raise IndexError("label %d is not one of the %d classes that take part" % (wrong[0], len(active)))
    known = np.array([position[int(label)] if counts[i] else 0 for i, label in enumerate(given)], np.int32)
    mask = None if counts.all() else mx.nd.array(counts, dtype=dtype)
    return Labels(mx.nd.array(known, dtype="int32"), None, mask, weight, smoothing, reduction)


def _row_losses(log_p: Tensor, labels: Labels) -> Tensor:
    """-sum of t log p for each row, 0 where a row does not count."""
    import mxnet as mx

    eps, classes = labels.smoothing, log_p.shape[1]
    if labels.labels is None:
        t = labels.probabilities
        t = t * (1.0 - eps) + eps / classes if eps else t
        t = t if labels.weight is None else mx.nd.broadcast_mul(t, labels.weight.reshape((1, -1)))
        return -(t * log_p).sum(axis=1)
    losses = -mx.nd.pick(log_p, labels.labels, axis=1)
    if labels.weight is not None:
        losses = losses * mx.nd.take(labels.weight, labels.labels)
    if eps:
        spread = log_p
        if labels.weight is not None:
            spread = mx.nd.broadcast_mul(log_p, labels.weight.reshape((1, -1)))
        losses = losses * (1.0 - eps) + -spread.sum(axis=1) * (eps / classes)
    # A product with the mask would make NaN of an infinite loss.
    return losses if labels.counts is None else mx.nd.where(labels.counts, losses, mx.nd.zeros_like(losses))


def _reduced(losses: Tensor, labels: Labels) -> Tensor:
    import mxnet as mx

    if labels.reduction == "none":
        return losses
    if labels.reduction == "sum":
        return losses.sum()
    if labels.labels is None or (labels.weight is None and labels.counts is None):
        return losses.mean()
    counted = mx.nd.ones_like(losses) if labels.weight is None else mx.nd.take(labels.weight, labels.labels)
    counted = counted if labels.counts is None else counted * labels.counts
    return losses.sum() / counted.sum()


def _refuse(what: str, when: bool) -> None:
    if when:
        raise sys.modules["gradaudit_adapter_mxnet_adapter"].UnsupportedError(what)


def _in_dtype(labels: Tensor, dtype: Any, classes: int) -> Tensor:
    name = dtype.__name__
    _refuse("SoftmaxOutput and its kind take labels as %s, which has no odd ones above %d" % (name, 2**11),
            classes > EXACT_LABELS[name])  # fmt: skip
    return labels.astype(dtype)


def _softmax_output(z: Tensor, labels: Labels) -> tuple[Tensor, Tensor]:
    """The layer, whose backward takes no head gradient, and the loss that its users print."""
    import mxnet as mx

    _refuse("SoftmaxOutput has no class weights", labels.weight is not None)
    rows, classes = z.shape
    if labels.labels is None:
        q, eps = labels.probabilities, labels.smoothing
        q = q * (1.0 - eps) + eps / classes if eps else q
        # normalization is ignored for probabilities; grad_scale is not.
        layer = mx.nd.SoftmaxOutput(z, q, grad_scale=1.0 / rows if labels.reduction == "mean" else 1.0)
        with mx.autograd.pause():
            return layer, _reduced(-(q * layer.log()).sum(axis=1), labels)
    ignored = labels.counts is not None
    label = _in_dtype(labels.labels, z.dtype, classes)
    if ignored:
        label = mx.nd.where(labels.counts, label, -mx.nd.ones_like(label))
    layer = mx.nd.SoftmaxOutput(
        z,
        label,
        use_ignore=ignored,
        ignore_label=-1.0,
        normalization=("valid" if ignored else "batch") if labels.reduction == "mean" else "null",
        # The label gets 1 - a and the others a / (C - 1).
        smooth_alpha=labels.smoothing * (classes - 1) / classes,
    )
    with mx.autograd.pause():
        return layer, _reduced(_row_losses(layer.log(), labels), labels)


def _operator(z: Tensor, labels: Labels) -> tuple[Tensor, Tensor]:
    import mxnet as mx

    _refuse("softmax_cross_entropy sums over the rows; it has no loss of each", labels.reduction == "none")
    plain = labels.labels is not None and labels.counts is None and labels.weight is None and not labels.smoothing
    _refuse("softmax_cross_entropy takes class indices alone: no probabilities, weights, smoothing or ignored rows",
            not plain)  # fmt: skip
    loss = mx.nd.softmax_cross_entropy(z, _in_dtype(labels.labels, z.dtype, z.shape[1]))
    loss = loss / z.shape[0] if labels.reduction == "mean" else loss
    return loss, loss


def _gluon(z: Tensor, labels: Labels) -> tuple[Tensor, Tensor]:
    """Weights and ignored rows are sample weights, of the shape (N, 1): (N,) would be spread over the classes."""
    import mxnet as mx

    eps, classes = labels.smoothing, z.shape[1]
    sparse = labels.labels is not None and not eps
    loss_of = mx.gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=sparse)
    if sparse:
        weight = labels.counts
        if labels.weight is not None:
            weight = mx.nd.take(labels.weight, labels.labels)
            weight = weight if labels.counts is None else weight * labels.counts
        losses = loss_of(z, labels.labels, None if weight is None else weight.reshape((-1, 1)))
    else:
        q = labels.probabilities
        q = mx.nd.one_hot(labels.labels, classes, dtype=z.dtype.__name__) if q is None else q
        q = q * (1.0 - eps) + eps / classes if eps else q
        q = q if labels.weight is None else mx.nd.broadcast_mul(q, labels.weight.reshape((1, -1)))
        losses = loss_of(z, q, None if labels.counts is None else labels.counts.reshape((-1, 1)))
    loss = _reduced(losses, labels)
    return loss, loss
