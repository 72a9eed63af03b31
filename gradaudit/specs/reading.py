"""What a subject is fed that wants probabilities or log-probabilities instead of logits."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from types import MappingProxyType

import numpy as np

from gradaudit.numerics import formats
from gradaudit.records.inputs import Inputs
from gradaudit.specs.rounding import rounded


def as_read(inputs: Inputs, reading: str) -> Inputs:
    """`inputs` with its logits replaced by their softmax ("probabilities") or log-softmax ("log_probabilities").

    They are computed in float64 and rounded once to the dtype; the floats that result are what the subject is
    audited at, so that how well they stand for the logits' own probabilities is of no account. What scales or masks
    the logits is done here: the function that remains scales nothing, and masked classes have no probability (its
    logarithm is the lowest finite number of the dtype, as 0 times -inf would be NaN in sound code).
    """
    if reading == "logits":
        return inputs
    parameters = dict(inputs.function.parameters)
    scale = float(parameters.get("logit_scale", 1.0)) / float(parameters.get("temperature", 1.0))  # type: ignore[arg-type]
    masked = _masked(inputs)
    logits = np.where(masked, -np.inf, inputs.logits.astype(np.float64) * scale)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore", under="ignore"):
        shifted = logits - logits.max(axis=inputs.axis, keepdims=True)
        logarithms = shifted - np.log(np.exp(shifted).sum(axis=inputs.axis, keepdims=True))
    if reading == "probabilities":
        values = np.where(masked, 0.0, np.exp(logarithms))
    else:
        values = np.where(masked, -formats.get(inputs.dtype).largest, logarithms)
    parameters |= {name: 1.0 for name in ("logit_scale", "temperature") if name in parameters}
    function = replace(inputs.function, parameters=MappingProxyType(parameters))
    return replace(inputs, logits=rounded(values, inputs.dtype), function=function, reading=reading)


def _masked(inputs: Inputs) -> np.ndarray:
    """Where the logits belong to masked classes, counted over the class axes; it broadcasts to their shape."""
    sizes = [inputs.logits.shape[axis] for axis in inputs.axis]
    masked = np.zeros(prod(sizes), dtype=bool)
    masked[list(inputs.function.parameters.get("masked_classes") or ())] = True  # type: ignore[call-overload]
    outer = (1,) * (inputs.logits.ndim - len(sizes))
    return np.moveaxis(masked.reshape(*outer, *sizes), range(-len(sizes), 0), inputs.axis)
