"""exp is taken of the logits as they are: it overflows above log(largest number), and far below 0 all terms
vanish, though softmax does not change under a shift."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gradaudit.measurement.diagnosis.out_of_range import (
    RowExtremes,
    WrongRows,
    candidate_formats,
    extremes,
    log_largest,
    log_vanishing,
    slack,
)
from gradaudit.records.measurement import Diagnosis
from gradaudit.records.profile import Profile
from gradaudit.reference.truth import Truth

NOTHING = "nothing"
"""No shift at all."""

ACROSS_ROWS = ("the largest logit of the batch", "that of row 0")
"""Shifts by a logit of another row."""


def explain(truth: Truth, profile: Profile, wrong: WrongRows) -> Diagnosis | None:
    """The fault, if overflow or underflow of the unshifted exponentials accounts for every wrong row."""
    affected = wrong.beyond | wrong.output_non_finite | wrong.gradient_non_finite
    if not affected and not wrong.reduced_non_finite:
        return None
    finite = not (wrong.output_non_finite or wrong.gradient_non_finite or wrong.reduced_non_finite)
    rows = extremes(truth)
    for shift, shifted_by in _shifts(rows):
        if finite and shifted_by != NOTHING:
            continue
        for form in candidate_formats(profile):
            overflow, vanish, moved = log_largest(form), log_vanishing(form), slack(rows, form)
            with np.errstate(invalid="ignore"):
                top, logsumexp = rows.top - shift, rows.logsumexp - shift
            # Below the smallest normal number the sum has lost digits already: 1/s may be infinite.
            high = logsumexp > overflow - moved
            low = top < float(np.log(form.smallest_normal)) + moved
            # Finite numbers can have lost digits among subnormal ones; of overflow they say nothing.
            possible = set(np.flatnonzero(low & ~high if finite else high | low).tolist())
            if possible and shifted_by in ACROSS_ROWS:
                # A shift that is not detached hands the NaN of a row on to the row that it was taken from.
                possible |= set(np.flatnonzero(rows.top == shift).tolist())
            if not possible or not affected <= possible:
                continue
            lost = (top > overflow + moved) | (top < -vanish - moved)
            certain = set(np.flatnonzero(lost & rows.counted).tolist())
            if not certain <= wrong.gradient_non_finite | wrong.output_non_finite:
                continue
            distance = np.abs(top)
            row = max(affected or possible, key=lambda r: float(distance[r]))
            return Diagnosis(
                "missing-max-shift",
                (
                    ("row", int(row)),
                    ("largest_logit", float(rows.top[row])),
                    ("shifted_by", shifted_by),
                    ("exp_overflows_at", overflow),
                    ("exp_vanishes_at", -vanish),
                    ("format", form.name),
                    ("rows_affected", len(affected)),
                ),
                chosen=shifted_by not in (NOTHING, *ACROSS_ROWS),
            )
    return None


def _shifts(rows: RowExtremes) -> Iterator[tuple[np.ndarray, str]]:
    """What may have been subtracted instead of a row's own largest logit, [rows]."""
    none = np.zeros(len(rows.top))
    yield none, NOTHING
    finite = rows.top[np.isfinite(rows.top)]
    if len(finite) >= 2:
        yield none + float(finite.max()), ACROSS_ROWS[0]
        yield none + float(finite[0]), ACROSS_ROWS[1]
    yield rows.mean, "the mean of the row"
    yield rows.size, "the largest magnitude of the row"
    yield np.maximum(rows.top, 0.0), "the largest logit of the row or 0"
    yield rows.first, "the first logit of the row"
    yield rows.bottom, "the smallest logit of the row"
