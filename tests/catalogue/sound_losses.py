"""Right, and written as few would write it: nothing may be said against them."""

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from tests.catalogue.backwards import hits
from tests.catalogue.entries import PADDED, WEIGHTS, sound


@sound(targets=PADDED)
def chunks_of_rows_over_one_count(logits, targets):
    """Chunks are summed, and divided once."""
    total = logits.new_zeros(())
    for start in range(0, len(logits), 3):
        rows = slice(start, start + 3)
        total = total + F.cross_entropy(logits[rows], targets[rows], reduction="sum")
    return total / (targets >= 0).sum()


@sound()
def two_passes(logits, targets):
    """First the maximum, which carries no gradient, then the sum."""
    rest = logits - logits.amax(dim=1, keepdim=True).detach()
    return (rest.exp().sum(dim=1).log() - rest.gather(1, targets.unsqueeze(1)).squeeze(1)).mean()


@sound()
def log1p_of_the_others(logits, targets):
    """log(1 + sum of all but the largest)."""
    largest = logits.argmax(dim=1, keepdim=True)
    rest = logits - logits.gather(1, largest)
    others = rest.exp().masked_fill(torch.zeros_like(rest).scatter_(1, largest, 1.0).bool(), 0.0)
    return (others.sum(dim=1).log1p() - rest.gather(1, targets.unsqueeze(1)).squeeze(1)).mean()


class _InPlaceOnACopy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, targets):
        work = logits - logits.amax(dim=1, keepdim=True)
        at_label = work.gather(1, targets.unsqueeze(1)).squeeze(1)
        total = work.exp_().sum(dim=1)
        ctx.save_for_backward(work.div_(total.unsqueeze(1)), targets)
        return total.log_() - at_label

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        p, targets = ctx.saved_tensors
        return (p - hits(p, targets)) * upstream.unsqueeze(1), None


@sound(reduction="none")
def kernel_in_place_on_its_own_copy(logits, targets):
    """Steps in place harm nobody who made a copy."""
    return _InPlaceOnACopy.apply(logits, targets)


@sound()
def halves_merged(logits, targets):
    """Two partial normalisers become one by logaddexp."""
    rest = logits - logits.amax(dim=1, keepdim=True).detach()
    half = rest.shape[1] // 2
    if not half:
        return (rest.logsumexp(dim=1) - rest.gather(1, targets.unsqueeze(1)).squeeze(1)).mean()
    parts = [part.logsumexp(dim=1) for part in (rest[:, :half], rest[:, half:])]
    return (torch.logaddexp(*parts) - rest.gather(1, targets.unsqueeze(1)).squeeze(1)).mean()


@sound(targets=PADDED, label_smoothing=0.1)
def smoothing_under_one_mask(logits, targets):
    """Both parts of the smoothed labels, masked and counted together."""
    valid = targets >= 0
    log_probabilities = F.log_softmax(logits, dim=1)
    at_label = log_probabilities.gather(1, targets.clamp(min=0).unsqueeze(1)).squeeze(1)
    rows = -(0.9 * at_label + 0.1 * log_probabilities.mean(dim=1))
    return rows[valid].mean()


@sound(z_loss=0.01)
def z_loss_from_one_shift(logits, targets):
    """The normaliser once, for the loss and for its square."""
    top = logits.amax(dim=1).detach()
    rest = logits - top.unsqueeze(1)
    spread = rest.logsumexp(dim=1)
    at_label = rest.gather(1, targets.unsqueeze(1)).squeeze(1)
    return (spread - at_label + 0.01 * (spread + top) ** 2).mean()


@sound()
def logits_two_apart_in_memory(logits, targets):
    """A view with a stride of two."""
    pairs = torch.stack((logits, logits.detach()), dim=-1)
    return F.cross_entropy(pairs[..., 0], targets)


@sound(temperature=2.0)
def half_of_the_logits(logits, targets):
    """A temperature of 2 as a factor of 0.5."""
    return F.nll_loss(F.log_softmax(0.5 * logits, dim=1), targets)


@sound()
def rows_as_pixels(logits, targets):
    """The classes on the channel axis of one image."""
    return F.cross_entropy(logits.t().unsqueeze(0), targets.unsqueeze(0))


@sound(weight=WEIGHTS, label_smoothing=0.1)
def weights_on_all_smoothed_labels(logits, targets):
    """Weights times smoothed labels, over the weights of the labels."""
    weights = logits.new_tensor(WEIGHTS)
    labels = weights * (0.9 * hits(logits, targets) + 0.1 / len(WEIGHTS))
    return (labels * -F.log_softmax(logits, dim=1)).sum() / weights[targets].sum()


@sound(function="softmax")
def softmax_of_logarithms(logits):
    """exp(log_softmax)."""
    return F.log_softmax(logits, dim=-1).exp()
