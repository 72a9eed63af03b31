"""What a worker's response becomes: an evaluation, or a failure that says by name what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.records.evaluation import BackendState, Evaluation, EvaluationFailure, EvaluationKey, ProcessFact

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np

    from gradaudit.backends.interface import Backend
    from gradaudit.records.inputs import Inputs

Response = dict[str, object]

MAP_FROM = 1 << 20
"""Arrays from this many bytes on stay in their file, memory-mapped; smaller ones do not occupy a descriptor."""

FLOATS = ("float16", "bfloat16", "float32", "float64")

OUR_ERRORS = (
    "NoSuchSubjectError",
    "SubjectImportError",
    "UnusableSubjectError",
    "ForkedError",
    "MissingError",
    "FormulaError",
)
"""Exceptions of the adapters for users' code whose messages are whole sentences."""


class BadResponseError(ValueError):
    """A response that answers, but not with arrays that can be measured."""


def state(backend: Backend, response: Response) -> BackendState:
    """The state that the response to "hello" describes."""
    if response["status"] != "ok":
        reason = f"{response.get('type')}: {response.get('message')}"
        return BackendState(backend.name, False, reason=reason, remedy=backend.remedy)
    versions = {str(name): str(version) for name, version in _mapping(response, "versions").items()}
    flush = _mapping(response, "flush_to_zero")
    details = {str(name): str(text) for name, text in _mapping(response, "details").items()}
    if flush.get("before_import") != flush.get("after_import"):
        details["flush_to_zero_before_import"] = str(flush.get("before_import"))
    order = [name for name in backend.packages if name in versions]
    dtypes, threads, after = response.get("dtypes"), response.get("threads"), flush.get("after_import")
    return BackendState(
        name=backend.name,
        available=True,
        version=versions[order[0]] if order else "",
        python=str(response.get("python", "")),
        versions=tuple((name, versions[name]) for name in [*order, *sorted(set(versions) - set(order))]),
        threads=threads if isinstance(threads, int) else None,
        flush_to_zero=after if isinstance(after, bool) else None,
        dtypes=tuple(str(dtype) for dtype in dtypes) if isinstance(dtypes, list) else (),
        details=tuple(sorted(details.items())),
        process=tuple(_process_facts(response)),
    )


def _process_facts(response: Response) -> Iterator[ProcessFact]:
    facts = response.get("process")
    for fact in facts if isinstance(facts, list) else []:
        name, before, after = (str(fact[key]) for key in ("name", "before", "after"))
        yield ProcessFact(name, before, after, bool(fact["numbers"]))


def evaluation(
    key: EvaluationKey, inputs: Inputs, response: Response, folder: Path, captured: str
) -> Evaluation | EvaluationFailure:
    """The evaluation in `folder`, or why there is none."""
    if response["status"] != "ok":
        return failure(key, response, captured)
    try:
        output_shape, derivative, derivative_shape = expected_shapes(inputs)
        output = array(response, "output", folder, output_shape)
        result = array(response, derivative, folder, derivative_shape)
        seconds = response.get("seconds")
        if not isinstance(seconds, (int, float)):
            raise BadResponseError(f"seconds: a number was expected, {seconds!r} came")
    except BadResponseError as error:
        return EvaluationFailure(key, "raised", f"unusable result: {error}", captured)
    gradient, jacobian = (None, result) if inputs.per_output else (result, None)
    return Evaluation(key, output, gradient, jacobian, float(seconds), captured)


def failure(key: EvaluationKey, response: Response, captured: str) -> EvaluationFailure:
    """The failure that a response stands for."""
    kind = str(response["status"])
    kind = kind if kind in ("out_of_memory", "unsupported", "missing") else "raised"
    detail = str(response.get("traceback", "")) + (f"\nprinted:\n{captured}" if captured else "")
    return EvaluationFailure(key, kind, raised(response), detail)


def of_subject(key: EvaluationKey, response: Response, folder: Path, captured: str) -> Evaluation | EvaluationFailure:
    """What a user's own function returned, whatever its shape, or why there is nothing.

    Where it returned no array at all `output` is empty; `notes` say what it was.
    """
    if response["status"] != "ok":
        return failure(key, response, captured)
    try:
        found = {name: array(response, name, folder, None) for name in _mapping(response, "arrays")}
    except BadResponseError as error:
        return EvaluationFailure(key, "raised", f"unusable result: {error}", captured)
    return subject_evaluation(key, found, response, captured)


