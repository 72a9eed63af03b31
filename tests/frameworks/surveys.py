"""A worker of a framework, what it answers, and what that measures under what its backend declares."""

from __future__ import annotations

import contextlib
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gradaudit import workers
from gradaudit.backends import registry
from gradaudit.measurement.evaluation import measure
from gradaudit.records.evaluation import EAGER, Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Measurement
from gradaudit.reference import ladder
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.truth import Truth
from tests.oracle import families
from tests.reference.cases import PLAIN, VARIED, Variant, inputs_of, too_large
from tests.soak.planting import planted

PLANT_EVERY = 3
"""Of so many inputs one is measured a second time, with a fault planted."""


@contextlib.contextmanager
def started(name: str, timeout: float = 60.0) -> Iterator[workers.BackendProcess]:
    """A worker of the backend `name`, which is there; `timeout` in seconds for one evaluation."""
    with tempfile.TemporaryDirectory() as folder:
        settings = workers.WorkerSettings(timeout=timeout)
        with workers.start(registry.get(name), settings, Path(folder)) as process:
            state = process.state()
            assert state.available, f"{state.reason}; {state.remedy}"
            yield process


def asked(
    process: workers.BackendProcess, inputs: Inputs, formulation: str = "fused", execution: str = EAGER
) -> Evaluation | EvaluationFailure:
    """What the framework answers."""
    name = process.backend.name
    key = EvaluationKey(name, name, formulation, inputs.dtype, 1.0, execution=execution)
    return process.evaluate(key, inputs)


def rows_of(result: Evaluation, inputs: Inputs) -> tuple[ToleranceRow, ...]:
    """What the result is held to."""
    backend, key, rank = registry.get(result.key.backend), result.key, inputs.logits.ndim
    last = inputs.axis == tuple(range(rank - len(inputs.axis), rank))
    profile = backend.declared(
        inputs.function.name, key.formulation, inputs.dtype, classes_last=last, execution=key.execution
    )
    return ladder.rows(inputs.function.name, backend.held_to(key.formulation), profile)


def measured(truth: Truth, result: Evaluation) -> Measurement:
    """Its errors against the exact result, under what the backend declares."""
    rows, inputs = rows_of(result, truth.inputs), truth.inputs
    kind = "per_output" if inputs.per_output else "values"
    held_to = registry.get(result.key.backend).held_to(result.key.formulation)
    return measure(truth, result, rows[0].profile, kind, rows, formulation=held_to)


def kept(measurement: Measurement) -> bool:
    """Whether a row of the declared precision explains every element."""
    return measurement.explanation.explains and not measurement.explanation.weaker


def problems(
    dtype: str, n: int = 10, rows: int = 4, varied: int = 3, every: int = 1
) -> Iterator[tuple[str, Variant, Inputs]]:
    """The plain functions on one family of `every` so many, and the varied ones on families in turn."""
    turn = 0
    for number, (family, logits) in enumerate(families.families(dtype, n, rows, 7)):
        if number % every:
            continue
        for variant in PLAIN:
            yield family, variant, inputs_of(variant, logits, dtype, 7)
        for _ in range(varied):
            variant = VARIED[turn % len(VARIED)]
            turn += 1
            if not too_large(variant, logits):
                yield family, variant, inputs_of(variant, logits, dtype, 7 + turn)


Chosen = Callable[[Variant, Inputs], tuple[str, ...]]


def survey(
    process: workers.BackendProcess,
    inputs_and_names: Iterator[tuple[str, Variant, Inputs]],
    formulations: Chosen,
    execution: str = EAGER,
) -> tuple[dict[str, float], list[str], list[str]]:
    """The worst error / tolerance by function and formulation, what is beyond, and the planted faults missed."""
    worst: dict[str, float] = defaultdict(float)
    beyond, missed = [], []
    for number, (family, variant, inputs) in enumerate(inputs_and_names):
        truth = Truth(inputs)
        for formulation in formulations(variant, inputs):
            place = f"{family}, {variant.name}, {formulation}, {inputs.dtype}, {execution}"
            result = asked(process, inputs, formulation, execution)
            if isinstance(result, EvaluationFailure):
                assert result.kind == "unsupported", f"{place}: {result}"
                continue
            measurement = measured(truth, result)
            if not kept(measurement):
                beyond.append(f"{place}: {measurement.explanation}")
            quantity = measurement.gradient or measurement.jacobian
            assert quantity is not None
            reached = max(measurement.output.max_error_over_tolerance, quantity.max_error_over_tolerance)
            if np.isfinite(reached):
                name = f"{variant.function}, {formulation}"
                worst[name] = max(worst[name], reached)
            if number % PLANT_EVERY or inputs.per_output or variant.masked or not np.isfinite(reached):
                continue
            fault = planted(truth, result, rows_of(result, inputs), np.random.default_rng([7, number]))
            if fault is not None and kept(measured(truth, replace(fault[1], key=result.key))):
                missed.append(f"{place}: {fault[0]}")
    return dict(worst), beyond, missed
