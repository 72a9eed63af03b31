"""What the audit says of every evaluation in plain words, and of the probes of every subject."""

from __future__ import annotations

from collections.abc import Iterator

from rich.padding import Padding

from gradaudit.records.report import CaseReport
from gradaudit.reports.console.styled import indented, safe
from gradaudit.reports.probes import probe_summaries, sentence
from gradaudit.reports.subject_verdicts import subject_verdicts
from gradaudit.reports.verdicts import verdicts

STYLES = {"good": "green", "doubtful": "yellow", "wrong": "bold red"}


def verdict_lines(case: CaseReport) -> Iterator[Padding]:
    """One line for each verdict on the case's own inputs."""
    for verdict in verdicts(case):
        yield indented(safe((verdict.text, "green" if verdict.sound else "bold red")))


def probe_lines(case: CaseReport) -> Iterator[Padding]:
    """One line for the probes of each subject at each dtype, however many there are."""
    for summary in probe_summaries(case):
        yield indented(safe((sentence(summary), "" if summary.is_sound else "bold red")))


def subject_lines(case: CaseReport) -> Iterator[Padding]:
    """One line for each subject over all of its evaluations: what to take away from the case."""
    for verdict in subject_verdicts(case):
        yield indented(safe((verdict.text, STYLES[verdict.tone])))
