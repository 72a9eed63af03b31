"""Named faults as hypotheses: each is accepted only if it explains every wrong element of an evaluation."""

from __future__ import annotations

from gradaudit.measurement.diagnosis import missing_max_shift, unfused_logarithm
from gradaudit.measurement.diagnosis.out_of_range import WrongRows
from gradaudit.records.measurement import Diagnosis
from gradaudit.records.profile import Profile
from gradaudit.reference.truth import Truth

__all__ = ["FORMULATIONS", "WrongRows", "diagnose"]

HYPOTHESES = (unfused_logarithm.explain, missing_max_shift.explain)


FORMULATIONS = {"unfused-logarithm": "unfused", "missing-max-shift": "unshifted"}
"""The formulation that has a fault by its nature: declared, its own fault alone is suspected where it explains
everything; undeclared, its tolerance row has to explain what is finite."""


def diagnose(truth: Truth, profile: Profile, wrong: WrongRows, formulation: str) -> tuple[Diagnosis, ...]:
    """Every hypothesis that explains all wrong rows of an evaluation that declares `formulation`."""
    attempts = (explain(truth, profile, wrong) for explain in HYPOTHESES)
    found = tuple(diagnosis for diagnosis in attempts if diagnosis is not None)
    own = tuple(diagnosis for diagnosis in found if FORMULATIONS[diagnosis.fault] == formulation)
    return own or found
