"""Callables handed over by the Python API: run in the caller's own process, by the adapters that workers run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    import numpy as np

    from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
    from gradaudit.records.inputs import Inputs
    from gradaudit.records.subject import Subject


def evaluate(
    key: EvaluationKey, inputs: Inputs, subject: Subject, *, experiments: bool = False
) -> Evaluation | EvaluationFailure:
    """One evaluation of the live `subject`; an exception it raises is a failure, as in a worker."""
    from gradaudit.backends import registry
    from gradaudit.workers import requests, responses
    from gradaudit.workers.adapter import load_adapter

    path = registry.get(key.backend).subjects
    assert path is not None, "a framework that runs users' functions"
    adapter = load_adapter(path)
    request = requests.evaluate(key, inputs, subject, timeout=0.0)
    response, found = _answer(adapter, "evaluate", request, inputs)
    if response["status"] != "ok":
        return responses.failure(key, response, "")
    result = responses.subject_evaluation(key, found, response, "")
    if experiments:
        response, found = _answer(adapter, "experiment", request, inputs)
        result = responses.experimented(result, found, response)
    return result


def _answer(
    adapter: ModuleType, kind: str, request: dict[str, object], inputs: Inputs
) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """What a worker would have responded, and the arrays that it would have stored."""
    from gradaudit.workers.adapter import load_adapter
    from gradaudit.workers.environment import WORKER

    asked = {**request, "request": kind}
    try:
        result = getattr(adapter, kind)(asked, _arrays(inputs))
    except Exception as error:
        return load_adapter(WORKER).failure(error, adapter), {}
    pairs = {name: result[name] for name in ("output", "gradient", "jacobian") if name in result}
    pairs |= result.get("experiments", {})
    response = {"status": "ok", "seconds": result["seconds"], "notes": result.get("notes", {})}
    return response, {name: _decoded(array, dtype) for name, (array, dtype) in pairs.items()}


def _arrays(inputs: Inputs) -> dict[str, np.ndarray]:
    """Copies of the inputs, as they travel."""
    import numpy as np

    arrays = {
        "logits": inputs.logits,
        "targets": inputs.targets,
        "upstream": None if inputs.per_output else inputs.upstream,
        "weight": inputs.weight,
    }
    copies = {name: np.array(array, order="C") for name, array in arrays.items() if array is not None}
    return {
        name: array.view(np.uint16) if array.dtype.name == "bfloat16" else array for name, array in copies.items()
    }


def _decoded(array: np.ndarray, dtype: str) -> np.ndarray:
    if dtype != "bfloat16":
        return array
    import ml_dtypes

    return array.view(ml_dtypes.bfloat16)
