"""The report: all that renderers know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gradaudit.records.baseline import AgainstBaseline
from gradaudit.records.case import Case, Expectation
from gradaudit.records.evaluation import BackendState, EvaluationFailure
from gradaudit.records.finding import Finding, RuleSummary
from gradaudit.records.location import Location
from gradaudit.records.measurement import (
    Breach,
    Exposure,
    InputFacts,
    Measurement,
    NamedFault,
    SecondOrder,
    SelfConsistency,
)

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Environment:
    """Where and how the audit ran."""

    python: str
    platform: str
    versions: tuple[tuple[str, str], ...]
    backends: tuple[BackendState, ...]
    seed: int
    threads: int


@dataclass(frozen=True, slots=True, eq=False)
class CaseReport:
    """A case with its measurements, failures and findings, worst first. `missing` expectations were not met."""

    case: Case
    facts: tuple[InputFacts, ...]
    measurements: tuple[Measurement, ...]
    failures: tuple[EvaluationFailure, ...]
    findings: tuple[Finding, ...]
    missing: tuple[Expectation, ...]
    faults: tuple[NamedFault, ...] = ()
    breaches: tuple[Breach, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    self_consistency: tuple[SelfConsistency, ...] = ()
    second_order: tuple[SecondOrder, ...] = ()


FAIL_FAST, INTERRUPTION = "fail-fast", "interrupted"
ENDINGS = (FAIL_FAST, INTERRUPTION)
"""Why an audit may end before its last case."""


@dataclass(frozen=True, slots=True)
class NotRun:
    """A case that was asked for and about which nothing is known: the audit ended before it, for one of ENDINGS."""

    name: str
    source: Location
    reason: str


@dataclass(frozen=True, slots=True)
class Shard:
    """Part `index`, from 1, of the `of` into which an audit of `cases` cases was split.

    `positions` are those of the report's cases in the whole, from 0. `plan` is a digest of the names and places of
    all cases of the whole, and `names` are the names.
    """

    index: int
    of: int
    positions: tuple[int, ...]
    cases: int
    plan: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What an audit has to say. Findings from the severity `fail_on` on, which no spec expects, make it exit 1.

    `not_run` are the cases that it ended before, and `shard` says which part of a whole it is, if it is one.
    `baseline` tells how it stands against one, to which the exit status then belongs. `files` maps the paths of
    locations to where the files stand in their repository, where that is known and another path.
    `max_findings` is a wish of the reader, and no part of the JSON report: lists for people end after so many.
    """

    version: str
    command: tuple[str, ...]
    environment: Environment
    cases: tuple[CaseReport, ...]
    rules: tuple[RuleSummary, ...]
    exit_status: int
    interrupted: bool = False
    fail_on: str = "error"
    max_findings: int | None = None
    not_run: tuple[NotRun, ...] = ()
    shard: Shard | None = None
    baseline: AgainstBaseline | None = None
    files: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
