"""A worker of real MXNet, and what its answers measure."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gradaudit import workers
from gradaudit.backends import registry
from gradaudit.functions import registry as functions
from gradaudit.measurement.evaluation import measure
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Measurement
from gradaudit.reference.truth import Truth

NATIVE = {"MXNET_MKLDNN_ENABLED": "0", "MXNET_STORAGE_FALLBACK_LOG_VERBOSE": "0"}
"""The environment in which MXNet takes its own kernels, not oneDNN's."""


@contextlib.contextmanager
def started(variables: dict[str, str] | None = None) -> Iterator[workers.BackendProcess]:
    """A worker of MXNet in an environment with these variables beside ours."""
    given = {"MXNET_MKLDNN_ENABLED": "1", **(variables or {})}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        try:
            settings = workers.WorkerSettings(timeout=30.0, max_memory=1 << 30)
            process = stack.enter_context(workers.start(registry.get("mxnet"), settings, Path(folder)))
            state = process.state()
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
        assert state.available, f"{state.reason}; {state.remedy}"
        yield process


def asked(
    process: workers.BackendProcess, inputs: Inputs, formulation: str = "fused"
) -> Evaluation | EvaluationFailure:
    """What MXNet answers."""
    return process.evaluate(EvaluationKey("mxnet", "mxnet", formulation, inputs.dtype, 1.0), inputs)


def measured(inputs: Inputs, result: Evaluation) -> Measurement:
    """Its errors against the exact result, under what the backend declares."""
    backend, key = registry.get("mxnet"), result.key
    rank = inputs.logits.ndim
    last = inputs.axis == tuple(range(rank - len(inputs.axis), rank))
    profile = backend.profile(inputs.function.name, key.formulation, inputs.dtype, classes_last=last)
    held_to = backend.held_to(key.formulation)
    kind = "per_output" if inputs.per_output else "values"
    return measure(Truth(functions.translated(inputs)), result, profile, kind, formulation=held_to)
