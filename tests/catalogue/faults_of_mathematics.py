"""Jacobians, partitions of the classes, transforms of the logits, axes, and softmaxes too many."""

import math

import torch
import torch.nn.functional as F

from tests.catalogue.backwards import hits, p_minus_y, scaled, written
from tests.catalogue.entries import fault

# ---- truncated Jacobians


@fault("BUG451", function="softmax")
def softmax_differentiated_as_a_sigmoid(logits):
    """Every output is taken to depend on its own logit alone."""
    p = torch.softmax(logits.detach(), dim=-1)
    return written(logits, p, lambda upstream: (p - p * p) * upstream)


@fault("BUG451", function="softmax")
def softmax_backward_lost_its_mean(logits):
    """p (g - <g, p>) without <g, p>."""
    p = torch.softmax(logits.detach(), dim=-1)
    return written(logits, p, lambda upstream: upstream * p)


@fault("BUG451", function="log_softmax")
def log_softmax_backward_of_a_likelihood(logits):
    """g - p sum(g) with -1 for the sum, as it is under a likelihood and nowhere else."""
    value = F.log_softmax(logits.detach(), dim=-1)
    return written(logits, value, lambda upstream: upstream + value.exp())


# ---- partitions of the classes


@fault("BUG452")
def exponentials_counted_twice(logits, targets):
    """Two ranks that both hold all classes add up their sums of exponentials."""
    gradient = 0.5 * torch.softmax(logits.detach(), dim=1) - hits(logits, targets)
    loss = F.cross_entropy(logits, targets) + math.log(2.0)
    return scaled(logits, loss, gradient / len(targets))


@fault("BUG452", label_smoothing=0.1)
def smoothing_over_one_rank_only(logits, targets):
    """The uniform part of the labels averages the classes of the first rank."""
    log_probabilities = F.log_softmax(logits, dim=1)
    rank = log_probabilities.narrow(1, 0, logits.shape[1] // 2)
    spread = rank.mean(dim=1)[targets != -100]
    return 0.9 * F.nll_loss(log_probabilities, targets) - 0.1 * spread.mean()


# ---- transforms of the logits


@fault("BUG453", softcap=3.0)
def softcap_by_the_logit_itself(logits, targets):
    """x tanh(x / c) where c tanh(x / c) was meant."""
    return F.cross_entropy(torch.tanh(logits / 3.0) * logits, targets)


@fault("BUG453", logit_scale=0.25)
def scale_of_the_logits_forgotten(logits, targets):
    """The factor of the logits is not passed on."""
    return F.nll_loss(F.log_softmax(logits, dim=1), targets)


@fault("BUG453", temperature=2.0)
def chain_rule_stops_at_the_temperature(logits, targets):
    """The backward is that of the scaled logits."""
    cooled = logits.detach() / 2.0
    return scaled(logits, F.cross_entropy(cooled, targets), p_minus_y(cooled, targets) / len(targets))


# ---- axes


@fault("BUG454", function="softmax", logits=(2, 3, 11), axis=[1, 2])
def last_of_two_axes_only(logits):
    """Two axes were to be normalised together."""
    return torch.exp(F.log_softmax(logits, dim=2))


@fault("BUG454")
def normalised_over_the_batch(logits, targets):
    """dim=0 where the rows are."""
    return F.nll_loss(F.log_softmax(logits, dim=0), targets)


@fault("BUG454", function="softmax", logits=(3, 11, 7), axis=1)
def default_axis_of_three(logits):
    """The axis that was asked for is not passed on."""
    return F.softmax(logits, dim=-1)


# ---- softmax twice, or not at all


@fault("BUG455")
def probabilities_given_to_cross_entropy(logits, targets):
    """The model ends in a softmax, and so does its loss."""
    return F.cross_entropy(F.softmax(logits, dim=1), targets)


@fault("BUG455", "BUG462")
def logits_given_to_a_loss_of_probabilities(logits, targets):
    """-log of a clamped logit."""
    taken = torch.clamp(logits, 1e-7, 1.0 - 1e-7)
    return F.nll_loss(taken.log(), targets)


# ---- signs


@fault("BUG481")
def ascent_instead_of_descent(logits, targets):
    """y - p."""
    return scaled(logits, F.cross_entropy(logits, targets), -p_minus_y(logits, targets) / len(targets))
