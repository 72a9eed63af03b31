"""A backend in a process of its own, as the pipeline sees it."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gradaudit.errors import WorkerError
from gradaudit.workers import ending, environment, requests, run_folder
from gradaudit.workers.channel import BrokenWorkerError, Channel
from gradaudit.workers.settings import WorkerSettings

if TYPE_CHECKING:
    import numpy as np

    from gradaudit.backends.interface import Backend
    from gradaudit.records.evaluation import BackendState, Evaluation, EvaluationFailure, EvaluationKey
    from gradaudit.records.inputs import Inputs
    from gradaudit.records.subject import Subject

DETAIL_CHARACTERS = 4000

INTERPRETER = "interpreter"
"""The detail of a backend's state that names the Python that has it, where that is not our own."""

INTERRUPT_EVERY = 0.05
"""Seconds after which `close` ends whatever still has the turn."""


def start(backend: Backend, settings: WorkerSettings, folder: Path) -> BackendProcess:
    """Start the worker of `backend` and return at once, while it imports its framework.

    `folder` exists; arrays travel through it. Inputs are stored once for all backends that share it.
    """
    return BackendProcess(backend, settings, folder)


class BackendProcess:
    """The worker of one backend: started, asked, killed where it must be, and started again when it is next needed.

    Methods may be called from several threads, which take turns. `close` interrupts whatever is under way.
    """

    def __init__(self, backend: Backend, settings: WorkerSettings, folder: Path) -> None:
        self.backend = backend
        self._settings = settings
        self._folder = run_folder.shared(folder)
        self._turn = threading.Lock()
        self._state: BackendState | None = None
        self._unavailable: tuple[str, str, str] | None = None
        self._greeting: int | None = None
        self._closed = False
        self._channel: Channel | None = None
        self._owner: tuple[str, str] | None = None
        self._tainted = False
        self._launch()

    def __enter__(self) -> BackendProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def state(self) -> BackendState:
        """What the backend is, or why it is missing; waits until its framework is imported."""
        with self._turn:
            self._ready()
            assert self._state is not None
            return self._state

    def draw(self, distribution: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
        """float32 numbers drawn by the framework: "uniform" on [0, 1), or "normal".

        Raises WorkerError where the backend is missing, draws nothing, or fails.
        """
        from gradaudit.workers import responses

        what = f"drawing {distribution} numbers of shape {list(shape)} by {self.backend.name}"
        with self._turn:
            channel = self._ready()
            if channel is None:
                assert self._unavailable is not None
                _, reason, remedy = self._unavailable
                raise WorkerError(f"{what}: {reason}; {remedy}")
            folder = self._folder.new_evaluation(self.backend.name)
            request = {"request": "draw", "distribution": distribution, "shape": list(shape), "seed": seed}
            try:
                response, _ = channel.exchange({**request, "folder": str(folder)}, self._settings.timeout)
                if response["status"] != "ok":
                    raise WorkerError(f"{what}: {response.get('type')}: {response.get('message')}")
                return responses.array(response, "draw", folder, tuple(shape))
            except responses.BadResponseError as error:
                raise WorkerError(f"{what}: unusable result: {error}") from None
            except BrokenWorkerError as error:
                raise WorkerError(f"{what}: {error}") from None
            finally:
                run_folder.remove(folder)

    def evaluate(
        self, key: EvaluationKey, inputs: Inputs, subject: Subject | None = None, *, experiments: bool = False
    ) -> Evaluation | EvaluationFailure:
        """Forward and backward of `key.formulation`, or of a user's `subject`; or why there is no result.

        With `experiments` the subject is also run in other ways, to see whether it behaves like a function; what goes
        wrong there is a note of the evaluation.
        """
        from gradaudit.records.evaluation import EvaluationFailure
        from gradaudit.workers import responses

        with self._turn:
            if subject is not None:
                self._make_way(subject)
            refusal = self._refusal(key, inputs, inputs.device if subject is None else subject.device)
            if refusal is not None:
                return refusal
            assert self._channel is not None
            folder = None
            try:
                folder = self._folder.new_evaluation(self.backend.name)
                request = requests.evaluate(key, inputs, subject, self._settings.timeout)
                request |= {"arrays": self._folder.store(inputs), "folder": str(folder)}
                response, captured = self._channel.exchange(request, self._settings.timeout)
                if subject is None:
                    return responses.evaluation(key, inputs, response, folder, captured)
                result = responses.of_subject(key, response, folder, captured)
                if isinstance(result, EvaluationFailure):
                    return result
                self._tainted = self._tainted or bool(result.notes.get("process"))
                return self._experimented(subject, result, request, folder) if experiments else result
            except BrokenWorkerError as error:
                message = str(error) if subject is None else ending.of_subject(subject, str(error), error.output)
                return EvaluationFailure(key, error.kind, message, error.output[-DETAIL_CHARACTERS:])
            except OSError as error:
                return EvaluationFailure(key, "crashed", f"arrays cannot be stored in {self._folder.path}: {error}")
            finally:
                if folder is not None:
                    run_folder.remove(folder)

    def _experimented(
        self, subject: Subject, result: Evaluation, request: dict[str, object], folder: Path
    ) -> Evaluation:
        from gradaudit.workers import responses

        assert self._channel is not None
        try:
            response, _ = self._channel.exchange({**request, "request": "experiment"}, self._settings.timeout)
        except BrokenWorkerError as error:
            message = ending.of_subject(subject, str(error), error.output)
            return responses.without_experiments(result, error.kind, message)
        return responses.experiments(result, response, folder)

    def _make_way(self, subject: Subject) -> None:
        """End a worker whose process another subject has changed, or that finds modules in another folder."""
        owner = (subject.base_directory, subject.target)
        if self._owner is not None and self._owner != owner:
            elsewhere = self._owner[0] != subject.base_directory
            if (self._tainted or elsewhere) and self._channel is not None:
                self._ready()
                self._channel.kill()
        if self._owner != owner:
            self._owner, self._tainted = owner, False

    def close(self) -> None:
        """End the worker, from whatever thread and whatever it is doing."""
        self._closed = True
        while not self._turn.acquire(timeout=INTERRUPT_EVERY):
            if self._channel is not None:
                self._channel.kill()  # whoever has the turn may just have started another worker
        try:
            if self._channel is not None:
                self._channel.close()
                self._channel = None
        finally:
            self._turn.release()

    def _launch(self) -> None:
        self._channel = None
        try:
            self._channel = Channel(
                environment.command(self.backend, self._settings),
                environment.environment(self.backend, self._settings),
                self._settings.memory_cap,
            )
        except OSError as error:
            python = environment.interpreter(self.backend.name, self._settings)
            self._miss("missing", f"{python}: {error.strerror or error}", self._remedy())
            return
        self._greeting = self._channel.post({"request": "hello"})

    def _ready(self) -> Channel | None:
        """The channel of a worker whose framework is imported; None where the backend is not available."""
        from gradaudit.workers import responses

        if self._unavailable is not None or self._closed:
            self._state = self._state or self._missing_state("it was closed")
            return None
        if self._channel is not None and self._channel.dead:
            self._channel.close()
            self._launch()
        if self._channel is None or self._greeting is None:
            return self._channel
        try:
            response = self._channel.receive(self._greeting, self._settings.startup_timeout)
        except BrokenWorkerError as error:
            self._miss_start(error)
            return None
        self._greeting = None
        state = responses.state(self.backend, response)
        if not state.available:
            self._channel.kill()
            self._miss("missing", state.reason + self._elsewhere(), self._remedy())
            return None
        self._channel.note_memory()
        self._state = self._with_interpreter(state)
        return self._channel

    def _miss(self, kind: str, reason: str, detail: str) -> None:
        """Remember that the backend is not available, for good: what failed to start would fail again."""
        self._unavailable = (kind, reason, detail)
        self._state = self._state or self._missing_state(reason)

    def _miss_start(self, error: BrokenWorkerError) -> None:
        """What ended before it said a word may be no Python at all."""
        python = environment.interpreter(self.backend.name, self._settings)
        reason = environment.why_no_worker(python)
        if reason is not None:
            self._miss("missing", reason, self._remedy())
            return
        self._miss(error.kind, f"while starting: {error}", error.output[-DETAIL_CHARACTERS:])

    def _elsewhere(self) -> str:
        """In words where the framework was looked for; nothing where that is the Python that runs us."""
        python = environment.interpreter(self.backend.name, self._settings)
        return "" if python == sys.executable else f" (in {python})"

    def _with_interpreter(self, state: BackendState) -> BackendState:
        """`state` with the interpreter, where it is another than the one that runs us."""
        python = environment.interpreter(self.backend.name, self._settings)
        if python == sys.executable:
            return state
        return replace(state, details=tuple(sorted((*state.details, (INTERPRETER, python)))))

    def _remedy(self) -> str:
        return environment.remedy(self.backend, self._settings)

    def _missing_state(self, reason: str) -> BackendState:
        from gradaudit.records.evaluation import BackendState

        return BackendState(self.backend.name, False, reason=reason, remedy=self._remedy())

    def _refusal(self, key: EvaluationKey, inputs: Inputs, device: str) -> EvaluationFailure | None:
        """Why the worker is not even asked."""
        from gradaudit.records.evaluation import EvaluationFailure

        name = self.backend.name
        lacking = self.backend.lacking(inputs.function.name, inputs.dtype, key.execution, key.formulation)
        if lacking is not None:
            return EvaluationFailure(key, "unsupported", lacking)
        if device.partition(":")[0] not in self.backend.devices:
            message = f"{name} does not compute on {device!r}; it knows {', '.join(self.backend.devices)}"
            return EvaluationFailure(key, "missing", message)
        if self._ready() is None:
            if self._unavailable is None:
                return EvaluationFailure(key, "crashed", f"the worker of {name} was closed")
            return EvaluationFailure(key, *self._unavailable)
        assert self._state is not None
        if inputs.dtype not in self._state.dtypes:
            message = f"this {name} ({self._state.version}) has no {inputs.dtype}"
            return EvaluationFailure(key, "unsupported", f"{message}; it has {', '.join(self._state.dtypes)}")
        return None
