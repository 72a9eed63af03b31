"""Slips of losses whose classes lie on several ranks, or in blocks of a kernel: what is reduced, masked or padded
wrongly."""

# ruff: noqa: ARG001 - each slip takes what its stage is given
from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.chunks import SIZES
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, loss_slip, picked, weighted
from gradaudit.measurement.diagnosis.models.written_gradients import with_shares
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics.ball import Ball, BallAlgebra

PARTITION, CLAMPED = "partition-local-normaliser", "clamped-probability"

COUNTS = (2, 3, 4, 8)
"""Ranks that hold the classes."""

BLOCKS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Lanes of a kernel."""

Edges = Callable[[int], list[int]]
"""Number of classes -> where the shards begin, and the end."""


def variations() -> list[Variation]:
    """The slips that exist for a loss of rows."""
    found = [*_maxima(), *_matched(), *_lanes(), *_partial_shares(), *_beside_the_sum()]
    return [replace(slip, rarely=True) for slip in found]


def _shards() -> Iterator[tuple[str, Edges]]:
    for count in COUNTS:
        yield f"{count} shards", lambda c, k=count: sorted({c * i // k for i in range(k + 1)})  # type: ignore[misc]
        yield f"{count} chunks", lambda c, k=count: sorted({*range(0, c, -(-c // k)), c})  # type: ignore[misc]


# -- maxima ----------------------------------------------------------------------------------------------------------


def _maxima() -> Iterator[Variation]:
    for text, edges in _shards():

        def make(m: M, z: V, t: Targets[V], view: View, edges: Edges = edges, *, own: bool = True) -> V | None:
            places = edges(m.shape(z)[-1])
            if len(places) < 3:
                return None
            mid = z.value.mid
            tops = np.maximum.reduceat(mid, places[:-1], axis=-1)
            shift = np.repeat(tops, np.diff(places), axis=-1)
            rad = np.broadcast_to(np.asarray(z.value.rad, dtype=np.float64), mid.shape).max(axis=-1, keepdims=True)
            moved = z - m.constant(view.m.ball(shift, np.broadcast_to(rad, mid.shape)))
            return weighted(m, m.logsumexp(moved), t) - picked(m, moved if own else z, t)

        yield loss_slip(
            f"own maxima of {text}",
            PARTITION,
            f"each of {text} of the classes subtracts its own largest logit, and the sums of exponentials are added "
            "up as if it were one",
            "take the largest logit over all shards (an all-reduce of its own) before the exponentials",
            make,
        )


# -- labels ----------------------------------------------------------------------------------------------------------


def _matched() -> Iterator[Variation]:
    """Which logits are added up for the label: a label has one shard, where its number is that within the shard."""

    def entry(
        name: str, statement: str, hits: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    ) -> Iterator[Variation]:
        for text, edges in _shards():

            def make(m: M, z: V, t: Targets[V], view: View, edges: Edges = edges) -> V | None:
                width = m.shape(z)[-1]
                places = edges(width)
                if len(places) < 3 or t.labels is None or t.mass is None:
                    return None
                start, stop = np.array(places[:-1]), np.array(places[1:])
                matched = hits(t.labels, np.stack([start, stop]), width)
                return weighted(m, m.logsumexp(z), t) - t.mass * m.sum(z * m.exact(matched))

            yield loss_slip(
                f"{name}, {text}",
                PARTITION,
                f"{statement}, of {text}",
                "zero the target's term in every shard that does not hold the label, before the shards are added up",
                make,
            )

    def first_of_others(labels: np.ndarray, spans: np.ndarray, width: int) -> np.ndarray:
        return _hits(labels, np.where(_outside(labels, spans), spans[0], labels[:, None]), width)

    def nearest_of_others(labels: np.ndarray, spans: np.ndarray, width: int) -> np.ndarray:
        return _hits(labels, np.clip(labels[:, None], spans[0], spans[1] - 1), width)

    def not_first(labels: np.ndarray, spans: np.ndarray, width: int) -> np.ndarray:
        return _own(labels, width) * ~np.isin(labels, spans[0][1:])[:, None]

    def not_last(labels: np.ndarray, spans: np.ndarray, width: int) -> np.ndarray:
        return _own(labels, width) * ~np.isin(labels, spans[1] - 1)[:, None]

    yield from entry(
        "first logit of the others",
        "every shard that does not hold the label contributes its first class in its place",
        first_of_others,
    )
    yield from entry(
        "nearest logit of the others",
        "every shard that does not hold the label contributes its class next to it",
        nearest_of_others,
    )
    yield from entry("labels at the start", "a label that is the first class of a shard is found in none", not_first)
    yield from entry("labels at the end", "a label that is the last class of a shard is found in none", not_last)


def _outside(labels: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """[rows, shards]."""
    return np.asarray((labels[:, None] < spans[0]) | (labels[:, None] >= spans[1]))


def _hits(labels: np.ndarray, found: np.ndarray, width: int) -> np.ndarray:
    """How often each class is found, by the class found in each shard [rows, shards]."""
    hits = np.zeros((len(labels), width))
    np.add.at(hits, (np.arange(len(labels))[:, None], found), 1.0)
    return hits


def _own(labels: np.ndarray, width: int) -> np.ndarray:
    return np.asarray((labels[:, None] == np.arange(width)).astype(np.float64))


# -- lanes that hold no class ----------------------------------------------------------------------------------------


def lanes(classes: int, block: int) -> int:
    """Lanes beyond the classes: up to a multiple of `block`, for 0 up to a power of 2, for 1 a single one."""
    if block == 1:
        return 1
    return ((1 << (classes - 1).bit_length()) if block == 0 else -(-classes // block) * block) - classes


def lanes_in_words() -> Iterator[tuple[str, int]]:
    """Every number of lanes that :func:`lanes` knows."""
    yield "1 is added to the sum of the exponentials, as for one more class with a logit of 0", 1
    yield "the row is padded to a power of 2 with logits of 0, and exp(0) = 1 takes part", 0
    for block in BLOCKS:
        yield f"the row is padded to a multiple of {block} with logits of 0, and exp(0) = 1 takes part", block


PADDING_ADVICE = "load -inf, not 0, where a block has no class"


def padded(m: M, z: V, block: int) -> V | None:
    """log(sum exp(z) + lanes)."""
    count = lanes(m.shape(z)[-1], block)
    if not count:
        return None
    return m.logaddexp(m.logsumexp(z), m.exact(np.full((m.shape(z)[0], 1), math.log(count))))


def _lanes() -> Iterator[Variation]:
    for statement, block in lanes_in_words():

        def make(m: M, z: V, t: Targets[V], view: View, block: int = block) -> V | None:
            normaliser = padded(m, z, block)
            return None if normaliser is None else weighted(m, normaliser, t) - picked(m, z, t)

        yield loss_slip(f"lanes {block}", PARTITION, statement, PADDING_ADVICE, make)


def of_outputs(*, logarithmic: bool) -> list[Variation]:
    """The same slips in softmax or log-softmax itself."""
    found = []
    for statement, block in lanes_in_words():

        def make(m: M, z: V, view: View, block: int = block) -> V | None:
            normaliser = padded(m, z, block)
            if normaliser is None:
                return None
            return z - normaliser if logarithmic else m.exp(z - normaliser)

        found.append(Variation("output", f"lanes {block}", PARTITION, statement, PADDING_ADVICE, make, rarely=True))
    return found


# -- a normaliser of its own for each chunk, in the backward ---------------------------------------------------------


def _partial_shares() -> Iterator[Variation]:
    rules: list[tuple[str, Edges]] = [
        (f"chunks of {size} classes", lambda c, s=size: sorted({*range(0, c, s), c}))  # type: ignore[misc]
        for size in SIZES
    ]
    advice = "finish the normaliser over all classes before the first probability is computed"
    for text, edges in (*rules, *_shards()):
        for running in (True, False):
            which = "up to the end of their own chunk" if running else "of their own chunk alone"
            yield replace(
                loss_slip(
                    f"shares by {text}, {'running' if running else 'own'}",
                    PARTITION,
                    f"the probabilities in the gradient are divided by the sum {which} ({text}), not by that of all "
                    "classes",
                    advice,
                    _chunked(edges, running=running),
                ),
                backward=True,
            )


def _chunked(edges: Edges, *, running: bool) -> Callable[[M, V, Targets[V], View], V | None]:
    def make(m: M, z: V, t: Targets[V], view: View) -> V | None:
        places = edges(m.shape(z)[-1])
        if len(places) < 3:
            return None
        return with_shares(m, z, t, _by_chunks(view.m, z.value, places, running=running))

    return make


def _by_chunks(m: BallAlgebra, z: Ball, places: list[int], *, running: bool) -> Ball:
    width = z.mid.shape[-1]
    total: Ball | None = None
    for start, stop in itertools.pairwise(places):
        part = m.columns(z, start, stop)
        whole = m.columns(z, 0, stop) if running else part
        placed = m.placed(m.exp(part - m.logsumexp(whole)), start, width)
        total = placed if total is None else total + placed
    assert total is not None
    return total


# -- beside the sum --------------------------------------------------------------------------------------------------


def _beside_the_sum() -> Iterator[Variation]:
    for k in range(1, 16):
        value = float(f"1e-{k}")
        for attached in (False, True):
            yield loss_slip(
                f"sum + {value:g}{', attached' if attached else ''}",
                CLAMPED,
                f"{value:g} is added to the sum of the exponentials, shifted by the row's largest logit: a sum that "
                "is at least 1",
                "leave the sum as it is: after the shift it is never 0",
                _floored(value, attached=attached),
            )


def _floored(value: float, *, attached: bool) -> Callable[[M, V, Targets[V], View], V]:
    def make(m: M, z: V, t: Targets[V], view: View) -> V:
        rest = z - (m.maximum(z) if attached else m.stop_gradient(m.maximum(z)))
        floor = m.exact(np.full((m.shape(z)[0], 1), math.log(value)))
        return weighted(m, m.logaddexp(m.logsumexp(rest), floor), t) - picked(m, rest, t)

    return make
