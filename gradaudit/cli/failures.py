"""`check --save-failures`: what fails is kept for `gradaudit replay`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradaudit.errors import AuditError
from gradaudit.records.case import FORMULA

if TYPE_CHECKING:
    from gradaudit.pipeline import Settings
    from gradaudit.records.case import Case
    from gradaudit.records.report import Report
    from gradaudit.replay.writing import Outcome
    from gradaudit.workers.pool import Pool

LIMIT = 10**9
MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Saving:
    """The folder, and how many bytes may be written into it."""

    folder: Path
    limit: int


def requested(chosen: Mapping[str, Any], origins: Mapping[str, str]) -> Saving | None:
    """What flags and project file ask for; None where nothing is to be saved. FlagError for what is no size."""
    from gradaudit.cli import amounts

    limit = LIMIT
    if "save-limit" in chosen:
        limit = amounts.byte_count(chosen["save-limit"], origins["save-limit"])
    return Saving(Path(chosen["save-failures"]), limit) if chosen.get("save-failures") else None


def save(
    report: Report, cases: Sequence[Case], settings: Settings, pool: Pool, saving: Saving
) -> tuple[Report, list[str], bool]:
    """Save what failed of these cases while the workers still live: the report with where what is saved, what to say
    of it, and whether that failed.

    Who interrupts an audit does not wait for more: then nothing is saved.
    """
    from gradaudit import pipeline
    from gradaudit.replay import writing
    from gradaudit.replay.saved import Run
    from gradaudit.specs.plan import materialised

    run = Run(settings.seed, settings.timeout, settings.max_memory, settings.threads)
    source = writing.Source(report.environment, run, lambda planned: materialised(planned, settings.seed, pool.draw))
    asked = []
    for reported in () if report.interrupted else report.cases:
        case = _asked_for(reported.case, cases)
        if case is not None:
            asked.append(writing.Asked(reported, pipeline.plan((case,), settings)))
    try:
        outcome = writing.save(asked, source, saving.folder, saving.limit)
    except AuditError as error:
        return report, [f"error: {error}"], True
    return _with_folders(report, outcome), _said(outcome, saving), False


def _with_folders(report: Report, outcome: Outcome) -> Report:
    """The report in which the findings of what was saved name its folder."""
    folders: dict[int, str] = {}
    for folder, findings in zip(outcome.written, outcome.findings, strict=True):
        for finding in findings:
            folders.setdefault(id(finding), str(folder))
    cases = []
    for case in report.cases:
        found = tuple(
            replace(finding, replay=folders[id(finding)]) if id(finding) in folders else finding
            for finding in case.findings
        )
        cases.append(replace(case, findings=found))
    return replace(report, cases=tuple(cases))


def _asked_for(reported: Case, cases: Sequence[Case]) -> Case | None:
    """The case as it was asked for: a report that was kept of an earlier run has no arrays."""
    if reported.function.name == FORMULA:
        expression = reported.function.expression
        return reported if expression is not None and expression.nodes else None
    return next((case for case in cases if (case.source, case.name) == (reported.source, reported.name)), None)


def _said(outcome: Outcome, saving: Saving) -> list[str]:
    from gradaudit.replay import writing
    from gradaudit.reports.number_format import count

    lines = []
    if outcome.written:
        lines.append(
            f"saved {count(len(outcome.written), 'failing evaluation')} in {saving.folder} ({outcome.bytes:,} bytes)"
        )
        lines += [f"  {command}" for command in writing.commands(outcome.written[:MOST_NAMED])]
        if len(outcome.written) > MOST_NAMED:
            lines.append(f"  ... and {len(outcome.written) - MOST_NAMED} more")
    if outcome.skipped:
        lines.append(
            f"not saved: {count(outcome.skipped, 'failing evaluation')} of {outcome.skipped + len(outcome.written)}; "
            f"{saving.folder} would get more than {saving.limit:,} bytes (--save-limit)"
        )
    return lines
