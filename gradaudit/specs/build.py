"""A validated model to a Case: what fits together, checked where it stands."""

from __future__ import annotations

import dataclasses
from math import prod

import numpy as np

from gradaudit import plugins
from gradaudit.functions.interface import Setting
from gradaudit.records.case import (
    ArraySource,
    Case,
    FileArray,
    GridArray,
    InlineArray,
    RandomArray,
    Upstream,
)
from gradaudit.specs import inline, interpreters, own_functions, shapes
from gradaudit.specs.applicability import check_case, kind_of
from gradaudit.specs.array_models import DrawnLogits, DrawnUpstream, FileValues, GivenUpstream, GridAxis, GridValues
from gradaudit.specs.draft import Context, Draft
from gradaudit.specs.expectations import check_ignored, expectations
from gradaudit.specs.formulations import formulations
from gradaudit.specs.models import CaseKeys
from gradaudit.specs.nodes import Node, Problem, find, plain, problem_at
from gradaudit.specs.parameters import check_operator, check_parameters, function_call
from gradaudit.specs.probes.choice import with_probes
from gradaudit.specs.subjects import build_subjects
from gradaudit.specs.targets import build_targets, has_ignored_rows
from gradaudit.specs.wording import number, shape_text, shown

DEFAULT_BACKENDS = ("numpy", "torch", "onnxruntime")
"""What is audited where neither the spec nor a flag names backends."""
REQUIRED = {
    "function": "function: softmax",
    "logits": "logits: [[0.1, 2]], or {random: {shape: [128, 256]}}",
}


def build(model: CaseKeys, tree: Node, default_name: str, context: Context) -> tuple[Case | None, list[Problem]]:
    """The case of a model and the tree it was validated from; None where there are problems."""
    missing = [
        problem_at(tree, f"{key} is missing; add {example}")
        for key, example in REQUIRED.items()
        if getattr(model, key) is None
    ]
    if missing:
        return None, missing
    draft = Draft(model, tree, context, function_call(model.function, model.semantics))
    source, shape = _logits(draft)
    if source is None:
        return None, draft.problems
    draft.shape = shape
    draft.axis = _axis(draft)
    if draft.problems or not own_functions.complete(draft):
        return None, draft.problems
    check_parameters(draft)
    for key in ("scale", "dtypes", "backends", "formulations", "execution", "probes"):
        _check_distinct(draft, key)
    pythons = interpreters.interpreters(draft)
    subjects = tuple(
        dataclasses.replace(each, python=dict(pythons).get(each.backend)) for each in build_subjects(draft)
    )
    # Whoever brings a function of his own asks about that, and about backends only by name.
    named = model.backends if model.backends is not None or subjects else default_backends(model.semantics)
    case = Case(
        name=model.name or default_name,
        function=draft.function,
        logits=source,
        shape=shape,
        axis=draft.axis,
        targets=build_targets(draft),
        upstream=_upstream(draft),
        scale=tuple(float(scale) for scale in model.scale),
        dtypes=tuple(model.dtypes),
        backends=interpreters.backends(draft, named),
        backends_named=model.backends is not None,
        formulations=formulations(draft),
        executions=tuple(model.execution),
        padded="ignore_index" in getattr(model.function, "model_fields_set", ()),
        device=model.device,
        pythons=pythons,
        ignore=tuple(model.ignore),
        source=tree.location,
        base_directory=context.base_directory,
        subjects=subjects,
        derivatives=model.derivatives,
    )
    check_ignored(draft)
    own_functions.check_targets(draft, case.targets)
    check_operator(draft, kind_of(case.targets))
    check_case(draft, case)
    if not draft.problems:
        case = dataclasses.replace(with_probes(draft, case), padded=case.padded or has_ignored_rows(case))
    case = dataclasses.replace(case, expect=expectations(draft, case))
    return (None if draft.problems else case), draft.problems


def _logits(draft: Draft) -> tuple[ArraySource | None, tuple[int, ...]]:
    logits = draft.model.logits
    if isinstance(logits, DrawnLogits):
        drawn = logits.random
        shape = tuple(drawn.shape)
        return RandomArray(drawn.distribution, shape, drawn.seed, float(drawn.scale), drawn.generator), shape
    if isinstance(logits, FileValues):
        source: FileArray | None = draft.file(logits, "logits")
        return source, source.shape if source else ()
    if isinstance(logits, GridValues):
        first, second = (_grid_axis(draft, axis, position) for position, axis in enumerate(logits.grid))
        return GridArray(first, second), (first[2] * second[2], 2)
    parsed = inline.parse(find(draft.tree, ["logits"]), "logits", draft.problems)
    return (None, ()) if parsed is None else (InlineArray(parsed.values), parsed.values.shape)


