"""Workers that run the adapters of this folder."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.backends.interface import Backend, OwnFormulation
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.profile import Profile

ADAPTERS = Path(__file__).parent / "adapters"

Start = Callable[..., workers.BackendProcess]


def _profile(function: str, formulation: str, dtype: str, *, classes_last: bool = True) -> Profile:
    return Profile(dtype, dtype, dtype, dtype)


_FUNCTION = re.compile(r"^def (\w+)\(", re.MULTILINE)


def backend(adapter: str, folder: Path = ADAPTERS) -> Backend:
    """A backend whose adapter is a file of `adapters/`, or of another folder; its functions are formulations."""
    names = _FUNCTION.findall((folder / f"{adapter}.py").read_text(encoding="utf-8"))
    own = OwnFormulation(("softmax",), "fused", "a way to misbehave")
    return Backend(
        name=adapter,
        adapter=folder / f"{adapter}.py",
        dtypes=("float16", "bfloat16", "float32", "float64"),
        packages=("numpy",),
        remedy=f"pip install {adapter}",
        profile=_profile,
        formulations=dict.fromkeys(names, own),
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start workers that are closed when the test ends."""
    with contextlib.ExitStack() as stack:

        def started(
            adapter: str = "misbehaving", folder: Path = ADAPTERS, **settings: object
        ) -> workers.BackendProcess:
            limits = workers.WorkerSettings(**{"timeout": 20.0, "max_memory": 400 << 20, **settings})  # type: ignore[arg-type]
            return stack.enter_context(workers.start(backend(adapter, folder), limits, tmp_path))

        yield started


def make_inputs(logits: np.ndarray | None = None, **fields: object) -> Inputs:
    """Inputs of a softmax in float32, [2, 3] unless said otherwise."""
    logits = np.arange(6, dtype=np.float32).reshape(2, 3) if logits is None else logits
    values: dict[str, object] = {
        "function": FunctionCall("softmax", {"temperature": 1.0, "masked_classes": ()}),
        "dtype": logits.dtype.name,
        "scale": 1.0,
        "axis": (1,),
        "logits": logits,
        "targets": None,
        "upstream": np.ones_like(logits),
        "per_output": False,
        "weight": None,
    }
    return Inputs(**{**values, **fields})  # type: ignore[arg-type]


def ask(
    process: workers.BackendProcess, formulation: str = "fused", inputs: Inputs | None = None
) -> Evaluation | EvaluationFailure:
    """Evaluate on default inputs."""
    inputs = inputs or make_inputs()
    name = process.backend.name
    return process.evaluate(EvaluationKey(name, name, formulation, inputs.dtype, inputs.scale), inputs)


def alive(process: int) -> bool:
    """Whether there is such a process, zombies not counted."""
    try:
        status = Path(f"/proc/{process}/stat").read_text("ascii")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def gone(process: int, within: float = 5.0) -> bool:
    """Whether the process ends within some seconds."""
    end = time.monotonic() + within
    while alive(process):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def open_descriptors() -> int:
    """How many file descriptors this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
