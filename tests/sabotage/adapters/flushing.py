"""NumPy's own results, by a package whose import changes the process that everyone computes in.

Run by path in a worker like any adapter.
"""

import importlib.util
import os
import signal
from pathlib import Path

SOUND = Path(__file__).resolve().parents[3] / "gradaudit" / "backends" / "standalone" / "numpy_adapter.py"
_spec = importlib.util.spec_from_file_location("sound", SOUND)
sound = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sound)

OWN_VARIABLES = ("OF_THE_ADAPTER",)
UnsupportedError = sound.UnsupportedError
evaluate = sound.evaluate


def hello(threads):
    import torch

    found = sound.hello(threads)
    os.environ["OF_THE_ADAPTER"] = "1"
    os.environ["OF_THE_PACKAGE"] = "1"
    os.environ["OMP_DYNAMIC"] = "true"
    signal.signal(signal.SIGUSR1, print)
    assert torch.set_flush_denormal(True)
    return found
