"""The workers of one audit, by the names of their backends."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.workers.process import BackendProcess, start
from gradaudit.workers.settings import WorkerSettings

if TYPE_CHECKING:
    import numpy as np

    from gradaudit.records.evaluation import BackendState, Evaluation, EvaluationFailure, EvaluationKey
    from gradaudit.records.inputs import Inputs


class Pool:
    """Workers that are started on first use, each with a queue of its own, all with one run folder.

    At most `jobs` of them compute at once (None: all). Leaving the context ends them and removes the folder.
    """

    def __init__(self, settings: WorkerSettings, jobs: int | None = None) -> None:
        self._settings = settings
        self._jobs = None if jobs is None else threading.BoundedSemaphore(jobs)
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="gradaudit-")))
        self._processes: dict[str, BackendProcess] = {}
        self._queues: dict[str, ThreadPoolExecutor] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        for queue in self._queues.values():
            queue.shutdown(wait=False, cancel_futures=True)
        self._stack.close()

    def warm(self, names: Iterable[str]) -> None:
        """Start the workers of these backends, so that they import their frameworks; returns at once."""
        for name in names:
            self.process(name)

    def process(self, name: str) -> BackendProcess:
        """The worker of the backend `name`; FlagError where there is no such backend."""
        from gradaudit.backends import registry

        if name not in self._processes:
            process = start(registry.get(name), self._settings, self._folder)
            self._stack.callback(process.close)
            self._processes[name] = process
            self._queues[name] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"gradaudit-{name}")
        return self._processes[name]

    def submit(self, key: EvaluationKey, inputs: Inputs) -> Future[Evaluation | EvaluationFailure]:
        """Queue one evaluation at its backend."""
        process = self.process(key.backend)
        return self._queues[key.backend].submit(self._evaluate, process, key, inputs)

    def draw(self, distribution: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
        """Numbers drawn by torch, which lives in a worker like every framework."""
        return self.process("torch").draw(distribution, shape, seed)

    def states(self, names: Iterable[str]) -> tuple[BackendState, ...]:
        """What these backends are, or why they are missing; waits until each has answered."""
        return tuple(self.process(name).state() for name in names)

    def _evaluate(
        self, process: BackendProcess, key: EvaluationKey, inputs: Inputs
    ) -> Evaluation | EvaluationFailure:
        if self._jobs is None:
            return process.evaluate(key, inputs)
        with self._jobs:
            return process.evaluate(key, inputs)
