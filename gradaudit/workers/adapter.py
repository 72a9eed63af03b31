"""Adapters in the caller's own process: the same files that the workers run."""

from __future__ import annotations

import functools
from pathlib import Path
from types import ModuleType


@functools.cache
def load_adapter(path: Path) -> ModuleType:
    """The adapter file at `path` as a module of this process; it imports its framework when it is asked to.

    Its functions are described in `gradaudit.backends.interface`; arrays are passed as they are there.
    """
    import importlib.util
    import sys

    name = f"gradaudit_adapter_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
