"""What a backend is: a file that computes, and a declaration of how.

The file, called an adapter, is run by path in a worker process (`standalone/worker.py` says which functions it
has); it may be in any folder and may use nothing but NumPy and its framework. It is asked to evaluate

    {"function": "cross_entropy", "parameters": {...}, "formulation": "fused", "dtype": "float32",
     "axis": [1], "per_output": false}

on a dictionary of NumPy arrays, C-ordered and its own to change: "logits"; "upstream", with the shape of the
output, unless `per_output` is true; where the function has targets, "targets" (int64 without the class axes, or
probabilities of the logits' shape) and, if the classes have weights, "weight". bfloat16 arrives and leaves as
its bits in uint16. With `per_output` it returns "jacobian", of the shape [outputs of a row, *logits.shape], one
cotangent for each output of a row: as many as classes for softmax and log_softmax, else one.

An object of class :class:`Backend` is registered under the entry-point group `gradaudit.backends`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gradaudit.records.profile import Profile

GROUP = "gradaudit.backends"

STANDALONE = Path(__file__).parent / "standalone"
"""The folder of our own adapters and of the worker's main."""


class DeclareProfile(Protocol):
    """The arithmetic that a backend declares for a function, a formulation and a dtype.

    `classes_last` is true where the class axes are the last ones of the logits: a framework may have other kernels
    for other layouts.
    """

    def __call__(self, function: str, formulation: str, dtype: str, *, classes_last: bool = True) -> Profile:
        """The declared profile."""
        ...


@dataclass(frozen=True, slots=True)
class Backend:
    """A framework that computes.

    `adapter` is the file that does so and `dtypes` those it may be asked for. `packages` are the distributions
    whose versions are of interest, the framework first. `remedy` is the command that installs it. `profile`
    declares its arithmetic, from which tolerances are derived. `subjects` is the adapter that runs the users' own
    functions written in this framework, in a worker apart; None where there is none.
    """

    name: str
    adapter: Path
    dtypes: tuple[str, ...]
    packages: tuple[str, ...]
    remedy: str
    profile: DeclareProfile
    subjects: Path | None = None
