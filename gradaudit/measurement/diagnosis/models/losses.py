"""Slips in the loss of a row: normalisers of some classes only, detached terms, clamps, logarithms left out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, picked, reference_loss
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics import formats

Make = Callable[[M, V, "Targets[V]", View], V | None]
PARTITION, DETACHED, CLAMPED = "partition-local-normaliser", "detached-path", "clamped-probability"
TWICE, MASS, JACOBIAN = "softmax-applied-twice", "target-mass", "truncated-jacobian"


def variations(view: View) -> list[Variation]:
    """The slips that exist for a loss of rows."""
    if not view.truth.function.takes_targets:
        return []
    found = [*_detached(), *_masses(), *_normalisers(view), *_unlogged(view), *_clamps(view)]
    return [slip if slip.name in COMMON else replace(slip, rarely=True) for slip in found]


COMMON = (
    "normaliser detached",
    "target's logit detached",
    "unit mass assumed",
    "normaliser 2 times",
    "p / 2",
    "normaliser of the first 1/2",
    "no logarithm",
    "label left out of the normaliser",
)
"""What is also tried together with a slip of another stage."""


def entry(name: str, fault: str, statement: str, advice: str, make: Make, *, rarely: bool = False) -> Variation:
    """A variation of the loss."""
    return Variation("loss", name, fault, statement, advice, make, rarely=rarely)


# -- what a derivative does not reach --------------------------------------------------------------------------------


def _detached() -> list[Variation]:
    advice = "let the derivative reach both terms of logsumexp(z) - z_y: remove the detach, no_grad, item or NumPy call"
    return [
        entry(
            "normaliser detached",
            DETACHED,
            "the gradient lacks the softmax: logsumexp is cut off from the graph, and only the target's term is left",
            advice,
            lambda m, z, t, v: m.stop_gradient(_weighted(m, m.logsumexp(z), t)) - picked(m, z, t),
        ),
        entry(
            "target's logit detached",
            DETACHED,
            "the gradient lacks the target's term: the label's logit is cut off from the graph, and p itself is left",
            advice,
            lambda m, z, t, v: _weighted(m, m.logsumexp(z), t) - m.stop_gradient(picked(m, z, t)),
        ),
        entry(
            "everything detached",
            DETACHED,
            "the gradient is 0 everywhere: the loss is cut off from the graph",
            "remove the detach, no_grad, item or NumPy call between logits and loss",
            lambda m, z, t, v: m.stop_gradient(reference_loss(m, z, t, v)),
        ),
        entry(
            "gradient of the targets instead",
            "sign-flipped",
            "the gradient is p + y where p - y is due",
            "subtract the targets from the probabilities",
            lambda m, z, t, v: _weighted(m, m.logsumexp(z), t) + picked(m, z, t),
        ),
        entry(
            "probabilities only at the label",
            JACOBIAN,
            "the gradient is (p_y - 1) at the label and 0 at the other classes",
            "give every class its p_j: only the label's entry has the -1",
            lambda m, z, t, v: picked(m, m.stop_gradient(m.softmax(z)) * z, t) - picked(m, z, t),
        ),
        entry(
            "label left out of the probabilities",
            JACOBIAN,
            "the gradient is -1 at the label, where p_y - 1 is due",
            "subtract 1 from p_y, instead of writing -1 there",
            lambda m, z, t, v: _weighted(m, m.sum(m.stop_gradient(m.softmax(z)) * z), t)
            - picked(m, m.stop_gradient(m.softmax(z)) * z, t)
            - picked(m, z, t),
        ),
        entry(
            "Jacobian's diagonal",
            JACOBIAN,
            "the gradient is p (1 - p) times that of the probabilities: the Jacobian of softmax is taken for its diagonal",
            "use p_j (g_j - sum_k p_k g_k), or p - y at once",
            lambda m, z, t, v: _weighted(m, m.logsumexp(z), t) * m.exact(0.0)
            - picked(m, z * m.stop_gradient(m.complement(z)), t),
        ),
    ]


def _total(m: M, t: Targets[V]) -> V:
    """T, the mass of every row."""
    if t.mass is not None:
        return t.mass
    assert t.dense is not None
    return m.sum(t.dense)


def _weighted(m: M, a: V, t: Targets[V]) -> V:
    """T a."""
    return _total(m, t) * a


# -- masses ----------------------------------------------------------------------------------------------------------


def _masses() -> list[Variation]:
    def unit(m: M, z: V, t: Targets[V], v: View) -> V | None:
        counted = m.exact(v.counted.astype(np.float64)[:, None])
        return counted * m.logsumexp(z) - picked(m, z, t)

    return [
        entry(
            "unit mass assumed",
            MASS,
            "the gradient is p - t, as if the targets of every row added up to 1; T p - t is due, T their sum",
            "multiply the probabilities by the sum of the row's targets",
            unit,
        )
    ]


# -- normalisers -----------------------------------------------------------------------------------------------------


def _normalisers(view: View) -> list[Variation]:
    advice = "add up the exponentials of all classes (over all partitions, each once) before the logarithm"
    found: list[Variation] = []
    for count in (2, 3, 4, 8):
        found.append(
            entry(
                f"normaliser {count} times",
                PARTITION,
                f"every exponential is counted {count} times in the normaliser: the loss is too large by "
                f"log {count} = {math.log(count):.6g}",
                advice,
                lambda m, z, t, v, count=count: _weighted(m, m.logsumexp(z) + m.exact(math.log(count)), t)
                - picked(m, z, t),
            )
        )
        found.append(
            entry(
                f"p / {count}",
                PARTITION,
                f"the probabilities in the gradient are divided by {count}: p / {count} - y",
                advice,
                lambda m, z, t, v, count=count: _weighted(m, m.logsumexp(z) / m.exact(float(count)), t)
                - picked(m, z, t),
            )
        )
        found.append(
            entry(
                f"normaliser 1/{count}",
                PARTITION,
                f"the normaliser is too small by a factor {count}: the loss is too small by log {count}",
                advice,
                lambda m, z, t, v, count=count: _weighted(m, m.logsumexp(z) - m.exact(math.log(count)), t)
                - picked(m, z, t),
            )
        )
        for last in (False, True):
            which = "last" if last else "first"
            found.append(
                entry(
                    f"normaliser of the {which} 1/{count}",
                    PARTITION,
                    f"the normaliser adds up the {which} 1/{count} of the classes only",
                    advice,
                    lambda m, z, t, v, count=count, last=last: _local(m, z, t, v, count, last=last),
                )
            )
        found.append(
            entry(
                f"normaliser of the label's own 1/{count}",
                PARTITION,
                f"the normaliser adds up the label's own partition of the classes only, of {count}",
                advice,
                lambda m, z, t, v, count=count: _own_partition(m, z, t, v, count),
            )
        )
        found.append(
            entry(
                f"target within the first 1/{count}",
                PARTITION,
                f"the target's term is missing for labels outside the first 1/{count} of the classes",
                "add the target's logit up over all partitions: the one that holds the label contributes it",
                lambda m, z, t, v, count=count: _local_target(m, z, t, count),
            )
        )
    for size in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        found.append(
            entry(
                f"whole blocks of {size}",
                "low-precision-inside",
                f"the normaliser runs over whole blocks of {size} classes: the tail of the row is left out of the sum",
                "add up the tail of the row too",
                lambda m, z, t, v, size=size: _blocks(m, z, t, size),
            )
        )
    found += [
        entry(
            "last class left out",
            PARTITION,
            "the last class is left out of the normaliser",
            advice,
            lambda m, z, t, v: _headed(m, z, t, _width(m, z) - 1),
        ),
        entry(
            "first class left out",
            PARTITION,
            "the first class is left out of the normaliser",
            advice,
            lambda m, z, t, v: _ranged(m, z, t, 1, _width(m, z)),
        ),
        entry(
            "label left out of the normaliser",
            PARTITION,
            "the label's own exponential is left out of the normaliser",
            "add up the exponentials of all classes, the label's too",
            _without_label,
        ),
    ]
    return found


def _width(m: M, z: V) -> int:
    return m.shape(z)[-1]


def _headed(m: M, z: V, t: Targets[V], stop: int) -> V | None:
    return _ranged(m, z, t, 0, stop)


def _ranged(m: M, z: V, t: Targets[V], start: int, stop: int) -> V | None:
    if stop <= start or (start, stop) == (0, _width(m, z)):
        return None
    return _weighted(m, m.logsumexp(m.columns(z, start, stop)), t) - picked(m, z, t)


def _blocks(m: M, z: V, t: Targets[V], size: int) -> V | None:
    return _headed(m, z, t, _width(m, z) // size * size)


def _local(m: M, z: V, t: Targets[V], view: View, count: int, *, last: bool) -> V | None:
    width = _width(m, z)
    part = width // count
    return _ranged(m, z, t, width - part, width) if last else _ranged(m, z, t, 0, part)


def _own_partition(m: M, z: V, t: Targets[V], view: View, count: int) -> V | None:
    width = _width(m, z)
    if t.labels is None or width < count:
        return None
    edges = [width * k // count for k in range(count + 1)]
    total: V | None = None
    for start, stop in zip(edges, edges[1:], strict=False):
        mine = ((t.labels >= start) & (t.labels < stop))[:, None]
        part = m.where(mine, m.logsumexp(m.columns(z, start, stop)), m.exact(np.zeros((len(t.labels), 1))))
        total = part if total is None else total + part
    assert total is not None
    return _weighted(m, total, t) - picked(m, z, t)


def _local_target(m: M, z: V, t: Targets[V], count: int) -> V | None:
    if t.labels is None:
        return None
    inside = (t.labels < _width(m, z) // count)[:, None]
    return _weighted(m, m.logsumexp(z), t) - m.where(inside, picked(m, z, t), m.exact(np.zeros(inside.shape)))


def _without_label(m: M, z: V, t: Targets[V], view: View) -> V | None:
    if t.labels is None or _width(m, z) < 2:
        return None
    label = np.zeros(m.shape(z), dtype=bool)
    np.put_along_axis(label, t.labels[:, None], True, axis=-1)
    # A logit this far below leaves no trace in float64.
    far = float(np.min(z.value.mid)) - 1.0e4
    others = m.where(label, m.exact(np.full(m.shape(z), far)), z)
    return _weighted(m, m.logsumexp(others), t) - picked(m, z, t)


# -- logarithms and probabilities ------------------------------------------------------------------------------------


def _unlogged(view: View) -> list[Variation]:
    give = "give the loss what it expects: the logarithm of softmax once, and the negative of it at the label"

    def clipped(bound: float) -> Make:
        def make(m: M, z: V, t: Targets[V], v: View) -> V:
            return rounded_end(m, -picked(m, m.log(m.clip(z, bound, 1.0 - bound)), t), v)

        return make

    found = [
        entry(
            f"logits as probabilities, cut at {bound:g}",
            TWICE,
            f"no softmax is applied: the logits are taken for probabilities and cut to [{bound:g}, 1 - {bound:g}]",
            "apply softmax, or use a loss that takes logits",
            clipped(bound),
        )
        for bound in (1e-7, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-10, 1e-12)
    ]
    return [
        *found,
        entry(
            "no logarithm",
            TWICE,
            "the logarithm is missing: the loss is minus the probability of the target",
            give,
            lambda m, z, t, v: -picked(m, m.softmax(z), t),
        ),
        entry(
            "one less the probability",
            TWICE,
            "the loss is 1 - p at the target, without a logarithm",
            give,
            lambda m, z, t, v: _total(m, t) - picked(m, m.softmax(z), t),
        ),
        entry(
            "no softmax",
            TWICE,
            "no softmax is applied: the loss is minus the logit of the target",
            give,
            lambda m, z, t, v: -picked(m, z, t),
        ),
        entry(
            "log-softmax twice, probabilities between",
            TWICE,
            "softmax is applied to log-probabilities that were exponentiated before",
            give,
            lambda m, z, t, v: -picked(m, m.log_softmax(m.softmax(m.softmax(z))), t),
        ),
        entry(
            "a sigmoid for each class",
            TWICE,
            "each class has a sigmoid of its own (binary cross entropy) where one softmax over all classes is due",
            "use softmax and the cross entropy of one label among all classes",
            lambda m, z, t, v: m.sum(m.logaddexp(z, m.exact(np.zeros((1, 1))))) - picked(m, z, t),
        ),
        entry(
            "squared error of the probabilities",
            "undiagnosed",
            "the loss is the squared error of the probabilities (a Brier score), not their cross entropy",
            "use -sum t log p",
            _brier,
        ),
        entry(
            "entropy left in",
            MASS,
            "the loss is the divergence KL(t || p): the entropy of the targets is subtracted from the cross entropy",
            "add the entropy of the targets, or ask for a divergence",
            lambda m, z, t, v: reference_loss(m, z, t, v) + m.exact(_negative_entropy(t)),
        ),
        entry(
            "entropy left out",
            MASS,
            "the loss is the cross entropy: the entropy of the targets is not subtracted from it, as in a divergence",
            "subtract the entropy of the targets",
            lambda m, z, t, v: -picked(m, m.log_softmax(z), t),
        ),
        entry(
            "divergence the other way round",
            "undiagnosed",
            "the divergence is KL(p || t), not KL(t || p)",
            "exchange the arguments of the divergence",
            _reversed_divergence,
        ),
    ]


def rounded_end(m: M, loss: V, view: View) -> V:
    """A loss that may end at -log(1 - eps): 1 - eps is rounded to the dtype, and -log of it is as far off."""
    u = max(view.m.arithmetic.u_operation, view.m.arithmetic.u_result)
    return loss + m.constant(view.m.ball(np.zeros((1, 1)), np.full((1, 1), 2.0 * u)))


def _brier(m: M, z: V, t: Targets[V], view: View) -> V | None:
    p = m.softmax(z)
    squares = m.sum(p * p)
    own = picked(m, p, t)
    if t.labels is not None:
        return _weighted(m, squares + m.exact(1.0), t) - own - own
    assert t.dense is not None
    difference = p - t.dense
    return m.sum(difference * difference)


def _negative_entropy(t: Targets[V]) -> np.ndarray:
    if t.dense is None:
        return np.zeros((1, 1))
    values = t.dense.value.mid
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(values > 0.0, values * np.log(np.where(values > 0.0, values, 1.0)), 0.0)
    return np.asarray(terms.sum(axis=-1, keepdims=True))


def _reversed_divergence(m: M, z: V, t: Targets[V], view: View) -> V | None:
    if t.dense is None or np.any(t.dense.value.mid <= 0.0):
        return None
    logarithm = m.log_softmax(z)
    return m.sum(m.softmax(z) * (logarithm - m.log(t.dense)))


# -- clamps and epsilons ---------------------------------------------------------------------------------------------

EPSILONS = tuple(float(f"1e-{k}") for k in range(1, 21)) + (1e-30, 1e-38, 1e-45, 1e-37, 1e-300)


def epsilons(dtype: str) -> list[tuple[float, str]]:
    """Numbers that people add to probabilities, with their names."""
    form = formats.get(dtype)
    named = [(value, f"{value:g}") for value in EPSILONS]
    named += [(2.0 * form.unit_roundoff, f"the spacing of {dtype} at 1"), (form.smallest_normal, f"{dtype}'s smallest normal number")]
    named += [(form.smallest_subnormal, f"{dtype}'s smallest number"), (2.0**-23, "the spacing of float32 at 1")]
    named += [(2.0**-52, "the spacing of float64 at 1")]
    distinct: dict[float, str] = {}
    for value, text in named:
        if value > 0.0:
            distinct.setdefault(value, text)
    return sorted(distinct.items(), reverse=True)


def _clamps(view: View) -> list[Variation]:
    found: list[Variation] = []
    for value, text in epsilons(view.inputs.dtype):
        found += clamps(value, text)
    return found


def clamps(value: float, text: str) -> list[Variation]:
    """Every way in which `value` may get between a probability and its logarithm."""
    advice = "use log_softmax: -log p needs neither a clamp nor an epsilon, however small p is"
    level = -math.log(value)
    capped = f"the loss levels off at {level:.6g} = -log({text})"

    def clip(m: M, z: V, t: Targets[V], v: View, high: float | None) -> V:
        loss = -picked(m, m.log(m.clip(m.softmax(z), value, high)), t)
        return loss if high is None else rounded_end(m, loss, v)

    return [
        entry(
            f"p >= {value:g}",
            CLAMPED,
            f"probabilities are cut off below {text}: {capped}, and the gradient is 0 beyond",
            advice,
            lambda m, z, t, v: clip(m, z, t, v, None),
            rarely=True,
        ),
        entry(
            f"{value:g} <= p <= 1 - {value:g}",
            CLAMPED,
            f"probabilities are cut to [{text}, 1 - {text}]: {capped}, and the gradient is 0 beyond either end",
            advice,
            lambda m, z, t, v: clip(m, z, t, v, 1.0 - value),
            rarely=True,
        ),
        entry(
            f"log(p + {value:g})",
            CLAMPED,
            f"{text} is added to the probabilities inside the logarithm: {capped}, and the gradient is too small by "
            f"p / (p + {text})",
            advice,
            lambda m, z, t, v: -picked(m, m.log(m.softmax(z) + m.parameter(value)), t),
            rarely=True,
        ),
    ]
