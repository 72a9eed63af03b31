"""Findings from evaluation failures."""

from __future__ import annotations

from collections.abc import Iterator

from gradaudit.records.finding import Finding
from gradaudit.records.measurement import MeasuredCase
from gradaudit.rules.interface import Rule
from gradaudit.rules.statement import about_evaluation
from gradaudit.rules.wording import label, one_line


def failed(rule: Rule, measured: MeasuredCase, kind: str, statement: str) -> Iterator[Finding]:
    """One finding for each evaluation that failed in this way, quoting what the failure says."""
    for failure in measured.failures:
        if failure.kind == kind:
            message = f"{label(failure.key)}: {statement}: {one_line(failure.message)}"
            yield about_evaluation(rule, measured, failure.key, message, {"reason": one_line(failure.message)})
