"""What is known where no fault explains everything, and where not even the shape is right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.diagnosis.naming import key_of
from gradaudit.measurement.diagnosis.prediction import floor, roundings
from gradaudit.measurement.diagnosis.readings import Evidence
from gradaudit.measurement.diagnosis.scales import row_scales
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics import formats
from gradaudit.records.measurement import NamedFault


def shapes(audited: Sequence[Audited]) -> tuple[NamedFault, ...]:
    """Outputs of another shape than the reduction's: the sum or the mean of the rows, or the rows themselves."""
    for entry in audited:
        truth, got = entry.truth, entry.evaluation.output
        if truth is None or entry.measurement is not None or truth.elementwise or entry.inputs.special:
            continue
        if entry.evaluation.notes.get("unusable"):
            continue  # nothing to differentiate: the contract says so, and shapes are no matter
        losses = np.concatenate([block.output.mid.ravel() for block in truth.blocks()])
        if not np.isfinite(losses).all() or not np.isfinite(got.astype(np.float64)).all() or len(losses) < 2:
            continue
        asked = truth.parameters.reduction
        named = _reduction(
            losses, int(sum(block.block.counted.sum() for block in truth.blocks())), got, entry.inputs.dtype
        )
        if named is None:
            continue
        return (
            NamedFault(
                "reduction-factor",
                entry.evaluation.key,
                f"the output has the shape {got.shape} where reduction {asked} gives "
                f"{() if truth.reduced else truth.layout.outer_shape}: it is {named}",
                f"reduce the losses of the rows as asked: {asked}",
                (("reduction", asked), ("shape", str(tuple(got.shape)))),
            ),
        )
    return ()


STRIDED = ("strided-upstream", "expanded")
"""Probes whose upstream gradient does not lie in memory entry after entry."""


def upstream_layout(views: Sequence[View]) -> tuple[NamedFault, ...]:
    """A gradient that is wrong only where the upstream gradient does not lie in memory entry after entry."""
    wrong = [view for view in views if not (view.output_right and view.gradient_right)]
    if not wrong or any(view.inputs.probe not in STRIDED or not view.output_right for view in wrong):
        return ()
    if all(view.inputs.probe in STRIDED for view in views):
        return ()
    names = " and ".join(view.name for view in wrong)
    return (
        NamedFault(
            "upstream-gradient",
            key_of(wrong[0]),
            "the upstream gradient is read as if its entries lay one after the other in memory: the gradient is "
            f"wrong where they do not ({names}), and right everywhere else",
            "call contiguous() on the upstream gradient before a kernel reads it, or pass its strides",
            (("evaluations", len(wrong)),),
        ),
    )


def _reduction(losses: np.ndarray, counted: int, got: np.ndarray, dtype: str) -> str | None:
    """Which reduction of the rows' losses an output of another shape is, to the precision of the dtype."""
    u = formats.get(dtype).unit_roundoff
    # Any order of the sum, and the losses' own errors: as many roundings as rows and classes together, at most.
    slack = float(np.abs(losses).sum()) * u * (len(losses) + 64.0)
    values = got.astype(np.float64)
    if values.size == 1:
        value = float(values.reshape(-1)[0])
        for text, due in (
            ("the sum of the rows", losses.sum()),
            ("the mean of the rows", losses.mean()),
            ("the mean of the rows that count", losses.sum() / max(counted, 1)),
        ):
            if abs(value - float(due)) <= slack:
                return text
        return None
    if values.size == losses.size and np.all(np.abs(values.ravel() - losses) <= slack):
        return "the losses of the rows, not reduced"
    return None


