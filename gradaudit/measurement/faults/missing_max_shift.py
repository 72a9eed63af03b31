"""exp is taken of the logits as they are: it overflows above log(largest number), and far below 0 all terms
vanish, though softmax does not change under a shift."""

from __future__ import annotations

import numpy as np

from gradaudit.measurement.faults.hypothesis import (
    WrongRows,
    candidate_formats,
    extremes,
    log_largest,
    log_vanishing,
)
from gradaudit.records.measurement import Diagnosis
from gradaudit.records.profile import Profile
from gradaudit.reference.truth import Truth


def explain(truth: Truth, profile: Profile, wrong: WrongRows) -> Diagnosis | None:
    """The fault, if overflow or underflow of the unshifted exponentials accounts for every wrong row."""
    affected = wrong.beyond | wrong.output_non_finite | wrong.gradient_non_finite
    if not affected and not wrong.reduced_non_finite:
        return None
    rows = extremes(truth)
    for form in candidate_formats(profile):
        overflow, vanish = log_largest(form), log_vanishing(form)
        slack = 8.0 * form.unit_roundoff * vanish + 0.01
        # Below the smallest normal number the sum has lost digits already: 1/s may be infinite.
        high = rows.logsumexp > overflow - slack
        low = rows.top < -float(-np.log(form.smallest_normal)) + slack
        possible = set(np.flatnonzero(high | low).tolist())
        if not possible or not affected <= possible:
            continue
        lost = (rows.top > overflow + slack) | (rows.top < -vanish - slack)
        certain = set(np.flatnonzero(lost & rows.counted).tolist())
        if not certain <= wrong.gradient_non_finite | wrong.output_non_finite:
            continue
        row = max(affected or possible, key=lambda r: abs(float(rows.top[r])))
        return Diagnosis(
            "missing-max-shift",
            (
                ("row", int(row)),
                ("largest_logit", float(rows.top[row])),
                ("exp_overflows_at", overflow),
                ("exp_vanishes_at", -vanish),
                ("format", form.name),
                ("rows_affected", len(affected)),
            ),
        )
    return None
