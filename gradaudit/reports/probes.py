"""What the probes of each subject say together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.measurement import Measurement
from gradaudit.records.report import CaseReport
from gradaudit.reports.evaluations import ordered
from gradaudit.reports.number_format import count, number
from gradaudit.reports.verdicts import is_sound, name

LISTED = 5
"""So many probes are named; the JSON report holds all of them."""


@dataclass(frozen=True, slots=True)
class ProbeSummary:
    """The probes of one subject at one dtype.

    `wrong` and `sound` hold the ordinary ones with their largest errors in units of the tolerance, worst first;
    `differing` and `special` those of special values, `failed` those that gave no values.
    """

    key: EvaluationKey
    wrong: tuple[tuple[str, float], ...]
    sound: tuple[tuple[str, float], ...]
    differing: tuple[str, ...]
    special: tuple[str, ...]
    failed: tuple[EvaluationFailure, ...]

    @property
    def is_sound(self) -> bool:
        """Whether every ordinary probe agrees."""
        return not self.wrong


def probe_summaries(report: CaseReport) -> tuple[ProbeSummary, ...]:
    """One for each subject and dtype that has probes, in the order of the evaluations."""
    found: dict[tuple[str, str, str, str], list[Measurement | EvaluationFailure]] = {}
    for item in ordered(report):
        key = item.key
        if key.probe is not None:
            found.setdefault((key.subject, key.backend, key.formulation, key.dtype), []).append(item)
    return tuple(_summary(items) for items in found.values())


def sentence(summary: ProbeSummary) -> str:
    """`losses.py:f (torch) float32, 44 probes: all within tolerance, worst 0.61 on tiny; 3 special: as due`."""
    special = len(summary.special) + len(summary.differing)
    ordinary = len(summary.wrong) + len(summary.sound)
    clauses = []
    if summary.wrong:
        clauses.append(
            f"{len(summary.wrong):,} of {ordinary:,} beyond tolerance, worst first {_named(summary.wrong)}"
        )
    elif summary.sound:
        probe, ratio = summary.sound[0]
        clauses.append(f"all within tolerance, worst {number(ratio, 2)} on {probe}")
    if special:
        how = f"{_listed(summary.differing)} not as due" if summary.differing else "as due"
        clauses.append(f"{special:,} special: {how}")
    if summary.failed:
        clauses.append(f"{count(len(summary.failed), 'failure')}: {_listed(_probes(summary.failed))}")
    total = ordinary + special + len(summary.failed)
    return f"{name(summary.key)} {summary.key.dtype}, {count(total, 'probe')}: {'; '.join(clauses)}"


def largest_ratio(measurement: Measurement) -> float:
    """The largest error in units of the tolerance; infinite where a NaN, infinity or special value is not as due."""
    quantities = [
        each for each in (measurement.output, measurement.gradient, measurement.jacobian) if each is not None
    ]
    if any(each.non_finite or each.special_mismatch for each in quantities):
        return math.inf
    ratios = [each.max_error_over_tolerance for each in quantities if not math.isnan(each.max_error_over_tolerance)]
    return max(ratios, default=0.0)


def _summary(items: Sequence[Measurement | EvaluationFailure]) -> ProbeSummary:
    measured = [item for item in items if isinstance(item, Measurement)]
    ordinary = sorted(
        ((str(each.key.probe), largest_ratio(each), is_sound(each)) for each in measured if not each.special_probe),
        key=lambda entry: -entry[1],
    )
    special = [(str(each.key.probe), is_sound(each)) for each in measured if each.special_probe]
    return ProbeSummary(
        items[0].key,
        tuple((probe, ratio) for probe, ratio, sound in ordinary if not sound),
        tuple((probe, ratio) for probe, ratio, sound in ordinary if sound),
        tuple(probe for probe, sound in special if not sound),
        tuple(probe for probe, sound in special if sound),
        tuple(item for item in items if isinstance(item, EvaluationFailure)),
    )


def _probes(failures: Sequence[EvaluationFailure]) -> list[str]:
    return [str(failure.key.probe) for failure in failures]


def _named(probes: Sequence[tuple[str, float]]) -> str:
    return _listed([f"{probe} ({number(ratio, 2)})" for probe, ratio in probes])


def _listed(names: Sequence[str]) -> str:
    left = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {left:,} more" if left > 0 else "")
