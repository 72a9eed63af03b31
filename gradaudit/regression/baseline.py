"""The baseline: what is kept of an audit, for later ones to be held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gradaudit.records.report import Report
from gradaudit.regression import levels
from gradaudit.regression.standing import (
    OWN,
    EvaluationName,
    FindingName,
    Standing,
    evaluations,
    failed,
    findings,
    versions,
)


@dataclass(frozen=True, slots=True)
class Held:
    """How an evaluation stood: the level of each array, and the tolerance row that explained them ("": none did)."""

    levels: Mapping[str, float]
    row: str


@dataclass(frozen=True, slots=True)
class Baseline:
    """Findings with their severities, evaluations, and the versions of what computed, each by its name."""

    findings: Mapping[FindingName, str]
    evaluations: Mapping[EvaluationName, Held]
    versions: Mapping[str, str]


EMPTY = Baseline({}, {}, {})


def of_report(report: Report, former: Baseline = EMPTY) -> Baseline:
    """The baseline of a report.

    Levels of `former` stay as they are where the errors are neither worse nor better: noise changes no line. What
    could not be audited keeps its line too.
    """
    unknown = failed(report)
    kept = {name: held for name, held in former.evaluations.items() if replace(name, inputs=OWN) in unknown}
    found = {name: _held(now, former.evaluations.get(name)) for name, now in evaluations(report).items()}
    return Baseline(
        {name: finding.severity for name, finding in findings(report).items()},
        kept | found,
        versions(report),
    )


def _held(standing: Standing, former: Held | None) -> Held:
    # Errors under different rows are in different units.
    kept = former.levels if former is not None and former.row == standing.row else {}
    found = {}
    for name, error in standing.errors.items():
        level = kept.get(name)
        told_apart = level is None or levels.is_worse(error, level) or levels.is_better(error, level)
        found[name] = levels.level_of(error) if level is None or told_apart else level
    return Held(found, standing.row)
