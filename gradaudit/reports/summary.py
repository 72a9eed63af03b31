"""The closing line: how many of each, and what the exit status says."""

from __future__ import annotations

from gradaudit.records.finding import SEVERITIES
from gradaudit.records.report import FAIL_FAST, INTERRUPTION, Report
from gradaudit.reports import against
from gradaudit.reports.evaluations import Counts, counts
from gradaudit.reports.issues import issues
from gradaudit.reports.number_format import count

EXIT_MEANINGS = {
    0: "nothing at or above --fail-on beyond what is expected",
    1: "findings, or an expected finding that is absent",
    2: "the request is wrong",
    3: "something that was asked for could not be audited",
    130: "interrupted",
}


def exit_meaning(report: Report) -> str:
    """What the exit status of the report says."""
    meanings = EXIT_MEANINGS if report.baseline is None else against.MEANINGS
    return meanings.get(report.exit_status, "unknown")


ENDING_TEXTS = {FAIL_FAST: "--fail-fast", INTERRUPTION: "interrupted"}
NAMED = 5
"""So many of the cases that were not run are named in the line; the JSON report names all."""

PLURALS = {"info": "info"}
"""Severities whose plural has no s."""


def summary(report: Report) -> tuple[str, str]:
    """The severity that colours the line ("" where nothing is wrong), and the line."""
    counted = counts(report)
    parts = [count(counted.cases, "case"), _evaluations(counted), _findings(counted)]
    if counted.missing_expectations:
        parts.append(f"{count(counted.missing_expectations, 'expected finding')} not found")
    total = len(issues(report))
    if report.max_findings is not None and total > report.max_findings:
        parts.append(f"of which the worst {report.max_findings:,} are listed")
    interrupted = "interrupted; what was done until then: " if report.interrupted else ""
    held = report.baseline
    beside = "" if held is None else f"; against {held.path}: {against.counted(held)}"
    text = f"{interrupted}{', '.join(parts)}{beside}; exit status {report.exit_status}: {exit_meaning(report)}"
    text += _partial(report)
    return "error" if report.exit_status else _highest(counted), text


def _partial(report: Report) -> str:
    """What the report is not about, though it was asked for."""
    left = [case.name for case in report.not_run]
    text = "" if report.shard is None else f"; shard {report.shard.index}/{report.shard.of}"
    if left:
        named = ", ".join(left[:NAMED]) + (f" and {len(left) - NAMED} more" if len(left) > NAMED else "")
        stopped = [ENDING_TEXTS[reason] for reason in dict.fromkeys(case.reason for case in report.not_run)]
        text += f"; {count(len(left), 'case')} not run ({', '.join(stopped)}): {named}"
    return text


def _evaluations(counted: Counts) -> str:
    apart = [f"{counted.failures} failed"] if counted.failures else []
    unoffered = counted.skipped - counted.refused
    apart += [f"{unoffered} not offered by the backend"] if unoffered else []
    apart += [f"{counted.refused} refused by a subject"] if counted.refused else []
    return count(counted.evaluations, "evaluation") + (f" ({', '.join(apart)})" if apart else "")


def _findings(counted: Counts) -> str:
    if not any(counted.findings.values()):
        return "no findings"
    parts = []
    for severity in reversed(SEVERITIES):
        found = counted.findings[severity]
        if found:
            noun = count(found, severity, PLURALS.get(severity))
            apart = (("expected", counted.expected[severity]), ("known", counted.known[severity]))
            told = ", ".join(f"{amount} {mark}" for mark, amount in apart if amount)
            parts.append(f"{noun} ({told})" if told else noun)
    return ", ".join(parts)


def _highest(counted: Counts) -> str:
    """The highest severity that no spec expects and no baseline holds."""
    for severity in reversed(SEVERITIES):
        if counted.findings[severity] > counted.expected[severity] + counted.known[severity]:
            return severity
    return ""
