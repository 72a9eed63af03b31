"""What a subject returned, or why it returned nothing. Both are values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


EAGER = "eager"
EXECUTIONS = (EAGER, "graph", "compiled")
"""How a framework runs a function: operation by operation, as a traced graph (tf.function), or compiled (XLA's jit,
torch.compile)."""


@dataclass(frozen=True, slots=True)
class EvaluationKey:
    """Which evaluation of a case this is. `subject` is the name shown to people; `execution` is one of EXECUTIONS."""

    subject: str
    backend: str
    formulation: str
    dtype: str
    scale: float
    probe: str | None = None
    execution: str = EAGER

    @property
    def says_backend(self) -> bool:
        """Whether the name shown to people tells the backend already."""
        return names_backend(self.subject, self.backend)


def names_backend(subject: str, backend: str) -> bool:
    """Whether the name of a subject is its backend's: "torch", "torch@/usr/bin/python3", "jax, compiled"."""
    return subject == backend or subject.startswith((f"{backend},", f"{backend}@"))


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The arrays a subject returned.

    `output` is what forward returned (loss or probabilities) in its own dtype. Either `gradient` (the shape of
    the logits) or `jacobian` (shape [outputs of a row, *logits.shape]) is present, in their own dtypes.
    `seconds` is the time of forward and backward in the worker; `captured` what the subject printed.
    `experiments` holds the arrays of further runs by name (a second call, a second backward, ...), and `notes` facts
    that are no arrays (what was mutated, where the subject is defined), both described in
    `gradaudit.backends.interface`.
    """

    key: EvaluationKey
    output: np.ndarray
    gradient: np.ndarray | None
    jacobian: np.ndarray | None
    seconds: float
    captured: str = ""
    experiments: Mapping[str, np.ndarray] = field(default_factory=lambda: MappingProxyType({}))
    notes: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))


FAILURE_KINDS = ("crashed", "timed_out", "missing", "out_of_memory", "raised", "unsupported", "refused", "unverified")


@dataclass(frozen=True, slots=True)
class EvaluationFailure:
    """Why an evaluation returned nothing. `kind` is one of FAILURE_KINDS.

    "unsupported" counts as skipped, and so does "refused": a subject raised on a probe, though it may have taken the
    case's own inputs. "unverified": it returned, but the exact values failed their own check.
    """

    key: EvaluationKey
    kind: str
    message: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ProcessFact:
    """One thing about a worker's process, before and after its framework was imported.

    `name` says what ("subnormal results", "environment variable OMP_NUM_THREADS"); of handlers, filters and variables
    `before` is what was taken away and `after` what was added. `numbers` tells whether a change of it can change what
    other code computes.
    """

    name: str
    before: str
    after: str
    numbers: bool

    @property
    def changed(self) -> bool:
        """Whether the import made it another one."""
        return self.before != self.after


@dataclass(frozen=True, slots=True)
class BackendState:
    """What a backend is and what its import did: versions, threads, flush-to-zero; or why it is missing.

    `flush_to_zero` is the state after the import, and `process` what the import found and left behind. `details`
    holds what else the adapter reports of its process (TF32, instruction set, ...), sorted by name.
    """

    name: str
    available: bool
    version: str = ""
    python: str = ""
    versions: tuple[tuple[str, str], ...] = ()
    threads: int | None = None
    flush_to_zero: bool | None = None
    reason: str = ""
    remedy: str = ""
    dtypes: tuple[str, ...] = ()
    details: tuple[tuple[str, str], ...] = ()
    process: tuple[ProcessFact, ...] = ()
