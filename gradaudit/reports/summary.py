"""The closing line: how many of each, and what the exit status says."""

from __future__ import annotations

from gradaudit.records.finding import SEVERITIES
from gradaudit.records.report import FAIL_FAST, INTERRUPTION, Report
from gradaudit.reports.evaluations import Counts, counts
from gradaudit.reports.number_format import count

EXIT_MEANINGS = {
    0: "nothing at or above --fail-on beyond what is expected",
    1: "findings, or an expected finding that is absent",
    2: "the request is wrong",
    3: "something that was asked for could not be audited",
    130: "interrupted",
}

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
    total = sum(counted.findings.values()) + counted.missing_expectations
    if report.max_findings is not None and total > report.max_findings:
        parts.append(f"of which the worst {report.max_findings:,} are listed")
    interrupted = "interrupted; what was done until then: " if report.interrupted else ""
    meaning = EXIT_MEANINGS.get(report.exit_status, "unknown")
    text = f"{interrupted}{', '.join(parts)}; exit status {report.exit_status}: {meaning}"
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
        found, expected = counted.findings[severity], counted.expected[severity]
        if found:
            noun = count(found, severity, PLURALS.get(severity))
            parts.append(noun + (f" ({expected} expected)" if expected else ""))
    return ", ".join(parts)


def _highest(counted: Counts) -> str:
    """The highest severity that no spec expects."""
    for severity in reversed(SEVERITIES):
        if counted.findings[severity] > counted.expected[severity]:
            return severity
    return ""
