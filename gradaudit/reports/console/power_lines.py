"""Which kinds of fault the inputs could expose, and, where they were tried, which the audit would name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.padding import Padding

from gradaudit.records.measurement import Exposure
from gradaudit.records.report import CaseReport
from gradaudit.reports.console.styled import add_name_column, indented, safe, table
from gradaudit.reports.number_format import count

HOW = ("own inputs", "probes", "hidden")
STYLES: Mapping[str, str] = {"own inputs": "", "probes": "cyan", "hidden": "yellow"}


def power_lines(case: CaseReport) -> Iterator[Padding]:
    """A line for each result that subjects and dtypes share; below it a table of the planted faults, if they were."""
    results: dict[tuple[tuple[str, ...], ...], list[Exposure]] = {}
    for exposure in case.exposures:
        named = () if exposure.named is None else exposure.named
        results.setdefault((exposure.own, exposure.probes, exposure.hidden, named), []).append(exposure)
    for exposures in results.values():
        yield indented(safe(_sentence(exposures[0], _who(exposures) if len(results) > 1 else "")))
        if exposures[0].named is not None:
            yield _planted(exposures[0])


def _who(exposures: list[Exposure]) -> str:
    return f" of {', '.join(f'{each.subject} {each.dtype}' for each in exposures)}"


def _sentence(exposure: Exposure, who: str) -> str:
    kinds = len(exposure.own) + len(exposure.probes) + len(exposure.hidden)
    text = (
        f"power{who}: the own inputs expose {len(exposure.own):,} of {count(kinds, 'kind')} of fault, probes "
        f"{len(exposure.probes):,} more; hidden: {len(exposure.hidden):,}"
    )
    return text if exposure.named is None else f"{text}; named when planted: {len(exposure.named):,}"


def _planted(exposure: Exposure) -> Padding:
    result = table()
    for header in ("kind of fault", "exposed by", "named"):
        add_name_column(result, header)
    for how, faults in zip(HOW, (exposure.own, exposure.probes, exposure.hidden), strict=True):
        for fault in faults:
            named = "-" if how == "hidden" else "yes" if fault in (exposure.named or ()) else "no"
            result.add_row(safe(fault), safe((how, STYLES[how])), safe((named, "yellow" if named == "no" else "")))
    return indented(result)
