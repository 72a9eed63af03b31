"""A pool without workers: live callables run in the caller's own process, which is left as it was found."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from gradaudit.errors import AuditError, WorkerError

if TYPE_CHECKING:
    import numpy as np

    from gradaudit.records.evaluation import BackendState, Evaluation, EvaluationFailure, EvaluationKey
    from gradaudit.records.inputs import Inputs
    from gradaudit.records.subject import Subject


class LocalPool:
    """What :class:`gradaudit.workers.pool.Pool` is to the pipeline, for subjects that are live and nothing else.

    The user's function keeps the process's threads and settings; its random generators are put back after every
    evaluation. There is no timeout and no memory cap: what ends the process ends the test.
    """

    def __enter__(self) -> LocalPool:
        if sys.float_info.min / 2.0 == 0.0:
            raise AuditError(
                "this process flushes subnormal numbers to zero, so nothing can be proved in it; something set that "
                "(torch.set_flush_denormal, a library built with -ffast-math): turn it off, or audit the loss by a "
                "spec, in a worker"
            )
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing to end."""

    def warm(self, names: Iterable[str], subjects: Iterable[Subject] = ()) -> None:
        """Nothing to start."""

    def submit(
        self,
        key: EvaluationKey,
        inputs: Inputs,
        subject: Subject | None = None,
        *,
        experiments: bool = False,
        worker: str | None = None,  # noqa: ARG002 - everything runs here
    ) -> Future[Evaluation | EvaluationFailure]:
        """Evaluate the live subject, before this returns."""
        done: Future[Evaluation | EvaluationFailure] = Future()
        done.set_result(_evaluated(key, inputs, subject, experiments))
        return done

    def draw(self, distribution: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
        """Numbers drawn by torch, here."""
        from gradaudit.backends import registry
        from gradaudit.workers.adapter import load_adapter

        with _generators_kept():
            try:
                drawn: np.ndarray = load_adapter(registry.get("torch").adapter).draw(distribution, shape, seed)
            except ImportError as error:
                raise WorkerError(f"drawing {distribution} numbers by torch: {error}") from None
        return drawn

    def states(self, names: Iterable[str], subjects: Iterable[Subject] = ()) -> tuple[BackendState, ...]:
        """The frameworks of the subjects, as this process has them."""
        import platform
        from importlib.metadata import PackageNotFoundError, version

        from gradaudit.backends import registry
        from gradaudit.records.evaluation import BackendState

        states = []
        for name in dict.fromkeys([*names, *(subject.backend for subject in subjects)]):
            backend, found = registry.get(name), {}
            for package in backend.packages:
                with contextlib.suppress(PackageNotFoundError):
                    found[package] = version(package)
            states.append(
                BackendState(
                    name=name,
                    available=True,
                    version=found.get(backend.packages[0], ""),
                    python=platform.python_version(),
                    versions=tuple(found.items()),
                    flush_to_zero=False,
                    dtypes=backend.dtypes,
                )
            )
        return tuple(states)


def _evaluated(
    key: EvaluationKey, inputs: Inputs, subject: Subject | None, experiments: bool
) -> Evaluation | EvaluationFailure:
    from gradaudit.records.evaluation import EvaluationFailure
    from gradaudit.workers import live

    if subject is None or subject.live is None:
        return EvaluationFailure(key, "unsupported", f"{key.subject} is no live callable; audit it by a spec")
    with _generators_kept():
        try:
            return live.evaluate(key, inputs, subject, experiments=experiments)
        except SystemExit as error:
            return EvaluationFailure(key, "raised", f"SystemExit: {error} (it ends the process)")


@contextlib.contextmanager
def _generators_kept() -> Iterator[None]:
    """Every random generator that the process has loaded goes on where it was."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    ours = random.getstate()
    numpys = numpy.random.get_state() if numpy is not None else None
    torchs = torch.random.get_rng_state() if torch is not None else None
    try:
        yield
    finally:
        random.setstate(ours)
        if numpy is not None:
            numpy.random.set_state(numpys)
        if torch is not None:
            torch.random.set_rng_state(torchs)
