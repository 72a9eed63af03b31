"""Scales of their own for the rows: which quantity of a row multiplies its loss and its gradient by mistake."""

# ruff: noqa: ARG005 - each slip takes what its stage is given
from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gradaudit.measurement.diagnosis.view import View

WEIGHTS, MEANS, REDUCTION = "class-weights", "mean-of-means", "reduction-factor"


@dataclass(frozen=True, slots=True, eq=False)
class Pattern:
    """`vector(view)` [rows] multiplies the rows, beside a constant; None where it divides by 0. `order` is how
    far-fetched it is.
    """

    name: str
    fault: str
    statement: str
    advice: str
    vector: Callable[[View], np.ndarray | None] = field(repr=False)
    order: int = 3


def patterns(view: View) -> list[Pattern]:
    """The patterns that exist for the function of `view`."""
    if view.elementwise:
        return []
    return [*_weights(view), *_partitions(view), *_missing()]


def vectors_of(given: Sequence[Pattern], view: View) -> np.ndarray:
    """What every pattern multiplies the rows of an evaluation by, [patterns, rows]; NaN where one does not exist."""
    found = np.full((len(given), view.rows), np.nan)
    for place, pattern in enumerate(given):
        vector = pattern.vector(view)
        if vector is not None:
            found[place] = vector
    return found


def _weights(view: View) -> list[Pattern]:
    if view.weight is None or view.block.labels is None or view.number("label_smoothing", 0.0):
        return []
    advice = "multiply the loss of each row by the weight of its own label, once"
    plain = _plain_weights(advice)
    if view.reduction != "mean":
        return plain
    return [*plain, *(_normalised(pattern) for pattern in plain)]


def _normalised(pattern: Pattern) -> Pattern:
    """The same weights in the mean's denominator too."""

    def vector(view: View) -> np.ndarray | None:
        changed = pattern.vector(view)
        terms = view.truth.denominator.terms
        if changed is None or terms is None:
            return changed
        used = float((changed[view.counted] * terms).sum())
        return None if used == 0.0 else changed * (view.truth.denominator.value / used)

    return replace(pattern, name=f"{pattern.name}, throughout", vector=vector)


def _plain_weights(advice: str) -> list[Pattern]:
    def of(change: Callable[[np.ndarray, np.ndarray, View], np.ndarray]) -> Callable[[View], np.ndarray | None]:
        def vector(view: View) -> np.ndarray | None:
            weight, labels = view.weight, view.block.labels
            assert weight is not None
            assert labels is not None
            own = weight[labels]
            with np.errstate(divide="ignore", invalid="ignore"):
                changed = change(weight, labels, view) / own
            return None if not np.isfinite(changed).all() else changed

        return vector

    return [
        Pattern(
            "w_y missing",
            WEIGHTS,
            "the class weights have no effect on the rows: each is the reference divided by its label's weight",
            advice,
            of(lambda w, y, v: np.ones(len(y))),
        ),
        Pattern("w_y twice", WEIGHTS, "the class weights are applied twice", advice, of(lambda w, y, v: w[y] ** 2)),
        Pattern(
            "sqrt(w_y)",
            WEIGHTS,
            "the square roots of the class weights are applied",
            advice,
            of(lambda w, y, v: np.sqrt(w[y])),
        ),
        Pattern(
            "1/w_y", WEIGHTS, "rows are divided by the weight of their label", advice, of(lambda w, y, v: 1.0 / w[y])
        ),
        Pattern(
            "log(w_y)",
            WEIGHTS,
            "the logarithms of the class weights are applied",
            advice,
            of(lambda w, y, v: np.log(w[y])),
        ),
        Pattern(
            "w of the row",
            WEIGHTS,
            "weights are picked by the number of the row, not by its label",
            advice,
            of(lambda w, y, v: w[np.arange(len(y)) % len(w)]),
        ),
        Pattern(
            "w of the largest logit",
            WEIGHTS,
            "weights are picked by the largest logit of the row, not by its label",
            advice,
            of(lambda w, y, v: w[np.argmax(v.block.logits, axis=1)]),
        ),
        *(
            Pattern(
                f"w of class y{k:+d}",
                WEIGHTS,
                f"weights are picked at class y{k:+d}, not at the label",
                advice,
                of(lambda w, y, v, k=k: w[(y + k) % len(w)]),  # type: ignore[misc]
            )
            for k in (1, -1)
        ),
        Pattern(
            "w from the other end",
            WEIGHTS,
            "weights are picked from the other end of the classes",
            advice,
            of(lambda w, y, v: w[len(w) - 1 - y]),
        ),
        *(
            Pattern(
                f"w_y {how}",
                WEIGHTS,
                f"the class weights are {how} to whole numbers, as in a tensor of integers",
                "keep the weights in the dtype of the logits: a tensor of the labels' dtype holds integers",
                of(lambda w, y, v, change=change: change(w)[y]),  # type: ignore[misc]
            )
            for how, change in (("cut", np.trunc), ("rounded", np.round), ("rounded up", np.ceil))
        ),
        Pattern(
            "1 + w_y",
            WEIGHTS,
            "rows are multiplied by 1 + the weight of their label",
            advice,
            of(lambda w, y, v: 1.0 + w[y]),
        ),
        Pattern(
            "softmax of the weights",
            WEIGHTS,
            "the weights go through an exponential before they are used",
            advice,
            of(lambda w, y, v: np.exp(w[y])),
        ),
    ]