def subject_evaluation(
    key: EvaluationKey, found: Mapping[str, np.ndarray], response: Response, captured: str
) -> Evaluation:
    """The evaluation of a user's function, of the arrays that its response named."""
    import numpy as np

    seconds = response.get("seconds")
    return Evaluation(
        key,
        output=found.get("output", np.zeros(0)),
        gradient=found.get("gradient"),
        jacobian=found.get("jacobian"),
        seconds=float(seconds) if isinstance(seconds, (int, float)) else 0.0,
        captured=captured,
        notes=dict(_mapping(response, "notes")),
    )


def experiments(evaluation: Evaluation, response: Response, folder: Path) -> Evaluation:
    """`evaluation` with what further runs of the function returned, or with a note of why there is nothing."""
    try:
        found = {name: array(response, name, folder, None) for name in _mapping(response, "arrays")}
    except BadResponseError as error:
        return without_experiments(evaluation, "raised", f"unusable result: {error}")
    return experimented(evaluation, found, response)


def experimented(evaluation: Evaluation, found: Mapping[str, np.ndarray], response: Response) -> Evaluation:
    """The same with the arrays in memory."""
    if response["status"] != "ok":
        return without_experiments(evaluation, str(response["status"]), raised(response))
    return replace(evaluation, experiments=found, notes={**evaluation.notes, **_mapping(response, "notes")})


def without_experiments(evaluation: Evaluation, kind: str, reason: str) -> Evaluation:
    """`evaluation` with a note of how its further runs failed."""
    failed = {"kind": kind, "message": reason}
    return replace(evaluation, notes={**evaluation.notes, "experiments_failed": failed})


def raised(response: Response) -> str:
    """What a worker's exception said, and where in the user's code."""
    place, kind, message = response.get("place"), response.get("type"), str(response.get("message"))
    said = message if kind in OUR_ERRORS else f"{kind}: {message}" if message else str(kind)
    return f"{place}: {said}" if place else said


def expected_shapes(inputs: Inputs) -> tuple[tuple[int, ...], str, tuple[int, ...]]:
    """The shape of the output, and name and shape of the derivative."""
    from math import prod

    shape = inputs.logits.shape
    if not inputs.per_output:
        assert inputs.upstream is not None, "an evaluation has an upstream gradient or asks for the Jacobian"
        return inputs.upstream.shape, "gradient", shape
    from gradaudit.functions import registry

    function = registry.of_call(inputs.function)
    if not function.has_row_output:
        return shape, "jacobian", (prod(shape[axis] for axis in inputs.axis), *shape)
    if function.dialect is not None and function.dialect.output_shape is not None:
        from gradaudit.functions.interface import Setting

        setting = Setting(inputs.function.parameters, shape, inputs.axis)
        return function.dialect.output_shape(setting), "jacobian", (1, *shape)
    parameters = {parameter.name: parameter.default for parameter in function.parameters} | dict(
        inputs.function.parameters
    )
    outer = tuple(size for axis, size in enumerate(shape) if axis not in inputs.axis)
    return outer if parameters.get("reduction", "none") == "none" else (), "jacobian", (1, *shape)


def array(response: Response, name: str, folder: Path, shape: tuple[int, ...] | None) -> np.ndarray:
    """The array called `name`; BadResponseError where it is missing, no float array, or of another shape than `shape`
    (None: any)."""
    import numpy as np

    description = _mapping(response, "arrays").get(name)
    if not isinstance(description, dict):
        raise BadResponseError(f"{name}: nothing was returned")
    path, dtype = Path(str(description.get("path"))), str(description.get("dtype"))
    if path.parent != folder:
        raise BadResponseError(f"{name}: a file in {folder} was expected, {str(path)!r} came")
    try:
        mapped = path.stat().st_size >= MAP_FROM
        loaded = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadResponseError(f"{name}: {type(error).__name__}: {error}") from None
    if not isinstance(loaded, np.ndarray):
        loaded.close()
        raise BadResponseError(f"{name}: an .npy file was expected, an archive came")
    stored = "uint16" if dtype == "bfloat16" else dtype
    if dtype not in FLOATS or loaded.dtype.name != stored:
        raise BadResponseError(f"{name}: one of {', '.join(FLOATS)} was expected, {loaded.dtype} came as {dtype!r}")
    if shape is not None and loaded.shape != shape:
        raise BadResponseError(f"{name}: shape {list(shape)} was expected, {list(loaded.shape)} came")
    if dtype == "bfloat16":
        import ml_dtypes

        loaded = loaded.view(ml_dtypes.bfloat16)
    return loaded


def _mapping(response: Response, name: str) -> Mapping[str, object]:
    value = response.get(name)
    return value if isinstance(value, dict) else {}
