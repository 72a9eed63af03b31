"""The subjects of a case: functions and ONNX files of the user's own. Nothing of theirs is imported here."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

from gradaudit import plugins
from gradaudit.records.subject import SECOND_ORDER, Subject
from gradaudit.specs import executions
from gradaudit.specs.draft import Draft
from gradaudit.specs.models import FRAMEWORKS, SubjectKeys
from gradaudit.specs.nodes import find
from gradaudit.specs.wording import did_you_mean, one_of, path_text, shown

MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
"""Python names with dots between them."""

BACKENDS = {"onnx": "onnxruntime"}
"""The backend that runs what a key names, where it is called otherwise."""

OF_FILES = ("inputs", "output", "gradient", "external_data")
OF_FUNCTIONS = ("kwargs", "factory")
"""Keys that only ONNX files, or only functions, have."""

TENSOR = "tensor"
"""The only key of a mapping in `kwargs` that stands for a tensor."""


def build_subjects(draft: Draft) -> tuple[Subject, ...]:
    """The subjects in their order, each with a name of its own; complaints go to the draft."""
    items = draft.model.subjects
    targets = [_target(draft, item, position) for position, item in enumerate(items)]
    names = _names(draft, items, targets)
    subjects = tuple(
        _subject(draft, item, position, name, target)
        for position, (item, name, target) in enumerate(zip(items, names, targets, strict=True))
    )
    _check_case(draft, subjects)
    return tuple(
        dataclasses.replace(each, name=executions.shown(each.name, execution), execution=execution)
        for each in subjects
        for execution in executions.offered(tuple(draft.model.execution), each.backend)
    )


def _subject(draft: Draft, item: SubjectKeys, position: int, name: str, what: tuple[str, str]) -> Subject:
    framework, target = what
    node = find(draft.tree, ["subjects", position])
    _check_kwargs(draft, item, position)
    _check_keys(draft, item, position, framework)
    if item.targets == "one_hot" and not draft.definition.takes_targets:
        draft.complain(
            f"subjects: {draft.function.name} has no targets that could be one-hot; remove targets:",
            *("subjects", position, "targets"),
        )
    if item.autocast and framework != "torch":
        draft.complain(
            f"subjects: autocast is torch's; a {framework} function does not run under it",
            *("subjects", position, "autocast"),
        )
    profile = {
        key: value for key, value in (item.profile.model_dump() if item.profile else {}).items() if value is not None
    }
    return Subject(
        name=name,
        backend=BACKENDS.get(framework, framework),
        target=target,
        kwargs=MappingProxyType(dict(item.kwargs)),
        factory=item.factory,
        input=item.input,
        targets=item.targets,
        profile=MappingProxyType(profile),
        autocast=(item.autocast or draft.model.autocast) if framework == "torch" else None,
        location=node.location,
        base_directory=draft.context.base_directory,
        device=draft.model.device,
        derivatives=draft.model.derivatives,
        graph=MappingProxyType({key: getattr(item, key) for key in OF_FILES if getattr(item, key)}),
    )


def _check_keys(draft: Draft, item: SubjectKeys, position: int, framework: str) -> None:
    """Keys that say something of another kind of subject."""
    keys, what = (OF_FUNCTIONS, "an ONNX file") if framework == "onnx" else (OF_FILES, "a function")
    for key in keys:
        if key in item.model_fields_set:
            draft.complain(f"subjects: {key} says nothing of {what}; remove it", *("subjects", position, key))


def _target(draft: Draft, item: SubjectKeys, position: int) -> tuple[str, str]:
    """The framework of a subject and what it names; complaints where that cannot be anything."""
    given = {framework: getattr(item, framework) for framework in FRAMEWORKS if getattr(item, framework)}
    path = ("subjects", position)
    if len(given) != 1:
        what = "names no function" if not given else f"names two functions, by {one_of(given)}"
        draft.complain(
            f"subjects: {what}; give one of torch: losses.py:loss, numpy: losses.py:loss and onnx: loss.onnx", *path
        )
        return "torch", ""
    ((framework, target),) = given.items()
    if framework == "onnx":
        _check_file(draft, target, (*path, framework), ".onnx")
        return framework, target
    where, colon, attribute = target.rpartition(":")
    if not colon:
        example = f"{target}:loss" if target.endswith(".py") else "losses.py:loss"
        draft.complain(f"subjects: {shown(target)} names no function; expected MODULE:NAME or PATH.py:NAME, such as "
                       f"{example}", *path, framework)  # fmt: skip
    elif not MODULE.fullmatch(attribute):
        draft.complain(f"subjects: {shown(attribute)} in {shown(target)} is no name of a function", *path, framework)
    elif where.endswith(".py"):
        _check_file(draft, where, (*path, framework))
    elif not MODULE.fullmatch(where):
        draft.complain(
            f"subjects: {shown(where)} in {shown(target)} is neither a module nor a file that ends in .py",
            *path,
            framework,
        )
    return framework, target


def _check_file(draft: Draft, where: str, path: Sequence[str | int], ending: str = ".py") -> None:
    folders = dict.fromkeys(os.path.realpath(folder) for folder in (draft.context.base_directory, "."))
    candidates = [Path(folder, where) for folder in folders]
    if any(candidate.is_file() for candidate in candidates):
        return
    found = next((candidate for candidate in candidates if os.path.lexists(candidate)), None)
    if found is not None:
        what = "a folder" if found.is_dir() else "a link that leads nowhere" if found.is_symlink() else "no file"
        draft.complain(f"subjects: {shown(where)} is {what}; name a file that ends in {ending}", *path)
        return
    below = [candidate.parent for candidate in candidates if candidate.parent.is_dir()]
    known = sorted({found.name for folder in below for found in folder.glob(f"*{ending}") if found.is_file()})
    searched = " and ".join(dict.fromkeys(path_text(str(candidate.parent)) for candidate in candidates))
    hint = did_you_mean(Path(where).name, known[:8]) if known else ""
    draft.complain(f"subjects: there is no file {shown(where)}; looked in {searched}{hint}", *path)


def _names(draft: Draft, items: Sequence[SubjectKeys], targets: Sequence[tuple[str, str]]) -> list[str]:
    """Given names, else the functions' own; where two are alike the whole targets, and if need be the frameworks."""
    names = [
        item.name or (Path(target).name if framework == "onnx" else target.rpartition(":")[2])
        for item, (framework, target) in zip(items, targets, strict=True)
    ]
    taken = set(plugins.names("gradaudit.backends"))
    for longer in ([target for _, target in targets], [":".join(target) for target in targets]):
        alike = {name for name in names if name in taken or names.count(name) > 1}
        names = [
            whole if item.name is None and name in alike else name
            for item, name, whole in zip(items, names, longer, strict=True)
        ]
    for position, (item, name) in enumerate(zip(items, names, strict=True)):
        if name in names[:position]:
            draft.complain(
                f"subjects: two are called {shown(name)}; give each a name: of its own", "subjects", position
            )
        elif item.name in taken:
            draft.complain(
                f"subjects: {shown(name)} is the name of a backend; give it another one",
                *("subjects", position, "name"),
            )
    return names


