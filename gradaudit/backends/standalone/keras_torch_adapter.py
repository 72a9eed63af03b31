"""Keras on PyTorch: `keras_losses.py` does the work.

Run by path in any Python from 3.8 with NumPy, Keras and PyTorch; imports nothing of gradaudit.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Any, Dict

BELOW = "torch"


def _losses() -> Any:
    name = "gradaudit_adapter_keras_losses"
    if name not in sys.modules:
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "keras_losses.py")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


UnsupportedError = _losses().UnsupportedError
OWN_VARIABLES = _losses().OWN_VARIABLES


def hello(threads: int) -> Dict[str, Any]:
    """Import Keras on PyTorch and pin the threads."""
    result: Dict[str, Any] = _losses().hello(BELOW, threads)
    return result


def evaluate(request: Dict[str, Any], arrays: Dict[str, Any]) -> Dict[str, Any]:
    """Forward and backward of one function; see `gradaudit.backends.interface` for the request."""
    result: Dict[str, Any] = _losses().evaluate(BELOW, request, arrays)
    return result
