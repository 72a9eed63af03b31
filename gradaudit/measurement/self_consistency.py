"""`function: self`: a subject's gradient against the values of the same subject.

There is no truth at hand, so nothing is enclosed: differences come with an estimate of their error, and what lies
within it is said to agree. A difference that is too noisy to tell the gradient from 0 is called that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradaudit.measurement import differences
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.differences import Estimate, Walk
from gradaudit.numerics import formats
from gradaudit.records.measurement import Breach, SelfConsistency

FAULT = "forward-and-backward-disagree"


@dataclass(frozen=True, slots=True, eq=False)
class _Direction:
    walk: Walk
    slope: float
    mismatch: Estimate
    jump: Estimate
    rate: float
    forward_mode: float


def audit_self(entries: Sequence[Audited]) -> tuple[tuple[Breach, ...], tuple[SelfConsistency, ...]]:
    """Breaches of a subject whose gradient is not that of its values, and what is known where it is.

    `entries` are the evaluations of one subject at one dtype; those without experiments say nothing. There is one
    breach at most, that of the case's own inputs where those show it.
    """
    results = [result for entry in entries for result in _of_entry(entry)]
    wrong = [result for result in results if result.verdict == "wrong"]
    if not wrong:
        return (), tuple(results)
    first = next((result for result in wrong if result.key.probe is None), wrong[0])
    tried = sum(result.verdict != "not_tried" for result in results)
    counted = f"; {len(wrong)} of {tried} evaluations show it" if tried > 1 else ""
    evidence = (
        ("mismatch", first.mismatch),
        ("error", first.error),
        ("directions", first.directions),
        ("evaluations", tried),
        ("wrong", len(wrong)),
    )
    return (Breach(FAULT, first.key, first.statement + counted, evidence),), tuple(results)


def _of_entry(entry: Audited) -> Iterator[SelfConsistency]:
    note = entry.evaluation.notes.get("self")
    if not isinstance(note, Mapping):
        return
    arrays = entry.evaluation.experiments
    key = entry.evaluation.key
    if "self.h" not in arrays:
        refused = note.get("refused")
        reason = (
            "; ".join(f"in {dtype}: {said}" for dtype, said in refused.items()) if refused else "no reason is known"
        )
        statement = f"its gradient was not compared with its own values: {reason}"
        yield SelfConsistency(key, "not_tried", statement, 0, "", float("inf"), float("nan"))
        return
    dtype = str(note["dtype"])
    if not np.isfinite(arrays["self.center"]):
        statement = f"its gradient was not compared with its own values: the value is {float(arrays['self.center'])}"
        yield SelfConsistency(key, "not_tried", statement, 0, dtype, float("inf"), float("nan"))
        return
    with np.errstate(all="ignore"):
        yield _Comparison(entry, dtype, note).result()


class _Comparison:
    """The directions of one evaluation, estimated and read together."""

    def __init__(self, entry: Audited, dtype: str, note: Mapping[str, object]) -> None:
        self.entry = entry
        self.note = note
        self.dtype = dtype
        self.arrays = entry.evaluation.experiments
        u = formats.get(dtype).unit_roundoff
        walks = [self._walk(number) for number in range(len(self.arrays["self.plus"]))]
        self.epsilon = max(
            u * self._inside(),
            differences.noise(
                self.arrays["self.neighbours"],
                float(self.arrays["self.size"]),
                u,
                self.arrays.get("self.bends", 0.0),
            ),
            *(differences.resolution(walk) for walk in walks),
            0.0,
        )
        self.directions = [self._direction(walk, number) for number, walk in enumerate(walks)]
        slopes = [max(abs(each.slope), abs(each.slope + each.mismatch.value)) for each in self.directions]
        self.scale = max([slope for slope in slopes if np.isfinite(slope)], default=0.0)

    def result(self) -> SelfConsistency:
        """What all directions say."""
        wrong = [each for each in self.directions if each.mismatch.sure and not _may_be_a_kink(each)]
        kinks = [each for each in self.directions if each.jump.sure]
        doubtful = [each for each in self.directions if each.mismatch.sure and _may_be_a_kink(each)]
        doubtful += [each for each in self.directions if each.mismatch.doubtful]
        error = max((each.mismatch.error for each in self.directions), default=float("inf"))
        off = max((abs(each.mismatch.value) for each in self.directions), default=float("nan"))
        count = len(self.directions)
        if self.scale == 0.0 and count:
            return self._unmoved()
        relative = error / self.scale if self.scale else float("inf")
        outside = [each for each in kinks if self._is_outside(each)]
        if outside:
            return self._said("wrong", self._wrong_kink(outside[0]), relative, off / self.scale)
        if kinks:
            return self._said("kink", self._kink(kinks[0]), relative, off / self.scale)
        if wrong:
            return self._said("wrong", self._wrong(wrong), relative, off / self.scale)
        if doubtful or not relative < 1.0:
            statement = (
                "whether its gradient is that of its value cannot be told: the best difference in "
                f"{count} directions is uncertain by {max(error, off):.2g}, and the derivative is at most "
                f"{self.scale:.2g} (values in {self.dtype}, noise {self.epsilon:.2g})"
            )
            return self._said("too_noisy", statement, relative, off / self.scale if self.scale else float("nan"))
        statement = (
            f"its gradient agrees with its own differences to {relative:.2g} relative in {count} "
            f"directions (values in {self.dtype}{self._rate_text()}{self._forward_mode_text()}{self._narrow_text()})"
        )
        return self._said("agrees", statement, relative, off / self.scale)

    def _unmoved(self) -> SelfConsistency:
        """Neither value nor gradient has anything to say along any direction."""
        if self.arrays["self.gradient"].any():
            statement = (
                "whether its gradient is that of its value cannot be told: its value does not change along any step "
                f"that its {self.dtype} logits can take"
            )
            return self._said("too_noisy", statement, float("inf"), float("nan"))
        statement = "its value does not change along any direction, and its gradient is 0"
        return self._said("agrees", statement, 0.0, 0.0)

    # -- estimates -------------------------------------------------------------------------------------------------

    def _inside(self) -> float:
        """The size of numbers that are rounded on the way, whatever is left of them in the end: the logits, a 1."""
        logits = np.abs(self.entry.inputs.logits.astype(np.float64))
        largest = max(1.0, float(logits[np.isfinite(logits)].max(initial=0.0)))
        upstream = self.entry.inputs.upstream
        if upstream is None or self.note.get("upstream") != "given":
            return largest
        return largest * float(np.abs(upstream.astype(np.float64)).max(initial=0.0))

    def _walk(self, number: int) -> Walk:
        a = self.arrays
        names = ("plus", "minus", "linear_plus", "linear_minus")
        plus, minus, up, down = (a[f"self.{name}"][number] for name in names)
        exchanged = a["self.exchanged"][number] if "self.exchanged" in a else 0.0
        return Walk(a["self.h"], plus, minus, up, down, float(a["self.center"]), exchanged)

    def _direction(self, walk: Walk, number: int) -> _Direction:
        slopes = (walk.linear_plus + walk.linear_minus) / (2.0 * walk.h)
        return _Direction(
            walk,
            float(np.median(slopes)),
            differences.mismatch(walk, self.epsilon),
            differences.jump(walk, self.epsilon),
            differences.taylor_rate(walk, self.epsilon),
            float(self.arrays["self.jvp"][number]),
        )

    def _is_outside(self, direction: _Direction) -> bool:
        """Whether the gradient is none of the slopes between those from above and from below."""
        above, below = differences.one_sided(direction.walk, self.epsilon)
        if not (above.sure and below.sure):
            return False
        return (
            above.value * below.value > 0.0
            and min(abs(above.value) - above.error, abs(below.value) - below.error) > 0
        )

    # -- words -----------------------------------------------------------------------------------------------------

    def _said(self, verdict: str, statement: str, error: float, off: float) -> SelfConsistency:
        key = self.entry.evaluation.key
        elements = 0 if self.entry.evaluation.gradient is None else self.entry.evaluation.gradient.size
        return SelfConsistency(
            key, verdict, statement, len(self.directions), self.dtype, error, off, self._apart(), elements
        )

    def _wrong(self, wrong: Sequence[_Direction]) -> str:
        worst = max(wrong, key=lambda each: abs(each.mismatch.value) - each.mismatch.error)
        derivative = worst.slope + worst.mismatch.value
        statement = (
            f"its gradient is not that of its own value: along a direction it promises {worst.slope:.6g}, and the "
            f"value changes by {derivative:.6g} (within {worst.mismatch.error:.1g}), and so in {len(wrong)} of "
            f"{len(self.directions)} directions"
        )
        if np.isfinite(worst.rate):
            statement += (
                "; half the step makes what the gradient leaves unexplained of the change "
                f"{2.0**worst.rate:.2f} times smaller, where a right gradient makes it 4 times smaller"
            )
        statement += self._factor_text() + self._coordinate_text() + self._wrong_forward_mode(worst, derivative)
        notes = self.entry.evaluation.notes
        if "gradient_by" in notes and not notes.get("written_by_hand"):
            by = notes["gradient_by"]
            statement += f"; that is the gradient of the graph that {by} made of the file: the file is not at fault"
        return statement

    def _factor_text(self) -> str:
        """One factor between the gradient and the differences, where one explains all directions: more than one."""
        if len(self.directions) < 2:
            return ""
        promised = np.array([each.slope for each in self.directions])
        seen = promised + np.array([each.mismatch.value for each in self.directions])
        errors = np.array([each.mismatch.error for each in self.directions])
        total = float((seen * seen).sum())
        if not (total > 0.0 and np.isfinite(total)):
            return ""
        factor = float((promised * seen).sum()) / total
        loose = float((np.abs(seen) * errors).sum()) / total * max(1.0, abs(factor))
        allowed = abs(factor) * errors + loose * np.abs(seen)
        if not (np.abs(promised - factor * seen) <= allowed).all():
            return ""
        if abs(factor) <= loose:
            return "; it is 0 in all of them"
        named = self._named(factor, 2.0 * loose)
        return f"; in all of them it is {factor:.6g} x the right one{named}"

    def _named(self, factor: float, within: float) -> str:
        inputs = self.entry.inputs
        shape = inputs.logits.shape
        classes = int(np.prod([shape[axis] for axis in inputs.axis]))
        rows = int(np.prod(shape)) // classes
        numbers = {
            "the number of rows": rows,
            "the number of classes": classes,
            "the number of logits": rows * classes,
        }
        if inputs.targets is not None and inputs.targets.dtype.kind == "i":
            ignored = int(np.sum(inputs.targets == inputs.function.parameters.get("ignore_index", -100)))
            if 0 < ignored < rows:
                numbers["the number of rows that count"] = rows - ignored
                numbers["rows / rows that count"] = rows / (rows - ignored)  # type: ignore[assignment]
        if inputs.upstream is not None and inputs.upstream.ndim == 0:
            numbers["the upstream gradient"] = float(inputs.upstream)  # type: ignore[assignment]
        for what, number in numbers.items():
            if number and abs(factor - number) <= within and number != 1:
                return f" ({what})"
            if number and abs(factor - 1.0 / number) <= within and number != 1:
                return f" (1 / {what})"
        return " (the sign)" if abs(factor + 1.0) <= within else ""

    def _coordinate_text(self) -> str:
        a = self.arrays
        if "self.index" not in a or not len(a["self.index"]):
            return ""
        best, errors = differences.coordinate(a["self.pairs"], a["self.steps"], self.epsilon)
        excess = np.abs(best - a["self.slopes"]) - errors
        if not (np.nanmax(excess) > 0.0):
            return ""
        worst = int(np.nanargmax(excess))
        place = [int(i) for i in np.unravel_index(int(a["self.index"][worst]), self.entry.inputs.logits.shape)]
        return (
            f"; at {place} it is {float(a['self.slopes'][worst]):.6g} and the value changes by {best[worst]:.6g} "
            f"(within {errors[worst]:.1g})"
        )

    def _wrong_forward_mode(self, worst: _Direction, derivative: float) -> str:
        if abs(worst.forward_mode - derivative) <= worst.mismatch.error:
            return f"; {self._jvp_by()} sides with the value, so the fault is in the backward"
        return ""

    def _kink(self, direction: _Direction) -> str:
        above, below = differences.one_sided(direction.walk, self.epsilon)
        return (
            "these inputs are a point without a derivative: along a direction the slope is "
            f"{direction.slope + below.value:.6g} from below and {direction.slope + above.value:.6g} from above, and "
            f"the gradient says {direction.slope:.6g}, which lies between them"
        )

    def _wrong_kink(self, direction: _Direction) -> str:
        above, below = differences.one_sided(direction.walk, self.epsilon)
        return (
            "its gradient is none that its own value allows: along a direction the slope is "
            f"{direction.slope + below.value:.6g} from below and {direction.slope + above.value:.6g} from above (a "
            f"point without a derivative), and the gradient says {direction.slope:.6g}"
        )

    def _rate_text(self) -> str:
        rates = [each.rate for each in self.directions if np.isfinite(each.rate)]
        if not rates:
            return ""
        return f", half the step leaves a remainder {2.0 ** float(np.median(rates)):.2f} times smaller"

    def _forward_mode_text(self) -> str:
        """The dot-product identity <v, J d> = <J^T v, d>."""
        norms = self.arrays["self.norm"]
        off = [
            abs(each.forward_mode - each.slope) / norm
            for each, norm in zip(self.directions, norms, strict=True)
            if np.isfinite(each.forward_mode) and norm > 0.0
        ]
        return f", {self._jvp_by()} within {max(off):.1g}" if off else ""

    def _jvp_by(self) -> str:
        return str(self.note.get("jvp_by", "forward mode"))

    def _narrow_text(self) -> str:
        apart, own = self._apart(), self.entry.evaluation.gradient
        return "" if apart is None or own is None else f"; the {own.dtype.name} gradient is within {apart:.1g} of it"

    def _apart(self) -> float | None:
        """How far the gradient at the case's own dtype is from that in float64, relative to the largest of these."""
        own, wide = self.entry.evaluation.gradient, self.arrays["self.gradient"]
        if (
            own is None
            or self.note.get("upstream") != "given"
            or self.dtype == own.dtype.name
            or own.shape != wide.shape
        ):
            return None
        largest = float(np.abs(wide).max(initial=0.0))
        off = float(np.nanmax(np.abs(own.astype(np.float64) - wide), initial=0.0))
        return off / largest if largest else None


def _may_be_a_kink(direction: _Direction) -> bool:
    """Whether a jump of the slope explains the mismatch: a difference across it gives the middle of both slopes."""
    jump = abs(direction.jump.value) + direction.jump.error
    return not abs(direction.mismatch.value) - direction.mismatch.error > 0.5 * jump
