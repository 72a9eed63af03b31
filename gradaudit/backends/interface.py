"""What a backend is: a file that computes, and a declaration of how.

The file, called an adapter, is run by path in a worker process (`standalone/worker.py` says which functions it
has); it may be in any folder and may use nothing but NumPy and its framework. It is asked to evaluate

    {"function": "cross_entropy", "parameters": {...}, "formulation": "fused", "dtype": "float32",
     "axis": [1], "per_output": false, "device": "cpu"}

on a dictionary of NumPy arrays, C-ordered and its own to change: "logits"; "upstream", with the shape of the
output, unless `per_output` is true; where the function has targets, "targets" (int64 without the class axes, or
probabilities of the logits' shape) and, if the classes have weights, "weight". bfloat16 arrives and leaves as
its bits in uint16. With `per_output` it returns "jacobian", of the shape [outputs of a row, *logits.shape], one
cotangent for each output of a row: as many as classes for softmax and log_softmax, else one.

Users' own functions are run by another file, `Backend.subjects`, in a worker of their own. Its requests have beside
the keys above

    {"subject": {"name", "target": "losses.py:loss", "folders": [...], "kwargs": {...}, "factory": false,
                 "targets": "as_given", "autocast": null, "device": "cpu"}   ("live": the callable, in process)
     "output_shape": [...], "outputs_of_a_row": 1, "layout": "contiguous", "upstream_layout": "contiguous",
     "derivatives": 1, "seed": 0, "timeout": 60.0}

`evaluate` returns what the function returned, in whatever shape: "output" and "gradient" (or "jacobian") where there
are any, and "notes": where the function is "defined", what it "returned" in words, why that is "unusable" (empty
where it is not), what was "mutated" ("forward: logits"), what of the "process" was changed (predicates), and, of
NumPy, what is "written_by_hand". A second request, "experiment", for the same arrays has it run in other ways. The
arrays it returns are experiments, named in `standalone/torch_experiments.py` ("again.output", "doubled.gradient");
its notes are those of the process, what was "raised" by which experiment, the "perturbed_row", the backwards that are
"written_by_hand", and for the second order whether there is "a graph", "no path", "no graph" or it was "refused". The
host adds "experiments_failed" ({"kind", "message"}) where the worker did not survive them.

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
    functions written in this framework, in a worker apart; None where there is none. `devices` are the kinds it knows
    of; whether this machine has them is found out when one is asked for.
    """

    name: str
    adapter: Path
    dtypes: tuple[str, ...]
    packages: tuple[str, ...]
    remedy: str
    profile: DeclareProfile
    subjects: Path | None = None
    devices: tuple[str, ...] = ("cpu",)
