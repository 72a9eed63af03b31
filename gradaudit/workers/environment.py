"""Which interpreter a worker runs in, and the environment that it sees."""

from __future__ import annotations

import os
import sys

from gradaudit.backends.interface import STANDALONE, Backend
from gradaudit.workers.settings import WorkerSettings

WORKER = STANDALONE / "worker.py"

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def interpreter(backend: str, settings: WorkerSettings) -> str:
    """The Python that is to run the worker of `backend`."""
    variable = f"GRADAUDIT_PYTHON_{backend.upper().replace('-', '_')}"
    return settings.python or os.environ.get(variable) or sys.executable


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
    for variable in THREAD_VARIABLES:
        result[variable] = str(settings.threads)
    # Plug-in devices of torch are not asked for, and looking for them costs time at every import.
    result["TORCH_DEVICE_BACKEND_AUTOLOAD"] = "0"
    if interpreter(backend.name, settings) != sys.executable:
        # Another interpreter's packages are its own: ours are of another Python version.
        for variable in ("PYTHONPATH", "PYTHONHOME"):
            result.pop(variable, None)
    return result
