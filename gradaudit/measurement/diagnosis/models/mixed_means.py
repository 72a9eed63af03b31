"""Slips of label smoothing in two terms, each with a mean of its own: over other rows, or by another number."""

# ruff: noqa: ARG001 - each slip takes what its stage is given

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, loss_slip
from gradaudit.measurement.diagnosis.view import View

IGNORED, DENOMINATOR = "ignored-rows-leak", "mean-denominator"


def variations(view: View) -> list[Variation]:
    """The slips that exist where labels are smoothed and rows may be ignored."""
    eps = view.number("label_smoothing", 0.0)
    if view.raw_labels is None or not eps or view.weight is not None or view.reduction != "mean":
        return []

    def entry(name: str, fault: str, statement: str, *, every_row: bool, ratio: Callable[[View], float]) -> Variation:
        def make(m: M, z: V, t: Targets[V], view: View) -> V | None:
            labels = view.block.labels
            if labels is None or view.active is not None or view.counted.all() or not view.counted.any():
                return None
            counted = view.counted.astype(np.float64)[:, None]
            rows = np.ones_like(counted) if every_row else counted
            own = m.parameter(1.0 - eps) * m.exact(counted) * -m.log_softmax(z, labels)
            spread = m.parameter(eps * ratio(view)) * m.exact(rows) * m.mean(m.log_softmax(z))
            return own - spread

        advice = "mask both terms of the smoothed loss, and divide both by the number of rows that count"
        return loss_slip(name, fault, statement, advice, make)

    def valid(view: View) -> float:
        return float(view.counted.sum())

    return [
        entry(
            "smoothing over all rows by N",
            IGNORED,
            "the uniform term of label smoothing is averaged over all rows, the ignored ones too; the label's term "
            "over those that count",
            every_row=True,
            ratio=lambda v: valid(v) / v.rows,
        ),
        entry(
            "smoothing by N",
            DENOMINATOR,
            "the uniform term of label smoothing is divided by N, all rows, and the label's term by that of the "
            "rows that count",
            every_row=False,
            ratio=lambda v: valid(v) / v.rows,
        ),
        entry(
            "label's term by N",
            DENOMINATOR,
            "the label's term of label smoothing is divided by N, all rows, and the uniform term by that of the "
            "rows that count",
            every_row=False,
            ratio=lambda v: v.rows / valid(v),
        ),
    ]
