"""The Python interpreters of this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

Version = tuple[int, int]

OLDEST: Version = (3, 8)
"""The oldest Python that runs a worker."""

ANSWER_WITHIN = 20.0
"""Seconds: a Python that takes longer to say its version is none."""

_ASK = "import sys; print('python', *sys.version_info[:2])"


def version_of(python: str) -> Version | None:
    """The version of the interpreter at `python`, asked of itself; None where it is none that runs."""
    if python == sys.executable:
        return (sys.version_info[0], sys.version_info[1])
    try:
        done = subprocess.run(  # noqa: S603
            [python, "-I", "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_WITHIN,
            check=False,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    words = done.stdout.split()
    if done.returncode or len(words) != 3 or words[0] != b"python":
        return None
    return (int(words[1]), int(words[2]))


def suitable(oldest: Version, newest: Version) -> tuple[str, Version] | None:
    """An interpreter from `oldest` to `newest` and its version: this one, else one that PATH or uv knows, newest
    first."""
    for python in _candidates(oldest, newest):
        version = version_of(python)
        if version is not None and oldest <= version <= newest:
            return python, version
    return None


def _candidates(oldest: Version, newest: Version) -> Iterator[str]:
    yield sys.executable
    versions = [f"{oldest[0]}.{minor}" for minor in range(min(newest[1], 30), oldest[1] - 1, -1)]
    for version in versions:
        for folder in os.get_exec_path():
            found = shutil.which(f"python{version}", path=folder)
            if found:
                yield found
    uv = shutil.which("uv")
    if uv is None:
        return
    for version in versions:
        found = _of_uv(uv, version)
        if found:
            yield found


def _of_uv(uv: str, version: str) -> str | None:
    """The Python of that version that uv has installed or found; it downloads none."""
    command = [uv, "python", "find", "--no-python-downloads", version]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_WITHIN, check=False)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    path = done.stdout.strip()
    return path if done.returncode == 0 and Path(path).is_file() else None
