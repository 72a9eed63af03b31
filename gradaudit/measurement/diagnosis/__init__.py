"""Diagnosis: the cause of a wrong loss or gradient, from all evaluations of a subject together.

A fault is a model: it predicts what a faulty function returns for any inputs, with the tolerance that a faithful
execution of it needs. It is named only if it explains every element of every evaluation (docs/numerics.md,
"Diagnosis").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradaudit.measurement.audited import Audited
    from gradaudit.records.measurement import NamedFault
    from gradaudit.records.profile import Profile
    from gradaudit.reference.ladder import ToleranceRow


def diagnose(
    subject_name: str,  # noqa: ARG001 - every evaluation is that subject's
    dtype: str,
    audited: Sequence[Audited],
    rows: Sequence[ToleranceRow],
) -> tuple[NamedFault, ...]:
    """The faults of a subject at one dtype; empty where nothing is wrong. `rows` are the admissible ones."""
    # Models are imported where something is wrong, and not by every audit.
    from gradaudit.measurement.diagnosis.conclusion import concluded

    return concluded([entry for entry in audited if entry.inputs.dtype == dtype], rows)


def slips_of_softmax_output(audited: Sequence[Audited], profile: Profile) -> tuple[NamedFault, ...]:
    """The same of MXNet's SoftmaxOutput, whose gradient is none of its output."""
    from gradaudit.measurement.diagnosis.softmax_output import named

    return named(audited, profile)
