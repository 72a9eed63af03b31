"""What a report changes of its baseline, in the words that the console, markdown, the page and the commands share."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from gradaudit.records.baseline import (
    ADDED,
    BETTER,
    EVALUATION,
    KINDS,
    MISSING,
    NEW,
    RESOLVED,
    SAME,
    UNAUDITED,
    WORSE,
    AgainstBaseline,
    BaselineChange,
)
from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.report import Report
from gradaudit.reports.findings import place
from gradaudit.reports.number_format import count
from gradaudit.reports.terminal import terminal_safe

DEFAULT_FILE = "gradaudit-baseline.txt"
"""The baseline where none is named."""

UPDATE = "gradaudit baseline update"

TITLES = {kind: kind for kind in KINDS} | {UNAUDITED: "could not be audited"}

MEANINGS = {
    0: "nothing is worse than the baseline",
    1: "the audit falls short of the baseline",
    2: "the request is wrong",
    3: "something that was asked for could not be audited",
    130: "interrupted",
}
"""What an exit status says where it is one against a baseline."""

EvaluationStates = Mapping[tuple[str, str, str, str, str, float, str, bool], str]
"""By case label, subject, backend, formulation, dtype, scale, execution, and whether it is of the own inputs."""


def update_command(path: str) -> str:
    """The command that records the present state in the baseline `path`."""
    return UPDATE if path == DEFAULT_FILE else f"{UPDATE} --file {shlex.quote(terminal_safe(path))}"


def lines(held: AgainstBaseline) -> tuple[str, ...]:
    """What changed, kind by kind, the gravest first; then what to do.

    Names of others are in the lines as they are.
    """
    told: list[str] = []
    for kind in KINDS:
        changes = held.of_kind(kind)
        if changes:
            told += [f"{TITLES[kind]}: {len(changes):,}", *(f"  {each}" for each in listed(changes)), ""]
    if held.versions:
        told += [version_line(held.versions), ""]
    return (*told, *_advice(held))


def said(change: BaselineChange) -> str:
    """One change in one line."""
    harmless = " (fails nothing)" if change.kind in (NEW, WORSE) and not change.fails else ""
    return f"{_where(change)}{change.about}: {change.text}{harmless}"


def tone(change: BaselineChange) -> str:
    """How a change is meant: "wrong" where it fails, "good" where it is for the better, else "doubtful"."""
    return "wrong" if change.fails else "good" if change.kind in (BETTER, RESOLVED) else "doubtful"


def _where(change: BaselineChange) -> str:
    return "" if change.location is None else f"{place(change.location)}: "


def listed(changes: Iterable[BaselineChange]) -> Iterator[str]:
    """A line for each change; evaluations of a case that came or went have one line together."""
    together: dict[object, list[BaselineChange]] = {}
    for number, change in enumerate(changes):
        comes_or_goes = change.what == EVALUATION and change.kind in (MISSING, ADDED)
        alike = (change.case, change.text, change.location) if comes_or_goes else number
        together.setdefault(alike, []).append(change)
    for found in together.values():
        first = found[0]
        if len(found) == 1:
            yield said(first)
            continue
        names = "; ".join(_with_probes([each.about.removeprefix(f"{first.case}: ") for each in found]))
        text = f"are {first.text.removeprefix('is ')}" if first.text.startswith("is ") else first.text
        yield f"{_where(first)}{first.case}: {count(len(found), 'evaluation')} ({names}) {text}"


def _with_probes(names: Sequence[str]) -> list[str]:
    """The names of evaluations, each once with its probes."""
    probes = ", probes"
    told = [f"{each} and probes" if f"{each}{probes}" in names else each for each in names]
    return [each for each in told if each.removesuffix(probes) not in names or not each.endswith(probes)]


def version_line(changed: Iterable[tuple[str, str, str]]) -> str:
    """What computes in another version than before."""
    listed = [f"{name} {before or 'absent'} -> {now or 'absent'}" for name, before, now in changed]
    return f"other versions: {', '.join(listed)}"


def counted(held: AgainstBaseline) -> str:
    """How many changes of each kind there are, and evaluations without any."""
    parts = [f"{len(held.of_kind(kind)):,} {TITLES[kind]}" for kind in KINDS if held.of_kind(kind)]
    return ", ".join([*parts, f"{count(held.same, 'evaluation')} as before"])


def evaluation_states(held: AgainstBaseline | None) -> EvaluationStates:
    """What the baseline says of those evaluations that are not as they were."""
    if held is None:
        return MappingProxyType({})
    return {
        _identity(change.case, change, own=change.inputs != "probes"): change.kind
        for change in held.changes
        if change.what == EVALUATION
    }


def evaluation_state(report: Report, states: EvaluationStates, label: str, key: EvaluationKey) -> str | None:
    """What the baseline says of an evaluation, one of EVALUATION_STATES; of a probe, what it says of all of them."""
    if report.baseline is None:
        return None
    return states.get(_identity(label, key, own=key.probe is None), SAME)


def _identity(
    label: str, named: BaselineChange | EvaluationKey, *, own: bool
) -> tuple[str, str, str, str, str, float, str, bool]:
    scale = 1.0 if named.scale is None else named.scale
    return label, named.subject, named.backend, named.formulation, named.dtype, scale, named.execution, own


def _advice(held: AgainstBaseline) -> list[str]:
    update, told = update_command(held.path), []
    if held.of_kind(BETTER) or held.of_kind(RESOLVED):
        told.append(f"`{update}` records what is better or resolved, so that it stays so")
    if held.of_kind(WORSE) or held.of_kind(NEW):
        told.append(f"where what is new or worse is meant, `{update}` records it, for a review to accept")
    told += [f"{new} is what {old} was, if it was renamed" for old, new in _renamed(held)]
    if held.of_kind(MISSING) or held.of_kind(ADDED):
        told.append(f"audit what the baseline was made of; where the specs have changed, `{update}` follows them")
    return [*told, ""] if told else []


def _renamed(held: AgainstBaseline) -> Iterator[tuple[str, str]]:
    """Former and present names of cases, and of losses in a case, that hold the same evaluations."""
    gone, come = (_evaluations_of(held.of_kind(kind)) for kind in (MISSING, ADDED))
    for was, old in gone.items():
        same = [now for now, new in come.items() if old == new and (was[0] == now[0] or was[1] == now[1] == "")]
        if len(same) == 1:
            (now,) = same
            yield (repr(was[1] or was[0]), repr(now[1] or now[0]))


def _evaluations_of(changes: Iterable[BaselineChange]) -> dict[tuple[str, str], set[tuple[object, ...]]]:
    """What is left of the names of evaluations without that of their case, and without that of case and loss, by
    these."""
    found: dict[tuple[str, str], set[tuple[object, ...]]] = {}
    for each in changes:
        if each.what == EVALUATION:
            rest = (each.backend, each.formulation, each.dtype, each.scale, each.execution, each.inputs)
            found.setdefault((each.case, ""), set()).add((each.subject, *rest))
            found.setdefault((each.case, each.subject), set()).add(rest)
    return found
