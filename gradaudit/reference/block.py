"""One block of rows: its floats, exact as they are, and which of them are special."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gradaudit.records.inputs import Inputs
from gradaudit.reference.layout import Layout

FAR_BELOW = 1.0e4
"""A -inf logit stands in as one whose scaled gap is at least this: its weight exp(-FAR_BELOW) is 0 in float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Rows [start, stop) of a case, float64, masked classes left out.

    `logits` [rows, n] are finite: a -inf stands in as a logit far below, a row in `undefined` as zeros. They may hold
    probabilities or log-probabilities instead; `excluded` are then those of 0, or -inf.
    `undefined` [rows] holds a NaN or +inf, or nothing but -inf: its softmax does not exist; `top_infinite` marks
    those with a +inf and no NaN, `bottom` those of -inf alone; `infinite` [rows, n] are the +inf logits themselves.
    `excluded` [rows, n] marks the -inf logits of other rows (None: there are none). `labels` [rows] counts active
    classes and is 0 in ignored rows; `counted` [rows] is false there. `soft` [rows, n] are target probabilities.
    `upstream` is [rows, n] or [rows, 1]. What a case does not have is None.
    """

    start: int
    stop: int
    logits: np.ndarray
    undefined: np.ndarray
    top_infinite: np.ndarray
    bottom: np.ndarray
    infinite: np.ndarray
    excluded: np.ndarray | None
    labels: np.ndarray | None
    counted: np.ndarray
    soft: np.ndarray | None
    upstream: np.ndarray | None
    weight: np.ndarray | None


@dataclass(frozen=True, slots=True, eq=False)
class RowArrays:
    """The arrays of a case as rows, whole, in their own dtypes; blocks are cut from them."""

    layout: Layout
    logits: np.ndarray
    labels: np.ndarray | None
    soft: np.ndarray | None
    upstream: np.ndarray | None
    weight: np.ndarray | None
    ignore_index: int | None
    elementwise: bool
    far_below: float
    reading: str
    cap: float | None
    negated: bool = False
    """Whether the softmax is one of the negated logits: a +inf then stands for a class without probability."""


def row_arrays(inputs: Inputs, layout: Layout, *, elementwise: bool, cap: float | None = None) -> RowArrays:
    """`inputs` as rows; `elementwise` tells a function with one output a class from one with one a row.

    `cap` is the bound of the logits of a function that has one.
    """
    labels = soft = None
    if inputs.targets is not None:
        if np.issubdtype(inputs.targets.dtype, np.integer):
            labels = inputs.targets.reshape(layout.rows)
        else:
            soft = layout.as_rows(inputs.targets)
    upstream = None
    if inputs.upstream is not None:
        upstream = layout.as_rows(inputs.upstream) if elementwise else inputs.upstream.reshape(-1, 1)
    parameters = inputs.function.parameters
    logit_scale = float(parameters.get("logit_scale", 1.0))  # type: ignore[arg-type]
    scaling = float(parameters.get("temperature", 1.0)) / abs(logit_scale)  # type: ignore[arg-type]
    weight = None
    if inputs.weight is not None:
        weight = inputs.weight.astype(np.float64)
        weight = weight if layout.active is None else weight[layout.active]
    ignore = parameters.get("ignore_index")
    return RowArrays(
        layout,
        layout.as_rows(inputs.logits),
        labels,
        soft,
        upstream,
        weight,
        ignore if isinstance(ignore, int) else None,
        elementwise,
        FAR_BELOW * max(scaling, 1.0),
        inputs.reading,
        cap,
        logit_scale < 0.0,
    )


def cut(arrays: RowArrays, start: int, stop: int) -> Block:
    """Rows [start, stop) in float64."""
    active = arrays.layout.active

    def columns(a: np.ndarray) -> np.ndarray:
        part = a[start:stop]
        return (part if active is None else part[:, active]).astype(np.float64)

    logits = columns(arrays.logits)
    if arrays.cap is not None:
        beyond = np.isinf(logits)
        # tanh is 1 there, to any precision that is worked in.
        logits[beyond] = np.sign(logits[beyond]) * arrays.far_below * max(arrays.cap, 1.0)
    if arrays.negated:
        np.negative(logits, out=logits)
    special = _special(logits, arrays.far_below) if arrays.reading == "logits" else _special_reading(logits, arrays)
    if arrays.negated:
        np.negative(logits, out=logits)
    labels = None
    counted = np.ones(stop - start, dtype=bool)
    if arrays.labels is not None:
        own = arrays.labels[start:stop]
        counted = own != arrays.ignore_index
        labels = np.where(counted, own, active[0] if active is not None else 0)
        labels = labels if active is None else np.searchsorted(active, labels)
    upstream = None
    if arrays.upstream is not None:
        if arrays.elementwise:
            upstream = columns(arrays.upstream)
        else:
            whole = arrays.upstream.astype(np.float64)
            upstream = np.broadcast_to(whole, (1, 1)) if len(whole) == 1 else whole[start:stop]
    soft = None if arrays.soft is None else columns(arrays.soft)
    return Block(
        start,
        stop,
        logits,
        special.undefined,
        special.top_infinite,
        special.bottom,
        special.infinite,
        special.excluded,
        labels,
        counted,
        soft,
        upstream,
        arrays.weight,
    )


def select(block: Block, rows: np.ndarray) -> Block:
    """Some rows of a block, by their positions in it."""

    def part(a: np.ndarray | None) -> np.ndarray | None:
        return a if a is None or len(a) != len(block.logits) else a[rows]

    return replace(
        block,
        logits=block.logits[rows],
        undefined=block.undefined[rows],
        top_infinite=block.top_infinite[rows],
        bottom=block.bottom[rows],
        infinite=block.infinite[rows],
        excluded=part(block.excluded),
        labels=part(block.labels),
        counted=block.counted[rows],
        soft=part(block.soft),
        upstream=part(block.upstream),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Special:
    undefined: np.ndarray
    top_infinite: np.ndarray
    bottom: np.ndarray
    infinite: np.ndarray
    excluded: np.ndarray | None


def _special(logits: np.ndarray, far_below: float) -> _Special:
    """Which rows are undefined and which logits excluded; both are replaced in `logits` by finite stand-ins."""
    none = np.zeros(len(logits), dtype=bool)
    if np.isfinite(logits.min()) and np.isfinite(logits.max()):
        return _Special(none, none, none, np.broadcast_to(False, logits.shape), None)
    minus = np.isneginf(logits)
    nan = np.isnan(logits).any(axis=-1)
    infinite = np.isposinf(logits)
    top_infinite = infinite.any(axis=-1) & ~nan
    bottom = np.asarray(minus.all(axis=-1))
    undefined = nan | top_infinite | bottom
    logits[undefined] = 0.0
    minus[undefined] = False
    if not minus.any():
        return _Special(undefined, top_infinite, bottom, infinite, None)
    top = logits.max(axis=-1, keepdims=True)
    # Beside a large logit a fixed distance is no distance at all.
    np.copyto(logits, top - np.maximum(far_below, np.abs(top)), where=minus)
    return _Special(undefined, top_infinite, bottom, infinite, minus)


def _special_reading(given: np.ndarray, arrays: RowArrays) -> _Special:
    """The same for probabilities or their logarithms: a class without probability is excluded."""
    none = np.zeros(len(given), dtype=bool)
    infinite = np.isposinf(given)
    undefined = np.asarray((np.isnan(given) | infinite).any(axis=-1))
    top_infinite = infinite.any(axis=-1) & ~np.isnan(given).any(axis=-1)
    probabilities = arrays.reading == "probabilities"
    if probabilities:
        undefined |= (given < 0.0).any(axis=-1)
        top_infinite |= (given < 0.0).any(axis=-1)
    given[undefined] = 1.0 if probabilities else 0.0
    excluded = given == 0.0 if probabilities else np.isneginf(given)
    given[excluded] = 1.0 if probabilities else -arrays.far_below
    return _Special(undefined, top_infinite, none, infinite, excluded if excluded.any() else None)
