"""What a soak draws: a case, and the stratum that it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.records.profile import Profile
from gradaudit.records.subject import Subject
from gradaudit.reference.ladder import ToleranceRow


@dataclass(frozen=True, eq=False)
class SoundCase:
    """One case: its inputs, what it is held to, and who computes it. `subject` is None for a backend's own."""

    name: str
    inputs: Inputs
    key: EvaluationKey
    subject: Subject | None
    profile: Profile
    rows: tuple[ToleranceRow, ...]
    evaluate: Callable[[], Evaluation | EvaluationFailure]


@dataclass(frozen=True)
class Stratum:
    """A name that stays the same from run to run, and how a case of it is drawn from a seed."""

    name: str
    draw: Callable[[int], SoundCase]
