"""Flags to a case, or over the cases of a spec, through the same models as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradaudit.errors import FlagError
from gradaudit.records.case import Case
from gradaudit.records.location import COMMAND_LINE
from gradaudit.specs.draft import Codes, Context
from gradaudit.specs.flag_table import FLAGS, Flag, given_as, parsed
from gradaudit.specs.loading import build_case
from gradaudit.specs.nodes import Node, from_plain, raise_for
from gradaudit.specs.overrides import Overrides
from gradaudit.specs.wording import did_you_mean

Given = Mapping[str, str | Sequence[str] | None]
"""Texts of flags by the flag's name, with or without dashes; None and empty sequences mean that it was not given."""

_BY_PARAMETER = {flag.parameter: flag for flag in FLAGS}
_REQUIRED = {
    "function": "--function is missing; name one, such as softmax or cross_entropy, or give a spec file",
    "logits": "--logits is missing; give numbers (--logits '0.1, 2'), a file (--logits data.npy) or --random",
}


def overrides_from_flags(given: Given) -> Overrides:
    """The keys that flags set; FlagError where a text is malformed or two flags set the same key."""
    nodes: dict[str, Node] = {}
    setters: dict[str, Flag] = {}
    for name, value in given.items():
        texts = _texts(value)
        if not texts:
            continue
        flag = _flag(name)
        if flag.key in setters:
            raise FlagError(f"{flag.name} and {setters[flag.key].name} both give the {flag.key}; keep one of them")
        setters[flag.key] = flag
        text = given_as(flag, texts)
        nodes[flag.key] = from_plain(parsed(flag, texts), COMMAND_LINE, text)
    return Overrides(nodes)


def case_from_flags(given: Given, known_codes: Codes = None, base_directory: str = ".") -> Case:
    """The one case that flags describe; FlagError where they do not."""
    overrides = overrides_from_flags(given)
    nodes = overrides.nodes
    by_formula = {"function": nodes["function.formula"]} if "function.formula" in nodes else {}
    for key, message in _REQUIRED.items():
        if key not in {**by_formula, **nodes}:
            raise FlagError(message)
    # What is missing from the case as a whole is laid at the door of --function.
    called = {**by_formula, **nodes}["function"]
    tree = overrides.applied_to(Node({}, COMMAND_LINE, flag=called.flag))
    function = called.value
    name = function if isinstance(function, str) else "command line"
    case, problems = build_case(tree, name, Context(base_directory, known_codes))
    raise_for(problems)
    assert case is not None, "a case without problems"
    return case


def _texts(value: str | Sequence[str] | None) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _flag(name: str) -> Flag:
    flag = _BY_PARAMETER.get(name.removeprefix("--").replace("-", "_"))
    if flag is None:
        raise FlagError(f"{name} is no flag of a case{did_you_mean(name, [flag.name for flag in FLAGS])}")
    return flag
