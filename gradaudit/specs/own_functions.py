"""`function: {formula: ...}` and `function: self`: mathematics of the user's own, and none at all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from gradaudit.functions import formula, stand_in
from gradaudit.functions.expressions import FUNCTIONS, INPUTS, ROW, inputs_of, kind_of_result
from gradaudit.records.case import FORMULA, SELF, ArraySource, FileArray, InlineArray, RandomArray
from gradaudit.records.expression import Expression
from gradaudit.records.function_call import FunctionCall
from gradaudit.specs.draft import Draft
from gradaudit.specs.formula import UnreadableFormulaError, is_reference, parse
from gradaudit.specs.nodes import Node, find, plain, problem_at, problem_at_key
from gradaudit.specs.parameters import SPECIAL
from gradaudit.specs.wording import shown


def complete(draft: Draft) -> bool:
    """Read the formula of a draft and fill in what shapes depend on; false after a complaint."""
    before = len(draft.problems)
    name = draft.function.name
    if name in SPECIAL:
        _check_audited(draft)
        if name == SELF:
            _complete_self(draft)
        else:
            _complete_formula(draft)
    return len(draft.problems) == before


def with_expression(call: FunctionCall, expression: Expression) -> FunctionCall:
    """A call whose formula is read; what was assumed of its shapes is left out."""
    kept = {
        name: value
        for name, value in call.parameters.items()
        if name not in (stand_in.OUTPUT, stand_in.TAKES_TARGETS)
    }
    if kind_of_result(expression, formula.names_in(expression)) != ROW:
        kept["reduction"] = "none"
    return replace(call, parameters=MappingProxyType(kept), expression=expression)


def check_targets(draft: Draft, targets: ArraySource | None) -> None:
    """Complain of a formula that needs labels where the targets are probabilities, or the other way round."""
    if draft.function.expression is not None and draft.model.targets is not None:
        problem = problem_of_case(draft.function, targets)
        if problem:
            draft.problems.append(problem_at(_formula_node(draft), f"function.formula: {problem}"))


def problem_of_case(call: FunctionCall, targets: ArraySource | None) -> str:
    """What the formula reads and the case does not have; empty where it has everything."""
    assert call.expression is not None
    read = inputs_of(call.expression)
    if "w" in read and call.parameters.get("weight") is None:
        return "w stands for the class weights; give function.weight:"
    for name, kind, what in (("y", "indices", "labels"), ("q", "probabilities", "target probabilities")):
        if name in read and targets is None:
            return f"{name} stands for the {what}; give targets:"
        if name in read and _kind_of(targets) != kind:
            other = {"y": "q", "q": "y"}[name]
            return f"{name} stands for {what}, but the targets are {_kind_of(targets)}; write {other}"
    return ""


def _kind_of(targets: ArraySource | None) -> str:
    if isinstance(targets, InlineArray):
        return "indices" if targets.values.dtype.kind == "i" else "probabilities"
    if isinstance(targets, FileArray):
        return "probabilities" if targets.dtype.startswith(("float", "bfloat")) else "indices"
    return targets.distribution if isinstance(targets, RandomArray) else ""


def _complete_self(draft: Draft) -> None:
    chosen = draft.function.parameters.get(stand_in.OUTPUT)
    targets = draft.model.targets is not None
    output = chosen or (stand_in.LOSS if targets else stand_in.ACTIVATION)
    if output == stand_in.ACTIVATION:
        _refuse_reduction(draft, "an activation has one output per class")
    if draft.model.upstream == "per_output":
        draft.complain(
            "upstream: per_output asks for a Jacobian, and function: self follows one number along directions; write "
            "random",
            "upstream",
        )
    own = {stand_in.OUTPUT: output, stand_in.TAKES_TARGETS: targets}
    if output == stand_in.ACTIVATION:
        own["reduction"] = "none"
    draft.function = replace(draft.function, parameters=MappingProxyType({**draft.function.parameters, **own}))


def _complete_formula(draft: Draft) -> None:
    before = len(draft.problems)
    text, constants = str(draft.function.parameters["formula"]), _constants(draft)
    if len(draft.problems) > before:
        return
    parameters: dict[str, object] = {**draft.function.parameters, "constants": tuple(constants.items())}
    if is_reference(text):
        targets = draft.model.targets is not None
        output = stand_in.LOSS if targets else stand_in.ACTIVATION
        assumed = {stand_in.OUTPUT: output, stand_in.TAKES_TARGETS: targets}
        draft.function = replace(draft.function, parameters=MappingProxyType({**parameters, **assumed}))
        return
    call = replace(draft.function, parameters=MappingProxyType(parameters))
    try:
        expression = parse(text, constants)
    except UnreadableFormulaError as error:
        draft.problems.append(problem_at(_formula_node(draft), f"function.formula: {error}"))
        return
    draft.function = with_expression(call, expression)
    if draft.function.parameters["reduction"] != call.parameters["reduction"]:
        _refuse_reduction(draft, "the formula has one output per class")
    problem = problem_of_case(draft.function, None) if draft.model.targets is None else ""
    if problem:
        draft.problems.append(problem_at(_formula_node(draft), f"function.formula: {problem}"))


def _constants(draft: Draft) -> dict[str, object]:
    """The constants by name: a number, or one for each class."""
    given = draft.function.parameters.get("constants") or {}
    assert isinstance(given, Mapping)
    found: dict[str, object] = {}
    for name, value in given.items():
        problem = _problem_of_name(str(name)) or _problem_of_value(value, draft)
        node = _child(_child(find(draft.tree, ["function"]), "constants"), str(name))
        if problem:
            draft.problems.append(problem_at_key(node, f"function.constants.{name}: {problem}"))
        else:
            found[str(name)] = tuple(map(float, value)) if isinstance(value, list) else float(value)
    return found


def _problem_of_name(name: str) -> str:
    if name in INPUTS or name in FUNCTIONS or name == "m":
        return f"{name} has a meaning of its own in formulas; choose another name"
    return "" if name.isidentifier() and name.isascii() else "a name is letters, digits and _, as in Python"


def _problem_of_value(value: object, draft: Draft) -> str:
    values = value if isinstance(value, list) else [value]
    if not values or not all(_is_number(each) for each in values):
        return f"{shown(value)} is no finite number, nor a list of one for each class"
    if isinstance(value, list) and draft.shape and len(value) != draft.classes:
        return f"{len(value)} numbers for {draft.classes} classes; give one number, or one for each class"
    return ""


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _refuse_reduction(draft: Draft, reason: str) -> None:
    node = _child(find(draft.tree, ["function"]), "reduction")
    if node.value in ("mean", "sum"):
        message = f"function.reduction: {shown(node.value)} is for losses, but {reason}; remove it"
        draft.problems.append(problem_at(node, message))


def _check_audited(draft: Draft) -> None:
    """Only functions of the user's own can be audited against these."""
    node = find(draft.tree, ["backends"])
    by_user = node is not draft.tree and (node.flag is None or node.flag.startswith("--"))
    if by_user and plain(node):
        what = "a formula" if draft.function.name == FORMULA else "a function that is audited against itself"
        draft.problems.append(
            problem_at(node, f"backends: no backend has {what} built in; remove them, and give subjects:")
        )


def _formula_node(draft: Draft) -> Node:
    return _child(find(draft.tree, ["function"]), "formula")


def _child(node: Node, key: str) -> Node:
    return node.value.get(key, node) if isinstance(node.value, dict) else node
