"""Backends that are not to be trusted, as a stranger's distribution would register them."""

from __future__ import annotations

from pathlib import Path

from gradaudit.backends import numpy as numpy_backend
from gradaudit.backends import torch as torch_backend
from gradaudit.backends.interface import Backend, OwnFormulation
from gradaudit.records.profile import Profile

ADAPTERS = Path(__file__).parent / "adapters"
DTYPES = ("float16", "bfloat16", "float32", "float64")


def _as_numpy(
    function: str, formulation: str, dtype: str, *, classes_last: bool = True, execution: str = "eager"
) -> Profile:
    """NumPy's arithmetic, however it is run."""
    return numpy_backend.profile(function, formulation, dtype, classes_last=classes_last)


LYING = Backend(
    *("lying", ADAPTERS / "lying.py", DTYPES, ("numpy",), "nothing helps", _as_numpy),
    executions=("eager", "compiled"),
    formulations={"layer": OwnFormulation(("cross_entropy",), "fused", "a loss layer")},
)
FAILING = Backend("failing", ADAPTERS / "failing.py", DTYPES, ("numpy",), "nothing helps", numpy_backend.profile)
ANONYMOUS = Backend("anonymous", ADAPTERS / "anonymous.py", DTYPES, (), "nothing helps", torch_backend.profile)
"""The lying and the failing one declare NumPy's arithmetic, the anonymous one torch's, and none keeps its word."""
FLUSHING = Backend("flushing", ADAPTERS / "flushing.py", DTYPES, ("numpy",), "nothing helps", numpy_backend.profile)
"""It changes the process when it is imported."""

ENTRY_POINTS = {"lying": "LYING", "failing": "FAILING", "anonymous": "ANONYMOUS", "flushing": "FLUSHING"}
