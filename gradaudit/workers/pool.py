"""The workers of one audit, by the names of their backends."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.workers.process import BackendProcess, start
from gradaudit.workers.settings import WorkerSettings

if TYPE_CHECKING:
    import numpy as np

    from gradaudit.backends.interface import Backend
    from gradaudit.records.evaluation import BackendState, Evaluation, EvaluationFailure, EvaluationKey
    from gradaudit.records.inputs import Inputs
    from gradaudit.records.subject import Subject


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
        self._hung: dict[tuple[str, str, str], EvaluationFailure] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        for queue in self._queues.values():
            queue.shutdown(wait=False, cancel_futures=True)
        self._stack.close()

    def warm(self, names: Iterable[str], subjects: Iterable[Subject] = ()) -> None:
        """Start the workers of these backends and users' functions, so that they import their frameworks; returns at
        once."""
        for name in names:
            self.process(name)
        for subject in subjects:
            if subject.live is None:
                self.subject_process(subject.worker)

    def process(self, name: str) -> BackendProcess:
        """The worker of the backend `name`; FlagError where there is no such backend."""
        from gradaudit.backends import registry

        return self._started(name, registry.get(name))

    def subject_process(self, name: str) -> BackendProcess:
        """The worker that runs the users' functions written in the framework `name`; FlagError where none can."""
        from dataclasses import replace

        from gradaudit.backends import registry
        from gradaudit.errors import FlagError

        backend = registry.get(name)
        if backend.subjects is None:
            raise FlagError(f"the backend {name!r} runs no functions of your own")
        return self._started(_subjects_of(name), replace(backend, adapter=backend.subjects))

    def _started(self, name: str, backend: Backend) -> BackendProcess:
        if name not in self._processes:
            process = start(backend, self._settings, self._folder)
            self._stack.callback(process.close)
            self._processes[name] = process
            self._queues[name] = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"gradaudit-{name}")
        return self._processes[name]

    def submit(
        self,
        key: EvaluationKey,
        inputs: Inputs,
        subject: Subject | None = None,
        *,
        experiments: bool = False,
        worker: str | None = None,
    ) -> Future[Evaluation | EvaluationFailure]:
        """Queue one evaluation at its backend; that of a user's `subject` at a worker for users' code.

        With `experiments` the subject is also run in other ways. A live subject is run at once, in this process.
        `worker` names the backend with the interpreter that the case chose for it; None: the key's own.
        """
        if subject is None:
            worker = worker or key.backend
            process = self.process(worker)
            return self._queues[worker].submit(self._evaluate, process, key, inputs)
        if subject.live is not None:
            from gradaudit.workers import live

            done: Future[Evaluation | EvaluationFailure] = Future()
            done.set_result(live.evaluate(key, inputs, subject, experiments=experiments))
            return done
        process = self.subject_process(subject.worker)
        queue = self._queues[_subjects_of(subject.worker)]
        return queue.submit(self._evaluate_subject, process, key, inputs, subject, experiments)

    def draw(self, distribution: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
        """Numbers drawn by torch, which lives in a worker like every framework; the one that no case has chosen."""
        return self.process("torch").draw(distribution, shape, seed)

    def states(self, names: Iterable[str], subjects: Iterable[Subject] = ()) -> tuple[BackendState, ...]:
        """What these backends are, or why they are missing, and those that only users' functions need; waits until
        each has answered."""
        names = tuple(names)
        others = dict.fromkeys(each.worker for each in subjects if each.live is None and each.worker not in names)
        return tuple(self.process(name).state() for name in names) + tuple(
            self.subject_process(name).state() for name in others
        )

    def _evaluate(
        self, process: BackendProcess, key: EvaluationKey, inputs: Inputs
    ) -> Evaluation | EvaluationFailure:
        if self._jobs is None:
            return process.evaluate(key, inputs)
        with self._jobs:
            return process.evaluate(key, inputs)

    def _evaluate_subject(
        self, process: BackendProcess, key: EvaluationKey, inputs: Inputs, subject: Subject, experiments: bool
    ) -> Evaluation | EvaluationFailure:
        from gradaudit.records.evaluation import EvaluationFailure

        # Names are told apart within a case alone.
        identity = (subject.base_directory, subject.target, subject.name)
        hung = self._hung.get(identity)
        if hung is not None:
            return EvaluationFailure(key, hung.kind, f"not asked again: {hung.message}")
        with self._jobs or nullcontext():
            result = process.evaluate(key, inputs, subject, experiments=experiments)
        if isinstance(result, EvaluationFailure) and result.kind == "timed_out":
            self._hung[identity] = result
        return result


def _subjects_of(backend: str) -> str:
    """The name of the worker for users' code: no backend can have it."""
    return f"{backend} (subjects)"
