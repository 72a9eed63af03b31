"""A case whose arrays are not to be made but were kept: one evaluation of an earlier audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradaudit.records.case import Case
from gradaudit.records.evaluation import EvaluationKey

if TYPE_CHECKING:
    from gradaudit.records.inputs import Inputs


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The evaluation, and the arrays that it was fed."""

    key: EvaluationKey
    inputs: Inputs


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCase(Case):
    """A case that asks for the evaluation `kept` and for nothing else."""

    kept: Kept
