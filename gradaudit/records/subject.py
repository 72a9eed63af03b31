"""A user's own loss or activation, which an audit runs beside the backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gradaudit.records import backend_name
from gradaudit.records.evaluation import EAGER
from gradaudit.records.location import COMMAND_LINE, Location

INPUTS = ("logits", "probabilities", "log_probabilities")
"""What a subject may be fed: the case's logits, or their softmax or log-softmax rounded once to the dtype."""

SECOND_ORDER = ("torch", "jax", "tensorflow")
"""The frameworks whose functions can be differentiated twice."""

CUSTOM = "custom"
"""The formulation of a subject that claims none."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something callable, and how to get at it.

    `target` is "module:attr" or "path.py:attr"; `backend` names the framework it is written in. A class is
    constructed with `kwargs`, a function gets them bound, and with `factory` it is called with them first; a value
    {"tensor": [...]} stands for a tensor. `input` is one of INPUTS. `targets` is "as_given", or "one_hot" where class
    indices are to arrive as one-hot rows of the logits' shape. `profile` holds what the author claims (compute,
    accumulate, storage, formulation). `autocast` names the dtype of torch's autocast, if any. `live` is the callable
    itself where it was handed over by the Python API; it then runs in the caller's process. A relative `target` is
    looked for in `base_directory`, then in the working directory. It computes on `device` in one `execution`, which
    its name tells where that is not eager ("loss, compiled"), and with `derivatives` 2 its second order is asked for.
    `python` is the interpreter to run it in; None leaves that to the backend.

    An ONNX file is a subject of the backend onnxruntime: `target` is its path, and `graph` holds what the spec says
    of its inputs and outputs ("inputs": {role: name}, "output", "gradient", "external_data").
    """

    name: str
    backend: str
    target: str
    kwargs: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    factory: bool = False
    input: str = "logits"
    targets: str = "as_given"
    profile: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    autocast: str | None = None
    location: Location = COMMAND_LINE
    live: object | None = None
    base_directory: str = "."
    device: str = "cpu"
    derivatives: int = 1
    python: str | None = None
    graph: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    execution: str = EAGER

    @property
    def worker(self) -> str:
        """The backend with the interpreter, if one was chosen: who is to run it."""
        return backend_name.at(self.backend, self.python)

    @property
    def formulation(self) -> str:
        """The formulation that the author claims, or CUSTOM."""
        return self.profile.get("formulation", CUSTOM)
