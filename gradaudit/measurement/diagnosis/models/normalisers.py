"""Slips in the normaliser of a loss: some of the classes only, or all of them several times."""

# ruff: noqa: ARG001, ARG005 - each slip takes what its stage is given
from __future__ import annotations

import itertools
import math

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, loss_slip, picked, weighted
from gradaudit.measurement.diagnosis.view import View

PARTITION = "partition-local-normaliser"


def variations() -> list[Variation]:
    """Every normaliser that is not that of all classes, each once."""
    advice = "add up the exponentials of all classes (over all partitions, each once) before the logarithm"
    found: list[Variation] = []
    for count in (2, 3, 4, 8):
        found.append(
            loss_slip(
                f"normaliser {count} times",
                PARTITION,
                f"every exponential is counted {count} times in the normaliser: the loss is too large by "
                f"log {count} = {math.log(count):.6g}",
                advice,
                lambda m, z, t, v, count=count: (
                    weighted(m, m.logsumexp(z) + m.exact(math.log(count)), t) - picked(m, z, t)
                ),
            )
        )
        found.append(
            loss_slip(
                f"p / {count}",
                PARTITION,
                f"the probabilities in the gradient are divided by {count}: p / {count} - y",
                advice,
                lambda m, z, t, v, count=count: (
                    weighted(m, m.logsumexp(z) / m.exact(float(count)), t) - picked(m, z, t)
                ),
            )
        )
        found.append(
            loss_slip(
                f"{count} p",
                PARTITION,
                f"the probabilities in the gradient are multiplied by {count}: {count} p - y, as where sums of "
                f"exponentials are averaged over {count} ranks",
                advice,
                lambda m, z, t, v, count=count: (
                    weighted(m, m.logsumexp(z) * m.exact(float(count)), t) - picked(m, z, t)
                ),
            )
        )
        found.append(
            loss_slip(
                f"normaliser 1/{count}",
                PARTITION,
                f"the normaliser is too small by a factor {count}: the loss is too small by log {count}",
                advice,
                lambda m, z, t, v, count=count: (
                    weighted(m, m.logsumexp(z) - m.exact(math.log(count)), t) - picked(m, z, t)
                ),
            )
        )
        for last in (False, True):
            which = "last" if last else "first"
            found.append(
                loss_slip(
                    f"normaliser of the {which} 1/{count}",
                    PARTITION,
                    f"the normaliser adds up the {which} 1/{count} of the classes only",
                    advice,
                    lambda m, z, t, v, count=count, last=last: _local(m, z, t, v, count, last=last),
                )
            )
        found.append(
            loss_slip(
                f"normaliser of the label's own 1/{count}",
                PARTITION,
                f"the normaliser adds up the label's own partition of the classes only, of {count}",
                advice,
                lambda m, z, t, v, count=count: _own_partition(m, z, t, v, count),
            )
        )
        found.append(
            loss_slip(
                f"target within the first 1/{count}",
                PARTITION,
                f"the target's term is missing for labels outside the first 1/{count} of the classes",
                "add the target's logit up over all partitions: the one that holds the label contributes it",
                lambda m, z, t, v, count=count: _local_target(m, z, t, count),
            )
        )
    for size in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024):
        found.append(
            loss_slip(
                f"whole blocks of {size}",
                "low-precision-inside",
                f"the normaliser runs over whole blocks of {size} classes: the tail of the row is left out",
                "add up the tail of the row too",
                lambda m, z, t, v, size=size: _blocks(m, z, t, size),
            )
        )
    found += [
        loss_slip(
            "last class left out",
            PARTITION,
            "the last class is left out of the normaliser",
            advice,
            lambda m, z, t, v: _headed(m, z, t, _width(m, z) - 1),
        ),
        loss_slip(
            "first class left out",
            PARTITION,
            "the first class is left out of the normaliser",
            advice,
            lambda m, z, t, v: _ranged(m, z, t, 1, _width(m, z)),
        ),
        loss_slip(
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
    return weighted(m, m.logsumexp(m.columns(z, start, stop)), t) - picked(m, z, t)


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
    for start, stop in itertools.pairwise(edges):
        mine = ((t.labels >= start) & (t.labels < stop))[:, None]
        part = m.where(mine, m.logsumexp(m.columns(z, start, stop)), m.exact(np.zeros((len(t.labels), 1))))
        total = part if total is None else total + part
    assert total is not None
    return weighted(m, total, t) - picked(m, z, t)


def _local_target(m: M, z: V, t: Targets[V], count: int) -> V | None:
    if t.labels is None:
        return None
    inside = (t.labels < _width(m, z) // count)[:, None]
    return weighted(m, m.logsumexp(z), t) - m.where(inside, picked(m, z, t), m.exact(np.zeros(inside.shape)))


def _without_label(m: M, z: V, t: Targets[V], view: View) -> V | None:
    if t.labels is None or _width(m, z) < 2:
        return None
    label = np.zeros(m.shape(z), dtype=bool)
    np.put_along_axis(label, t.labels[:, None], True, axis=-1)
    # A logit this far below leaves no trace in float64.
    far = float(np.min(z.value.mid)) - 1.0e4
    others = m.where(label, m.exact(np.full(m.shape(z), far)), z)
    return weighted(m, m.logsumexp(others), t) - picked(m, z, t)
