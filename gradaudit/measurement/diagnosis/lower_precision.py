"""A lower precision than claimed, where no row of it explains every evaluation: logits that are cast on the way in,
and whatever follows in the format that they are cast to.

A cast of the logits moves z_j by u |z_j|, a common offset and all: far more than the rows allow, whose exponents
are rounded after the shift. With the logits that the cast gives, everything behind may still be right; else they are
balls of that radius, under an arithmetic that rounds every operation to the narrow format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gradaudit.measurement.diagnosis.models.variation import (
    M,
    NotApplicableError,
    V,
    Variation,
    predict,
    reference_logits,
)
from gradaudit.measurement.diagnosis.naming import key_of
from gradaudit.measurement.diagnosis.prediction import Bounded, Prediction, due, floor, roundings
from gradaudit.measurement.diagnosis.scales import loss_interval, row_scales
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics import formats
from gradaudit.numerics.ball import Ball
from gradaudit.numerics.formats import Format
from gradaudit.records.measurement import NamedFault
from gradaudit.records.profile import Profile
from gradaudit.reference.ladder import FLUSHED, INSIDE, ToleranceRow
from gradaudit.specs.rounding import rounded

FAULT = "low-precision-inside"
ADVICE = "keep sums, row statistics and what passes between steps in float32 or wider, and round once at the end"


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """What a lower precision at some place of the way from logits to loss gives."""

    precision: str
    statement: str
    predicted: Callable[[View], Prediction | None]


Steps = Callable[[View, Sequence[ToleranceRow]], "Iterator[Lowered]"]


def named(views: Sequence[View], rows: Sequence[ToleranceRow], steps: Steps, besides: str) -> NamedFault | None:
    """The highest precision of :func:`casts` or :func:`inside` that explains every view, and decides most of them.

    `besides` is what the statement says of evaluations that are not among `views`.
    """
    row = _declared(rows)
    wrong = [view for view in views if not (view.output_right and view.gradient_right)]
    if not wrong or views[0].inputs.reading != "logits":
        return None
    for lowered in steps(views[0], rows):
        if _explains(lowered, [*wrong, *(view for view in views if view not in wrong)], row):
            shown = next((view for view in wrong if view.inputs.probe is None), wrong[0])
            return NamedFault(
                FAULT,
                key_of(shown),
                lowered.statement + besides,
                ADVICE,
                (("precision", lowered.precision), ("evaluations", len(wrong))),
            )
    return None


def cast_overflows(found: NamedFault, view: View) -> bool:
    """Whether logits of an evaluation are beyond the format that a fault of :func:`named` casts them to."""
    precision = str(dict(found.evidence).get("precision", "")).removesuffix(f" {INSIDE}")
    if precision not in formats.FORMATS:
        return False
    return float(np.abs(view.x).max(initial=0.0)) > formats.get(precision).largest


def widespread(wrong: Sequence[View], rows: Sequence[ToleranceRow]) -> bool:
    """Whether most of what the precision that a measurement needs may move has moved: rounding spares nothing."""
    by_name = {(row.formulation, row.precision): row for row in rows}
    asked = moved = 0
    for view in wrong:
        measurement = None if view.audited is None else view.audited.measurement
        needed = None if measurement is None else measurement.explanation
        row = None if needed is None else by_name.get((needed.formulation, needed.precision))
        if row is None or view.gradient_right or not view.finite or row.flushed:
            continue
        off, room = _moved(view, due(view, row).gradient, due(view, _declared(rows)).gradient)
        asked, moved = asked + off, moved + room
    return 2 * asked >= moved


def _moved(view: View, lowered: Bounded, exact: Bounded) -> tuple[int, int]:
    """Elements that are beyond the declared tolerance, and those that the lower precision may move so far."""
    off = np.abs(view.gradient - exact.mid) > exact.rad
    room = lowered.rad + np.abs(lowered.mid - exact.mid) > 2.0 * exact.rad
    return int(np.count_nonzero(off)), int(np.count_nonzero(room & (view.gradient != 0.0)))


def _declared(rows: Sequence[ToleranceRow]) -> ToleranceRow:
    return next((each for each in reversed(rows) if not each.weaker and not each.looser), rows[-1])


def _narrower(view: View) -> list[Format]:
    own = formats.get(view.inputs.dtype)
    known = (formats.get(name) for name in ("float32", "float16", "bfloat16"))
    return [form for form in known if form.unit_roundoff > own.unit_roundoff]


def casts(view: View, rows: Sequence[ToleranceRow]) -> Iterator[Lowered]:  # noqa: ARG001 - as inside
    """Logits that are rounded on the way in, from wide to narrow formats; all that follows is of the declared one."""
    for form in _narrower(view):
        yield Lowered(
            form.name,
            f"the logits are rounded to {form.name} before anything else is done: loss and gradient are those of the "
            "rounded logits",
            lambda v, form=form: _of_cast(v, form),  # type: ignore[misc]
        )


def inside(view: View, rows: Sequence[ToleranceRow]) -> Iterator[Lowered]:
    """Every operation in a lower precision, and the logits rounded to it where they are wider."""
    narrow = _narrower(view)
    profiles = {row.precision: row.profile for row in rows if row.weaker and row.precision != FLUSHED}
    for precision, profile in profiles.items():
        cast = next((form for form in narrow if precision == f"{form.name} {INSIDE}"), None)
        yield Lowered(
            precision,
            f"every error is within what {precision} costs, the logits cast to it at the earliest, and beyond the "
            "declared precision",
            lambda v, each=(precision, profile, cast): _with_errors(v, *each),  # type: ignore[misc]
        )


def _of_cast(view: View, form: Format) -> Prediction | None:
    """Loss and gradient at the rounded logits; a cast back rounds the gradient too."""
    values = rounded(view.x, form.name).astype(np.float64)
    if not np.isfinite(values).all():
        return None
    return _predicted(view, values - view.x, np.zeros(view.x.shape), form)


def _with_errors(view: View, precision: str, profile: Profile, cast: Format | None) -> Prediction | None:
    lowered = view.remembered(("view", precision), lambda: view.with_profile(profile))
    assert isinstance(lowered, View)
    view = lowered
    if cast is None:
        return _predicted(view, np.zeros(view.x.shape), np.zeros(view.x.shape), None)
    error = cast.unit_roundoff * np.abs(view.x) + cast.smallest_subnormal
    return _predicted(view, np.zeros(view.x.shape), error, cast)


def _predicted(view: View, moved: np.ndarray, error: np.ndarray, form: Format | None) -> Prediction | None:
    def back(g: Ball) -> Ball:
        if form is None:
            return g
        size = np.abs(g.mid) + g.rad
        return view.m.ball(g.mid, g.rad + form.unit_roundoff * size + form.smallest_subnormal)

    def make(m: M, x: V, view: View) -> V:
        columns = slice(None) if view.active is None or m.shape(x)[-1] == view.classes else view.active
        value = view.m.ball(x.value.mid + moved[:, columns], np.asarray(error[:, columns]))
        return reference_logits(m, m.node(value, (x, back)), view)

    try:
        return predict(view, (Variation("logits", "cast", FAULT, "", "", make),))
    except (NotApplicableError, ValueError, IndexError):
        return None


def _explains(lowered: Lowered, views: Sequence[View], row: ToleranceRow) -> bool:
    asked = decided = moved = 0
    for view in views:
        predicted = lowered.predicted(view)
        if predicted is None:
            return False
        relative, absolute = roundings(view), floor(view)
        gradient = predicted.gradient.charged(relative, absolute)
        if not gradient.explains(view.gradient, view.largest).all() or not _explains_loss(view, predicted.output):
            return False
        if not view.gradient_right:
            exact = due(view, row).gradient
            off, room = _moved(view, gradient, exact)
            asked, moved = asked + off, moved + room
            beyond = np.abs(view.gradient - exact.mid) > exact.rad
            decided += int(np.count_nonzero(beyond & (np.abs(gradient.mid) > gradient.rad)))
    # What lies within a bound as large as itself tells of no precision; and who rounds, rounds more than a few.
    return 2 * decided >= asked and 2 * asked >= moved


def _explains_loss(view: View, output: Bounded) -> bool:
    if view.loss is None:
        return True
    if view.elementwise:
        rows = view.loss.shape[0]
        part = Bounded(output.mid[:rows], output.rad[:rows])
        low, high = row_scales(part, view.loss, roundings(view), floor(view)).shared()
    else:
        low, high = loss_interval(view, output)
    return low <= 1.0 <= high
