"""What a script computes, beside what its backend's adapter returns for the same request."""

import numpy as np

from gradaudit.backends import registry
from gradaudit.records.case import Case, FileArray
from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Element
from gradaudit.replay import script
from gradaudit.replay.saved import Numbers, Run, Saved
from gradaudit.specs.rounding import rounded
from gradaudit.workers import requests
from gradaudit.workers.adapter import load_adapter

SEED = 20261123
PARAMETERS = {"reduction": "mean", "ignore_index": -100, "label_smoothing": 0.0, "weight": None}


def saved(folder, backend, function, formulation, dtype, shape, axis, execution="eager", per_output=False, **given):
    """A failing evaluation of random logits, whose every loss was 1 too large."""
    generator = np.random.default_rng(SEED)
    outer = tuple(size for i, size in enumerate(shape) if i != axis)
    parameters, targets, weight = {}, None, None
    output = shape
    if function == "cross_entropy":
        parameters = PARAMETERS | given
        targets = generator.integers(0, shape[axis], size=outer)
        if given.get("weight"):
            weight = rounded(np.array(given["weight"], np.float64), dtype)
        output = outer if parameters["reduction"] == "none" else ()
    elif function == "logsumexp":
        output = outer
    inputs = Inputs(
        function=FunctionCall(function, parameters),
        dtype=dtype,
        scale=1.0,
        axis=(axis,),
        logits=rounded(3.0 * generator.standard_normal(shape), dtype),
        targets=targets,
        upstream=None if per_output else rounded(generator.standard_normal(output), dtype),
        per_output=per_output,
        weight=weight,
    )
    key = EvaluationKey(backend, backend, formulation, dtype, 1.0, None, execution)
    worst = Element((0,) * len(output), 2.0, 1.0, 0.0, np.inf)
    return Saved(
        key=key,
        case=Case("computed", inputs.function, FileArray("logits.npy", shape, dtype), shape, (axis,)),
        inputs=inputs,
        findings=(),
        failure=None,
        numbers=(Numbers("loss", dtype, output, 1, 1, (worst,)),),
        versions=(),
        run=Run(),
        working_directory=".",
        folder=folder,
    )


def by_script(evaluation, folder):
    """What the `compute` of the script returns, as float64."""
    path = folder / "script.py"
    script.write(evaluation, path)
    space = {"__name__": "script", "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), space)  # noqa: S102
    return {name: np.asarray(array, np.float64) for name, array in space["compute"]().items()}


def by_adapter(evaluation):
    """What the adapter returns, as float64 under the script's names."""
    inputs, key = evaluation.inputs, evaluation.key
    adapter = load_adapter(registry.get(key.backend).adapter)
    arrays = {
        "logits": inputs.logits,
        "targets": inputs.targets,
        "upstream": inputs.upstream,
        "weight": inputs.weight,
    }
    given = {
        name: (array.view(np.uint16) if array.dtype.name == "bfloat16" else array).copy()
        for name, array in arrays.items()
        if array is not None
    }
    result = adapter.evaluate(requests.evaluate(key, inputs, None, 0.0), given)
    names = {"output": "loss", "gradient": "gradient", "jacobian": "jacobian"}
    return {names[name]: _widened(*value) for name, value in result.items() if name in names}


def _widened(array, dtype):
    array = np.asarray(array)
    if dtype == "bfloat16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float64)


def assert_the_same(evaluation, folder):
    """The script returns the adapter's bits."""
    there, here = by_adapter(evaluation), by_script(evaluation, folder)
    assert sorted(there) == sorted(here)
    for name, array in there.items():
        np.testing.assert_array_equal(here[name], array, err_msg=name)
