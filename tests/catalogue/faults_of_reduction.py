"""Factors: of the reduction, of its denominator, of micro-batches, and of the upstream gradient."""

import torch
import torch.nn.functional as F

from tests.catalogue.backwards import hits, p_minus_y, scaled, written
from tests.catalogue.entries import PADDED, WEIGHTS, fault

PROBABILITIES = {"random": {"kind": "probabilities", "seed": 3}}

# ---- the factor of the reduction


@fault("BUG401", reduction="sum")
def sum_whose_backward_averages(logits, targets):
    """The loss is a sum; its backward was copied from the mean."""
    total = F.cross_entropy(logits, targets, reduction="sum")
    return scaled(logits, total, p_minus_y(logits, targets) / logits.shape[0])


@fault("BUG401")
def mean_whose_backward_sums(logits, targets):
    """The loss is a mean; its backward forgot to divide."""
    return scaled(logits, F.cross_entropy(logits, targets), p_minus_y(logits, targets))


@fault("BUG401", "BUG404", logits=(9, 11))
def means_of_chunks_summed(logits, targets):
    """Three rows at a time, each chunk a mean, and the means are added up."""
    loss = logits.new_zeros(())
    for start in range(0, len(logits), 3):
        loss = loss + F.cross_entropy(logits[start : start + 3], targets[start : start + 3])
    return loss


@fault("BUG401", "CON505", reduction="none")
def rows_summed_though_each_was_asked_for(logits, targets):
    """One number comes back in place of one for each row."""
    return -F.log_softmax(logits, dim=1)[torch.arange(len(targets)), targets].sum()


# ---- the denominator of the mean


@fault("BUG402", targets=PADDED)
def padding_counts_in_the_mean(logits, targets):
    """Losses of ignored rows are 0, and are averaged over all the same."""
    return F.cross_entropy(logits, targets, reduction="none").mean()


@fault("BUG402", targets=PADDED, ignore_index=-1)
def padding_by_minus_one_counts_in_the_mean(logits, targets):
    """Rows labelled -1 are skipped, but the divisor is the size of the batch."""
    kept = targets != -1
    return -F.log_softmax(logits[kept], dim=1).gather(1, targets[kept, None]).sum() / targets.numel()


@fault("BUG402", targets=PADDED)
def kernel_divides_by_the_batch(logits, targets):
    """Forward and backward both know the mask, and neither uses it in the divisor."""
    kept = (targets != -100).to(logits.dtype)
    rows = F.cross_entropy(logits, targets, reduction="none")
    return scaled(logits, rows.sum() / len(rows), kept[:, None] * p_minus_y(logits, targets) / len(rows))


@fault("BUG402", "BUG441", weight=WEIGHTS)
def weighted_losses_averaged_over_rows(logits, targets):
    """Weighted rows are divided by their number, where PyTorch divides by the sum of their weights."""
    weights = logits.new_tensor(WEIGHTS)[targets]
    return (weights * F.cross_entropy(logits, targets, reduction="none")).mean()


# ---- averaged over classes too


@fault("BUG403")
def product_with_one_hot_labels_averaged(logits, targets):
    """One `.mean()` over both axes."""
    return (hits(logits, targets) * -F.log_softmax(logits, dim=1)).mean()


@fault("BUG403", function="kl_divergence", targets=PROBABILITIES)
def divergence_averaged_over_elements(logits, targets):
    """Divided by the number of elements, as `reduction="mean"` of kl_div does."""
    return F.kl_div(F.log_softmax(logits, dim=1), targets, reduction="none").mean()


# ---- the mean of means


@fault("BUG404", targets=PADDED)
def accumulated_over_two_micro_batches(logits, targets):
    """Gradient accumulation: each half is divided by its own count, then the halves are averaged."""
    half = (len(logits) + 1) // 2
    losses = [
        F.cross_entropy(rows, labels)
        for rows, labels in ((logits[:half], targets[:half]), (logits[half:], targets[half:]))
    ]
    return torch.stack(losses).mean()


@fault("BUG404")
def averaged_over_two_ranks_of_unequal_size(logits, targets):
    """One rank has two rows, the other the rest; both count half."""
    ranks = (slice(0, 2), slice(2, None))
    return 0.5 * sum(F.cross_entropy(logits[rank], targets[rank]) for rank in ranks)


# ---- the upstream gradient


@fault("BUG411", reduction="none")
def first_entry_of_the_upstream_gradient_for_all(logits, targets):
    """A kernel reads one number of the upstream gradient, as a scalar loss has it."""
    gradient = p_minus_y(logits, targets)
    rows = F.cross_entropy(logits, targets, reduction="none")
    return written(logits, rows, lambda upstream: upstream.reshape(-1)[0] * gradient)


@fault("BUG411", reduction="sum")
def upstream_gradient_left_out(logits, targets):
    """The backward takes itself for the last one."""
    gradient = p_minus_y(logits, targets)
    return written(logits, F.cross_entropy(logits, targets, reduction="sum"), lambda _: gradient)
