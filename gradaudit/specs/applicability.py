"""Whether a function, its targets, what subjects read and backends go together."""

from __future__ import annotations

from gradaudit.functions import losses, registry
from gradaudit.records.case import FORMULA, SELF, ArraySource, Case, FileArray, InlineArray
from gradaudit.specs.draft import Draft
from gradaudit.specs.wording import one_of

KINDS = {
    "indices": "class indices, one a row",
    "probabilities": "probabilities of the logits' shape",
}


def check_case(draft: Draft, case: Case) -> None:
    """Complain of targets of the wrong kind, of backends without the function, and of inputs it has no meaning at."""
    if case.function.name in (FORMULA, SELF):
        _check_audited(draft, case)
        return
    if draft.definition.dialect is not None:
        _check_native_only(draft, case)
    _check_targets(draft, case)
    _check_backends(draft, case)
    _check_readings(draft, case)


def _check_native_only(draft: Draft, case: Case) -> None:
    """Functions of the user's own are held against gradaudit's mathematics, under its names."""
    name, own = case.function.name, registry.mathematics(case.function)
    instead = f"function: {own}, " if own != name else "function: cross_entropy, "
    if case.subjects:
        draft.complain(
            f"subjects: {name} is what backends are asked for; hold functions of your own against {instead}without "
            "semantics:",
            "subjects",
        )
    if draft.model.probes not in (None, ["none"]):
        draft.complain(f"probes: there are none of {name}; remove them", "probes")
    if draft.model.derivatives != 1:
        draft.complain(f"derivatives: {name} is audited in the first order", "derivatives")


def kind_of(targets: ArraySource | None) -> str | None:
    """ "indices" or "probabilities"; None where there are none."""
    if isinstance(targets, InlineArray):
        return "indices" if targets.values.dtype.kind == "i" else "probabilities"
    if isinstance(targets, FileArray):
        return "probabilities" if "float" in targets.dtype else "indices"
    return None if targets is None else getattr(targets, "distribution", None)


def _check_targets(draft: Draft, case: Case) -> None:
    wanted, given = draft.definition.targets, kind_of(case.targets)
    if wanted == "any" or given is None or given == wanted:
        return
    example = "{random: {kind: probabilities, seed: 1}}" if wanted == "probabilities" else "{random: {seed: 1}}"
    draft.complain(
        f"targets: {case.function.name} needs {KINDS[wanted]}, and these are {KINDS[given]}; give such, or {example}",
        "targets",
    )


def _check_backends(draft: Draft, case: Case) -> None:
    definition = draft.definition
    if not case.backends or (definition.formulations and definition.native(case.function.parameters)):
        return
    what = case.function.name
    if definition.formulations:
        given = [name for name, value in case.function.parameters.items() if not definition.native({name: value})]
        what += f" with {one_of(given)}" if given else ""
    advice = (
        "leave backends out, and the subjects are audited alone"
        if draft.model.subjects
        else "give subjects: [{torch: losses.py:loss}]"
    )
    draft.complain(f"backends: none has a {what} of its own; {advice}", "backends")


def _check_audited(draft: Draft, case: Case) -> None:
    """No backend computes a formula, or a function that is only known by itself."""
    if not case.subjects and not case.backends_named and not draft.problems:
        what = "a formula" if case.function.name == FORMULA else "function: self"
        advice = "add subjects: [{torch: losses.py:loss}]"
        draft.complain(f"function: {what} is what functions of your own are held against; {advice}", "function")


def _check_readings(draft: Draft, case: Case) -> None:
    for position, subject in enumerate(case.subjects):
        refused = losses.needs_logits(case.function.name, draft.definition, case.function.parameters, subject.input)
        if refused is not None:
            draft.complain(f"subjects: {refused}", "subjects", position, "input")
