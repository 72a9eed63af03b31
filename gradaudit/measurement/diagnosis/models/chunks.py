"""Slips of losses that run over the classes in chunks: chunks left out, labels matched in the wrong one, a running
maximum that is not followed."""

# ruff: noqa: ARG001 - each slip takes what its stage is given

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, loss_slip, picked, weighted
from gradaudit.measurement.diagnosis.view import View

PARTITION, LABELS, SHIFT = "partition-local-normaliser", "labels-misaligned", "missing-max-shift"

SIZES = (1, 2, 3, 4, 5, 8, 16, 32, 64, 128, 256, 512, 1024)
COUNTS = (2, 3, 4, 8)
MOST_CHUNKS = 32
"""Chunks of a running maximum that is differentiated: each is a step of its own."""

Span = Callable[[int], tuple[int, int]]
"""Number of classes -> the first that takes part, and the one after the last."""

Edges = Callable[[int], list[int]]
"""Number of classes -> where the chunks begin, and the end."""


def variations(view: View) -> list[Variation]:
    """The slips that exist for a loss of rows, none of which is usual."""
    found = [*_spans(), *_running()]
    if view.raw_labels is not None:
        found += _matched()
    return [replace(slip, rarely=True) for slip in found]


# -- chunks that are left out ----------------------------------------------------------------------------------------


def _spans() -> Iterator[Variation]:
    for text, span in _left_out():
        yield from _without(text, span)


