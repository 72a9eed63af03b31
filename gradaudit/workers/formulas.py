"""Python formulas: a user's function is called in a worker that records what it does; the graph comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.errors import SpecError, WorkerError
from gradaudit.records.case import FORMULA, Case, RandomArray, Upstream

if TYPE_CHECKING:
    from gradaudit.backends.interface import Backend
    from gradaudit.records.expression import Expression
    from gradaudit.records.profile import Profile
    from gradaudit.workers.settings import WorkerSettings


def resolved(cases: Sequence[Case], settings: WorkerSettings) -> tuple[Case, ...]:
    """The cases, with every Python formula called in a worker and turned into its graph.

    Raises SpecError where a function is not found, raises, or is no formula (with the user's file and line), and
    WorkerError where it crashes, hangs or runs out of memory. Each formula is called once, however many cases
    have it.
    """
    known: dict[tuple[object, ...], Expression] = {}
    return tuple(_resolved(case, settings, known) for case in cases)


def _resolved(case: Case, settings: WorkerSettings, known: dict[tuple[object, ...], Expression]) -> Case:
    from gradaudit.specs import own_functions, shapes

    call = case.function
    if call.name != FORMULA or call.expression is not None:
        return case
    constants = call.parameters["constants"]
    assert isinstance(constants, tuple), "pairs of a name and a value"
    identity = (str(call.parameters["formula"]), case.base_directory, constants)
    if identity not in known:
        known[identity] = _recorded(case, dict(constants), settings)
    function = own_functions.with_expression(call, known[identity])
    problem = own_functions.problem_of_case(function, case.targets)
    if problem:
        raise _error(case, problem)
    upstream = case.upstream
    if isinstance(upstream.source, RandomArray):
        shape = shapes.output_shape(function, case.shape, case.axis)
        upstream = Upstream(upstream.kind, replace(upstream.source, shape=shape))
    return replace(case, function=function, upstream=upstream)


def _recorded(case: Case, constants: Mapping[str, object], settings: WorkerSettings) -> Expression:
    """The graph of the case's formula."""
    from gradaudit.functions.expressions import CLASS, FUNCTIONS, INPUTS, MOST_NODES, FormulaError, Graph
    from gradaudit.functions.expressions import kind_of_result as checked

    numbers = {name: value for name, value in constants.items() if isinstance(value, float)}
    kinds = dict.fromkeys([name for name in constants if name not in numbers], CLASS) | INPUTS
    target = str(case.function.parameters["formula"])
    request: dict[str, object] = {
        "request": "evaluate",
        "target": target,
        "folders": [str(Path(case.base_directory).resolve()), str(Path.cwd())],
        "kinds": kinds,
        "constants": numbers,
        "functions": list(FUNCTIONS),
        "most_nodes": MOST_NODES,
        "arrays": {},
        "folder": "",
    }
    notes = _asked(case, request, settings)
    nodes, result = notes["nodes"], notes["result"]
    assert isinstance(nodes, list)
    assert isinstance(result, int)
    graph = Graph(kinds)
    places: list[int] = []
    for operation, arguments, value, line in nodes:
        try:
            places.append(graph.add(operation, *(places[position] for position in arguments), value=value))
        except FormulaError as error:
            raise _error(case, f"{line}: {error}") from None
    expression = graph.expression(places[result], target)
    try:
        checked(expression, kinds)
    except FormulaError as error:
        raise _error(case, f"{notes['defined']}: {error}") from None
    return expression


def _asked(case: Case, request: dict[str, object], settings: WorkerSettings) -> Mapping[str, object]:
    """What the recorder noted; a worker of its own, which ends with it."""
    from gradaudit.workers import environment, responses
    from gradaudit.workers.channel import BrokenWorkerError, Channel

    backend = _recorder()
    try:
        channel = Channel(
            environment.command(backend, settings), environment.environment(backend, settings), settings.memory_cap
        )
    except OSError as error:
        raise WorkerError(f"{_named(case)}: no worker could be started: {error}") from None
    try:
        channel.receive(channel.post({"request": "hello"}), settings.startup_timeout)
        channel.note_memory()
        response, _ = channel.exchange(request, settings.timeout)
    except BrokenWorkerError as error:
        raise WorkerError(f"{_named(case)}: {error} while its formula was read; it is called once") from None
    finally:
        channel.close()
    if response["status"] != "ok":
        raise _error(case, responses.raised(response))
    notes = response["notes"]
    assert isinstance(notes, dict)
    return notes


def _error(case: Case, message: str) -> SpecError:
    return SpecError(f"function.formula: {case.function.parameters['formula']}: {message}", case.source)


def _named(case: Case) -> str:
    return f"{case.source}: function.formula: {case.function.parameters['formula']}"


def _recorder() -> Backend:
    from gradaudit.backends.interface import STANDALONE, Backend

    path = STANDALONE / "formula_recorder.py"
    return Backend("formula", path, dtypes=(), packages=(), remedy="", profile=_no_profile)


def _no_profile(function: str, formulation: str, dtype: str, *, classes_last: bool = True) -> Profile:
    raise NotImplementedError(f"a recorder computes nothing: {function} {formulation} {dtype} {classes_last}")
