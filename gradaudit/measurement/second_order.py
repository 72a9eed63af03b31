"""Second derivatives and derivatives by soft targets: paths that are cut off, and values that are wrong.

A gradient that was computed in the forward and saved is right, and a constant: differentiating it again gives 0. A
backward written by hand may be right, and its own derivative not. A subject that refuses (once_differentiable) is
honest. docs/numerics.md, "Second order".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.second_order_fit import Outcome, compared, factor, is_left_over
from gradaudit.records.measurement import NamedFault, SecondOrder
from gradaudit.reference import second_order
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.second_order import Enclosure, Way

FAULT = "detached-path"
WRONG = "undiagnosed"
CUT = ("no graph", "no path")
"""Notes of the adapter: autograd found no way from the derivative back to the inputs."""

SECOND, TARGETS = "second order", "gradient of the targets"


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """One derivative of one evaluation: what was returned (None: nothing), how to get at what is due."""

    entry: Audited
    derivative: str
    note: object
    got: np.ndarray | None
    exact: Callable[[], Enclosure]
    tolerance: Callable[[Way], np.ndarray]


def judged(
    entries: Sequence[Audited], rows: Sequence[ToleranceRow]
) -> tuple[tuple[NamedFault, ...], tuple[SecondOrder, ...]]:
    """The faults of one subject at one dtype, and what is said of every derivative that was asked for.

    A wrong one is a fault only where the first derivative is right: those of a wrong function are wrong anyway.
    """
    faults: dict[str, list[NamedFault]] = {}
    said: list[SecondOrder] = []
    told: set[tuple[str, str]] = set()
    for entry in entries:
        if entry.truth is None or entry.inputs.special or entry.inputs.per_output:
            continue
        for asked in _asked(entry):
            verdict, fault = _judged(asked, rows)
            said.append(verdict)
            if fault is not None and (fault.fault, asked.derivative) not in told:
                told.add((fault.fault, asked.derivative))
                faults.setdefault(fault.fault, []).append(fault)
    return tuple(_together(each) for each in faults.values()), tuple(said)


def _together(faults: Sequence[NamedFault]) -> NamedFault:
    """Faults of one name: they hold at once, and are no alternatives."""
    first = faults[0]
    statements = dict.fromkeys(fault.statement for fault in faults)
    advice = dict.fromkeys(fault.advice for fault in faults)
    return replace(first, statement="; ".join(statements), advice="; ".join(advice))


def _is_right(entry: Audited) -> bool:
    measured = entry.measurement
    if measured is None or not measured.explanation.explains or measured.explanation.weaker:
        return False
    quantities = [measured.output, *(each for each in (measured.gradient, measured.jacobian) if each is not None)]
    return not any(each.non_finite or each.special_mismatch for each in quantities)


def _asked(entry: Audited) -> Iterator[_Asked]:
    truth, kept, notes = entry.truth, entry.evaluation.experiments, entry.evaluation.notes
    assert truth is not None
    direction = kept.get("second_order.direction")
    if direction is not None and direction.shape == truth.layout.shape:
        yield _Asked(
            entry,
            SECOND,
            notes.get("second_order"),
            _fitting(kept.get("second_order.hessian"), truth.layout.shape),
            lambda: second_order.hessian_product(truth, direction),
            lambda way: second_order.hessian_tolerance(truth, direction, way),
        )
    if "of_targets" in notes:
        yield _Asked(
            entry,
            TARGETS,
            notes["of_targets"],
            _fitting(kept.get("of_targets.gradient"), truth.layout.shape),
            lambda: second_order.target_gradient(truth),
            lambda way: second_order.target_tolerance(truth, way),
        )


def _fitting(got: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray | None:
    return None if got is None or got.shape != shape else got.astype(np.float64)


def _judged(asked: _Asked, rows: Sequence[ToleranceRow]) -> tuple[SecondOrder, NamedFault | None]:
    exact = None
    if asked.got is not None or asked.note in CUT:
        exact = asked.exact()
        cut = _cut(asked, exact)
        if cut is not None:
            return cut
    if asked.got is None or exact is None:
        if asked.note in CUT:
            return _said(asked, "agrees", "0 is due, and no graph leads there"), None
        return _said(asked, "refused", "refused: the subject has no second derivative and says so"), None
    if not _is_right(asked.entry):
        return _said(asked, "not_judged", "not judged: the first order is not right"), None
    truth = asked.entry.truth
    assert truth is not None
    outcome = compared(asked.got, exact, second_order.ways(truth, rows), asked.tolerance)
    return _concluded(asked, asked.got, exact, outcome)


def _concluded(
    asked: _Asked, got: np.ndarray, exact: Enclosure, outcome: Outcome
) -> tuple[SecondOrder, NamedFault | None]:
    best, elements = outcome.best, got.size
    decided, beyond = int((best.decided | outcome.known & (exact.mid == 0.0)).sum()), int(best.beyond.sum())
    if outcome.undecided:
        statement = "undecided: the tolerance is as large as each of its elements"
        return _said(asked, "undecided", statement, outcome), None
    if best.explains:
        statement = f"agrees in all {elements:,} elements"
        if decided < elements:
            statement = f"agrees in all {decided:,} elements that their tolerance decides, of {elements:,}"
        return _said(asked, "agrees", statement, outcome), None
    truth = asked.entry.truth
    assert truth is not None
    fitted = factor(got, exact, outcome, truth)
    worst = _worst(got, exact, outcome)
    how = "" if fitted is None else f", {fitted[0]}"
    finite = np.isfinite(got[best.beyond]).any()
    what = "apart from the exact one" if finite else "not finite"
    wrong = f"{what} in {beyond:,} of {elements:,} elements{how}"
    noun = "the second derivative" if asked.derivative == SECOND else "the derivative by the soft targets"
    statement = (
        f"the first derivative is right, but {noun} is {wrong}: {got[worst]:.6g} at {list(worst)}, where "
        f"{exact.mid[worst]:.6g} is due (tolerance {best.tolerance[worst]:.2g})"
    )
    advice = (
        "differentiate the backward by hand once more, or leave it to autograd: every operation of it must be a "
        "differentiable one of the saved inputs"
    )
    evidence: list[tuple[str, float | int | str]] = [
        ("derivative", asked.derivative),
        ("elements", elements),
        ("beyond", beyond),
        ("got", float(got[worst])),
        ("exact", float(exact.mid[worst])),
        ("tolerance", float(best.tolerance[worst])),
    ]
    if fitted is not None:
        evidence.append(("factor", fitted[1]))
    fault = NamedFault(
        WRONG, asked.entry.evaluation.key, f"{statement}{_place(asked.entry)}", advice, tuple(evidence)
    )
    return _said(asked, "wrong", wrong, outcome, None if fitted is None else fitted[1]), fault


def _worst(got: np.ndarray, exact: Enclosure, outcome: Outcome) -> tuple[int, ...]:
    with np.errstate(all="ignore"):
        ratio = np.abs(got - exact.mid) / outcome.best.tolerance
    ratio = np.where(outcome.best.beyond, np.where(np.isnan(ratio), np.inf, ratio), -1.0)
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(ratio)), ratio.shape))


def _cut(asked: _Asked, exact: Enclosure) -> tuple[SecondOrder, NamedFault] | None:
    """How a path is cut, with the exact element that is furthest from 0; None where it is not, or 0 is right."""
    if asked.got is not None and not (asked.got == 0.0).all():
        return None
    how = "every derivative is 0" if asked.got is not None else "autograd finds no way back to the inputs"
    certain = np.nan_to_num(np.abs(exact.mid) - exact.rad, nan=0.0)
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(certain)), certain.shape))
    if is_left_over(float(certain[index]), asked.entry.inputs.dtype):
        return None
    value = float(exact.mid[index])
    if asked.derivative == SECOND:
        statement = (
            f"the second derivative is cut off: {how}, where the exact product of the Hessian with a random "
            f"direction is {value:.6g} at {list(index)}"
        )
        advice = (
            "compute the gradient in backward from saved inputs by differentiable operations, or mark backward "
            "@once_differentiable, so that a second derivative is refused and not 0"
        )
    else:
        statement = (
            f"the soft targets are cut off: {how} for them, where the exact derivative is {value:.6g} at "
            f"{list(index)}"
        )
        advice = "return the derivative by the targets as well (-log p times upstream), or take detach() away"
    key = asked.entry.evaluation.key
    evidence = (("derivative", asked.derivative), ("exact", value))
    fault = NamedFault(FAULT, key, f"{statement}{_place(asked.entry)}", advice, evidence)
    return _said(asked, "cut", f"cut off: {how}"), fault


def _said(
    asked: _Asked, verdict: str, statement: str, outcome: Outcome | None = None, scale: float | None = None
) -> SecondOrder:
    best = None if outcome is None else outcome.best
    return SecondOrder(
        key=asked.entry.evaluation.key,
        derivative=asked.derivative,
        verdict=verdict,
        statement=f"{asked.derivative}: {statement}",
        elements=0 if asked.got is None else asked.got.size,
        decided=0 if best is None else int(best.decided.sum()),
        beyond=0 if best is None else int(best.beyond.sum()),
        max_error_over_tolerance=0.0 if best is None else best.ratio,
        formulation_needed=None if best is None else f"{best.way.row.formulation}, {best.way.row.precision}",
        factor=scale,
    )


def _place(entry: Audited) -> str:
    defined = entry.evaluation.notes.get("defined")
    return f" ({defined})" if defined else ""
