"""What the inputs themselves do to the function: saturation, cancellation, conditioning. No backend has a part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradaudit.numerics import formats
from gradaudit.numerics.exponentials import RowExponentials
from gradaudit.records.measurement import InputFacts
from gradaudit.reference.block import Block
from gradaudit.reference.truth import BlockTruth, Truth


@dataclass(slots=True)
class _Tally:
    saturated: int = 0
    vanished: int = 0
    underflowed: int = 0
    zero: int = 0
    special: int = 0
    complement: float = float("inf")
    largest_probability: float = 0.0
    largest_entry: float = float("inf")
    smallest_probability: float = float("inf")
    condition: float = 0.0
    offset: float = 0.0
    cancelled: int = 0
    cancelled_sum: float = 0.0
    cancelled_magnitude: float = 0.0


def facts(truth: Truth) -> InputFacts:
    """Facts on one set of inputs (docs/numerics.md, "Saturation" and "Condition numbers")."""
    form = formats.get(truth.inputs.dtype)
    u = form.unit_roundoff
    tally = _Tally()
    sums_outputs = truth.elementwise and not truth.function.takes_targets and truth.units == (None,)
    for found in truth.blocks():
        with np.errstate(all="ignore"):
            _count(tally, truth, found, form, sums_outputs=sums_outputs)
    return InputFacts(
        dtype=truth.inputs.dtype,
        scale=truth.inputs.scale,
        unit_roundoff=u,
        rows=truth.layout.rows,
        classes=truth.layout.active_classes,
        saturated_rows=tally.saturated,
        max_probability=tally.largest_probability,
        complement=_finite(tally.complement, 0.0),
        vanished_rows=tally.vanished,
        largest_jacobian_entry=_finite(tally.largest_entry, 0.0),
        underflowed=tally.underflowed,
        zero=tally.zero,
        smallest_probability=_finite(tally.smallest_probability, 0.0),
        sums_outputs=sums_outputs,
        cancelled_rows=tally.cancelled,
        cancelled_sum=tally.cancelled_sum,
        cancelled_magnitude=tally.cancelled_magnitude,
        condition=tally.condition,
        offset=tally.offset,
        special_rows=tally.special,
    )


def _count(tally: _Tally, truth: Truth, found: BlockTruth, form: formats.Format, *, sums_outputs: bool) -> None:
    """One block's share; what leaves float64's range on the way counts as infinite."""
    rows = found.rows.z.algebra.exponentials(found.rows.z)
    ordinary = ~found.block.undefined
    tally.special += int(np.count_nonzero(~ordinary))
    if found.block.excluded is not None:
        tally.special += int(np.count_nonzero(found.block.excluded.any(axis=-1)))
    if not ordinary.any() or rows.n < 2:
        return
    _saturation(tally, rows, ordinary, found.block, form)
    _conditioning(tally, truth, found, rows, ordinary)
    if sums_outputs:
        _cancellation(tally, truth, found, rows, form.unit_roundoff)


def _finite(value: float, otherwise: float) -> float:
    return value if np.isfinite(value) else otherwise


def _saturation(
    tally: _Tally, rows: RowExponentials, ordinary: np.ndarray, block: Block, form: formats.Format
) -> None:
    u = form.unit_roundoff
    complement = (rows.rest / rows.total)[:, 0]
    top = 1.0 / rows.total[:, 0]
    # p (1 - p) of the largest class is the largest entry of diag(p) - p p^T.
    entry = top * complement
    tally.saturated += int(np.count_nonzero((complement <= 0.5 * u) & ordinary))
    tally.vanished += int(np.count_nonzero((entry < u) & ordinary))
    at = int(np.argmin(np.where(ordinary, complement, np.inf)))
    if complement[at] < tally.complement:
        tally.complement, tally.largest_probability = float(complement[at]), float(top[at])
    tally.largest_entry = min(tally.largest_entry, float(entry[ordinary].min()))
    p = rows.p
    if block.excluded is not None:
        p = np.where(block.excluded, 1.0, p)
    if not ordinary.all():
        p = p[ordinary]
    tally.smallest_probability = min(tally.smallest_probability, float(p.min()))
    tally.underflowed += int(np.count_nonzero(p < form.smallest_normal))
    tally.zero += int(np.count_nonzero(p <= 0.5 * form.smallest_subnormal))


def _conditioning(
    tally: _Tally, truth: Truth, found: BlockTruth, rows: RowExponentials, ordinary: np.ndarray
) -> None:
    size = np.abs(rows.top - rows.gap)
    if found.block.excluded is not None:
        size = np.where(found.block.excluded, 0.0, size)
    weighted = np.einsum("ij,ij->i", rows.p, size)[:, None]
    name = truth.function.name
    with np.errstate(divide="ignore", invalid="ignore"):
        if name == "logsumexp":
            condition = weighted / np.abs(rows.top + rows.log_total)
        else:
            # |x_j| (1 - p_j) + sum_{i != j} p_i |x_i|
            condition = weighted + size * (1.0 - 2.0 * rows.p)
            if name == "log_softmax":
                condition = condition / np.abs(rows.log_p)
            elif found.block.labels is not None:
                index = found.block.labels[:, None]
                condition = np.take_along_axis(condition / np.abs(rows.log_p), index, axis=-1)
                condition = np.where(found.block.counted[:, None], condition, 0.0)
            elif name == "cross_entropy":
                condition = condition / np.abs(rows.log_p)
        relevant = condition[ordinary]
        relevant = relevant[~np.isnan(relevant)]
        tally.condition = max(tally.condition, float(relevant.max(initial=0.0)))
        spread = rows.widest[:, 0] if found.block.excluded is None else np.maximum(rows.spread[:, 0], 1.0)
        middle = np.abs(rows.top[:, 0] - 0.5 * spread)
        offset = np.where(middle > 0.0, middle / spread, 0.0)
    tally.offset = max(tally.offset, float(offset[ordinary].max()))


def _cancellation(tally: _Tally, truth: Truth, found: BlockTruth, rows: RowExponentials, u: float) -> None:
    """Exact sum of the per-output gradients g_k J_kj against the sum of their magnitudes, without forming J."""
    upstream = np.abs(found.rows.upstream.mid)
    p = rows.p
    exact = truth.gradient(found, None)
    if truth.function.name == "softmax":
        weighted = upstream * p
        # |g_j| p_j (1 - p_j) + p_j sum_{k != j} |g_k| p_k
        magnitude = p * (upstream * (1.0 - p) + weighted.sum(axis=-1, keepdims=True) - weighted)
    else:
        # |g_j| (1 - p_j) + p_j sum_{k != j} |g_k|
        magnitude = upstream * (1.0 - p) + p * (upstream.sum(axis=-1, keepdims=True) - upstream)
    with np.errstate(invalid="ignore"):
        sums = np.abs(exact.mid)
        # The enclosure's own radius counts for it: what may be 0 is taken as cancelled.
        hidden = np.maximum(sums - exact.rad, 0.0) <= u * magnitude
        gone = hidden.all(axis=-1) & (magnitude > 0.0).any(axis=-1) & ~found.block.undefined
    if not gone.any():
        return
    tally.cancelled += int(np.count_nonzero(gone))
    at = np.unravel_index(int(np.argmax(np.where(gone[:, None], magnitude, 0.0))), magnitude.shape)
    if float(magnitude[at]) > tally.cancelled_magnitude:
        tally.cancelled_magnitude = float(magnitude[at])
        tally.cancelled_sum = float(exact.mid[at])
