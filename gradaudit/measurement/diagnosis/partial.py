"""What is known where no fault explains everything, and where not even the shape is right."""

from __future__ import annotations

from collections.abc import Sequence

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.diagnosis.naming import key_of
from gradaudit.measurement.diagnosis.readings import Evidence
from gradaudit.measurement.diagnosis.view import View
from gradaudit.records.measurement import NamedFault


def shapes(audited: Sequence[Audited]) -> tuple[NamedFault, ...]:
    """Outputs of another shape that are the sum or mean of what is due."""
    return ()


def undiagnosed(wrong: Sequence[View], evidence: Evidence) -> tuple[NamedFault, ...]:
    """What is right, what is not, and by how much the nearest models miss."""
    view = wrong[0]
    return (
        NamedFault(
            "undiagnosed",
            key_of(view),
            "nothing explains every element",
            "compare the loss with its formula step by step",
            (("evaluations", len(wrong)),),
        ),
    )
