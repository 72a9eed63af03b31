"""Environments of their own for frameworks that cannot live beside the others, under the user's data folder.

    <data folder>/gradaudit/environments/mxnet/                 a virtual environment, and in it
    <data folder>/gradaudit/environments/mxnet/gradaudit.json   the stamp that makes it count: it is written last

An environment is built beside its place, under a name that says so, and renamed when it works.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

STAMP = "gradaudit.json"
UNFINISHED = ".unfinished"


def data_folder() -> Path:
    """Where the user's own data lie by the platform's convention; XDG_DATA_HOME goes before it."""
    given = os.environ.get("XDG_DATA_HOME", "")
    if given and Path(given).is_absolute():
        base = Path(given)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path.home() / ".local" / "share"
    return base / "gradaudit"


def folder_of(backend: str) -> Path:
    """Where the environment of `backend` is, if there is one."""
    return data_folder() / "environments" / backend


def python_below(folder: Path) -> Path:
    """The interpreter of the virtual environment in `folder`."""
    return folder / "Scripts" / "python.exe" if sys.platform == "win32" else folder / "bin" / "python"


def python_of(backend: str) -> str | None:
    """The interpreter of the environment that was installed for `backend`; None where there is no complete one."""
    try:
        return _python_in(folder_of(backend))
    except (RuntimeError, OSError):
        return None  # a user without a home folder has installed nothing


@functools.cache
def _python_in(folder: Path) -> str | None:
    python = python_below(folder)
    return str(python) if (folder / STAMP).is_file() and python.exists() else None


def forget() -> None:
    """Look again: an environment was made or removed."""
    _python_in.cache_clear()


def unfinished(backend: str) -> list[Path]:
    """What builds of the environment of `backend` that were killed have left."""
    folder = folder_of(backend)
    return sorted(folder.parent.glob(f"{folder.name}{UNFINISHED}-*")) if folder.parent.is_dir() else []
