"""Which kinds of fault the inputs could expose, and, where they were tried, which the audit would name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.padding import Padding

from gradaudit.records.measurement import Exposure
from gradaudit.records.report import CaseReport
from gradaudit.reports.console.styled import add_name_column, indented, safe, table
from gradaudit.reports.power import power_sentences

HOW = ("own inputs", "probes", "hidden")
STYLES: Mapping[str, str] = {"own inputs": "", "probes": "cyan", "hidden": "yellow"}


def power_lines(case: CaseReport) -> Iterator[Padding]:
    """A line for each result that subjects and dtypes share; below it a table of the planted faults, if they were."""
    for exposure, sentence in power_sentences(case):
        yield indented(safe(sentence))
        if exposure.named is not None:
            yield _planted(exposure)


def _planted(exposure: Exposure) -> Padding:
    result = table()
    for header in ("kind of fault", "exposed by", "named"):
        add_name_column(result, header)
    for how, faults in zip(HOW, (exposure.own, exposure.probes, exposure.hidden), strict=True):
        for fault in faults:
            named = "-" if how == "hidden" else "yes" if fault in (exposure.named or ()) else "no"
            result.add_row(safe(fault), safe((how, STYLES[how])), safe((named, "yellow" if named == "no" else "")))
    return indented(result)
