"""What a backend is: a file that computes, and a declaration of how.

The file, called an adapter, is run by path in a worker process (`standalone/worker.py` says which functions it
has); it may be in any folder and may use nothing but NumPy and its framework. It is asked to evaluate

    {"function": "cross_entropy", "parameters": {...}, "formulation": "fused", "dtype": "float32",
     "execution": "eager", "axis": [1], "per_output": false, "device": "cpu"}

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

Of an ONNX file "target" is the path and "graph" what the spec says of its inputs and outputs.

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

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from gradaudit.records.evaluation import EAGER
from gradaudit.records.profile import Profile
from gradaudit.records.subject import CUSTOM

GROUP = "gradaudit.backends"

STANDARD_FORMULATIONS = ("fused", "log_softmax", "unfused", "unshifted")
"""What any backend may be asked for, where the function has it."""

STANDALONE = Path(__file__).parent / "standalone"
"""The folder of our own adapters and of the worker's main."""


class DeclareProfile(Protocol):
    """The arithmetic that a backend declares for a function, a formulation and a dtype.

    `classes_last` is true where the class axes are the last ones of the logits: a framework may have other kernels
    for other layouts. Backends that offer another execution than eager are told by `execution` which one it is.
    """

    def __call__(self, function: str, formulation: str, dtype: str, *, classes_last: bool = True) -> Profile:
        """The declared profile."""
        ...


@dataclass(frozen=True, slots=True)
class OwnFormulation:
    """A way to compute some of the functions that one backend alone has, beside fused, log_softmax, unfused and
    unshifted.

    `functions` are those that it spells, `held_to` is the standard formulation whose tolerance rows it is held to,
    and `doc` says in a clause what is called.
    """

    functions: tuple[str, ...]
    held_to: str
    doc: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `gradaudit backends install` puts into an environment of its own for a backend.

    `requirements` are installed with what they ask for, `without_dependencies` after them and without it. It serves
    for the Pythons from `oldest` to `newest`, both included.
    """

    requirements: tuple[str, ...]
    without_dependencies: tuple[str, ...] = ()
    oldest: tuple[int, int] = (3, 8)
    newest: tuple[int, int] = (3, 99)


@dataclass(frozen=True, slots=True)
class Backend:
    """A framework that computes.

    `adapter` is the file that does so and `dtypes` those it may be asked for. `packages` are the distributions
    whose versions are of interest, the framework first. `remedy` is the command that installs it. `profile`
    declares its arithmetic, from which tolerances are derived. `subjects` is the adapter that runs the users' own
    functions written in this framework, in a worker apart; None where there is none. `devices` are the kinds it knows
    of; whether this machine has them is found out when one is asked for. `executions` are the ways in which it runs
    a function (`gradaudit.records.evaluation.EXECUTIONS`), and `formulations` those that it alone has, by name.
    `recipes` build an environment for it alone, the preferred one first; without any, one is made of `remedy`.
    `semantics` are the frameworks whose operators it evaluates as those do, asked for as "mxnet.softmax"
    (`gradaudit.functions.mxnet`). `padding` is the label that goes without saying for rows to be ignored by a cross
    entropy that is written in it: PyTorch's -100, where its convention is followed. None where a framework knows no
    such label, so that what its losses make of one that nobody asked for is a matter of policy.
    """

    name: str
    adapter: Path
    dtypes: tuple[str, ...]
    packages: tuple[str, ...]
    remedy: str
    profile: DeclareProfile
    subjects: Path | None = None
    devices: tuple[str, ...] = ("cpu",)
    executions: tuple[str, ...] = (EAGER,)
    formulations: Mapping[str, OwnFormulation] = field(default_factory=lambda: MappingProxyType({}))
    recipes: tuple[Recipe, ...] = ()
    semantics: tuple[str, ...] = ()
    padding: int | None = None

    def held_to(self, formulation: str) -> str:
        """The standard formulation whose tolerance rows `formulation` is held to: its own, or the one declared."""
        own = self.formulations.get(formulation)
        return formulation if own is None else own.held_to

    def declared(
        self, function: str, formulation: str, dtype: str, *, classes_last: bool = True, execution: str = EAGER
    ) -> Profile:
        """The profile of a formulation in one of the executions that the backend offers."""
        if self.executions == (EAGER,):
            return self.profile(function, formulation, dtype, classes_last=classes_last)
        told: Any = self.profile
        profile: Profile = told(function, formulation, dtype, classes_last=classes_last, execution=execution)
        return profile

    def lacking(self, function: str, dtype: str, execution: str, formulation: str) -> str | None:
        """What the backend cannot be asked for, in words; None where it has all of it."""
        framework, dot, operator = function.partition(".")
        if dot and framework not in self.semantics:
            return f"{self.name} does not evaluate {framework}'s {operator}"
        own = self.formulations.get(formulation)
        if own is not None and function not in own.functions:
            return f"{self.name} has no {formulation} formulation of {function}"
        formulations = (*STANDARD_FORMULATIONS, *self.formulations)
        asked = (
            (dtype, self.dtypes, ""),
            (execution, self.executions, " execution"),
            (formulation, (*formulations, CUSTOM), " formulation"),
        )
        for wanted, offered, what in asked:
            if wanted not in offered:
                has = ", ".join(each for each in offered if each != CUSTOM)
                return f"{self.name} has no {wanted}{what}; it has {has}"
        return None
