"""What a worker is asked: one evaluation, as the JSON of a request has it (`gradaudit.backends.interface`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradaudit.records.evaluation import EvaluationKey
    from gradaudit.records.inputs import Inputs
    from gradaudit.records.subject import Subject

SEED = 0
"""Every call of a user's function begins with its random generators seeded by it."""


def evaluate(key: EvaluationKey, inputs: Inputs, subject: Subject | None, timeout: float) -> dict[str, object]:
    """The request without its arrays; class weights travel as one of those."""
    arrays = () if "." in inputs.function.name else ("weight",)
    parameters = {name: value for name, value in inputs.function.parameters.items() if name not in arrays}
    request: dict[str, object] = {
        "request": "evaluate",
        "function": inputs.function.name,
        "parameters": parameters,
        "formulation": key.formulation,
        "execution": key.execution,
        "dtype": inputs.dtype,
        "axis": list(inputs.axis),
        "per_output": inputs.per_output,
        "device": inputs.device if subject is None else subject.device,
    }
    if subject is not None:
        request |= _of_subject(inputs, subject, timeout)
    return request


def _of_subject(inputs: Inputs, subject: Subject, timeout: float) -> dict[str, object]:
    from gradaudit.workers.responses import expected_shapes

    outputs = 1
    if inputs.per_output:
        shape, _, derivative = expected_shapes(inputs)
        outputs = derivative[0]
    else:
        assert inputs.upstream is not None
        shape = inputs.upstream.shape
    asked: dict[str, object] = {
        "name": subject.name,
        "target": subject.target,
        "folders": [str(Path(subject.base_directory).resolve()), str(Path.cwd())],
        "kwargs": dict(subject.kwargs),
        "factory": subject.factory,
        "targets": subject.targets,
        "autocast": subject.autocast,
        "device": subject.device,
    }
    if subject.graph:
        asked["graph"] = dict(subject.graph)
    if subject.live is not None:
        asked["live"] = subject.live
    return {
        "subject": asked,
        "output_shape": list(shape),
        "outputs_of_a_row": outputs,
        "layout": inputs.layout,
        "upstream_layout": inputs.upstream_layout,
        "derivatives": subject.derivatives,
        "seed": SEED,
        "timeout": timeout,
    }
