"""The adapter of a framework that does to its process what its formulation says, with the framework loaded and used.

Run by path in the framework's own interpreter; a test writes a copy that knows where the real adapter is.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import sys
import time
from pathlib import Path

REAL = "/the/real/adapter.py"


def _real():
    name = "gradaudit_adapter_" + Path(REAL).stem
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, REAL)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def hello(threads):
    return _real().hello(threads)


def evaluate(request, arrays):
    fault = request["formulation"]
    # The framework works first, so that its threads and its memory are there when the process ends.
    result = _real().evaluate(dict(request, formulation="fused"), arrays)
    if fault != "fused":
        globals()[fault]()
    return result


def segfaults():
    sys.stdout.write("about to read address 0\n")
    sys.stdout.flush()
    ctypes.string_at(0)


def exits():
    os._exit(3)


def hangs():
    while True:
        time.sleep(1)


def runs_out_of_memory():
    import numpy

    numpy.ones(1 << 45)


def lets_the_framework_run_out_of_memory():
    if "mxnet" in sys.modules:
        import mxnet

        mxnet.nd.ones((1 << 30,), dtype="float64")[0].asnumpy()
    elif "tensorflow" in sys.modules:
        import tensorflow

        tensorflow.ones((1 << 36,))
    elif "jax" in sys.modules:
        import jax.numpy

        jax.numpy.ones((1 << 36,)).block_until_ready()
    elif "torch" in sys.modules:
        import torch

        torch.ones(1 << 40)
    else:
        runs_out_of_memory()


def prints():
    sys.stdout.write("garbage on stdout\n")
    os.write(1, b"\x00\x00\x00\x05hello")


def breaks_the_protocol():
    for descriptor in range(3, 32):
        with contextlib.suppress(OSError):
            os.write(descriptor, b"\x00\x00\x00\x05hello")
    time.sleep(3600)
