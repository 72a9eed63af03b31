"""The key `probes` of a case: none, standard, or names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradaudit.records.case import SELF, Case
from gradaudit.specs.draft import Draft
from gradaudit.specs.probes.catalogue import applies, names, summary
from gradaudit.specs.wording import one_of, shown

NONE = "none"
STANDARD = "standard"


def with_probes(draft: Draft, case: Case) -> Case:
    """The case with the probes that its spec asks for; standard where it has subjects and says nothing."""
    asked: Sequence[str] | None = draft.model.probes
    if asked is None:
        asked = (STANDARD,) if case.subjects else ()
    chosen: dict[str, None] = {}
    for position, name in enumerate(asked):
        if name == STANDARD:
            # Without a truth at hand the other inputs would show nothing.
            chosen |= dict.fromkeys(names(case)[:1] if case.function.name == SELF else names(case))
        elif name == NONE and len(asked) > 1:
            draft.complain("probes: none stands beside others; keep one of them", "probes", position)
        elif name != NONE and not applies(case, name):
            draft.complain(
                f"probes: {shown(name)} ({summary(name)}) does not fit this function, its targets, classes and axis; "
                f"expected {one_of(names(case))}",
                "probes",
                position,
            )
        elif name != NONE:
            chosen[name] = None
    return replace(case, probes=tuple(chosen))