def _check_kwargs(draft: Draft, item: SubjectKeys, position: int) -> None:
    for key, value in item.kwargs.items():
        path = ("subjects", position, "kwargs", key)
        if not key.isidentifier():
            draft.complain(f"subjects: {shown(key)} is no name of an argument", *path)
        elif isinstance(value, dict) and TENSOR in value:
            if len(value) > 1:
                draft.complain(f"subjects: {TENSOR}: stands alone, as in {{{TENSOR}: [0.2, 0.8]}}", *path)
            elif not _is_numbers(value[TENSOR]):
                draft.complain(
                    f"subjects: {shown(value[TENSOR])} is no tensor; expected a number or nested lists of numbers, "
                    "all of one length along each axis",
                    *path,
                    TENSOR,
                )


def _is_numbers(value: object) -> bool:
    return _shape(value) is not None


def _shape(value: object) -> tuple[int, ...] | None:
    """The shape of nested lists of numbers; None where they are none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return ()
    if not isinstance(value, list):
        return None
    shapes = {_shape(each) for each in value}
    if len(shapes) > 1 or None in shapes:
        return None
    inner = next(iter(shapes), ())
    return None if inner is None else (len(value), *inner)


def _check_case(draft: Draft, subjects: Sequence[Subject]) -> None:
    """Keys of the case that ask for what no subject can do."""
    torch = any(subject.backend == "torch" for subject in subjects)
    advice = "add subjects: [{torch: losses.py:loss}], or remove the key"
    if draft.model.derivatives == 2 and not any(subject.backend in SECOND_ORDER for subject in subjects):
        whose = one_of(SECOND_ORDER)
        draft.complain(f"derivatives: only subjects written in {whose} have a second order; {advice}", "derivatives")
    if draft.model.autocast and not torch:
        draft.complain(f"autocast: only subjects written in torch run under it; {advice}", "autocast")
