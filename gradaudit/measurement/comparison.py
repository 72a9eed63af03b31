"""One returned array against the enclosure, block by block, under one tolerance row."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gradaudit.numerics import formats
from gradaudit.numerics.formats import Format
from gradaudit.records.measurement import HISTOGRAM_EDGES, Element, Quantity, Sums, Values
from gradaudit.reference.special_values import Enclosed

SMALL_SHARE = 2.0**-4
"""Share of the tolerance below which an enclosure's radius leaves an error of at most 1 - SMALL_SHARE decided."""

WORST = 20
VALUES = 4096
OPEN = 64

Escalation = Callable[[np.ndarray], Enclosed]
"""Rows of a block (by their positions in it) -> their exact values by `arb`."""

Dwarfed = Callable[[float], bool]
"""Whether every radius of the enclosure is known to be at most this share of its tolerance."""

Locate = Callable[[int | None, int, int], tuple[int, ...]]
"""Plane of a Jacobian (or None), row and column -> index in the returned array."""

Restore = Callable[[list[np.ndarray]], np.ndarray]
"""Parts in the order they were added -> the array's elements in C order, flat."""


@dataclass(slots=True, eq=False)
class _Part:
    """A block of the array on its way through the comparison; `error` and `size` = |exact| are 0 where either
    side is no finite number, that is, not `ordinary` (None: all are)."""

    start: int
    unit: int | None
    got: np.ndarray
    exact: Enclosed
    tolerance: np.ndarray
    error: np.ndarray
    size: np.ndarray
    ordinary: np.ndarray | None = None


