"""Users' losses in torch, in every shape that a loss may come in."""

import functools

import torch
from torch.nn import functional


def plain(logits, targets):
    return functional.cross_entropy(logits, targets)


def smoothed(logits, targets, smoothing=0.0, weight=None):
    return functional.cross_entropy(logits, targets, label_smoothing=smoothing, weight=weight)


def make(smoothing):
    return functools.partial(smoothed, smoothing=smoothing)


class Smoothed(torch.nn.Module):
    def __init__(self, smoothing=0.0, weight=None):
        super().__init__()
        self.smoothing = smoothing
        self.register_buffer("weight", weight)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, logits, targets):
        assert self.scale.dtype == logits.dtype
        loss = functional.cross_entropy(logits, targets, label_smoothing=self.smoothing, weight=self.weight)
        return loss * self.scale


class Callable:
    """Constructed with arguments and called; no module."""

    def __init__(self, smoothing):
        self.smoothing = smoothing

    def __call__(self, logits, targets):
        return functional.cross_entropy(logits, targets, label_smoothing=self.smoothing)

    class Inner:
        @staticmethod
        def loss(logits, targets):
            return functional.cross_entropy(logits, targets)


class Tempered(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, targets, factor=1.0, temperature=1.0):
        scaled = logits * factor / temperature
        ctx.save_for_backward(torch.softmax(scaled, 1), targets)
        ctx.constants = factor / temperature
        return functional.cross_entropy(scaled, targets)

    @staticmethod
    def backward(ctx, upstream):
        p, targets = ctx.saved_tensors
        one_hot = functional.one_hot(targets, p.shape[1])
        return upstream * (p - one_hot) * ctx.constants / len(p), None, None, None


def rows(logits, targets):
    return functional.cross_entropy(logits, targets, reduction="none")


def per_pixel(logits, targets):
    return functional.cross_entropy(logits, targets)


def of_one_hot(logits, targets):
    assert targets.shape == logits.shape
    assert targets.dtype == logits.dtype
    return -(targets * functional.log_softmax(logits, 1)).sum() / targets.sum()


def softmax(logits):
    return torch.softmax(logits, -1)


def of_probabilities(p, targets):
    return functional.nll_loss(p.log(), targets)


def layout_of_the_logits(logits, targets):
    """A loss whose value is how the logits lie in memory."""
    strides = 0.0
    for stride in logits.stride():
        strides = 100.0 * strides + stride
    return functional.cross_entropy(logits, targets) * 0.0 + strides


class _UpstreamStride(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits):
        ctx.shape = logits.shape
        return torch.softmax(logits, -1)

    @staticmethod
    def backward(ctx, upstream):
        strides = 0.0
        for stride in upstream.stride():
            strides = 100.0 * strides + stride
        return torch.full(ctx.shape, strides)


def stride_of_the_upstream_gradient(logits):
    return _UpstreamStride.apply(logits)


def by_matmul(logits, targets):
    """Under autocast the product is rounded to 16 bits."""
    return functional.cross_entropy(logits @ torch.eye(logits.shape[1], dtype=logits.dtype), targets)


def noisy(logits, targets):
    return functional.cross_entropy(logits + torch.rand_like(logits), targets)


class _Saved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, targets):
        ctx.save_for_backward((torch.softmax(logits, 1) - functional.one_hot(targets, logits.shape[1])) / len(logits))
        return functional.cross_entropy(logits, targets)

    @staticmethod
    def backward(ctx, upstream):
        return upstream * ctx.saved_tensors[0], None


def saved_gradient(logits, targets):
    return _Saved.apply(logits, targets)


class _Refusing(_Saved):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        return upstream * ctx.saved_tensors[0], None


def refusing(logits, targets):
    return _Refusing.apply(logits, targets)


class _Freed(_Saved):
    @staticmethod
    def backward(ctx, upstream):
        (gradient,) = ctx.saved_tensors
        assert not hasattr(ctx, "used"), "the buffers are gone"
        ctx.used = True
        return upstream * gradient, None


def once_only(logits, targets):
    return _Freed.apply(logits, targets)


def flat(logits, targets):
    return functional.cross_entropy(logits.view(-1).view(logits.shape), targets)


def learns_its_targets(logits, targets):
    return -(targets * functional.log_softmax(logits, 1)).sum(1).mean()


def detaches_its_targets(logits, targets):
    return -(targets.detach() * functional.log_softmax(logits, 1)).sum(1).mean()
