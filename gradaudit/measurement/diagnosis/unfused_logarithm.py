"""The logarithm is taken of a computed softmax: 1/p overflows, then p underflows (docs/numerics.md, section 6)."""

from __future__ import annotations

import numpy as np

from gradaudit.measurement.diagnosis.out_of_range import (
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


def explain(truth: Truth, profile: Profile, wrong: WrongRows) -> Diagnosis | None:
    """The fault, if p = 0 or 1/p = inf accounts for every wrong row and no row that must be wrong is right.

    From -log p > log(largest number) on, 1/p is infinite (v/p, for a gradient v of log p, accordingly); from
    -log p > -log(eta / 2) on, p is 0 and its logarithm -inf, and 0 * inf makes a NaN of the whole gradient row.
    """
    if truth.function.name not in {"cross_entropy", "log_softmax"}:
        return None
    affected = wrong.beyond | wrong.output_non_finite | wrong.gradient_non_finite
    if not affected and not wrong.reduced_non_finite:
        return None
    rows = extremes(truth)
    for form in candidate_formats(profile):
        overflow, vanish, moved = log_largest(form), log_vanishing(form), slack(rows, form)
        lost = (rows.chain > overflow - moved) | (rows.deepest > vanish - moved)
        possible = set(np.flatnonzero(lost).tolist())
        if not possible or not affected <= possible:
            continue
        # A row whose own target has p = 0 cannot have a finite gradient in this chain.
        certain = set(np.flatnonzero(rows.target > vanish + moved).tolist())
        if not certain <= wrong.gradient_non_finite:
            continue
        row = max(affected or possible, key=lambda r: float(rows.deepest[r]))
        # The target's own probability is what the loss is about; another class may be the one that vanished.
        own = float(rows.target[row])
        depth = own if own > overflow - float(moved[row]) else float(rows.deepest[row])
        return Diagnosis(
            "unfused-logarithm",
            (
                ("row", int(row)),
                ("minus_log_p", depth),
                ("inverse_overflows_at", overflow),
                ("probability_vanishes_at", vanish),
                ("format", form.name),
                ("rows_affected", len(affected)),
            ),
        )
    return None
