"""One rule's statement about one measurement or failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gradaudit.records.location import Location

SEVERITIES = ("info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule says. None in `backend`, `dtype`, ... means that the statement holds for all of them.

    `expected`: by the spec. `baseline` is what the baseline says of it, one of `records.baseline.FINDING_STATES`;
    None where there is none, and of what is expected or could not be audited. `replay` is the folder where an
    evaluation that shows it was saved; "" where none was.
    """

    code: str
    name: str
    severity: str
    message: str
    location: Location
    subject: str | None = None
    backend: str | None = None
    formulation: str | None = None
    dtype: str | None = None
    scale: float | None = None
    probe: str | None = None
    evidence: Mapping[str, float | int | str | bool | None] = field(default_factory=lambda: MappingProxyType({}))
    expected: bool = False
    baseline: str | None = None
    replay: str = ""


@dataclass(frozen=True, slots=True)
class RuleSummary:
    """The part of a rule's documentation that travels in reports."""

    code: str
    name: str
    severity: str
    summary: str
    advice: str
