"""Named faults as hypotheses: each is accepted only if it explains every wrong element of an evaluation."""

from __future__ import annotations

from gradaudit.measurement.faults import missing_max_shift, unfused_logarithm
from gradaudit.measurement.faults.hypothesis import WrongRows
from gradaudit.records.measurement import Diagnosis
from gradaudit.records.profile import Profile
from gradaudit.reference.truth import Truth

__all__ = ["WrongRows", "diagnose"]

HYPOTHESES = (unfused_logarithm.explain, missing_max_shift.explain)


def diagnose(truth: Truth, profile: Profile, wrong: WrongRows) -> tuple[Diagnosis, ...]:
    """Every hypothesis that explains all wrong rows of the evaluation."""
    found = (explain(truth, profile, wrong) for explain in HYPOTHESES)
    return tuple(diagnosis for diagnosis in found if diagnosis is not None)
