"""Slips of SoftmaxOutput: its gradient is none of its output, so every slip is another set of options.

A slip is what the operator would be with one option read otherwise, or with another head gradient; it is named if the
exact gradient of that explains every element of every evaluation, at the declared precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType

import numpy as np

from gradaudit.functions.mxnet.softmax_output import NAME, NORMALISER
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.evaluation import measure
from gradaudit.records.evaluation import Evaluation
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import NamedFault
from gradaudit.records.profile import Profile
from gradaudit.reference.truth import Truth

UPSTREAM, FACTOR, LEAK = "upstream-gradient", "reduction-factor", "ignored-rows-leak"
SMOOTHING, SIGN = "smoothing-convention", "sign-flipped"


@dataclass(frozen=True, slots=True, eq=False)
class Slip:
    """What the operator was asked for, as the slip has it, with the fault that this is."""

    fault: str
    statement: str
    advice: str
    inputs: Inputs


def named(entries: Sequence[Audited], profile: Profile) -> tuple[NamedFault, ...]:
    """The first slip that explains every evaluation; empty where none does."""
    first = entries[0]
    for slip in _slips(first.inputs, first.evaluation):
        others = ([each for each in _slips(e.inputs, e.evaluation) if _same(each, slip)] for e in entries[1:])
        own = [slip, *(found[0] for found in others if found)]
        if len(own) == len(entries) and all(
            _explains(each, entry, profile) for each, entry in zip(own, entries, strict=True)
        ):
            return (NamedFault(slip.fault, first.evaluation.key, slip.statement, slip.advice, ()),)
    return ()


def _same(one: Slip, other: Slip) -> bool:
    return (one.fault, one.advice) == (other.fault, other.advice)


def _explains(slip: Slip, entry: Audited, profile: Profile) -> bool:
    truth = Truth(slip.inputs)
    for plane in _planes(entry.evaluation):
        explanation = measure(truth, plane, profile, "values", formulation="fused").explanation
        if not explanation.explains or explanation.weaker:
            return False
    return True


def _planes(evaluation: Evaluation) -> list[Evaluation]:
    """A Jacobian as the gradients that it is made of: none of the slips here depends on the cotangent."""
    if evaluation.jacobian is None:
        return [evaluation]
    return [replace(evaluation, gradient=plane, jacobian=None) for plane in evaluation.jacobian]


def _slips(inputs: Inputs, evaluation: Evaluation) -> Iterator[Slip]:
    """Every slip that differs from what was asked for; each is fed one head gradient."""
    own = inputs.function.parameters
    given = np.ones_like(inputs.logits) if inputs.upstream is None else inputs.upstream
    plain = replace(inputs, upstream=given, per_output=False)

    def other(**changed: object) -> Inputs:
        kept = {name: value for name, value in own.items() if name not in changed}
        kept |= {name: value for name, value in changed.items() if value is not None}
        return replace(plain, function=FunctionCall(NAME, MappingProxyType(kept)))

    if own["out_grad"]:
        forward = np.asarray(evaluation.output).astype(inputs.logits.dtype)
        yield Slip(
            UPSTREAM,
            "out_grad multiplies the gradient by the output of the forward, not by the head gradient",
            "leave out_grad off, and multiply the loss's gradient by the head gradient yourself",
            replace(plain, upstream=forward),
        )
        yield Slip(
            UPSTREAM, "the head gradient is left out in spite of out_grad", "multiply by it", other(out_grad=False)
        )
    elif inputs.upstream is not None:
        yield Slip(
            UPSTREAM,
            "the gradient is multiplied by the head gradient, without out_grad",
            "SoftmaxOutput passes the head gradient over",
            other(out_grad=True),
        )
    scale = own["grad_scale"]
    assert isinstance(scale, float)
    yield Slip(SIGN, "the gradient has the opposite sign", "the gradient is p - t", other(grad_scale=-scale))
    if scale != 1.0:
        yield Slip(FACTOR, "grad_scale is left out", "multiply by grad_scale", other(grad_scale=1.0))
    for value, meaning in _normalisers(inputs):
        yield Slip(
            FACTOR,
            f"the gradient is divided by {value:g}, {meaning}, where normalization: {own['normalization']} divides "
            f"by {own[NORMALISER]:g}",
            "divide by what normalization says",
            other(**{NORMALISER: value}),
        )
    if own.get("ignore_index") is not None:
        yield Slip(LEAK, "rows of ignore_label have a gradient", "set it to 0 there", other(ignore_index=None))
    alpha, classes = own["smooth_alpha"], inputs.logits.shape[inputs.axis[0]]
    assert isinstance(alpha, float)
    if alpha:
        yield Slip(SMOOTHING, "smooth_alpha is left out", "take it from the label's mass", other(smooth_alpha=0.0))
        yield Slip(
            SMOOTHING,
            f"smooth_alpha is spread over all {classes} classes, as PyTorch spreads it",
            "spread it over the other classes, alpha / (K - 1) for each",
            other(smooth_alpha=alpha * (classes - 1) / classes),
        )


def _normalisers(inputs: Inputs) -> list[tuple[float, str]]:
    """Other numbers that a gradient is divided by, each with what it counts."""
    shape, labels, own = inputs.logits.shape, inputs.targets, inputs.function.parameters
    assert labels is not None
    rows = prod(shape) // shape[inputs.axis[0]]
    found = {float(rows): "the number of rows"}
    found.setdefault(float(shape[0]), "the extent of the batch axis")
    if labels.dtype.kind == "i":
        valid = float(np.count_nonzero(labels != own["ignore_label"]))
        found.setdefault(valid, "the number of rows that are not ignore_label")
    found.setdefault(float(prod(shape[2:])), "the extent of the axes behind the classes")
    found.setdefault(1.0, "nothing")
    found.pop(0.0, None)
    return [(value, meaning) for value, meaning in found.items() if value != own[NORMALISER]]
