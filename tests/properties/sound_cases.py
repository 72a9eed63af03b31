"""Random cases on which a sound backend has nothing to be accused of, and what an audit says of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from types import MappingProxyType

import numpy as np
from hypothesis import strategies as st

from gradaudit.functions import registry as functions
from gradaudit.measurement.evaluation import measure
from gradaudit.measurement.facts import facts
from gradaudit.numerics import formats
from gradaudit.records.case import Case, InlineArray
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.finding import Finding
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import MeasuredCase, Measurement
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth
from gradaudit.rules.judge import judge
from tests.reference.subjects import BACKENDS, declared_rows, keeps_its_word

DTYPES = ("float16", "bfloat16", "float32", "float64")
SMALL_SHAPES = ((5,), (1, 2), (7, 11), (4, 3, 2), (2, 3, 2, 2), (17, 6), (3, 64))
LARGE_SHAPES = ((300, 7), (64, 257), (2, 4096), (1000, 3), (6, 8, 5, 5))
PER_CLASS = ("softmax", "log_softmax")
IGNORE = -100

NATURAL = {"unfused": "BUG461", "unshifted": "BUG463"}
"""What a formulation may be found guilty of, because it is its nature."""


@dataclass(frozen=True)
class SoundCase:
    """Inputs, and the formulation that a backend is to evaluate them in."""

    inputs: Inputs
    formulation: str

    def __repr__(self) -> str:
        i = self.inputs
        kind = "none" if i.targets is None else i.targets.dtype
        return (
            f"{self.formulation} {i.function.name} {dict(i.function.parameters)} of {i.dtype} {i.logits.shape} over "
            f"{i.axis}, targets {kind}, per_output {i.per_output}:\n{i.logits!r}\n{i.targets!r}\n{i.upstream!r}"
        )


@st.composite
def sound_cases(draw: st.DrawFn, *, large: bool = False) -> SoundCase:
    """Any function, dtype, parameters, layout and magnitude that no formulation overflows on the way with."""
    dtype = draw(st.sampled_from(DTYPES))
    built_in = [name for name in functions.names() if functions.get(name).formulations]
    name = draw(st.sampled_from(("cross_entropy", *built_in)))
    function = functions.get(name)
    shape = draw(st.sampled_from(LARGE_SHAPES if large else SMALL_SHAPES))
    axis = draw(st.sampled_from(_class_axes(shape)))
    classes = prod(shape[a] for a in axis)
    outer = tuple(size for i, size in enumerate(shape) if i not in axis)
    numbers = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    parameters: dict[str, object] = {
        "temperature": draw(st.sampled_from((1.0, 1.0, 0.7, 2.0, 3.0, 0.07))),
        "logit_scale": draw(st.sampled_from((1.0, 1.0, 0.5, 2.5, 1.3))),
        "masked_classes": (),
    }
    if classes > 3 and draw(st.integers(0, 3)) == 0:
        parameters["masked_classes"] = tuple(sorted(map(int, numbers.choice(classes, size=2, replace=False))))
    active = np.setdiff1d(np.arange(classes), parameters["masked_classes"])
    logits = _logits(draw, numbers, dtype, shape, parameters)
    targets = weight = None
    if function.takes_targets:
        parameters |= {
            "reduction": draw(st.sampled_from(("none", "mean", "sum"))),
            "label_smoothing": draw(st.sampled_from((0.0, 0.0, 0.1, 0.3, 1.0))),
            "ignore_index": IGNORE,
        }
        if draw(st.booleans()):
            weight = numbers.uniform(0.1, 3.0, size=classes).astype(formats.dtype(dtype))
        if draw(st.booleans()):
            targets = _labels(draw, numbers, outer, active)
        else:
            targets = _probabilities(numbers, shape, axis, active).astype(formats.dtype(dtype))
    per_output = classes <= 64 and draw(st.integers(0, 4)) == 0
    output = shape if name in PER_CLASS else outer
    if parameters.get("reduction", "none") != "none":
        output = ()
    upstream = None if per_output else np.asarray(numbers.standard_normal(output)).astype(formats.dtype(dtype))
    inputs = Inputs(
        FunctionCall(name, MappingProxyType(parameters)),
        dtype,
        1.0,
        axis,
        logits,
        targets,
        upstream,
        per_output,
        weight,
    )
    return SoundCase(inputs, draw(st.sampled_from(function.formulations)))


def _class_axes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    axes: list[tuple[int, ...]] = [(axis,) for axis in range(len(shape)) if shape[axis] > 1]
    if len(shape) > 2:
        axes += [(1, 2), (0, len(shape) - 1)]
    return axes


def _logits(
    draw: st.DrawFn,
    numbers: np.random.Generator,
    dtype: str,
    shape: tuple[int, ...],
    parameters: dict[str, object],
) -> np.ndarray:
    """Normal numbers of any magnitude, some about an offset, with room for what is done to them on the way."""
    size = 10.0 ** draw(st.integers(-3, 2))
    offset = draw(st.sampled_from((0.0, 0.0, 0.0, 10.0, 300.0, -1e4)))
    values = numbers.standard_normal(shape) * size + offset
    # Losses are added up over rows, smoothed ones over classes as well, and weighted by up to 3.
    factor = (
        12.0 * prod(shape) * max(1.0, float(parameters["logit_scale"])) / min(1.0, float(parameters["temperature"]))
    )
    limit = formats.get(dtype).largest / factor
    return np.clip(values, -limit, limit).astype(formats.dtype(dtype))


def _labels(draw: st.DrawFn, numbers: np.random.Generator, outer: tuple[int, ...], active: np.ndarray) -> np.ndarray:
    labels = numbers.choice(active, size=outer).astype(np.int64)
    if labels.size > 1 and draw(st.booleans()):
        labels.reshape(-1)[:: int(numbers.integers(2, 5))] = IGNORE
        labels.reshape(-1)[-1] = active[0]
    return labels


def _probabilities(
    numbers: np.random.Generator, shape: tuple[int, ...], axis: tuple[int, ...], active: np.ndarray
) -> np.ndarray:
    order = [i for i in range(len(shape)) if i not in axis] + list(axis)
    classes = prod(shape[a] for a in axis)
    rows = np.zeros((prod(shape) // classes, classes))
    rows[:, active] = numbers.dirichlet(np.ones(len(active)), size=len(rows))
    return np.ascontiguousarray(rows.reshape([shape[i] for i in order]).transpose(np.argsort(order)))


def measured(backend: str, case: SoundCase, arrays: dict[str, np.ndarray]) -> tuple[Truth, Measurement]:
    """What `backend` returned, measured; and the exact results."""
    inputs, truth = case.inputs, Truth(case.inputs)
    key = EvaluationKey(backend, backend, case.formulation, inputs.dtype, inputs.scale)
    evaluation = Evaluation(key, arrays["output"], arrays.get("gradient"), arrays.get("jacobian"), 0.0)
    profile = BACKENDS[backend].profile(
        inputs.function.name, case.formulation, inputs.dtype, classes_last=inputs.axis[-1] == inputs.logits.ndim - 1
    )
    return truth, measure(truth, evaluation, profile, "random")


def loosest_tolerance(backend: str, case: SoundCase) -> np.ndarray:
    """Of the gradient, in its shape: the largest of the rows that the backend's declared precision admits."""
    truth = Truth(case.inputs)
    found = np.zeros(truth.layout.shape)
    for row in declared_rows(backend, case.inputs, case.formulation):
        tolerance = Tolerance(truth, row)
        parts = [tolerance.gradient(tolerance.block(block), None).values for block in truth.blocks()]
        found = np.maximum(found, truth.layout.restored(np.concatenate(parts)))
    return found


def accusations(backend: str, case: SoundCase, arrays: dict[str, np.ndarray]) -> list[str]:
    """What an audit has to say against a sound backend: every error, and row sums beyond their tolerance."""
    inputs = case.inputs
    truth, measurement = measured(backend, case, arrays)
    entry = Case(
        name="sound",
        function=inputs.function,
        logits=InlineArray(inputs.logits),
        shape=inputs.logits.shape,
        axis=inputs.axis,
        dtypes=(inputs.dtype,),
        backends=(backend,),
        formulations=(case.formulation,),
    )
    findings, _ = judge(MeasuredCase(entry, (facts(truth),), (measurement,), ()))
    against = [f for f in findings if f.severity == "error" or f.code == "CAN102"]
    return [f"{f.code}: {f.message}" for f in against if not _is_known(backend, case, f)]


def _is_known(backend: str, case: SoundCase, finding: Finding) -> bool:
    """The nature of a formulation, and the one kernel that is known not to keep its word."""
    if finding.code == NATURAL.get(case.formulation):
        return True
    statistics = str(finding.evidence.get("precision_needed", "")).endswith("row statistics")
    return finding.code == "DIV304" and statistics and not keeps_its_word(backend, case.inputs, case.formulation)
