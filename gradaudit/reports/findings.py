"""What a finding or an expectation speaks of, in words that every text format shares."""

from __future__ import annotations

from gradaudit.records.case import Expectation
from gradaudit.records.evaluation import EvaluationKey, names_backend
from gradaudit.records.finding import Finding
from gradaudit.records.location import Location
from gradaudit.records.report import CaseReport
from gradaudit.records.subject import CUSTOM
from gradaudit.reports.number_format import number, quantity


def setting(dtype: str | None, scale: float | None) -> str:
    """`float32`, or `float32 at scale 10` where the logits were multiplied."""
    scaled = None if scale is None or scale == 1 else f"at scale {number(scale)}"
    return " ".join(part for part in (dtype, scaled) if part)


def about(named: Finding | Expectation | EvaluationKey) -> str:
    """The evaluations meant, as `torch fused float32 at scale 10`; "" where nothing is named."""
    return " ".join(_parts(named))


def unsaid(finding: Finding) -> str:
    """What of `about` the message of the finding leaves out; "" where it says it all."""
    return " ".join(part for part in _parts(finding) if part not in finding.message)


def shown_at_any_scale(case: CaseReport) -> set[tuple[str, str]]:
    """Name and subject of findings about a subject at all scales, of which they name the one that shows it best."""
    found = {(fault.fault, fault.key.subject) for fault in case.faults}
    return {*found, *((breach.fault, breach.key.subject) for breach in case.breaches)}


def evidence(finding: Finding) -> str:
    """The evidence that is not in the message to four digits already, as `name = value, ...`."""
    return ", ".join(
        f"{name} = {quantity(value, 4)}"
        for name, value in sorted(finding.evidence.items())
        if value is not None and not _said(value, finding.message)
    )


def expectation(missing: Expectation) -> str:
    """The code that was expected and what further had to match."""
    selected = about(missing)
    return f"{missing.code} ({selected})" if selected else missing.code


def place(location: Location) -> str:
    """`path:line`, or the path where there is no line."""
    return location.path if location.line is None else f"{location.path}:{location.line}"


def _said(value: object, message: str) -> bool:
    spellings = {quantity(value, 4), f"{value:.4g}" if isinstance(value, float) else str(value)}
    if isinstance(value, int):
        spellings.add(f"{value:,}")
    return any(spelling in message for spelling in spellings)


def _parts(named: Finding | Expectation | EvaluationKey) -> list[str]:
    """The names one by one; the backend is left out where it is the subject itself."""
    probe = None if isinstance(named, Expectation) or named.probe is None else f"probe {named.probe}"
    backend = None if names_backend(named.subject or "", named.backend or "") else named.backend
    formulation = None if named.formulation == CUSTOM else named.formulation
    parts = (named.subject, backend, formulation, setting(named.dtype, named.scale), probe)
    return [part for part in parts if part]
