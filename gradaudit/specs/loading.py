"""Spec files, folders and standard input to cases."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from gradaudit import plugins
from gradaudit.errors import RequestError, SpecError
from gradaudit.records.case import Case
from gradaudit.records.location import Location
from gradaudit.specs import later, sources, translate
from gradaudit.specs.build import build
from gradaudit.specs.draft import Codes, Context
from gradaudit.specs.models import CaseKeys, case_model
from gradaudit.specs.nodes import Node, Problem, plain, problem_at, problem_at_key, raise_for
from gradaudit.specs.overrides import NO_OVERRIDES, Overrides
from gradaudit.specs.parameters import semantics_of
from gradaudit.specs.reader import read
from gradaudit.specs.wording import nearest, shown

STDIN = "<stdin>"
VERSION = 1
FRAME_KEYS = ("version", "defaults", "cases")
TELLTALE_KEYS = (*FRAME_KEYS, "function", "logits")
"""Keys that show a mapping to be a spec even where they are misspelt."""


def load(
    paths: Sequence[str | os.PathLike[str]],
    stdin_text: str | bytes | None = None,
    overrides: Overrides = NO_OVERRIDES,
    known_codes: Codes = None,
) -> tuple[Case, ...]:
    """The cases of spec files, in order.

    A folder stands for all .yaml and .yml files below it, sorted, hidden ones left out; `-` for `stdin_text`. The
    `overrides` of flags replace keys of every case. `known_codes` (or a callable that returns them) are what
    `expect` and `ignore` may name. Raises RequestError where there is nothing to read, SpecError (all problems of
    the first file that has any, by position) and FlagError.
    """
    cases: list[Case] = []
    for path in sources.files(paths):
        if path == "-":
            if stdin_text is None:
                raise RequestError("-: there is no standard input to read a spec from")
            cases += load_text(stdin_text, STDIN, ".", overrides, known_codes)
        else:
            cases += load_text(sources.read_bytes(path), path, os.path.dirname(path) or ".", overrides, known_codes)  # noqa: PTH120
    return tuple(cases)


def load_text(
    text: str | bytes,
    path: str,
    base_directory: str = ".",
    overrides: Overrides = NO_OVERRIDES,
    known_codes: Codes = None,
) -> tuple[Case, ...]:
    """The cases of one spec's text.

    `path` is its name in messages, `base_directory` what the files in it are relative to.
    """
    root = read(text, path)
    context = Context(base_directory, known_codes, overrides.keys)
    problems: list[Problem] = []
    cases: list[Case] = []
    names: dict[str, Location] = {}
    stem = Path(path).name.removesuffix(".yaml").removesuffix(".yml").removesuffix(".gradaudit")
    for node, number in _case_nodes(root, problems):
        default_name = stem if number is None else f"{stem} #{number}"
        case, found = build_case(overrides.applied_to(node), default_name, context)
        problems += [_of_case(problem, node) for problem in found]
        if case is not None:
            if case.name in names:
                place = node.value["name"] if isinstance(node.value, dict) and "name" in node.value else node
                problems.append(
                    problem_at(
                        place, f"name: a case on line {names[case.name].line} is called {shown(case.name)} too"
                    )
                )
            names.setdefault(case.name, node.location)
            cases.append(case)
    raise_for(problems)
    return tuple(cases)


def build_case(tree: Node, default_name: str, context: Context) -> tuple[Case | None, list[Problem]]:
    """The case of one mapping of keys; None where there are problems."""
    tree, problems = later.take_out(tree)
    model = _model_of(tree)
    validated, found = _validated(model, tree)
    problems += found
    if validated is None or problems:
        return None, problems
    return build(validated, tree, default_name, context)


def _validated(model: type[CaseKeys], tree: Node) -> tuple[CaseKeys | None, list[Problem]]:
    try:
        return model.model_validate(plain(tree)), _empty_keys(tree)
    except ValidationError as error:
        return None, [*translate.problems(error, tree, model), *_empty_keys(tree)]


def _empty_keys(tree: Node) -> list[Problem]:
    """Keys without a value: what follows them was meant to be indented below, or was forgotten."""
    entries = tree.value if isinstance(tree.value, dict) else {}
    return [
        problem_at(node, f"{key}: the value is empty; give one, or remove the key")
        for key, node in entries.items()
        if node.value is None and key in ("name", "function", "logits", "backends")
    ]


def _of_case(problem: Problem, case: Node) -> Problem:
    """Name the case at fault where the problem itself has no place in the file."""
    if problem.flag is None or case.location.line is None:
        return problem
    return Problem(f"{problem.message} (for the case at {case.location})", problem.location, problem.flag)


def _case_nodes(root: Node, problems: list[Problem]) -> Iterator[tuple[Node, int | None]]:
    """Each case with the defaults merged in, and its number where there is a list of them."""
    entries = _frame(root, problems)
    if not ("cases" in entries or "defaults" in entries):
        rest = {key: node for key, node in entries.items() if key != "version"}
        yield Node(rest, root.location), None
        return
    for key, node in entries.items():
        if key not in FRAME_KEYS:
            problems.append(problem_at_key(node, _beside_cases(key)))
    defaults = _mapping(entries.get("defaults"), "defaults", problems)
    if defaults:
        problems += _problems_of_defaults(Node(defaults, entries["defaults"].location))
    cases = entries.get("cases")
    if cases is None:
        problems.append(problem_at(root, "cases are missing beside defaults:; add cases: and a list"))
    elif not isinstance(cases.value, list) or not cases.value:
        problems.append(
            problem_at(cases, f"cases: {shown(plain(cases))} is not a list of cases; begin each with '- '")
        )
    else:
        for number, case in enumerate(cases.value, 1):
            own = _mapping(case, f"cases[{number - 1}]", problems)
            if own is not None:
                yield Node({**defaults, **own} if defaults else own, case.location), number


def _frame(root: Node, problems: list[Problem]) -> dict[str, Node]:
    """The keys at the top, after the question whether this is a spec at all."""
    if not isinstance(root.value, dict):
        raise SpecError(
            f"this is {shown(plain(root))}, not a spec; a spec is a mapping that begins with version: {VERSION}",
            root.location,
        )
    known = (*FRAME_KEYS, *case_model(plugins.names("gradaudit.backends")).model_fields)
    if not any(key in known or nearest(key, TELLTALE_KEYS) for key in root.value):
        raise SpecError(
            f"this is {shown(plain(root))}, not a spec: none of its keys is one of ours; a spec has "
            f"version: {VERSION}, function: and logits:",
            root.location,
        )
    version = root.value.get("version")
    if version is None:
        problems.append(problem_at(root, f"version is missing; begin the spec with version: {VERSION}"))
    elif version.value != VERSION or isinstance(version.value, bool):
        problems.append(
            problem_at(
                version, f"version: {shown(plain(version))} is not known; this gradaudit reads version: {VERSION}"
            )
        )
    return root.value


def _beside_cases(key: str) -> str:
    known = case_model(plugins.names("gradaudit.backends")).model_fields
    if key in known:
        return f"{key}: stands beside cases:; move it into defaults: or into a case"
    return f"{translate.unknown_key(key, (*FRAME_KEYS, *known))}"


def _mapping(node: Node | None, what: str, problems: list[Problem]) -> dict[str, Node] | None:
    if node is None:
        return {}
    if isinstance(node.value, dict):
        return node.value
    problems.append(problem_at(node, f"{what}: {shown(plain(node))} is not a mapping of keys"))
    return None


def _problems_of_defaults(defaults: Node) -> list[Problem]:
    """What is wrong with defaults on their own, so that a case that overrides them hides nothing."""
    rest, problems = later.take_out(defaults)
    return problems + _validated(_model_of(rest), rest)[1]


def _model_of(tree: Node) -> type[CaseKeys]:
    """The model of a case, whose functions are those of the framework that its `semantics` names."""
    return case_model(plugins.names("gradaudit.backends"), semantics_of(tree))
