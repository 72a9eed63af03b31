"""What is kept of a failing evaluation: all that asking for it again needs, and what it was found to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.records.case import Case
from gradaudit.records.evaluation import EvaluationFailure, EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Element, Measurement, Quantity
from gradaudit.records.report import Environment
from gradaudit.records.subject import Subject

if TYPE_CHECKING:
    from gradaudit.records.inputs import Inputs

SCHEMA_VERSION = 1
DOCUMENT = "evaluation.json"
"""The file of a saved evaluation that says what was asked for; the arrays lie beside it, each under its role."""

ROLES = ("logits", "targets", "upstream", "weight")
"""The arrays that there may be."""


@dataclass(frozen=True, slots=True)
class Run:
    """How the audit ran: seed, seconds for an evaluation, bytes for a worker (None: half of the machine), threads."""

    seed: int = 0
    timeout: float = 60.0
    max_memory: int | None = None
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Numbers:
    """One array that was returned: "loss", "gradient" or "jacobian", its dtype and shape, how many of its elements
    are beyond their tolerance, and the worst of them."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    elements: int
    beyond: int
    worst: tuple[Element, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """One failing evaluation. `case` asks for it alone, and its arrays are those of `inputs`.

    `findings` are the errors that were found in it, worst first; `failure` says why it returned nothing, if it did
    not. `versions` are those of gradaudit, Python, NumPy and the framework; `working_directory` is where the audit
    ran, from which relative paths count. `folder` holds the files. `source` is the SHA-256 of the file that a user's
    function is defined in ("" where none is named).
    """

    key: EvaluationKey
    case: Case
    inputs: Inputs
    findings: tuple[Finding, ...]
    failure: EvaluationFailure | None
    numbers: tuple[Numbers, ...]
    versions: tuple[tuple[str, str], ...]
    run: Run
    working_directory: str
    folder: Path
    source: str = ""

    @property
    def subject(self) -> Subject | None:
        """The user's function; None where a backend's own formulation was asked."""
        return self.case.subjects[0] if self.case.subjects else None


def numbers(measurement: Measurement) -> tuple[Numbers, ...]:
    """What was measured, without what no replay needs."""
    found = (("loss", measurement.output), ("gradient", measurement.gradient), ("jacobian", measurement.jacobian))
    return tuple(_numbers(name, quantity) for name, quantity in found if quantity is not None)


def _numbers(name: str, quantity: Quantity) -> Numbers:
    return Numbers(name, quantity.dtype, quantity.shape, quantity.elements, quantity.beyond, quantity.worst)


def versions_of(environment: Environment, backend: str) -> tuple[tuple[str, str], ...]:
    """The versions that one backend computed with, by name; `backend` may hold its interpreter."""
    found = {"python": environment.python, **dict(environment.versions)}
    for state in environment.backends:
        if state.name == backend.partition("@")[0] and state.available:
            found |= dict(state.versions)
            found |= {"python": state.python} if state.python else {}
    return tuple(sorted(found.items()))
