"""The formulations of a case: those of the function that every backend may have, and those that one alone has."""

from __future__ import annotations

from gradaudit import plugins
from gradaudit.specs.draft import Draft
from gradaudit.specs.nodes import find
from gradaudit.specs.wording import nearest, one_of, shown


def own_to_backends(function: str) -> dict[str, str]:
    """Formulations of `function` that one backend alone has, and which; loads every backend's declaration."""
    backends = plugins.load("gradaudit.backends")
    return {
        formulation: name
        for name, backend in backends.items()
        for formulation, own in getattr(backend, "formulations", {}).items()
        if function in own.functions
    }


def formulations(draft: Draft) -> tuple[str, ...]:
    """What the case names, after a complaint about what the function has not."""
    named = tuple(draft.model.formulations)
    applicable = draft.definition.formulations
    if not applicable and find(draft.tree, ["formulations"]) is draft.tree:
        return named
    unknown = [name for name in named if name not in applicable]
    if not unknown:
        return named  # no backend was asked for what it alone has
    own = own_to_backends(draft.function.name)
    for position, name in enumerate(named):
        if name in applicable or name in own:
            continue
        match = nearest(name, (*applicable, *own))
        hint = f"; did you mean {match!r}?" if match else ""
        alone = f", and {one_of([f'{each} of {who}' for each, who in own.items()])}" if own else ""
        draft.complain(
            f"formulations: {draft.function.name} has no formulation {shown(name)}; it has "
            f"{one_of(applicable) or 'none'}{alone}{hint}",
            *("formulations", position),
        )
    return named
