"""One worker of each backend for all tests of this folder: the adapters are tested through the door they come by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.backends import registry
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs

Evaluate = Callable[..., Evaluation]


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, workers.BackendProcess]]:
    folder: Path = tmp_path_factory.mktemp("run")
    started = {name: workers.start(registry.get(name), workers.WorkerSettings(), folder) for name in registry.names()}
    yield started
    for process in started.values():
        process.close()


@pytest.fixture
def evaluate(processes: dict[str, workers.BackendProcess]) -> Evaluate:
    """Evaluate float64 arrays, rounded to the dtype, on one backend; a failure fails the test."""

    def run(
        backend: str,
        function: str,
        formulation: str,
        dtype: str,
        axis: tuple[int, ...],
        arrays: dict[str, np.ndarray],
        **parameters: object,
    ) -> Evaluation:
        result = attempt(processes[backend], function, formulation, dtype, axis, arrays, **parameters)
        assert isinstance(result, Evaluation), f"{result.kind}: {result.message}\n{result.detail}"
        return result

    return run


def attempt(
    process: workers.BackendProcess,
    function: str,
    formulation: str,
    dtype: str,
    axis: tuple[int, ...],
    arrays: dict[str, np.ndarray],
    **parameters: object,
) -> Evaluation | EvaluationFailure:
    """The same, with failures as values; without "upstream" the Jacobian is asked for."""
    rounded = {name: rounded_to(array, dtype) for name, array in arrays.items()}
    inputs = Inputs(
        function=FunctionCall(function, parameters),
        dtype=dtype,
        scale=1.0,
        axis=axis,
        logits=rounded["logits"],
        targets=rounded.get("targets"),
        upstream=rounded.get("upstream"),
        per_output="upstream" not in rounded,
        weight=rounded.get("weight"),
    )
    name = process.backend.name
    return process.evaluate(EvaluationKey(name, name, formulation, dtype, 1.0), inputs)


def rounded_to(array: np.ndarray, dtype: str) -> np.ndarray:
    """`array` in the dtype; class indices stay what they are."""
    if array.dtype.kind == "i":
        return array
    if dtype == "bfloat16":
        import ml_dtypes

        return array.astype(ml_dtypes.bfloat16)
    return array.astype(dtype)
