"""Losses in torch that fail, each in a way that somebody's loss has failed."""

import sys

import numpy
import torch
from torch.nn import functional

right = functional.cross_entropy


def raises(logits, targets):
    rows = len(targets)
    raise ValueError(f"{rows} rows are not to my taste")


def raises_in_torch(logits, targets):
    return functional.cross_entropy(logits, targets[:-1])


class _RaisesInBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, targets):
        return functional.cross_entropy(logits, targets)

    @staticmethod
    def backward(ctx, upstream):
        raise RuntimeError("no way back")


def raises_in_backward(logits, targets):
    return _RaisesInBackward.apply(logits, targets)


def leaves(logits, targets):
    sys.exit("enough")


def allocates(logits, targets):
    return functional.cross_entropy(logits, targets) + torch.ones(1 << 38).sum()


def returns_nothing(logits, targets):
    functional.cross_entropy(logits, targets)


def returns_an_int(logits, targets):
    return 3


def returns_a_float(logits, targets):
    return functional.cross_entropy(logits, targets).item()


def returns_numpy(logits, targets):
    return numpy.zeros(3)


def returns_a_tuple(logits, targets):
    return functional.cross_entropy(logits, targets), {}


def returns_labels(logits, targets):
    return logits.argmax(1)


def detached(logits, targets):
    return functional.cross_entropy(logits.detach(), targets)


def elsewhere(logits, targets):
    other = torch.zeros(7, 11, requires_grad=True)
    return functional.cross_entropy(other, targets)


def rows(logits, targets):
    return functional.cross_entropy(logits, targets, reduction="none")


def not_a_number(logits, targets):
    return functional.cross_entropy(logits, targets) * float("nan")


def changes_torch(logits, targets):
    torch.exp = torch.log
    torch.set_default_dtype(torch.float64)
    return functional.cross_entropy(logits, targets)


def shows_the_generator(logits, targets):
    return functional.cross_entropy(logits, targets) + torch.rand(()).item()


def seeds_torch(logits, targets):
    torch.manual_seed(3)
    return torch.nn.functional.cross_entropy(logits, targets)


def expects_an_untouched_torch(logits, targets):
    assert torch.tensor(0.5).dtype == torch.float32, "somebody has set the default dtype"
    assert torch.exp(torch.zeros(())) == 1.0, "somebody has replaced torch.exp"
    return functional.cross_entropy(logits, targets)


class Needs:
    def __init__(self, smoothing):
        self.smoothing = smoothing


number = 3
