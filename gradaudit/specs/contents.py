"""What a case says in full, as plain values: two cases are the same audit where these are the same."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gradaudit.records.case import FileArray


def contents_of(value: object) -> Any:
    """A value of a record as JSON has it, exactly; arrays and files by their contents."""
    if isinstance(value, FileArray):
        return [file_digest(Path(value.path)), value.path, value.key, value.dtype, list(value.shape)]
    if isinstance(value, np.ndarray):
        return [value.dtype.str, list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: contents_of(getattr(value, each.name)) for each in dataclasses.fields(value)}
        return [type(value).__name__, fields]
    if isinstance(value, Mapping):
        return [[contents_of(key), contents_of(value[key])] for key in sorted(value, key=repr)]
    if isinstance(value, tuple | list):
        return [contents_of(entry) for entry in value]
    return [type(value).__name__, repr(value)]


def file_digest(path: Path) -> str:
    """SHA-256 of a file; what cannot be read is told from what can, and the audit says what is wrong with it."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable: {error.strerror}"
