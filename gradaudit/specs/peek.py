"""Which backends a request will want, guessed from its text in a millisecond.

Reading specs properly costs pydantic, yaml and numpy, longer than the import of a small framework; workers that are
started first import theirs meanwhile. The guess decides nothing: a backend that it misses is started later, one that
it names in vain is stopped unused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from gradaudit.errors import RequestError
from gradaudit.specs import sources

_NAMED = re.compile(r"\bbackends[\"']?[ ]*:[ \n]*(\[[^\]]*\]|(?:[ ]*-[ ]*[\w\"']+[ ]*(?:#.*)?\n?)+|[\w\"']+)")
_SUBJECTS = re.compile(r"\bsubjects[\"']?[ ]*:")
_FRAMEWORK = re.compile(r"\b(torch|numpy)[\"']?[ ]*:[ ]*[\"']?[\w./\\ -]+:")
_MXNET = re.compile(r"\bsemantics[\"']?[ ]*:[ ]*[\"']?mxnet\b")
_WORD = re.compile(r"\w+")
_ELSEWHERE = re.compile(r"\w+@[^\s,'\"\]]+")
"""A backend of another interpreter: which one, and where, is for the specs to say."""


def peek(
    paths: Sequence[str | os.PathLike[str]],
    stdin_text: str | bytes | None = None,
    backend_flags: Sequence[str] = (),
    known: Sequence[str] = ("numpy", "torch", "onnxruntime"),
) -> tuple[str, ...]:
    """Those of the `known` backends that the specs, or the texts of `--backend`, seem to name, in that order.

    A spec that names none stands for all of them, and so does a request without specs. Nothing is raised: what cannot
    be read is for `loading.load` to refuse.
    """
    if backend_flags:
        return _among(",".join(backend_flags), known)
    wanted: set[str] = set()
    for text in _texts(paths, stdin_text):
        named = " ".join(_NAMED.findall(text))
        # Beside subjects no backend is meant unless it is named; MXNet's operators are ONNX Runtime's to evaluate.
        unnamed = _among("onnxruntime", known) if _MXNET.search(text) else known
        wanted.update(_among(named, known) if named or _SUBJECTS.search(text) else unnamed)
    return tuple(name for name in known if name in wanted)


def peek_subjects(
    paths: Sequence[str | os.PathLike[str]],
    stdin_text: str | bytes | None = None,
    subject_flags: Sequence[str] = (),
) -> tuple[str, ...]:
    """The frameworks in which the users' own functions of the specs, or of `--subject`, seem to be written."""
    texts = [*(text for text in _texts(paths, stdin_text) if _SUBJECTS.search(text)), *subject_flags]
    return tuple(dict.fromkeys(name for text in texts for name in _FRAMEWORK.findall(text)))


def _texts(paths: Sequence[str | os.PathLike[str]], stdin_text: str | bytes | None) -> list[str]:
    """The texts of the specs; an empty one where there are none, and nothing where they cannot be read."""
    try:
        files = sources.files(paths) if paths else []
        return [_text(stdin_text or "" if path == "-" else sources.read_bytes(path)) for path in files] or [""]
    except RequestError:
        return []


def _text(source: str | bytes) -> str:
    return source if isinstance(source, str) else source.decode("utf-8", "replace")


def _among(text: str, known: Sequence[str]) -> tuple[str, ...]:
    words = set(_WORD.findall(_ELSEWHERE.sub("", text)))
    return tuple(name for name in known if name in words)
