"""Which interpreter a worker runs in, and the environment that it sees."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from gradaudit.backends.interface import STANDALONE, Backend
from gradaudit.records import backend_name
from gradaudit.workers import isolated
from gradaudit.workers.settings import WorkerSettings

WORKER = STANDALONE / "worker.py"

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)

PYTHON_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR", "PYTHONUSERBASE")
"""What tells one Python where its packages are, and would mislead another."""


def variable(backend: str) -> str:
    """The environment variable that names the interpreter of `backend`."""
    return f"GRADAUDIT_PYTHON_{backend_name.plain(backend).upper().replace('-', '_')}"


def interpreter(backend: str, settings: WorkerSettings) -> str:
    """The Python that is to run the worker of `backend`.

    The first of these that there is: the one in its name (`torch@/path/to/python`), that of the settings, that of the
    variable GRADAUDIT_PYTHON_<BACKEND>, the environment that `gradaudit backends install` made for it, and this one.
    """
    named = backend_name.interpreter(backend)
    given = named or settings.python or os.environ.get(variable(backend))
    if given:
        return python_in(given)
    return isolated.python_of(backend_name.plain(backend)) or sys.executable


def python_in(path: str) -> str:
    """The interpreter at `path`, which may also be the folder of an environment."""
    expanded = Path(path).expanduser()
    if expanded.is_dir():
        return str(isolated.python_below(expanded))
    return str(expanded) if path.startswith("~") else path


def command(backend: Backend, settings: WorkerSettings) -> list[str]:
    """The command line of the worker of `backend`."""
    python = interpreter(backend.name, settings)
    options = ["-s"] if python != sys.executable or sys.flags.no_user_site else []
    return [
        *(python, *options, str(WORKER)),
        *("--adapter", str(backend.adapter)),
        *("--threads", str(settings.threads)),
        *("--max-memory", str(settings.memory_cap)),
    ]


def environment(backend: Backend, settings: WorkerSettings) -> dict[str, str]:
    """The worker's environment: the caller's own, with threads pinned before any library reads them."""
    result = dict(os.environ)
    for name in THREAD_VARIABLES:
        result[name] = str(settings.threads)
    # Plug-in devices of torch are not asked for, and looking for them costs time at every import.
    result["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"
    if interpreter(backend.name, settings) != sys.executable:
        # Another interpreter's packages are its own: ours are of another Python version.
        for name in PYTHON_VARIABLES:
            result.pop(name, None)
    return result


def remedy(backend: Backend, settings: WorkerSettings) -> str:
    """What gets the framework into the interpreter of its worker, where that is one, or another one that has it."""
    python = interpreter(backend.name, settings)
    if python in (sys.executable, isolated.python_of(backend_name.plain(backend.name))):
        return backend.remedy
    if why_no_worker(python) is not None:
        return f"name a Python that has it ({variable(backend.name)}, python:)"
    wanted = backend.recipes[0].requirements if backend.recipes else ()
    packages = " ".join((*wanted,)) or backend.remedy.removeprefix("pip install ")
    return f"{python} -m pip install {packages}, or name a Python that has it ({variable(backend.name)}, python:)"


def why_no_worker(python: str) -> str | None:
    """Why the program at `python` cannot run a worker; None where it is a Python that can."""
    from gradaudit.workers import pythons

    version = pythons.version_of(python)
    if version is None:
        return f"{python} is no Python interpreter"
    if version < pythons.OLDEST:
        return f"{python} is Python {'.'.join(map(str, version))}; workers need {'.'.join(map(str, pythons.OLDEST))}"
    return None
