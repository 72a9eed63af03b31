"""Interpreters by name: `torch@/path/to/python` among the backends, and `python: {mxnet: /path/to/python}`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from gradaudit import plugins
from gradaudit.records import backend_name
from gradaudit.specs.draft import Draft
from gradaudit.specs.wording import nearest, one_of, shown


def interpreters(draft: Draft) -> tuple[tuple[str, str], ...]:
    """The interpreter of each backend that `python:` names, as it is found from here."""
    known = plugins.names("gradaudit.backends")
    for name in draft.model.python:
        if name not in known:
            match = nearest(name, known)
            hint = f"; did you mean {match!r}?" if match else ""
            draft.complain_of_key(f"python: there is no backend {shown(name)}; there are {one_of(known)}{hint}",
                                  "python", name)  # fmt: skip
    return tuple((name, _found(draft, path, "python")) for name, path in sorted(draft.model.python.items()))


def backends(draft: Draft, named: Sequence[str] | None) -> tuple[str, ...]:
    """The backends of a case, the interpreters in their names as they are found from here."""
    result = []
    for position, name in enumerate(named or ()):
        path = backend_name.interpreter(name)
        if path == "":
            example = shown(f"{name}/path/to/python")
            draft.complain(f"backends: {shown(name)} names no interpreter; expected such as {example}",
                           "backends", position)  # fmt: skip
        result.append(name if path is None else f"{backend_name.plain(name)}@{_found(draft, path, 'backends')}")
    return tuple(result)


def _found(draft: Draft, path: str, key: str) -> str:
    """Relative to the spec where it stands in one; a bare word is a command on PATH."""
    expanded = os.path.expanduser(path)  # noqa: PTH111 - pathlib would drop a leading ./
    relative = os.sep in expanded and not os.path.isabs(expanded)  # noqa: PTH117
    if not relative or key in draft.context.overridden:
        return expanded
    return os.path.normpath(os.path.join(draft.context.base_directory, expanded))  # noqa: PTH118
