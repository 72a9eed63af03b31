"""What one evaluation is fed: arrays, rounded once to the candidate's dtype and exact from there on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradaudit.records.function_call import FunctionCall

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The arrays of a case at one dtype and scale.

    `logits` has the candidate's dtype (bfloat16 as `ml_dtypes.bfloat16`) and at least two dimensions unless the
    case is a single row (then one). `targets` is int64 without the class axes, or has the logits' shape and the
    candidate's dtype, or is None. `upstream` has the shape of the function's output and the candidate's dtype,
    and is None where `per_output` is true. `weight` (one entry per class) has the candidate's dtype.
    `probe` names the probe that these inputs are, if any. `reading` says what `logits` holds: "logits", or
    "probabilities" or "log_probabilities" that a subject is fed and audited at. `layout` is how the logits lie in the
    subject's memory ("contiguous", "transposed" or "strided") and `upstream_layout` how the upstream gradient does
    ("contiguous", "expanded" or "strided"). `special` marks a probe of special values, where a difference is a
    matter of policy, and `expects_error` one that the subject should refuse. `unasked` marks a probe with ignored
    rows of a case that says nothing of any. A backend's own formulation computes on `device`; a subject says so
    itself.
    """

    function: FunctionCall
    dtype: str
    scale: float
    axis: tuple[int, ...]
    logits: np.ndarray
    targets: np.ndarray | None
    upstream: np.ndarray | None
    per_output: bool
    weight: np.ndarray | None
    probe: str | None = None
    reading: str = "logits"
    layout: str = "contiguous"
    upstream_layout: str = "contiguous"
    special: bool = False
    expects_error: bool = False
    unasked: bool = False
    device: str = "cpu"
