"""Losses written in NumPy with their gradients, evaluated on a few inputs and measured, as a subject's would be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradaudit.backends import claimed
from gradaudit.functions import registry
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.diagnosis import diagnose
from gradaudit.measurement.evaluation import measure
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import NamedFault
from gradaudit.records.subject import Subject
from gradaudit.reference import admissible
from gradaudit.reference.truth import Truth

SUBJECT = Subject("loss", "numpy", "losses.py:loss")
UPSTREAM = 1.7
IGNORED = -100

Loss = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray | float, np.ndarray]]
"""Logits, labels (or None) and upstream gradient, float64 -> output and gradient."""


@dataclass(frozen=True)
class Shape:
    """One set of inputs: its probe's name, rows, classes, and which rows are ignored."""

    probe: str | None
    rows: int = 7
    classes: int = 11
    ignored: tuple[int, ...] = ()
    gap: float = 0.0


SHAPES = (
    Shape(None),
    Shape("ignored-rows", ignored=(1, 2)),
    Shape("micro-batches", rows=12, ignored=(0, 2, 7)),
    Shape("length-3", classes=3),
    Shape("two-rows", rows=2),
    Shape("gap", gap=25.0),
)


def inputs(function: FunctionCall, shape: Shape, weight: tuple[float, ...] | None, *, scalar: bool) -> Inputs:
    """Ordinary logits, labels that differ, in float64."""
    draws = np.random.default_rng([shape.rows, shape.classes, len(shape.ignored)])
    logits = draws.normal(size=(shape.rows, shape.classes)) * 2.0
    labels = draws.permutation(max(shape.rows, shape.classes))[: shape.rows] % shape.classes
    if shape.gap:
        logits[np.arange(shape.rows), (labels + 3) % shape.classes] += shape.gap
    labels[list(shape.ignored)] = IGNORED
    takes = registry.get(function.name).takes_targets
    elementwise = not registry.get(function.name).has_row_output
    given = np.array(UPSTREAM) if scalar else draws.uniform(0.5, 2.0, logits.shape if elementwise else shape.rows)
    return Inputs(
        function=function,
        dtype="float64",
        scale=1.0,
        axis=(1,),
        logits=logits,
        targets=labels.astype(np.int64) if takes else None,
        upstream=given,
        per_output=False,
        weight=None if weight is None else np.array(weight),
        probe=shape.probe,
    )


def audited(loss: Loss, made: Inputs) -> Audited:
    """What a loss returns for the inputs, measured under every admissible formulation."""
    assert made.upstream is not None
    targets = np.zeros(0) if made.targets is None else made.targets
    with np.errstate(all="ignore"):
        output, gradient = loss(made.logits.astype(np.float64), targets, made.upstream.astype(np.float64))
    key = EvaluationKey("loss", "numpy", "custom", made.dtype, 1.0, made.probe)
    result = Evaluation(key, np.asarray(output), gradient, None, 0.0)
    truth = Truth(made)
    profile = claimed.profile_of(SUBJECT, made.dtype)
    rows = admissible.rows(made.function, made.dtype, profile)
    return Audited(made, truth, result, measure(truth, result, profile, "values", rows))


def diagnosed(
    loss: Loss,
    name: str = "cross_entropy",
    *,
    shapes: Sequence[Shape] = SHAPES,
    **parameters: object,
) -> tuple[NamedFault, ...]:
    """The faults of a loss of the function that its parameters call."""
    function = registry.get(name)
    call = FunctionCall(name, {each.name: each.default for each in function.parameters} | parameters)
    scalar = function.takes_targets and call.parameters["reduction"] != "none"
    weight = parameters.get("weight")
    if isinstance(weight, tuple):
        shapes = [shape for shape in shapes if shape.classes == len(weight)]
    if not function.takes_targets:
        shapes = [replace(shape, ignored=()) for shape in shapes]
    entries = [
        audited(loss, inputs(call, shape, weight if isinstance(weight, tuple) else None, scalar=scalar))
        for shape in shapes
    ]
    rows = admissible.rows(call, "float64", claimed.profile_of(SUBJECT, "float64"))
    return diagnose("loss", "float64", entries, rows)


def softmax(z: np.ndarray) -> np.ndarray:
    """Rows of probabilities."""
    w = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(w / w.sum(axis=1, keepdims=True))


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """e_y of every row, zeros in ignored ones."""
    return np.asarray((labels[:, None] == np.arange(classes)).astype(np.float64))


def likelihoods(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """-log p of the label, 0 in ignored rows."""
    gap = z.max(axis=1, keepdims=True) - z
    logarithm = np.log(np.exp(-gap).sum(axis=1))
    own = np.take_along_axis(gap, np.maximum(labels, 0)[:, None], axis=1)[:, 0]
    return np.asarray(np.where(labels >= 0, own + logarithm, 0.0))
