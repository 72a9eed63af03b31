"""Special values, labels that do not exist, memory that is not one's own, and graphs that are cut."""

import math

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from tests.catalogue.backwards import hits, p_minus_y
from tests.catalogue.entries import PADDED, fault

PROBABILITIES = {"random": {"kind": "probabilities", "seed": 3}}

# ---- infinities


@fault("DIV303", "DIV305", targets=PADDED)
def padding_of_minus_infinity_poisons_the_gradient(logits, targets):
    """`where` keeps the NaN of a masked row out of the loss, not out of its derivative."""
    rest = logits - logits.amax(dim=1, keepdim=True)
    losses = rest.exp().sum(dim=1).log() - rest.gather(1, targets.clamp(min=0).unsqueeze(1)).squeeze(1)
    valid = targets != -100
    return losses.where(valid, losses.new_zeros(())).sum() / valid.sum()


@fault("DIV303", "DIV305", masked_classes=[0])
def masked_class_overflows(logits, targets):
    """exp is taken of all classes after a shift by the maximum of those that count."""
    rest = logits - logits.detach()[:, 1:].amax(dim=1, keepdim=True)
    terms = rest.exp()
    counted = torch.ones_like(terms, dtype=torch.bool)
    counted[:, 0] = False
    total = terms.where(counted, terms.new_zeros(())).sum(dim=1)
    return (total.log() - rest.gather(1, targets.unsqueeze(1)).squeeze(1)).mean()


@fault("DIV303", "DIV305", targets=PROBABILITIES)
def no_mass_times_minus_infinity(logits, targets):
    """0 times -inf is NaN."""
    return (targets * -F.log_softmax(logits, dim=1)).sum(dim=1).mean()


@fault("DIV305", "DIV303", "DIV301", "BUG499", function="softmax", masked_classes=[0])
def masked_class_has_a_probability(logits):
    """The normaliser leaves the class out; the output does not."""
    counted = logits.index_fill(-1, torch.tensor([0]), -math.inf)
    return (logits - counted.logsumexp(dim=-1, keepdim=True)).exp()


@fault("DIV303", "DIV305", function="softmax")
def running_maximum_begins_at_minus_infinity(logits):
    """The first class may be -inf too, and -inf - -inf is NaN."""
    top = logits.new_full(logits.shape[:-1], -math.inf)
    total = logits.new_zeros(logits.shape[:-1])
    for column in torch.unbind(logits, dim=-1):
        larger = torch.maximum(top, column)
        total = (top - larger).exp() * total + (column - larger).exp()
        top = larger
    return (logits - top.unsqueeze(-1)).exp() / total.unsqueeze(-1)


# ---- labels that do not exist


def _of_rows(logits, targets, beyond):
    """Losses of the rows, `beyond` for labels from C on."""
    exists = targets < logits.shape[1]
    rows = F.cross_entropy(logits, targets.where(exists, torch.zeros_like(targets)), reduction="none")
    return rows.where(exists, rows.new_tensor(beyond)).mean()


@fault("DIV305", "BUG499")
def missing_class_costs_nothing(logits, targets):
    """A label beyond the classes has a loss of 0."""
    return _of_rows(logits, targets, 0.0)


@fault("DIV305", "BUG499")
def missing_class_costs_nan(logits, targets):
    """A label beyond the classes has a loss of NaN."""
    return _of_rows(logits, targets, math.nan)


# ---- memory


class _GradientWhereTheLogitsWere(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, targets):
        ctx.logits, ctx.targets = logits, targets
        return F.cross_entropy(logits, targets)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        gradient = upstream * p_minus_y(ctx.logits, ctx.targets) / len(ctx.targets)
        ctx.logits.data[...] = gradient
        return gradient, None


@fault("CON501", "CON504")
def backward_writes_over_the_logits(logits, targets):
    """The gradient takes the memory of what it is the gradient of."""
    return _GradientWhereTheLogitsWere.apply(logits, targets)


class _SoftmaxIntoUpstream(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits):
        ctx.p = torch.softmax(logits, dim=-1)
        return ctx.p.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        mean = (upstream * ctx.p).sum(dim=-1, keepdim=True)
        upstream.sub_(mean).mul_(ctx.p)
        return upstream


@fault("CON501", function="softmax")
def backward_writes_over_the_upstream_gradient(logits):
    """The upstream gradient is used as scratch memory."""
    return _SoftmaxIntoUpstream.apply(logits)


class _InPlaceAfterACast(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, targets):
        work = logits.data.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits.data
        work.sub_(work.amax(dim=1, keepdim=True))
        at_label = work.gather(1, targets.unsqueeze(1)).squeeze(1).clone()
        total = work.exp_().sum(dim=1)
        ctx.save_for_backward(work / total.unsqueeze(1), targets)
        return (total.log() - at_label).mean().to(logits.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):
        p, targets = ctx.saved_tensors
        return (p - hits(p, targets)) * (upstream / len(targets)), None


@fault("CON501")
def cast_that_copies_nothing(logits, targets):
    """Steps in place, on what was thought to be a copy."""
    return _InPlaceAfterACast.apply(logits, targets)


# ---- cut graphs


class _GradientKept(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, targets):
        ctx.gradient = p_minus_y(logits, targets) / len(targets)
        return F.cross_entropy(logits, targets)

    @staticmethod
    def backward(ctx, upstream):
        return ctx.gradient * upstream, None


@fault("BUG471", derivatives=2)
def gradient_is_a_constant(logits, targets):
    """The forward keeps the gradient, which knows nothing of the logits any more."""
    return _GradientKept.apply(logits, targets)


@fault("BUG471", targets=PROBABILITIES, derivatives=2)
def labels_cut_off(logits, targets):
    """Probabilities that are to be learned are detached."""
    return F.cross_entropy(logits, targets.detach())