def _grid_axis(draft: Draft, axis: GridAxis, position: int) -> tuple[float, float, int]:
    if axis.count == 1 and axis.start != axis.stop:
        draft.complain(
            f"logits.grid[{position}].count: one point cannot be both {number(axis.start)} and {number(axis.stop)}; "
            "use count: 2 or more",
            *("logits", "grid", position, "count"),
        )
    return float(axis.start), float(axis.stop), axis.count


def default_backends(semantics: str | None) -> tuple[str, ...]:
    """What is audited where nothing is named: of another framework's operators whoever evaluates them."""
    if semantics is None:
        return DEFAULT_BACKENDS
    known = plugins.load("gradaudit.backends")
    return tuple(name for name in DEFAULT_BACKENDS if semantics in getattr(known.get(name), "semantics", ()))


def _axis(draft: Draft) -> tuple[int, ...]:
    rank = len(draft.shape)
    dialect = draft.definition.dialect
    if dialect is not None and dialect.class_axis is not None:
        return (_own_axis(draft, dialect.class_axis(Setting(draft.function.parameters, draft.shape, ()))),)
    axes: list[int] = []
    for position, axis in enumerate(draft.model.axis):
        if not -rank <= axis < rank:
            draft.complain(
                f"axis: {axis} is out of range; logits {shape_text(draft.shape)} have the axes 0 to {rank - 1} "
                "(-1 is the last)",
                *("axis", position),
            )
        elif axis % rank in axes:
            draft.complain(
                f"axis: {axis} names axis {axis % rank} again; name each class axis once", "axis", position
            )
        axes.append(axis % rank)
    return tuple(sorted(axes))


def _own_axis(draft: Draft, axis: int) -> int:
    """The axis that an operator's options choose, after a complaint of one that is named beside them."""
    rank, named = len(draft.shape), find(draft.tree, ["axis"])
    if axis >= rank:
        draft.complain(f"logits: {draft.function.name} has its classes along axis {axis}, and these have {rank} axes")
    elif named is not draft.tree and [one % rank for one in draft.model.axis if -rank <= one < rank] != [axis]:
        draft.complain(
            f"axis: the options of {draft.function.name} put its classes along axis {axis}; remove axis, or change "
            "the options",
            "axis",
        )
    return axis


def _upstream(draft: Draft) -> Upstream:
    upstream = draft.model.upstream
    shape = shapes.output_shape(draft.function, draft.shape, draft.axis)
    if upstream == "random":
        return Upstream("values", RandomArray("normal", shape, None))
    if isinstance(upstream, DrawnUpstream):
        drawn = upstream.random
        return Upstream("values", RandomArray("normal", shape, drawn.seed, generator=drawn.generator))
    if isinstance(upstream, GivenUpstream):
        return _given_upstream(draft, shape)
    return Upstream(upstream)


def _given_upstream(draft: Draft, shape: tuple[int, ...]) -> Upstream:
    parsed = inline.parse(find(draft.tree, ["upstream", "values"]), "upstream.values", draft.problems)
    if parsed is None:
        return Upstream("ones")
    values = parsed.values
    if not _broadcasts(values.shape, shape):
        draft.complain(
            f"upstream.values: shape {shape_text(values.shape)} does not fit the output of {draft.function.name}, "
            f"{shape_text(shape)}; give that shape, or one that broadcasts to it",
            *("upstream", "values"),
        )
    for index in np.argwhere(~np.isfinite(values))[:5]:
        place = [int(position) for position in index]
        draft.complain(
            f"upstream.values: {number(float(values[tuple(place)]))} spoils every gradient; expected finite numbers",
            "upstream",
            "values",
            *place,
        )
    return Upstream("values", InlineArray(values))


def _broadcasts(given: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    if prod(given) == 1 and not shape:
        return True
    if len(given) > len(shape):
        return False
    return all(one in (1, other) for one, other in zip(reversed(given), reversed(shape), strict=False))


def _check_distinct(draft: Draft, key: str) -> None:
    node = find(draft.tree, [key])
    if node is draft.tree or not isinstance(node.value, list):
        return
    seen = []
    for position, child in enumerate(node.value):
        value = plain(child)
        if value in seen:
            draft.complain(f"{key}: {shown(value)} stands twice; name each once", key, position)
        seen.append(value)
