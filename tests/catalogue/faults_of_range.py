"""Right on ordinary logits, wrong beyond: logarithms, clamps, shifts, offsets, low precision, cancellation."""

import torch
import torch.nn.functional as F

from tests.catalogue.backwards import p_minus_y, scaled, written
from tests.catalogue.entries import fault

# ---- the logarithm apart from the softmax


@fault("BUG461")
def logarithm_of_a_softmax(logits, targets):
    """log p by way of p."""
    return -torch.softmax(logits, dim=1).log().gather(1, targets.unsqueeze(1)).mean()


@fault("BUG461", function="log_softmax")
def backward_by_way_of_the_softmax(logits):
    """The value is right; its derivative divides by p and multiplies by it again."""
    value = F.log_softmax(logits.detach(), dim=-1)
    p = value.exp()

    def backward(upstream):
        inverse = upstream / p
        return (inverse - (inverse * p).sum(dim=-1, keepdim=True)) * p

    return written(logits, value, backward)


# ---- clamps and epsilons


@fault("BUG462")
def probabilities_clamped_to_seven_digits(logits, targets):
    """p is kept within [1e-7, 1 - 1e-7] before its logarithm is taken."""
    p = torch.clamp(F.softmax(logits, dim=1), min=1e-7, max=1.0 - 1e-7)
    return -p.gather(1, targets.unsqueeze(1)).log().mean()


@fault("BUG462")
def loss_clamped_its_gradient_not(logits, targets):
    """The forward stops at 1e-8; the backward is that of the loss without the clamp."""
    p = torch.softmax(logits.detach(), dim=1)
    loss = -torch.log(torch.clamp(p, min=1e-8)).gather(1, targets.unsqueeze(1)).mean()
    return scaled(logits, loss, p_minus_y(logits, targets) / len(targets))


@fault("BUG462")
def epsilon_added_to_the_probability(logits, targets):
    """log(p + 1e-8)."""
    return -(F.softmax(logits, dim=1) + 1e-8).log().gather(1, targets.unsqueeze(1)).mean()


# ---- the shift by the row's maximum


@fault("BUG463")
def no_shift(logits, targets):
    """exp of the logits as they come."""
    exponentials = logits.exp()
    at_label = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
    return (exponentials.sum(dim=1).log() - at_label).mean()


@fault("BUG463", "BUG461", "CON503")
def shift_by_the_maximum_of_all_rows(logits, targets):
    """One maximum for the batch: rows far below it underflow as a whole."""
    exponentials = (logits - logits.max()).exp()
    p = exponentials / exponentials.sum(dim=1, keepdim=True)
    return -p.log().gather(1, targets.unsqueeze(1)).mean()


# ---- offsets


@fault("CAN105", "CAN104", function="cross_entropy", dtypes="float32")
def maximum_added_back_too_early(logits, targets):
    """x - (max + log sum): the logarithm is rounded to the digits of the maximum."""
    top = logits.amax(dim=1, keepdim=True)
    normaliser = top + (logits - top).exp().sum(dim=1, keepdim=True).log()
    return -(logits - normaliser).gather(1, targets.unsqueeze(1)).mean()


@fault("CAN105", "CAN104", dtypes="float32")
def label_subtracted_from_logsumexp(logits, targets):
    """logsumexp(x) - x_y: two large numbers where a shift leaves small ones."""
    at_label = logits.gather(1, targets.unsqueeze(1)).squeeze(1)
    return (torch.logsumexp(logits, dim=1) - at_label).mean()


# ---- low precision inside


@fault("BUG464", "CAN104", function="softmax", dtypes="bfloat16", logits=[[0.0] * 512] * 3)
def added_up_in_sixteen_bits(logits):
    """The sum is kept in the dtype of the logits and stops growing.

    bfloat16 chunks of 64 merged by logaddexp may be off by as much: sound code of that kind is not accused.
    """
    exponentials = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    total = torch.zeros_like(exponentials[..., :1])
    for column in exponentials.split(1, dim=-1):
        total = total + column
    return exponentials / total


@fault("BUG464", "CAN105", function="log_softmax", dtypes="float16")
def row_statistics_in_sixteen_bits(logits):
    """All is float32 but the sum and its logarithm, which are stored."""
    wide = logits.float()
    rest = wide - wide.amax(dim=-1, keepdim=True)
    total = rest.exp().sum(dim=-1, keepdim=True).half()
    return (rest - total.float().log().half().float()).half()


class _Chopped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, numbers):
        bits = numbers.contiguous().view(torch.int32)
        return torch.bitwise_and(bits, -65536).view(torch.float32)

    @staticmethod
    def backward(ctx, upstream):
        return upstream


@fault("BUG464", "CAN105", function="softmax", dtypes="bfloat16", logits=(2, 2048))
def chopped_in_place_of_rounded(logits):
    """float32 to bfloat16 by leaving 16 bits away."""
    wide = logits.float()
    exponentials = _Chopped.apply(_Chopped.apply(wide - wide.amax(dim=-1, keepdim=True)).exp())
    total = _Chopped.apply(exponentials.sum(dim=-1, keepdim=True))
    return _Chopped.apply(exponentials / total).bfloat16()


@fault("BUG464", "BUG452", function="log_softmax", logits=(2, 517))
def last_class_left_out_of_the_sum(logits):
    """The loop runs over whole vectors of four."""
    rest = logits - logits.amax(dim=-1, keepdim=True)
    whole = rest.shape[-1] - rest.shape[-1] % 4
    return rest - rest[..., :whole].exp().sum(dim=-1, keepdim=True).log()


# ---- cancellation at the label


@fault("CAN103", dtypes="float32")
def gradient_of_a_winner_by_subtraction(logits, targets):
    """p - 1 is 0 long before the gradient is."""
    return scaled(logits, F.cross_entropy(logits, targets), p_minus_y(logits, targets) / len(targets))
