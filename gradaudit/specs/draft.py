"""A case while it is being built: the model, the tree with the places, and what is wrong so far."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from gradaudit.functions import registry
from gradaudit.functions.interface import Function
from gradaudit.records.case import FileArray
from gradaudit.records.function_call import FunctionCall
from gradaudit.specs import files, shapes
from gradaudit.specs.array_models import FileValues
from gradaudit.specs.models import CaseKeys
from gradaudit.specs.nodes import Node, Problem, find, problem_at, problem_at_key

Codes = Iterable[str] | Callable[[], Iterable[str]] | None


@dataclass(frozen=True, slots=True)
class Context:
    """What a case is built with.

    `base_directory` is what its paths are relative to, `known_codes` the codes of all rules (None: not checked),
    `overridden` the keys that flags replaced.
    """

    base_directory: str = "."
    known_codes: Codes = None
    overridden: Collection[str] = field(default_factory=frozenset)


@dataclass(slots=True)
class Draft:
    """`tree` is what `model` was validated from; `shape` and `axis` are those of the logits, once known."""

    model: CaseKeys
    tree: Node
    context: Context
    function: FunctionCall
    shape: tuple[int, ...] = ()
    axis: tuple[int, ...] = ()
    problems: list[Problem] = field(default_factory=list)

    @property
    def definition(self) -> Function:
        """The registered function."""
        return registry.of_call(self.function)

    @property
    def classes(self) -> int:
        """The number of classes."""
        return shapes.classes(self.shape, self.axis)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """The logits' shape without the class axes."""
        return shapes.row_shape(self.shape, self.axis)

    def complain(self, message: str, *path: str | int) -> None:
        """Add a problem with the value at `path`, or with the deepest part of it that is there."""
        self.problems.append(problem_at(find(self.tree, path), message))

    def complain_of_key(self, message: str, *path: str | int) -> None:
        """Add a problem with the key at `path`."""
        self.problems.append(problem_at_key(find(self.tree, path), message))

    def file(self, values: FileValues, key: str) -> FileArray | None:
        """The array of a file, by its header; None after a complaint."""
        path, inner = files.split_key(values.file)
        if inner is not None and values.key is not None:
            self.complain(f"{key}: the key of the archive stands twice, in file: and in key:", key, "key")
            return None
        full = os.path.join(self.context.base_directory, path)  # noqa: PTH118 - pathlib would drop a leading ./
        try:
            header = files.read_header(full, inner or values.key)
        except files.FileProblem as problem:
            self.complain(f"{key}: {problem}", key, "file")
            return None
        if len(header.shape) > shapes.MAX_RANK:
            self.complain(f"{key}: {len(header.shape)} axes; at most {shapes.MAX_RANK} are read", key, "file")
            return None
        return FileArray(full, header.shape, header.dtype.name, header.key)
