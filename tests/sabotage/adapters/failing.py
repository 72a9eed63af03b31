"""NumPy's own results in every dtype but float16, in which it does what the environment variable FAILURE names."""

import ctypes
import importlib.util
import os
import sys
import time
from pathlib import Path

import numpy as np

SOUND = Path(__file__).resolve().parents[3] / "gradaudit" / "backends" / "standalone" / "numpy_adapter.py"
_spec = importlib.util.spec_from_file_location("sound", SOUND)
sound = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sound)

hello = sound.hello


def evaluate(request, arrays):
    if request["dtype"] == "float16":
        FAILURES[os.environ.get("FAILURE", "nothing")]()
    return sound.evaluate(request, arrays)


def nothing():
    pass


def exits():
    os._exit(0)


def segfaults():
    ctypes.string_at(0)


def hangs():
    while True:
        time.sleep(1.0)


def raises():
    raise RuntimeError("the kernel is out of order")


def allocates():
    kept = []
    while True:
        kept.append(np.ones(1 << 20))


def prints():
    line = "x" * 1023 + "\n"
    for _ in range(4096):
        sys.stdout.write(line)
    os.write(1, b'\x00\x00\x00\x11{"status": "lie"}')
    sys.stderr.write("the last line\n")


FAILURES = {name: value for name, value in globals().items() if callable(value)}
