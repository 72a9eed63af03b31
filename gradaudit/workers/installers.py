"""pip and uv as programs: what they are asked to do, their progress, and their last words where they fail."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.errors import AuditError
from gradaudit.workers import environment, isolated

if TYPE_CHECKING:
    from gradaudit.backends.interface import Recipe

Say = Callable[[str], None]

LAST_LINES = 12
"""Lines of an installer's output that a message repeats."""

TOLD = ("Collecting", "Downloading", "Using cached", "Building", "Installing", "Successfully", "Resolved", "Prepared")
"""Beginnings of the lines of pip and uv that tell how far they are."""

PIP_WITH_PYTHON = (22, 3)
"""The first pip that installs into another environment (`pip --python`)."""


def steps(recipe: Recipe, python: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The commands that build a virtual environment in `folder` by `recipe`, each with what it does in words.

    By uv where there is one and pip has no settings of its own, else by pip.
    """
    uv = _uv()
    inside = str(isolated.python_below(folder))
    install: list[str]
    if uv is not None:
        yield "", [uv, "venv", "--python", python, str(folder)]
        install = [uv, "pip", "install", "--python", inside]
    elif python == sys.executable and _pip_version() >= PIP_WITH_PYTHON:
        yield "", [python, "-m", "venv", "--without-pip", str(folder)]
        install = [python, "-m", "pip", "--python", inside, "install"]
    else:
        yield "", [python, "-I", "-m", "venv", str(folder)]
        install = [inside, "-m", "pip", "install"]
    if uv is None:
        install += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    by = "uv" if uv is not None else "pip"
    yield f"installing {' '.join(recipe.requirements)} by {by}", [*install, *recipe.requirements]
    if recipe.without_dependencies:
        names = recipe.without_dependencies
        yield f"installing {' '.join(names)} without what it asks for, by {by}", [*install, "--no-deps", *names]


def _uv() -> str | None:
    """uv, where there is one and pip has no settings of its own: uv would not read them."""
    uv = shutil.which("uv")
    if uv is None:
        return None
    if not _pip_version():
        return uv
    command = [sys.executable, "-m", "pip", "config", "list"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return None if asked.stdout.strip() else uv


def _pip_version() -> tuple[int, ...]:
    """The version of this Python's pip; () where it has none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return tuple(int(part) for part in version("pip").split(".")[:2] if part.isdigit())
    except PackageNotFoundError:
        return ()


def run(backend: str, command: Sequence[str], say: Say) -> None:
    """Run one step, telling of its progress; AuditError with its last words where it fails."""
    last: deque[str] = deque(maxlen=LAST_LINES)
    process = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=_environment(),
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            text = line.rstrip()
            if text:
                last.append(text)
            if text.lstrip().startswith(TOLD):
                say(f"  {text.strip()}")
        status = process.wait()
    finally:
        if process.poll() is None:
            _end(process)
        process.stdout.close()
    if status:
        said = "\n".join(f"  {line}" for line in last)
        raise AuditError(
            f"{backend} could not be installed; nothing was kept. `{' '.join(command)}` ended with status "
            f"{status} and said:\n{said}\n"
            "Is there a network, and does the package index have these packages for this Python? (`pip config list` "
            "shows the index that is asked; PIP_INDEX_URL and PIP_FIND_LINKS name another.) What was downloaded is "
            f"in the installer's cache for the next attempt. A Python that has {backend} already can be named by "
            f"{environment.variable(backend)}."
        )


def _environment() -> Mapping[str, str]:
    """Ours, without what would send an installer to our own packages."""
    return {name: value for name, value in os.environ.items() if name not in environment.PYTHON_VARIABLES}


def _end(process: subprocess.Popen[str]) -> None:
    """End an installer and whatever it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
