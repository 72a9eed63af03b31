"""Losses of rows with a backward written by hand, sound ones: (p - y) times the upstream gradient."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _one_hot(p: Tensor, labels: Tensor) -> Tensor:
    return torch.zeros_like(p).scatter(1, labels[:, None], 1.0)


class SavedProbabilities(torch.autograd.Function):
    """Saves softmax; (p - y) first, the upstream gradient afterwards."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        z = logits - logits.max(1, keepdim=True).values
        w = z.exp()
        total = w.sum(1, keepdim=True)
        ctx.save_for_backward(w / total, labels)
        return (total.log() - z.gather(1, labels[:, None]))[:, 0]

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        p, labels = ctx.saved_tensors
        return (p - _one_hot(p, labels)) * upstream[:, None], None


class SavedLogProbabilities(torch.autograd.Function):
    """Saves log-softmax and takes its exponential; the upstream gradient before the difference."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        log_p = F.log_softmax(logits, 1)
        ctx.save_for_backward(log_p, labels)
        return -log_p.gather(1, labels[:, None])[:, 0]

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        log_p, labels = ctx.saved_tensors
        gradient = log_p.exp() * upstream[:, None]
        return gradient.scatter_add(1, labels[:, None], -upstream[:, None]), None


class SavedLogsumexp(torch.autograd.Function):
    """Saves the logits and their logsumexp, as kernels that save memory do."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        total = torch.logsumexp(logits, 1, keepdim=True)
        ctx.save_for_backward(logits, total, labels)
        return (total - logits.gather(1, labels[:, None]))[:, 0]

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        logits, total, labels = ctx.saved_tensors
        gradient = (logits - total).exp()
        gradient[torch.arange(len(labels)), labels] -= 1.0
        return gradient * upstream[:, None], None


class SavedGradient(torch.autograd.Function):
    """The gradient is formed in forward, in place of the probabilities, and multiplied in backward."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        p = F.softmax(logits, 1)
        loss = F.nll_loss(F.log_softmax(logits, 1), labels, reduction="none")
        p.scatter_add_(1, labels[:, None], torch.full_like(labels[:, None], -1, dtype=p.dtype))
        ctx.save_for_backward(p)
        return loss

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return upstream[:, None] * gradient, None


BACKWARDS = {
    "saved probabilities": SavedProbabilities.apply,
    "saved log-probabilities": SavedLogProbabilities.apply,
    "saved logsumexp": SavedLogsumexp.apply,
    "saved gradient": SavedGradient.apply,
}
"""name -> f(logits, labels): the losses of the rows."""
