"""One row for each evaluation, in words: its errors in units of the tolerance, and what explains them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradaudit.records.evaluation import EvaluationFailure
from gradaudit.records.measurement import Measurement, Quantity
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import CUSTOM
from gradaudit.reports.evaluations import status
from gradaudit.reports.number_format import number, share
from gradaudit.reports.verdicts import name, named_faults

Item = Measurement | EvaluationFailure

NUMBERS = ("forward e/t", "forward ULP", "gradient e/t", "gradient ULP", "undecided", "sum (exact)")
"""What stands between the name of an evaluation and what explains it."""


@dataclass(frozen=True, slots=True)
class Told:
    """A text and how it is meant: "" as it is, "good", "doubtful", "wrong" or "absent"."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """The cells of one evaluation: `numbers` as in NUMBERS, then the fault or the tolerance row that explains it."""

    name: str
    numbers: tuple[Told, ...]
    explained: Told


def evaluation_rows(report: CaseReport, items: Sequence[Item]) -> tuple[EvaluationRow, ...]:
    """The rows of `items` in their order; formulations are named where there are several."""
    several = len({item.key.formulation for item in items} - {CUSTOM}) > 1
    return tuple(_row(item, report, several) for item in items)


def _row(item: Item, report: CaseReport, several: bool) -> EvaluationRow:
    probe = item.key.probe and f"probe {item.key.probe}"
    named = " ".join(part for part in (name(item.key, with_formulation=several), probe) if part)
    if isinstance(item, Measurement):
        return EvaluationRow(named, _measured(item), _explained(item, report))
    tone = "absent" if status(item) == "skipped" else "wrong"
    return EvaluationRow(named, _dashes(len(NUMBERS)), Told(item.kind.replace("_", " "), tone))


def _measured(measurement: Measurement) -> tuple[Told, ...]:
    gradient = measurement.gradient or measurement.jacobian
    cells = (_ratio(measurement.output), _ulp(measurement.output))
    if gradient is None:
        return (*cells, *_dashes(len(NUMBERS) - len(cells)))
    undecided = measurement.output.undecided + gradient.undecided
    elements = measurement.output.elements + gradient.elements
    left_open = Told(share(undecided, elements), "doubtful" if undecided else "")
    return (*cells, _ratio(gradient), _ulp(gradient), left_open, _sum(gradient))


def _dashes(amount: int) -> tuple[Told, ...]:
    return (Told("-", "absent"),) * amount


def _ratio(measured: Quantity) -> Told:
    special = _has_wrong_special(measured)
    ratio = math.inf if special else measured.max_error_over_tolerance
    return Told(_shown(ratio), "wrong" if special or measured.beyond else "")


def _ulp(measured: Quantity) -> Told:
    return Told(_shown(math.inf if _has_wrong_special(measured) else measured.max_ulp))


def _has_wrong_special(measured: Quantity) -> bool:
    """Whether some value is NaN or infinite and should not be, or the other way round: no error measures that."""
    return measured.non_finite > 0 or measured.special_mismatch > 0


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else number(value, 3)


def _sum(measured: Quantity) -> Told:
    sums = measured.sums
    if sums is None:
        return Told("-", "absent")
    # Beside an exact 0 stands what rounding left, of which the magnitude is all that counts.
    digits = 2 if sums.expected == 0 else 4
    within = sums.residual <= sums.tolerance
    return Told(f"{number(sums.got, digits)} ({number(sums.expected, digits)})", "" if within else "wrong")


def _explained(measurement: Measurement, report: CaseReport) -> Told:
    """The fault that was recognised, or the tolerance row that explains every element, or nothing."""
    explanation = measurement.explanation
    faults = [fault.fault for fault in named_faults(report, measurement.key)] if not explanation.explains else []
    faults = faults or [diagnosis.fault for diagnosis in measurement.likely]
    if faults:
        # In words, which fold between them.
        return Told(", ".join(fault.replace("-", " ") for fault in faults), "wrong")
    if not explanation.explains:
        quantities = (measurement.output, measurement.gradient, measurement.jacobian)
        beyond = sum(measured.beyond for measured in quantities if measured is not None)
        return Told(f"nothing: {beyond} beyond", "wrong")
    parts = [explanation.formulation]
    if explanation.precision != "declared":
        parts.append(explanation.precision)
    return Told(", ".join(parts), "doubtful" if explanation.weaker or explanation.looser else "good")
