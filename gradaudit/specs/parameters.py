"""The function of a case: its parameters, and which classes they leave."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gradaudit.functions import formula, registry, stand_in
from gradaudit.functions.interface import Parameter, Setting
from gradaudit.records.case import FORMULA, SELF
from gradaudit.records.function_call import FunctionCall
from gradaudit.specs.draft import Draft
from gradaudit.specs.nodes import Node
from gradaudit.specs.wording import shape_text

SPECIAL: Mapping[str, tuple[Parameter, ...]] = {FORMULA: formula.PARAMETERS, SELF: stand_in.PARAMETERS}
"""The parameters of what is no registered function: a formula, and no truth at all."""

PER_CLASS: Mapping[str, str] = {"weight": "weights", "alpha": "factors", "logit_adjustment": "offsets"}
"""Parameters with an entry a class."""


def function_call(validated: Any, semantics: str | None = None) -> FunctionCall:
    """The call that a validated function stands for, every default filled in and lists as tuples.

    With `semantics` it is an operator of that framework.
    """
    parameters: dict[str, object] = {}
    special = SPECIAL.get(validated.name) if semantics is None else None
    name = validated.name if semantics is None else f"{semantics}.{validated.name}"
    for parameter in registry.get(name).parameters if special is None else special:
        value = getattr(validated, parameter.name)
        if isinstance(value, list):
            kind = float if parameter.kind == "floats" else int
            value = tuple(kind(item) for item in value)
        parameters[parameter.name] = float(value) if parameter.kind == "float" and value is not None else value
    if special is not None:
        own = ("formula", "constants") if validated.name == FORMULA else ("output",)
        parameters |= {name: getattr(validated, name) for name in own}
    return FunctionCall(name, MappingProxyType(parameters))


def semantics_of(tree: Node) -> str | None:
    """The framework whose operators the functions of a case are; None where they are gradaudit's own."""
    node = tree.value.get("semantics") if isinstance(tree.value, dict) else None
    return str(node.value) if node is not None and node.value in registry.semantics() else None


def ignored_label(call: FunctionCall) -> object:
    """The label whose rows are ignored; None where there is none."""
    own = call.parameters
    return own.get("ignore_label") if own.get("use_ignore") else own.get("ignore_index")


def masked(draft: Draft) -> frozenset[int]:
    """The classes that take no part."""
    classes = draft.function.parameters.get("masked_classes") or ()
    return frozenset(classes) if isinstance(classes, tuple) else frozenset()


def check_operator(draft: Draft, targets: str | None) -> None:
    """Complain of what another framework's operator cannot be used at; `targets` is their kind."""
    dialect = draft.definition.dialect
    if dialect is None:
        return
    setting = Setting(draft.function.parameters, draft.shape, draft.axis, targets)
    for name, message in dialect.problems(setting):
        path = (name,) if name == "axis" else ("function", name)
        where = "function" if name == "name" else ".".join(path)
        draft.complain(f"{where}: {message}", *path)


def check_parameters(draft: Draft) -> None:
    """Complain of parameters that do not fit the logits: class weights and masked classes."""
    for name, what in PER_CLASS.items():
        _check_per_class(draft, name, what)
    _check_masked(draft)


def _check_per_class(draft: Draft, name: str, what: str) -> None:
    values = draft.function.parameters.get(name)
    if not isinstance(values, tuple):
        return
    classes = draft.classes
    if len(values) != classes:
        along = f"axis {shape_text(draft.axis)} of logits {shape_text(draft.shape)}"
        draft.complain(
            f"function.{name}: {len(values)} {what} for {classes} classes ({along}); give one for each class",
            "function",
            name,
        )


def _check_masked(draft: Draft) -> None:
    classes = draft.function.parameters.get("masked_classes")
    if not isinstance(classes, tuple):
        return
    count = draft.classes
    seen: set[int] = set()
    for position, number in enumerate(classes):
        if number >= count:
            draft.complain(
                f"function.masked_classes: there is no class {number}; logits {shape_text(draft.shape)} have the "
                f"classes 0 to {count - 1} along axis {shape_text(draft.axis)}",
                *("function", "masked_classes", position),
            )
        elif number in seen:
            draft.complain(
                f"function.masked_classes: class {number} stands twice", "function", "masked_classes", position
            )
        seen.add(number)
    if len(seen) == count and max(seen) < count:
        draft.complain(
            f"function.masked_classes: all {count} classes are masked; leave at least one",
            "function",
            "masked_classes",
        )