# -- means of means --------------------------------------------------------------------------------------------------

Edges = Callable[[View], list[int]]
"""Where the blocks of rows begin, and the end."""


def _partitions(view: View) -> list[Pattern]:
    if view.reduction != "mean":
        return []
    rules = [
        *(rule for count in (2, 3, 4, 5, 6, 7, 8) for rule in (_chunks(count), _parts(count))),
        *(_sized(size) for size in (2, 3, 4, 5, 6, 8, 16, 32, 64)),
        *(rule for rows in (1, 2, 3, 4) for rule in _apart(rows)),
    ]
    axes = _leading_axes(view)
    found = []
    for text, edges in [*rules, *axes]:
        for valid in (True, False):
            found += [_mean_of_means(text, edges, valid=valid, added=added) for added in (False, True)]
    return found


Rule = tuple[str, Edges]


def _chunks(count: int) -> Rule:
    """As torch.chunk does it: all of one size but the last."""
    return f"{count} chunks", lambda v: _blocks(v.rows, -(-v.rows // count))


def _parts(count: int) -> Rule:
    """As numpy.array_split does it: sizes that differ by 1 at most."""
    return f"{count} nearly equal parts", lambda v: _split(v.rows, count)


def _sized(size: int) -> Rule:
    return f"chunks of {size} rows", lambda v: _blocks(v.rows, size)


def _apart(rows: int) -> tuple[Rule, Rule]:
    plural = "s" if rows > 1 else ""
    return (
        (f"the first {rows} row{plural} and the rest", lambda v: [0, rows, v.rows]),
        (f"the last {rows} row{plural} and the rest", lambda v: [0, v.rows - rows, v.rows]),
    )


def _leading_axes(view: View) -> list[Rule]:
    """Rows along several axes: a mean for each entry of the first one."""
    outer = view.truth.layout.outer_shape
    if len(outer) < 2:
        return []
    return [("each entry of the first axis", lambda v: _blocks(v.rows, int(np.prod(v.whole.outer_shape[1:]))))]


def _blocks(rows: int, size: int) -> list[int]:
    return [*range(0, rows, size), rows]


def _split(rows: int, count: int) -> list[int]:
    large = rows % count
    sizes = [rows // count + (1 if k < large else 0) for k in range(count)]
    return [0, *np.cumsum(sizes).tolist()]


def _mean_of_means(text: str, edges: Edges, *, valid: bool, added: bool) -> Pattern:
    what = "over its own rows" if valid else "over all its rows, the ignored ones too"

    def vector(view: View) -> np.ndarray | None:
        places = edges(view)
        if len(places) < 3 or any(a >= b for a, b in itertools.pairwise(places)):
            return np.ones(view.rows)
        terms = view.truth.denominator.terms
        own = np.zeros(view.rows)
        own[view.counted] = 1.0 if terms is None else terms
        if view.block.labels is None:
            own[:] = 1.0
        result = np.zeros(view.rows)
        for start, stop in itertools.pairwise(places):
            part = own[start:stop].sum() if valid else float(stop - start)
            if part == 0.0:
                # Nothing in this block counts: whoever does not divide 0 by 0 has a mean of 0.
                result[start:stop] = 0.0
                continue
            result[start:stop] = view.truth.denominator.value / (part * (1 if added else len(places) - 1))
        return result

    name = f"{'sum' if added else 'mean'} of means, {text}, {'valid' if valid else 'all'}"
    if added:
        return Pattern(
            name,
            REDUCTION,
            f"a sum of means: {text} are each averaged {what}, and their means added up",
            "add up the losses of all rows and divide once, by the sum of what counts in all of them",
            vector,
            5,
        )
    return Pattern(
        name,
        MEANS,
        f"a mean of means: {text} are each averaged {what}, and their means averaged",
        "add up the losses of all rows and divide once, by the sum of what counts in all of them",
        vector,
        4 if valid else 5,
    )


# -- rows that are missing -------------------------------------------------------------------------------------------


def _missing() -> list[Pattern]:
    def without(places: Callable[[int], slice]) -> Callable[[View], np.ndarray | None]:
        def vector(view: View) -> np.ndarray | None:
            result = np.ones(view.rows)
            result[places(view.rows)] = 0.0
            return result

        return vector

    def entry(which: str, places: Callable[[int], slice]) -> Pattern:
        return Pattern(
            f"without the {which}",
            REDUCTION,
            f"the {which} of the batch takes no part: loss and gradient lack it",
            "let the reduction run over all rows",
            without(places),
            4,
        )

    return [
        entry("last row", lambda n: slice(n - 1, n)),
        entry("first row", lambda n: slice(0, 1)),
        *(
            entry(f"tail beyond whole blocks of {size} rows", lambda n, size=size: slice(n // size * size, n))  # type: ignore[misc]
            for size in (2, 4, 8, 16, 32)
        ),
        entry("second half", lambda n: slice(n // 2, n)),
    ]
