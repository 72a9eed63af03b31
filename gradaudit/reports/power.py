"""Which kinds of fault the inputs could expose, in a sentence for all subjects and dtypes that share it."""

from __future__ import annotations

from gradaudit.records.measurement import Exposure
from gradaudit.records.report import CaseReport
from gradaudit.reports.number_format import count


def power_sentences(case: CaseReport) -> tuple[tuple[Exposure, str], ...]:
    """Each result once, with one of the exposures that it was taken from."""
    results: dict[tuple[tuple[str, ...], ...], list[Exposure]] = {}
    for exposure in case.exposures:
        named = () if exposure.named is None else exposure.named
        results.setdefault((exposure.own, exposure.probes, exposure.hidden, named), []).append(exposure)
    return tuple(
        (exposures[0], _sentence(exposures[0], _who(exposures) if len(results) > 1 else ""))
        for exposures in results.values()
    )


def _who(exposures: list[Exposure]) -> str:
    return f" of {', '.join(f'{each.subject} {each.dtype}' for each in exposures)}"


def _sentence(exposure: Exposure, who: str) -> str:
    kinds = len(exposure.own) + len(exposure.probes) + len(exposure.hidden)
    text = (
        f"power{who}: the case's inputs expose {len(exposure.own):,} of {count(kinds, 'kind')} of fault, probes "
        f"{len(exposure.probes):,} more; hidden: {len(exposure.hidden):,}"
    )
    return text if exposure.named is None else f"{text}; named when planted: {len(exposure.named):,}"
