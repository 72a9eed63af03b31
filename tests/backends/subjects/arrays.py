"""Users' losses in NumPy."""

import numpy


def loss(logits, targets, upstream, smoothing=0.0):
    rows, classes = logits.shape
    shifted = logits - logits.max(1, keepdims=True)
    total = numpy.exp(shifted).sum(1, keepdims=True)
    log_p = shifted - numpy.log(total)
    mass = numpy.full(logits.shape, smoothing / classes)
    mass[numpy.arange(rows), targets] += 1.0 - smoothing
    value = -(mass * log_p).sum(1).mean()
    gradient = (numpy.exp(log_p) - mass) * (upstream / rows)
    return value.astype(logits.dtype), gradient.astype(logits.dtype)


def of_one_hot(logits, targets, upstream):
    assert targets.shape == logits.shape
    assert targets.dtype == logits.dtype
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - numpy.log(numpy.exp(shifted).sum(1, keepdims=True))
    counted = targets.sum()
    return -(targets * log_p).sum() / counted, (
        numpy.exp(log_p) * targets.sum(1)[:, None] - targets
    ) * upstream / counted


def softmax(logits, upstream):
    exponentials = numpy.exp(logits - logits.max(-1, keepdims=True))
    p = exponentials / exponentials.sum(-1, keepdims=True)
    return p, p * (upstream - (p * upstream).sum(-1, keepdims=True))


def strides(logits, upstream):
    bytes_each = logits.itemsize
    return logits, numpy.full(logits.shape, logits.strides[-1] / bytes_each + 100 * upstream.strides[-1] / bytes_each)


def writes(logits, targets, upstream):
    value = loss(logits, targets, upstream)
    targets[0] = 1 - targets[0]
    upstream[...] = 0
    return value
