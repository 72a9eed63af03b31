"""What becomes of the labels: ignored rows, smoothing, masses, class weights, alignment."""

import torch
import torch.nn.functional as F

from tests.catalogue.backwards import hits, log_p, p_minus_y, scaled
from tests.catalogue.entries import PADDED, WEIGHTS, fault

EPSILON = 0.1

# ---- ignored rows


@fault("BUG421", targets=PADDED)
def padding_keeps_its_probabilities(logits, targets):
    """The label of an ignored row is dropped from p - y, the p stays."""
    return scaled(
        logits, F.cross_entropy(logits, targets), p_minus_y(logits, targets) / (targets >= 0).sum().to(logits.dtype)
    )


@fault("BUG421", targets=PADDED, label_smoothing=EPSILON)
def smoothing_of_padding_is_added(logits, targets):
    """Only the label's part of the smoothed loss is masked."""
    valid = (targets >= 0).sum()
    log_probabilities = F.log_softmax(logits, dim=1)
    spread = -log_probabilities.sum() / (logits.shape[1] * valid)
    return (1 - EPSILON) * F.nll_loss(log_probabilities, targets) + EPSILON * spread


@fault("BUG421", targets=PADDED)
def mask_the_wrong_way_round(logits, targets):
    """Padding is trained on and everything else is not."""
    ignored = targets < 0
    return -log_p(logits, targets)[ignored].mean() if ignored.any() else 0.0 * logits.sum()


@fault("BUG421", targets=PADDED)
def padding_read_as_the_first_class(logits, targets):
    """Labels are clamped before they become one-hot rows, and the backward knows nothing else."""
    labels = hits(logits, targets.clamp(min=0))
    gradient = (torch.softmax(logits.detach(), dim=1) - labels) / (targets >= 0).sum()
    return scaled(logits, F.cross_entropy(logits, targets), gradient)


# ---- label smoothing


@fault("BUG431", label_smoothing=EPSILON)
def smoothing_spares_the_label(logits, targets):
    """eps goes to the classes that are not the label."""
    others = EPSILON / (logits.shape[1] - 1)
    labels = others + (1 - EPSILON - others) * hits(logits, targets)
    return -(labels * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


@fault("BUG431", "BUG432", label_smoothing=EPSILON)
def smoothing_divided_by_another_axis(logits, targets):
    """The number of classes is taken from the wrong place: 3 instead of 11."""
    log_probabilities = F.log_softmax(logits, dim=1)
    return -((1 - EPSILON) * log_p(logits, targets) + EPSILON / 3 * log_probabilities.sum(dim=1)).mean()


# ---- the mass of the targets


@fault("BUG432", "BUG431", label_smoothing=EPSILON)
def smoothed_row_adds_up_to_more_than_one(logits, targets):
    """eps / C is taken from the label and given to every class, the label included."""
    share = EPSILON / logits.shape[1]
    labels = (1 - share) * hits(logits, targets) + share
    return -(labels * F.log_softmax(logits, dim=1)).sum(dim=1).mean()


UNEVEN = [[1 + (3 * row + column) % 5 for column in range(11)] for row in range(7)]
TWICE = [[2 * entry / sum(entries) for entry in entries] for entries in UNEVEN]
"""Targets whose rows add up to 2."""


@fault("BUG432", targets=TWICE)
def backward_takes_the_mass_for_one(logits, targets):
    """The forward weighs any targets, the backward is p - t."""
    loss = -(targets * F.log_softmax(logits.detach(), dim=1)).sum(dim=1).mean()
    return scaled(logits, loss, (torch.softmax(logits.detach(), dim=1) - targets.detach()) / len(targets))


# ---- class weights


@fault("BUG441", weight=WEIGHTS)
def weights_inside_the_softmax(logits, targets):
    """The logits are weighted, not the losses."""
    return F.cross_entropy(logits * logits.new_tensor(WEIGHTS), targets)


@fault("BUG441", weight=WEIGHTS)
def weights_lost_on_the_way(logits, targets):
    """Weights that were asked for never reach the loss."""
    return F.cross_entropy(logits, targets)


# ---- alignment


@fault("BUG456")
def shifted_once_more(logits, targets):
    """Logits and labels are aligned, and the next-token shift is applied all the same."""
    return F.cross_entropy(logits[:-1], targets[1:])


@fault("BUG456")
def labels_off_by_one(logits, targets):
    """Labels from 1 on, read as labels from 0 on."""
    return F.cross_entropy(logits, torch.where(targets < 0, targets, (targets + 1) % logits.shape[1]))