def _left_out() -> Iterator[tuple[str, Span]]:
    for size in SIZES[1:]:
        yield f"the tail beyond whole chunks of {size} classes", lambda c, s=size: (0, c // s * s)  # type: ignore[misc]
    for size in SIZES:
        classes = "class" if size == 1 else f"chunk of {size} classes"
        yield f"the last {classes}", lambda c, s=size: (0, (c - 1) // s * s)  # type: ignore[misc]
        yield f"the first {classes}", lambda c, s=size: (min(s, c), c)  # type: ignore[misc]
    for count in COUNTS:
        yield f"the last of {count} chunks of the classes", lambda c, k=count: (0, (c - 1) // -(-c // k) * -(-c // k))  # type: ignore[misc]


def _without(text: str, span: Span) -> Iterator[Variation]:
    """A forward without a span, under each backward that people write; and the backward alone without it."""
    advice = "let the loop over the classes run over all of them, the last chunk too"

    def kept(m: M, z: V) -> tuple[int, int] | None:
        width = m.shape(z)[-1]
        start, stop = span(width)
        return None if stop <= start or (start, stop) == (0, width) else (start, stop)

    def followed(m: M, z: V, t: Targets[V], view: View) -> V | None:
        part = kept(m, z)
        return None if part is None else weighted(m, m.logsumexp(m.columns(z, *part)), t) - picked(m, z, t)

    def recomputed(m: M, z: V, t: Targets[V], view: View) -> V | None:
        part = kept(m, z)
        if part is None:
            return None
        return weighted(m, by_exponentials(m, z, m.logsumexp(m.columns(z, *part)), None), t) - picked(m, z, t)

    def cut(m: M, z: V, t: Targets[V], view: View) -> V | None:
        part = kept(m, z)
        if part is None:
            return None
        normaliser = by_exponentials(m, z, m.logsumexp(m.columns(z, *part)), part)
        return weighted(m, normaliser, t) - _within(m, z, t, part)

    def unwritten(m: M, z: V, t: Targets[V], view: View) -> V | None:
        width = m.shape(z)[-1]
        part = span(width)
        if part == (0, width):
            return None
        return weighted(m, by_exponentials(m, z, m.logsumexp(z), part), t) - _within(m, z, t, part)

    yield loss_slip(f"without {text}", PARTITION, f"the normaliser lacks {text}", advice, followed)
    yield loss_slip(
        f"without {text}, exponentials again",
        PARTITION,
        f"the normaliser lacks {text}, and the backward takes exp(z - normaliser) of all classes",
        advice,
        recomputed,
    )
    yield loss_slip(
        f"without {text} forward and backward",
        PARTITION,
        f"the normaliser lacks {text}, which has no gradient either",
        advice,
        cut,
    )
    yield replace(
        loss_slip(
            f"without {text} in the backward",
            PARTITION,
            f"the backward leaves out {text}: the gradient is 0 there",
            advice,
            unwritten,
        ),
        backward=True,
    )


def by_exponentials(m: M, z: V, normaliser: V, part: tuple[int, int] | None) -> V:
    """The normaliser, whose derivative is written exp(z - normaliser), for the classes `part` (None: for all)."""
    p = m.exp(z - normaliser).value
    if part is not None:
        inside = np.zeros((1, m.shape(z)[-1]))
        inside[:, slice(*part)] = 1.0
        p = p * m.m.exact(inside)
    return m.node(normaliser.value, (z, lambda g: g * p))


def _within(m: M, z: V, t: Targets[V], part: tuple[int, int]) -> V:
    """sum t z, differentiated by the classes of a span alone."""
    inside = np.zeros((1, m.shape(z)[-1]), dtype=bool)
    inside[:, slice(*part)] = True
    return picked(m, m.where(inside, z, m.stop_gradient(z)), t)


# -- labels ----------------------------------------------------------------------------------------------------------


def _matched() -> Iterator[Variation]:
    """A label is an index into all classes, and a chunk has indices of its own."""
    advice = "subtract the number of the chunk's first class from the label, and match it in that chunk alone"

    def entry(
        name: str, statement: str, hits: Callable[[np.ndarray, np.ndarray, int], np.ndarray]
    ) -> Iterator[Variation]:
        for size in SIZES[1:]:

            def make(m: M, z: V, t: Targets[V], view: View, size: int = size) -> V | None:
                width = m.shape(z)[-1]
                if t.labels is None or t.mass is None:
                    return None
                matched = hits(t.labels[:, None], np.arange(width)[None, :], size)
                own = np.arange(width)[None, :] == t.labels[:, None]
                if np.array_equal(matched, own):
                    return None
                return weighted(m, m.logsumexp(z), t) - t.mass * m.sum(z * m.exact(matched.astype(np.float64)))

            yield loss_slip(f"{name}, {size}", LABELS, statement.format(size=size), advice, make)

    yield from entry(
        "label in every chunk",
        "the label is matched in every chunk of {size} classes, as if each began at class 0; labels from {size} on "
        "in none",
        lambda y, j, s: np.equal(j % s, y),
    )
    yield from entry(
        "label modulo the chunk",
        "the label modulo {size} is matched in every chunk of {size} classes",
        lambda y, j, s: np.equal(j % s, y % s),
    )
    yield from entry(
        "label in the first chunk",
        "labels from {size} on are matched in no chunk: only those of the first {size} classes have a term",
        lambda y, j, s: np.equal(j, y) & np.less(y, s),
    )


# -- running maxima --------------------------------------------------------------------------------------------------


def _running() -> Iterator[Variation]:
    advice = "multiply the sum so far by exp(old maximum - new maximum) whenever the maximum grows"
    rules: list[tuple[str, Edges]] = [
        (f"chunks of {size} classes" if size > 1 else "single classes", lambda c, s=size: [*range(0, c, s), c])  # type: ignore[misc]
        for size in SIZES
    ]
    rules += [
        (f"{count} chunks of the classes", lambda c, k=count: [*range(0, c, -(-c // k)), c])  # type: ignore[misc]
        for count in COUNTS
    ]
    for text, edges in rules:
        statement = f"the running maximum grows from chunk to chunk ({text}) and the sum so far is not scaled by it"

        def detached(m: M, z: V, t: Targets[V], view: View, edges: Edges = edges) -> V | None:
            found = unscaled(m, z, view, edges)
            return None if found is None else weighted(m, found, t) - picked(m, z, t)

        def again(m: M, z: V, t: Targets[V], view: View, edges: Edges = edges) -> V | None:
            found = unscaled(m, z, view, edges)
            return None if found is None else weighted(m, by_exponentials(m, z, found, None), t) - picked(m, z, t)

        def differentiated(m: M, z: V, t: Targets[V], view: View, edges: Edges = edges) -> V | None:
            found = _unscaled_by_tape(m, z, edges)
            return None if found is None else weighted(m, found, t) - picked(m, z, t)

        def inverted(m: M, z: V, t: Targets[V], view: View, edges: Edges = edges) -> V | None:
            found = unscaled(m, z, view, edges, times=2.0)
            return None if found is None else weighted(m, found, t) - picked(m, z, t)

        yield loss_slip(
            f"running maximum, {text}, the wrong way",
            SHIFT,
            f"the running maximum grows from chunk to chunk ({text}) and the sum so far is multiplied by exp(new "
            "maximum - old maximum), the inverse of what is due",
            advice,
            inverted,
        )
        for how, make in (("", detached), (", exponentials again", again), (", differentiated", differentiated)):
            yield loss_slip(f"running maximum, {text}{how}", SHIFT, statement, advice, make)


def unscaled(m: M, z: V, view: View, edges: Edges, times: float = 1.0) -> V | None:
    """max z + log sum_j exp(z_j - max z + times (max z - M_c)), M_c the largest logit to the end of j's chunk c."""
    places = edges(m.shape(z)[-1])
    if len(places) < 3:
        return None
    mid = z.value.mid
    ends = np.maximum.accumulate(mid, axis=-1)[:, np.array(places[1:]) - 1]
    so_far = np.repeat(ends, np.diff(places), axis=1)
    rad = np.broadcast_to(np.asarray(z.value.rad, dtype=np.float64), mid.shape).max(axis=-1, keepdims=True)
    offset = view.m.ball(times * (ends[:, -1:] - so_far), np.broadcast_to(2.0 * times * rad, mid.shape))
    return m.logsumexp(z + m.constant(offset))


def _unscaled_by_tape(m: M, z: V, edges: Edges) -> V | None:
    """The same with every maximum differentiated too."""
    width = m.shape(z)[-1]
    places = edges(width)
    if len(places) < 3 or len(places) > MOST_CHUNKS:
        return None
    total: V | None = None
    for start, stop in itertools.pairwise(places):
        part = m.placed(m.columns(z, start, stop) - m.maximum(m.columns(z, 0, stop)), start, width)
        total = part if total is None else total + part
    assert total is not None
    return m.maximum(z) + m.logsumexp(total)
