"""Faults with a number that no list holds: fitted where it shows best, rounded as far as the bounds allow, and tried
on every evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gradaudit.measurement.diagnosis.models import clamps, extra_terms, smoothing
from gradaudit.measurement.diagnosis.models.logits import scaled_by
from gradaudit.measurement.diagnosis.models.variation import Variation
from gradaudit.measurement.diagnosis.readings import Evidence
from gradaudit.measurement.diagnosis.search import Explanation, explanations_by
from gradaudit.measurement.diagnosis.view import View

DIGITS = (1, 2, 3, 4, 5, 6)
"""Significant digits that a number is rounded to before it is tried: people write short numbers."""


def fitted(evidence: Evidence) -> list[Explanation]:
    """Explanations with a fitted number; none where no evaluation is wrong enough to fit one."""
    first = evidence.views[0]
    if first.elementwise or first.inputs.reading != "logits":
        return []
    slips: list[Variation] = []
    for slip in _candidates(evidence):
        if all(slip.name != known.name for known in slips):
            slips.append(slip)
    return explanations_by(evidence, slips)


def _candidates(evidence: Evidence) -> Iterator[Variation]:
    wrong = [view for view in evidence.views if not view.gradient_right]
    if wrong:
        scale = _scale(wrong[0])
        for value in _rounded(scale):
            yield scaled_by(value)
        for temperature in _rounded(1.0 / scale) if scale else ():
            yield scaled_by(1.0 / temperature)
    if wrong and wrong[0].block.labels is not None:
        yield from _smoothed(wrong[0])
    if not evidence.views[0].truth.function.takes_targets:
        return
    if wrong:
        for place, factor in extra_terms.factors(wrong[0], evidence.predicted(wrong[0], ()).gradient.mid):
            for value in _rounded(abs(factor)):
                yield extra_terms.of_term(place, math.copysign(value, factor))
    for view in _levelled(evidence):
        for level in _levels(view):
            for value in _rounded(level):
                yield from clamps.clamps(value, f"{value:g}")


def _smoothed(view: View) -> Iterator[Variation]:
    for first, second in _masses(view):
        for value in _rounded(second * view.truth.layout.active_classes):
            yield smoothing.unasked(value)
        for value in _rounded(second * (view.truth.layout.active_classes - 1)):
            yield smoothing.on_others(value)
        for own, other in zip(_rounded(first), _rounded(second), strict=False):
            yield smoothing.of_masses(own, other)


def _rounded(value: float) -> list[float]:
    if not math.isfinite(value) or value <= 0.0:
        return []
    return list(dict.fromkeys(float(f"{value:.{digits}g}") for digits in DIGITS))


def _scale(view: View) -> float:
    """k where the gradients off the label are c_i exp(k x_ij): the slope of their logarithms within each row."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(np.abs(view.gradient))
    off = np.ones(view.x.shape, dtype=bool)
    if view.block.labels is not None:
        np.put_along_axis(off, view.block.labels[:, None], False, axis=-1)
    # The largest element of a row may be a label that is read wrongly.
    np.put_along_axis(off, np.argmax(np.abs(view.gradient), axis=1)[:, None], False, axis=-1)
    off &= np.isfinite(logarithm) & view.counted[:, None]
    top = bottom = 0.0
    for x, y, keep in zip(view.x, logarithm, off, strict=True):
        if keep.sum() >= 2:
            dx, dy = x[keep] - x[keep].mean(), y[keep] - y[keep].mean()
            top, bottom = top + float(dx @ dy), bottom + float(dx @ dx)
    return top / bottom if bottom > 0.0 else math.nan


def _masses(view: View) -> Iterator[tuple[float, float]]:
    """The targets of the label and of the other classes by least squares: g / upstream = T p - t, T their sum."""
    labels = view.block.labels
    assert labels is not None
    upstream = view.row_upstream[:, 0]
    rows = np.flatnonzero(view.counted & (upstream != 0.0))
    if not len(rows):
        return
    factor = view.number("logit_scale", 1.0) / view.number("temperature", 1.0)
    z = view.x[rows] * factor
    w = np.exp(z - z.max(axis=1, keepdims=True))
    p = w / w.sum(axis=1, keepdims=True)
    got = view.gradient[rows] / (upstream[rows, None] * factor)
    hot = np.zeros(p.shape)
    np.put_along_axis(hot, labels[rows, None], 1.0, axis=-1)
    classes = p.shape[1]
    # T = own + (C - 1) other, t = other + (own - other) hot.
    columns = np.stack([(p - hot).ravel(), ((classes - 1) * p - 1.0 + hot).ravel()], axis=1)
    solution, *_ = np.linalg.lstsq(columns, got.ravel(), rcond=None)
    yield float(solution[0]), float(solution[1])


MOST_LEVELLED = 4
"""Evaluations that a level is read from."""


def _levelled(evidence: Evidence) -> list[View]:
    """Those whose loss is smaller than it should be, by the most: only such losses are cut off."""
    lacking = []
    for view in evidence.views:
        if view.output_right or view.loss is None or view.elementwise:
            continue
        due = evidence.predicted(view, ()).output.mid
        whole = due.sum() / (view.truth.denominator.value or 1.0) if view.truth.reduced else due
        lack = float(np.max(whole - view.loss))
        if lack > 0.0:
            lacking.append((lack, view))
    return [view for _, view in sorted(lacking, key=lambda pair: -pair[0])[:MOST_LEVELLED]]


def _levels(view: View) -> list[float]:
    """exp(-loss): where probabilities are cut off, if every row of the loss is."""
    if view.loss is None or view.elementwise:
        return []
    largest = float(np.max(view.loss))
    return [math.exp(-largest)] if 0.0 < largest < 700.0 else []
