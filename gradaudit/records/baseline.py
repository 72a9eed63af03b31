"""How a report stands against a baseline: what an earlier audit found, kept in a file."""

from __future__ import annotations

from dataclasses import dataclass

from gradaudit.records.location import Location

NEW, WORSE, MISSING, ADDED, UNAUDITED, BETTER, RESOLVED = (
    "new",
    "worse",
    "missing",
    "added",
    "unaudited",
    "better",
    "resolved",
)
KINDS = (UNAUDITED, NEW, WORSE, MISSING, ADDED, BETTER, RESOLVED)
"""What may have become of a finding or an evaluation, the gravest first."""

KNOWN = "known"
"""What a finding is that the baseline holds with the same severity."""

SAME = "same"
"""What an evaluation is that stands as the baseline has it."""

FINDING_STATES = (NEW, WORSE, KNOWN, BETTER)
"""What a baseline says of a finding that is there; the last two fail no audit."""

EVALUATION_STATES = (WORSE, MISSING, ADDED, SAME, BETTER)
"""What a baseline says of an evaluation that is there; MISSING: other arrays of it were measured."""

FINDING, EVALUATION = "finding", "evaluation"


@dataclass(frozen=True, slots=True)
class BaselineChange:
    """One thing that is not as the baseline has it.

    `kind` is one of KINDS; `what`, FINDING or EVALUATION, is what the fields from `case` on name ("" and None: all,
    or none); `case` is its label (`gradaudit.reports.case_labels`), `inputs` of an evaluation is "own" or "probes".
    `about` says the same in words, and `text` what changed, with the numbers. `location` is where it stands now, if
    it does; `fails` tells whether it has a part in an exit status other than 0.
    """

    kind: str
    what: str
    about: str
    text: str
    fails: bool
    location: Location | None
    case: str
    code: str = ""
    subject: str = ""
    backend: str = ""
    formulation: str = ""
    dtype: str = ""
    scale: float | None = None
    execution: str = ""
    inputs: str = ""


@dataclass(frozen=True, slots=True)
class AgainstBaseline:
    """What a report changes of the baseline in the file `path`, the gravest first.

    `same` counts the evaluations that stand as they did; `versions` are (name, former, present) of what computes in
    another version. `exit_status_alone` is the one that the audit has without the baseline. `elsewhere` is what a
    part of an audit cannot tell: changes that are some if no other part holds their case.
    """

    path: str
    changes: tuple[BaselineChange, ...]
    same: int
    versions: tuple[tuple[str, str, str], ...]
    exit_status_alone: int
    elsewhere: tuple[BaselineChange, ...] = ()

    def of_kind(self, kind: str) -> tuple[BaselineChange, ...]:
        """The changes of one kind."""
        return tuple(change for change in self.changes if change.kind == kind)
