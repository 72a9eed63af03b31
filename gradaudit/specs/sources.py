"""Where specs are read from: files, folders, standard input. No YAML yet, and nothing heavy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from gradaudit.errors import RequestError

SUFFIXES = (".yaml", ".yml")
MAX_BYTES = 1 << 20
"""Bytes of one spec; arrays beyond it belong into an .npy file."""


def files(paths: Sequence[str | os.PathLike[str]]) -> list[str]:
    """The files that the paths stand for, each once, `-` (standard input) as it is; RequestError for an empty folder.

    A folder stands for all .yaml and .yml files below it, sorted, hidden ones left out.
    """
    if not paths:
        raise RequestError("no spec was named; give a file, a folder, or - for standard input")
    found: dict[str, str] = {}
    for path in [os.fspath(path) for path in paths]:
        if path == "-":
            found.setdefault("-", "-")
        elif os.path.isdir(path):  # noqa: PTH112 - paths stay as the user wrote them
            below = sorted(_below(path))
            if not below:
                raise RequestError(f"{_quoted(path)}: no {' or '.join(SUFFIXES)} file in this folder or below it")
            for each in below:
                found.setdefault(_identity(each), each)
        else:
            found.setdefault(_identity(path), path)
    return list(found.values())


def read_bytes(path: str) -> bytes:
    """The bytes of a file, at most one more than MAX_BYTES; RequestError where it cannot be read."""
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - a path such as "a\\0b" must raise here, in the try
            return stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RequestError(f"there is no file {_quoted(path)}{_near(path)}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RequestError(f"{_quoted(path)} cannot be read: {reason}") from None


def _identity(path: str) -> str:
    """What two spellings of one path have in common."""
    try:
        return os.path.realpath(path)
    except ValueError:
        # A null byte: whoever opens the path will say so.
        return path


def _below(folder: str) -> Iterator[str]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(parent, name) for name in names if name.endswith(SUFFIXES) and name[0] != ".")  # noqa: PTH118


def _near(path: str) -> str:
    from gradaudit.specs.wording import nearest

    folder, names = Path(path).parent, []
    with contextlib.suppress(OSError):
        names = sorted(each.name for each in folder.iterdir() if each.suffix in SUFFIXES)
    match = nearest(Path(path).name, names)
    return f"; did you mean {_quoted(str(folder / match))}?" if match else ""


def _quoted(text: str) -> str:
    from gradaudit.specs.wording import path_text

    return path_text(text)