@dataclass(slots=True, eq=False)
class Comparison:
    """Accumulates a :class:`Quantity`; `wrong_rows` and `non_finite_rows` serve the diagnosis."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    form: Format
    locate: Locate
    restore: Restore
    elements: int = 0
    beyond: int = 0
    undecided: int = 0
    vacuous: int = 0
    non_finite: int = 0
    special_mismatch: int = 0
    cancelled: int = 0
    regained: int = 0
    escalated: int = 0
    max_ratio: float = 0.0
    max_ulp: float = 0.0
    max_abs: float = 0.0
    max_rel: float = 0.0
    counts: np.ndarray = field(default_factory=lambda: np.zeros(len(HISTOGRAM_EDGES) - 1, dtype=np.int64))
    worst: list[tuple[float, int, Element]] = field(default_factory=list)
    worst_cancelled: Element | None = None
    wrong_rows: set[int] = field(default_factory=set)
    non_finite_rows: set[int] = field(default_factory=set)
    sums: Sums | None = None
    rows_beyond: int = 0
    total: float = 0.0
    magnitude: float = 0.0
    kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = field(default_factory=list)
    special_classes: list[tuple[tuple[int, ...], str]] = field(default_factory=list)
    _pushed: int = 0

    def add(
        self,
        start: int,
        got: np.ndarray,
        exact: Enclosed,
        tolerance: np.ndarray,
        *,
        unit: int | None = None,
        escalate: Escalation | None = None,
        dwarfed: Dwarfed | None = None,
        strict: np.ndarray | None = None,
        flushed: bool = False,
        special: np.ndarray | None = None,
    ) -> None:
        """Rows `start`.. of the array (of its plane `unit`, in a Jacobian), all arrays [rows, columns].

        `dwarfed` spares the look at every enclosure's radius where it knows all of them to be small. Elements
        beyond `strict` whose tolerance is below their value count as `regained`; where small numbers are `flushed`,
        those that were returned as 0 do as well. `special` [rows] marks rows that
        hold special values: what differs there is a matter of policy.
        """
        self.elements += got.size
        if math.prod(self.shape) <= VALUES:
            self.kept.append((got, exact.mid, np.broadcast_to(tolerance, got.shape)))
        with np.errstate(invalid="ignore", over="ignore"):
            error = got - exact.mid
            if exact.low is not None:
                error -= exact.low
            np.abs(error, out=error)
            part = _Part(start, unit, got, exact, tolerance, error, np.abs(exact.mid))
        # NaN and infinities of either side show in the largest error.
        if not math.isfinite(float(error.max(initial=0.0))):
            part.ordinary = np.isfinite(got) & np.isfinite(exact.mid)
            self._special(part, special)
            part.error = np.where(part.ordinary, error, 0.0)
            part.size = np.where(part.ordinary, part.size, 0.0)
        ratio, top = _ratio(part)
        if escalate is not None and not (dwarfed is not None and top <= 1.0 - SMALL_SHARE and dwarfed(SMALL_SHARE)):
            ratio, top = self._escalated(part, ratio, top, escalate)
        if strict is not None:
            decided = part.size > tolerance
            if flushed:
                decided |= got == 0.0
            self.regained += int(np.count_nonzero((part.error > strict) & decided))
        self._decide(part, ratio, top)

    def _escalated(
        self, part: _Part, ratio: np.ndarray, top: float, escalate: Escalation
    ) -> tuple[np.ndarray, float]:
        """Near its tolerance an error is not known well enough: arb decides the row."""
        with np.errstate(invalid="ignore"):
            doubtful = np.abs(part.error - part.tolerance) <= part.exact.rad
        if not doubtful.any():
            return ratio, top
        doubtful &= (part.exact.rad > 0.0) & np.isfinite(part.tolerance) & (part.error > 0.0)
        rows = np.flatnonzero(doubtful.any(axis=-1))
        if len(rows) == 0:
            return ratio, top
        sharper = escalate(rows)
        low = 0.0 if sharper.low is None else sharper.low
        with np.errstate(invalid="ignore"):
            finer = np.abs((part.got[rows] - sharper.mid) - low)
        part.error[rows] = finer if part.ordinary is None else np.where(part.ordinary[rows], finer, 0.0)
        self.escalated += int(doubtful.sum())
        return _ratio(part)

    def _decide(self, part: _Part, ratio: np.ndarray, top: float) -> None:
        self.max_ratio = max(self.max_ratio, top)
        if top >= 1.0:
            inside = part.error <= part.tolerance
            self.beyond += int(inside.size - np.count_nonzero(inside))
            self.wrong_rows.update((part.start + np.flatnonzero(~inside.all(axis=-1))).tolist())
        self._histogram(ratio, top)
        self._remember(part, ratio, top)
        self._sizes(part, ratio)
        hidden = part.size <= part.tolerance
        if part.ordinary is not None:
            hidden &= part.ordinary
        count = int(np.count_nonzero(hidden))
        self.vacuous += count
        if count:
            self.undecided += int(np.count_nonzero(hidden & ((part.size > 0.0) | np.isinf(part.tolerance))))

    def _histogram(self, ratio: np.ndarray, top: float) -> None:
        below = 0
        for i, edge in enumerate(HISTOGRAM_EDGES[1:]):
            known = ratio.size if edge >= top else int(np.count_nonzero(ratio <= edge))
            self.counts[i] += known - below
            below = known
            if known == ratio.size:
                break

    def _sizes(self, part: _Part, ratio: np.ndarray) -> None:
        """Absolute, ULP and relative errors, and what has lost its value."""
        self.max_abs = max(self.max_abs, float(part.error.max(initial=0.0)))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            relative = part.error / part.size
        worst = float(relative.max(initial=0.0))
        if math.isnan(worst):
            # 0 / 0 where an exact 0 was returned as 0.
            relative = np.nan_to_num(relative, copy=False, nan=0.0, posinf=np.inf)
            worst = float(relative.max(initial=0.0))
        self.max_rel = max(self.max_rel, worst)
        self._ulps(part, relative, worst)
        if not worst > 0.5:
            return
        lost = (relative > 0.5) & (part.size >= self.form.smallest_normal)
        if not lost.any():
            return
        self.cancelled += int(np.count_nonzero(lost))
        element = self._element(part, int(np.argmax(np.where(lost, part.size, 0.0))), ratio)
        if self.worst_cancelled is None or abs(element.reference) > abs(self.worst_cancelled.reference):
            self.worst_cancelled = element

    def _ulps(self, part: _Part, relative: np.ndarray, worst: float) -> None:
        """A unit in the last place is at least 2^-p of its number: few elements can be more of them off than others
        were before."""
        least = self.max_ulp * 2.0**-self.form.precision * (1.0 - 2.0**-50)
        if not worst > least:
            return
        places = np.flatnonzero(relative > least)
        error, size = part.error.ravel()[places], part.size.ravel()[places]
        # 0 has no unit in the last place: an error there counts in absolute terms and against its tolerance.
        known = size > 0.0
        with np.errstate(over="ignore"):
            ulps = error[known] / formats.ulp(size[known], self.form)
        self.max_ulp = max(self.max_ulp, float(ulps.max(initial=0.0)))

    def _remember(self, part: _Part, ratio: np.ndarray, top: float) -> None:
        least = self.worst[0][0] if len(self.worst) == WORST else 0.0
        if ratio.size == 0 or top <= least:
            return
        flat = ratio.ravel()
        better = np.flatnonzero(flat > least)
        if better.size > WORST:
            better = better[np.argpartition(flat[better], -WORST)[-WORST:]]
        for position in better[np.argsort(-flat[better], kind="stable")]:
            self._push(self._element(part, int(position), ratio))

    def _push(self, element: Element) -> None:
        self._pushed += 1
        entry = (element.ratio, -self._pushed, element)
        if len(self.worst) < WORST:
            heapq.heappush(self.worst, entry)
        elif entry > self.worst[0]:
            heapq.heapreplace(self.worst, entry)

    def _element(self, part: _Part, position: int, ratio: np.ndarray | None) -> Element:
        row, column = divmod(position, part.got.shape[1])
        index = self.locate(part.unit, part.start + row, column)
        bound = np.broadcast_to(part.tolerance, part.got.shape)
        share = float("inf") if ratio is None else float(ratio[row, column])
        got, mid = float(part.got[row, column]), float(part.exact.mid[row, column])
        return Element(index, got, mid, float(bound[row, column]), share)

    def _special(self, part: _Part, special: np.ndarray | None) -> None:
        """Elements where what was returned or what is due is no finite number."""
        got, mid = part.got, part.exact.mid
        with np.errstate(invalid="ignore", over="ignore"):
            same = (got == mid) | (np.isnan(got) & np.isnan(mid))
            reach = np.abs(mid) + part.tolerance
            # An unbounded tolerance excuses no infinity, an exact value beyond the range does.
            beyond = (np.abs(mid) > self.form.largest) | (np.isfinite(reach) & (reach > self.form.largest))
            overflow = np.isinf(got) & (np.sign(got) == np.sign(mid)) & beyond
        wrong = ~(same | overflow) & ~(np.isfinite(got) & np.isfinite(mid))
        if part.exact.open is not None:
            wrong &= ~part.exact.open
            self._left_open(part, part.exact.open)
        if not wrong.any():
            return
        policy = ~np.isfinite(mid)
        if special is not None:
            policy = policy | special[:, None]
        self.special_mismatch += int(np.count_nonzero(wrong & policy))
        self.non_finite += int(np.count_nonzero(wrong & ~policy))
        self.non_finite_rows.update((part.start + np.flatnonzero(wrong.any(axis=-1))).tolist())
        for position in np.flatnonzero(wrong.ravel())[:WORST]:
            self._push(self._element(part, int(position), None))

    def _left_open(self, part: _Part, left_open: np.ndarray) -> None:
        """What was returned where the mathematics leaves the answer open."""
        for row, column in np.argwhere(left_open)[: OPEN - len(self.special_classes)]:
            index = self.locate(part.unit, part.start + int(row), int(column))
            self.special_classes.append((index, _class_of(float(part.got[row, column]))))

    def add_masked(self, got: np.ndarray, due: float, place: Callable[[int, int], tuple[int, ...]]) -> None:
        """Elements of masked classes, [rows, masked classes], which are due exactly; `place` tells their index."""
        wrong = ~(got == due)
        self.elements += got.size
        self.vacuous += got.size if due == 0.0 else 0
        self.special_mismatch += int(np.count_nonzero(wrong))
        for row, column in np.argwhere(wrong)[:WORST]:
            index = place(int(row), int(column))
            self._push(Element(index, float(got[row, column]), due, 0.0, float("inf")))

    def add_sums(self, start: int, got: np.ndarray, expected: np.ndarray, tolerance: np.ndarray) -> None:
        """Row sums of a gradient block [rows, n] against what they should be [rows]."""
        with np.errstate(invalid="ignore", over="ignore"):
            sums = got.sum(axis=-1)
            magnitude = np.abs(got).sum(axis=-1)
            residual = np.abs(sums - expected)
            bound = np.broadcast_to(tolerance, got.shape).sum(axis=-1)
            self.total += float(sums.sum())
            self.magnitude += float(magnitude.sum())
            # The auditor's own float64 sum rounds too, n - 1 times at most.
            bound = bound + got.shape[-1] * 2.0**-53 * magnitude
        finite = np.isfinite(residual)
        if not finite.any():
            return
        over = finite & ~(residual <= bound)
        self.rows_beyond += int(np.count_nonzero(over))
        with np.errstate(invalid="ignore", divide="ignore"):
            score = np.where(finite, np.where(residual > 0.0, residual / bound, 0.0), -1.0)
        r = int(np.argmax(np.nan_to_num(score, nan=0.0, posinf=np.finfo(float).max)))
        worst = Sums(start + r, float(sums[r]), float(expected[r]), float(residual[r]), float(bound[r]), 0, 0.0, 0.0)
        if self.sums is None or _share(worst) > _share(self.sums):
            self.sums = worst

    def finish(self, spot_checked: int) -> Quantity:
        """The quantity, complete."""
        sums = self.sums
        if sums is not None:
            sums = Sums(
                sums.row,
                sums.got,
                sums.expected,
                sums.residual,
                sums.tolerance,
                self.rows_beyond,
                self.total,
                self.magnitude,
            )
        ordered = sorted(self.worst, key=lambda entry: (-entry[0], -entry[1]))
        values = None
        if self.kept and self.elements <= VALUES:
            got, mid, tol = (self.restore([part[i] for part in self.kept]) for i in range(3))
            values = Values(self.shape, got, mid, tol)
        return Quantity(
            name=self.name,
            dtype=self.dtype,
            shape=self.shape,
            elements=self.elements,
            max_error_over_tolerance=float("inf") if self.non_finite else self.max_ratio,
            max_ulp=self.max_ulp,
            max_abs_error=self.max_abs,
            max_rel_error=self.max_rel,
            worst=tuple(entry[2] for entry in ordered),
            histogram=tuple(int(c) for c in self.counts),
            beyond=self.beyond,
            undecided=self.undecided,
            vacuous=self.vacuous,
            non_finite=self.non_finite,
            special_mismatch=self.special_mismatch,
            cancelled=self.cancelled,
            worst_cancelled=self.worst_cancelled,
            escalated=self.escalated,
            spot_checked=spot_checked,
            sums=sums,
            values=values,
            special_classes=tuple(self.special_classes),
        )


def _ratio(part: _Part) -> tuple[np.ndarray, float]:
    """Error over tolerance, and the largest; 0 / 0 and x / inf decide nothing, x / 0 is infinitely wrong."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratio: np.ndarray = part.error / part.tolerance
    top = float(ratio.max(initial=0.0))
    if math.isnan(top):
        ratio = np.where(np.isnan(ratio), np.where(part.error <= part.tolerance, 0.0, np.inf), ratio)
        top = float(ratio.max(initial=0.0))
    return ratio, top


def _class_of(value: float) -> str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0.0 else "-inf"
    return "zero" if value == 0.0 else "finite"


def _share(sums: Sums) -> float:
    return sums.residual / sums.tolerance if sums.tolerance > 0.0 else (float("inf") if sums.residual > 0.0 else 0.0)
