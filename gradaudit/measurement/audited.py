"""What is known of one evaluation of a subject: what it was fed, what is due, what it returned, and how far off."""

from __future__ import annotations

from dataclasses import dataclass

from gradaudit.records.evaluation import Evaluation
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Measurement
from gradaudit.reference.truth import Truth


@dataclass(frozen=True, slots=True, eq=False)
class Audited:
    """One evaluation of a subject, of the case's own inputs or of a probe (`inputs.probe`).

    `truth` is None where there is none (the function is the subject itself, or the inputs are such as a subject
    should refuse); `measurement` is None there too, and where what was returned has not the shape that is due.
    """

    inputs: Inputs
    truth: Truth | None
    evaluation: Evaluation
    measurement: Measurement | None

    @property
    def has_due_shape(self) -> bool:
        """Whether output and gradient have the shapes that are due; true where no truth tells."""
        return self.truth is None or self.measurement is not None