def undiagnosed(wrong: Sequence[View], evidence: Evidence) -> tuple[NamedFault, ...]:
    """What is right, what is not, and by how much the nearest model misses."""
    view = next((each for each in wrong if each.inputs.probe is None), wrong[0])
    views = evidence.views or list(wrong)
    parts = [
        _side("loss" if not view.elementwise else "output", [each for each in views if not each.output_right], views)
    ]
    parts.append(_side("gradient", [each for each in views if not each.gradient_right], views))
    readable = view.finite and not (view.jacobian or view.elementwise or view.gradient_right)
    telling = _telling(view, evidence) if readable else None
    if telling is not None:
        parts.insert(0, telling)
    numbers: list[tuple[str, float | int | str]] = [("evaluations_wrong", len(wrong)), ("evaluations", len(views))]
    if not view.gradient_right and view.finite:
        text, found = _nearest(view, evidence)
        if telling is None:
            parts.append(text)
        numbers += found
    strange = [each for each in wrong if not each.finite]
    if strange:
        parts.append(f"NaN or infinity is returned in {len(strange)} evaluations ({_names(strange)})")
    if evidence.budget.spent:
        parts.append(f"the search ended after {evidence.budget.used} evaluations of models, before all were tried")
    return (
        NamedFault(
            "undiagnosed",
            key_of(view),
            "no fault that is known here explains every element; what is known: " + "; ".join(parts),
            "compare the loss with its formula on the smallest probe that fails, one step after the other",
            tuple(numbers),
        ),
    )


def _side(what: str, wrong: Sequence[View], views: Sequence[View]) -> str:
    if not wrong:
        return f"the {what} is right in all {len(views)} evaluations that returned finite numbers"
    if len(wrong) == len(views):
        return f"the {what} is wrong in all {len(views)} evaluations"
    right = [view for view in views if view not in wrong]
    return f"the {what} is wrong in {len(wrong)} of {len(views)} evaluations, right in {_names(right, 2)}"


def _names(views: Sequence[View], most: int = 4) -> str:
    names = [view.name for view in views]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _telling(view: View, evidence: Evidence) -> str | None:
    """The fact about a wrong gradient that says most: rows without one, few wrong columns, ignored rows alone."""
    predicted = evidence.predicted(view, ()).gradient
    got, absolute = view.gradient, floor(view)
    margin = predicted.rad + roundings(view) * np.abs(predicted.mid) + absolute
    wrong = np.abs(got - predicted.mid) > margin
    rows, columns = np.flatnonzero(wrong.any(axis=1)), np.flatnonzero(wrong.any(axis=0))
    if len(rows) == 0:
        return None
    if np.all(view.ignored[rows]):
        return f"the gradient is wrong in ignored rows alone, {_places('row', rows)}"
    if np.all(got[rows] == 0.0):
        last = rows[-1] == view.rows - 1 and len(rows) == rows[-1] - rows[0] + 1
        return f"{_places('row', rows)} without a gradient, all others are right" + (
            ": the last rows take no part" if last else ""
        )
    if len(columns) <= max(1, view.classes // 4):
        zero = ", and 0 there" if not got[:, columns].any() else ""
        return f"the gradient is wrong at {_places('class', columns)} alone{zero}"
    few = len(rows) < int(view.counted.sum()) and len(rows) <= 4
    return f"the gradient is wrong in {_places('row', rows)} alone" if few else None


def _places(what: str, places: np.ndarray) -> str:
    plural = {"row": "rows", "class": "classes"}[what]
    listed = ", ".join(str(place) for place in places[:6].tolist())
    more = f" and {len(places) - 6} more" if len(places) > 6 else ""
    return f"{what if len(places) == 1 else plural} {listed}{more}"


def _nearest(view: View, evidence: Evidence) -> tuple[str, list[tuple[str, float | int | str]]]:
    """One factor for all rows by least squares, the rows that have a factor of their own, and the row sums."""
    predicted = evidence.predicted(view, ()).gradient
    got, due = view.gradient, predicted.mid
    square = float((due * due).sum())
    factor = float((got * due).sum()) / square if square > 0.0 else 0.0
    left = float(np.abs(got - factor * due).max(initial=0.0))
    scale = float(np.abs(got).max(initial=0.0))
    scales = row_scales(predicted, got, 8.0 * view.m.arithmetic.u_operation, floor(view))
    alike = int(np.count_nonzero(scales.low <= scales.high))
    sums = np.abs(got.sum(axis=1) - due.sum(axis=1))
    off = int(np.count_nonzero(sums > predicted.rad.sum(axis=1) + view.classes * 2.0**-52 * np.abs(got).sum(axis=1)))
    text = (
        f"nearest to the gradient is the reference x {factor:.6g}, off by up to {left:.3g} where the largest element "
        f"is {scale:.3g}; {alike} of {len(got)} rows are multiples of the reference, {off} have a wrong sum"
    )
    return text, [("best_factor", factor), ("residual", left), ("rows_collinear", alike), ("row_sums_wrong", off)]
