"""Making and removing the environments of `gradaudit.workers.isolated`: all or nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.errors import AuditError, FlagError
from gradaudit.workers import environment, installers, isolated, pythons
from gradaudit.workers.installers import Say

if TYPE_CHECKING:
    from gradaudit.backends.interface import Backend, Recipe
    from gradaudit.records.evaluation import BackendState

PIP_INSTALL = "pip install "

EXTRA = re.compile(r"gradaudit\[(?P<name>[a-z]+)\]")

STARTUP = 300.0
"""Seconds within which a framework imports itself for the first time, its bytecode not compiled yet."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment that works: its folder, and the state of its backend; `already` where it had been there."""

    folder: Path
    state: BackendState
    already: bool = False


def install(backend: Backend, say: Say, *, again: bool = False) -> Installed:
    """Build the environment of `backend`, unless there is a complete one that works and `again` is false.

    `say` is told how far it is. AuditError where it cannot be built; nothing is left behind then, nor by an
    interruption, and an environment that was there before stays.
    """
    folder = isolated.folder_of(backend.name)
    there = isolated.python_of(backend.name)
    if there is not None and not again:
        state = _state(backend, there)
        if state.available:
            return Installed(folder, state, already=True)
        say(f"the environment in {folder} does not work any more ({state.reason}): building it anew")
    _clear(backend.name, say)
    recipe, python = _recipe(backend)
    unfinished = folder.with_name(f"{folder.name}{isolated.UNFINISHED}-{os.getpid()}")
    try:
        state = _built(backend, recipe, python, unfinished, say)
        _put_in_place(unfinished, folder)
    except OSError as error:
        raise AuditError(f"{backend.name}: {error.filename or unfinished}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        isolated.forget()
    return Installed(folder, state)


def remove(backend: str, say: Say) -> Path | None:
    """Remove the environment of `backend` and what unfinished builds have left; its folder, or None where there was
    nothing."""
    folder = isolated.folder_of(backend)
    cleared = _clear(backend, say)
    if not folder.exists():
        return folder if cleared else None
    try:
        # Without its stamp it does not count, should the removal be interrupted.
        (folder / isolated.STAMP).unlink(missing_ok=True)
        shutil.rmtree(folder)
    except OSError as error:
        raise AuditError(f"{backend}: {error.filename or folder}: {error.strerror or error}") from None
    finally:
        isolated.forget()
    return folder


def recipes_of(backend: Backend) -> tuple[Recipe, ...]:
    """Those that the backend declares, else what its remedy installs and NumPy; () where that is no `pip install`."""
    from gradaudit.backends.interface import Recipe

    if backend.recipes or not backend.remedy.startswith(PIP_INSTALL):
        return backend.recipes
    named = shlex.split(backend.remedy.removeprefix(PIP_INSTALL))
    wanted = [each for name in named for each in (_of_extra(name) or (name,))]
    return (Recipe(tuple(dict.fromkeys((*wanted, "numpy", "ml-dtypes"))), oldest=(3, 10)),)


def _of_extra(requirement: str) -> tuple[str, ...]:
    """What an extra of gradaudit asks for: a worker needs that, and not gradaudit. () for any other requirement."""
    from importlib.metadata import PackageNotFoundError, requires

    extra = EXTRA.fullmatch(requirement)
    if extra is None:
        return ()
    condition = re.compile(rf"""\s*\b(and\s+)?extra\s*==\s*["']{re.escape(extra["name"])}["']""")
    try:
        known = requires("gradaudit") or []
    except PackageNotFoundError:
        return ()
    return tuple(condition.sub("", each).rstrip(" ;") for each in known if condition.search(each))


def _recipe(backend: Backend) -> tuple[Recipe, str]:
    """The first recipe for which this machine has a Python, and that Python."""
    recipes = recipes_of(backend)
    if not recipes:
        raise FlagError(f"{backend.name} has no environment of its own; to get it: {backend.remedy}")
    for recipe in recipes:
        found = pythons.suitable(recipe.oldest, recipe.newest)
        if found is not None:
            return recipe, found[0]
    ranges = " or ".join(f"{_dotted(recipe.oldest)} to {_dotted(recipe.newest)}" for recipe in recipes)
    raise AuditError(
        f"{backend.name} needs Python {ranges}, and there is none on PATH (nor known to uv); install one, such as by "
        f"`uv python install {_dotted(recipes[0].newest)}`, or name a Python that has {backend.name} by "
        f"{environment.variable(backend.name)}"
    )


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _built(backend: Backend, recipe: Recipe, python: str, folder: Path, say: Say) -> BackendState:
    """The environment in `folder`, stamped; what its framework says of itself."""
    version = pythons.version_of(python) or recipe.oldest
    say(f"{backend.name}: making an environment of Python {_dotted(version)} ({python})")
    folder.parent.mkdir(parents=True, exist_ok=True)
    for told, command in installers.steps(recipe, python, folder):
        if told:
            say(f"{backend.name}: {told}")
        installers.run(backend.name, command, say)
    say(f"{backend.name}: starting it")
    state = _state(backend, str(isolated.python_below(folder)))
    if not state.available:
        raise AuditError(
            f"{backend.name} was installed, but does not start: {state.reason}; nothing was kept. Please report it, "
            f"or name a Python that has {backend.name} by {environment.variable(backend.name)}"
        )
    stamp = {"requirements": [*recipe.requirements, *recipe.without_dependencies], "versions": dict(state.versions)}
    (folder / isolated.STAMP).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")
    return state


def _put_in_place(unfinished: Path, folder: Path) -> None:
    """By two renames, so that at no time there is half an environment in its place; the former one is put back where
    the second fails."""
    if not folder.exists():
        unfinished.rename(folder)
        return
    old = folder.with_name(f"{folder.name}{isolated.UNFINISHED}-{os.getpid()}-old")
    folder.rename(old)
    try:
        unfinished.rename(folder)
    except BaseException:
        old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _state(backend: Backend, python: str) -> BackendState:
    """What the framework in the interpreter `python` says of itself when its worker is started."""
    import tempfile

    from gradaudit.workers import process
    from gradaudit.workers.settings import WorkerSettings

    settings = WorkerSettings(startup_timeout=STARTUP, python=python)
    with (
        tempfile.TemporaryDirectory(prefix="gradaudit-") as folder,
        process.start(backend, settings, Path(folder)) as worker,
    ):
        return worker.state()


def _clear(backend: str, say: Say) -> bool:
    """Remove what builds that were killed have left; whether there was anything."""
    left = [path for path in isolated.unfinished(backend) if not _at_work(path)]
    for path in left:
        say(f"{backend}: removing {path}, which an interrupted installation left")
        shutil.rmtree(path, ignore_errors=True)
    return bool(left)


def _at_work(path: Path) -> bool:
    """Whether the process that the name of an unfinished environment holds is still there."""
    number = path.name.rpartition(isolated.UNFINISHED)[2].split("-")[1:2]
    if not number or not number[0].isdigit() or int(number[0]) == os.getpid():
        return False
    if sys.platform == "win32":
        return False  # signal 0 is Ctrl-C there, and would be sent
    try:
        os.kill(int(number[0]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True
