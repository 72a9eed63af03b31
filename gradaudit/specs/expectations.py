"""`expect` and `ignore`: codes that exist, and selectors that some evaluation of the case can match."""

from __future__ import annotations

from collections.abc import Iterable

from gradaudit.records.backend_name import plain
from gradaudit.records.case import Case, Expectation
from gradaudit.specs.draft import Codes, Draft
from gradaudit.specs.models import ExpectedFinding
from gradaudit.specs.nodes import Node, find
from gradaudit.specs.wording import nearest, number, one_of, shown

SELECTORS = {
    "backend": "backends",
    "formulation": "formulations",
    "dtype": "dtypes",
    "scale": "scale",
    "subject": "subjects",
}
"""Selectors, and the key of the case that spans their values."""


def expectations(draft: Draft, case: Case) -> tuple[Expectation, ...]:
    """The findings that `case` must show.

    A selector that matches nothing of the case is a complaint, unless a flag narrowed the case: then what is
    expected of evaluations that are not made is left out.
    """
    known = _codes(draft.context.known_codes) if draft.model.expect else None
    kept = []
    for position, expected in enumerate(draft.model.expect):
        node = _item(find(draft.tree, ["expect"]), position)
        if known is not None and expected.code not in known:
            draft.complain(_no_rule("expect", expected.code, known), "expect", position, "code")
        if _applies(draft, case, expected, position):
            kept.append(
                Expectation(
                    expected.code,
                    expected.backend,
                    expected.formulation,
                    expected.dtype,
                    expected.scale,
                    expected.subject,
                    node.location,
                )
            )
    return tuple(kept)


def check_ignored(draft: Draft) -> None:
    """Complain of codes in `ignore` that no rule has."""
    known = _codes(draft.context.known_codes) if draft.model.ignore else None
    for position, prefix in enumerate(draft.model.ignore):
        if known is not None and not any(code.startswith(prefix) for code in known):
            draft.complain(_no_rule("ignore", prefix, known), "ignore", position)


def _applies(draft: Draft, case: Case, expected: ExpectedFinding, position: int) -> bool:
    spans: dict[str, tuple[object, ...]] = {
        "backend": tuple(
            dict.fromkeys((*case.backends, *map(plain, case.backends), *(each.backend for each in case.subjects)))
        ),
        "formulation": tuple(
            dict.fromkeys((*(case.formulations if case.backends else ()), *(e.formulation for e in case.subjects)))
        ),
        "dtype": case.dtypes,
        "scale": case.scale,
        "subject": (*(each.name for each in case.subjects), *case.backends),
    }
    applies = True
    for selector, span in spans.items():
        wanted = getattr(expected, selector)
        if wanted is None or wanted in span:
            continue
        applies = False
        if SELECTORS[selector] not in draft.context.overridden:
            words = [number(value) if isinstance(value, float) else str(value) for value in span]
            draft.complain(
                f"expect: this case makes no evaluation with {selector} {shown(wanted)}; "
                f"{SELECTORS[selector]}: {one_of(words)}",
                *("expect", position, selector),
            )
    return applies


def _item(node: Node, position: int) -> Node:
    return node.value[position] if isinstance(node.value, list) and position < len(node.value) else node


def _codes(known: Codes) -> tuple[str, ...] | None:
    if known is None:
        return None
    codes: Iterable[str] = known() if callable(known) else known
    return tuple(sorted(codes))


def _no_rule(key: str, code: str, known: tuple[str, ...]) -> str:
    match = nearest(code, known)
    hint = f"; did you mean {match!r}?" if match else ""
    return f"{key}: no rule has the code {shown(code)}{hint} (`gradaudit rules` lists them)"
