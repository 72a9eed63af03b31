"""Nothing is left behind: not by closing, not by exceptions, not by Ctrl-C, not by the host's own death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gradaudit import workers
from gradaudit.errors import WorkerError
from gradaudit.records.evaluation import Evaluation, EvaluationFailure
from tests.workers.conftest import Start, ask, backend, gone, open_descriptors


def pid_of(process: workers.BackendProcess) -> int:
    assert process._channel is not None
    return process._channel._process.pid


def test_closing_ends_the_worker_and_gives_everything_back(tmp_path: Path) -> None:
    before = open_descriptors()
    with workers.start(backend("misbehaving"), workers.WorkerSettings(), tmp_path) as process:
        assert isinstance(ask(process), Evaluation)
        pid = pid_of(process)
    assert gone(pid)
    assert open_descriptors() == before
    process.close()
    result = ask(process)
    assert isinstance(result, EvaluationFailure)
    assert (result.kind, result.message) == ("crashed", "the worker of misbehaving was closed")
    assert process.state().available, "what was known of it is still known"


def test_an_exception_of_the_caller_ends_the_worker(tmp_path: Path) -> None:
    started = []

    def caller() -> None:
        with workers.start(backend("misbehaving"), workers.WorkerSettings(), tmp_path) as process:
            started.append(pid_of(process))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        caller()
    assert gone(started[0])


def test_ctrl_c_during_an_evaluation_ends_the_worker(start: Start) -> None:
    process = start(timeout=60.0)
    assert isinstance(ask(process), Evaluation)
    pid = pid_of(process)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        ask(process, "hangs")
    timer.join()
    assert gone(pid)
    assert isinstance(ask(process), Evaluation)


def test_closing_interrupts_what_another_thread_waits_for(start: Start) -> None:
    process = start(timeout=60.0)
    assert isinstance(ask(process), Evaluation)
    with ThreadPoolExecutor(max_workers=2) as pool:
        first, second = pool.submit(ask, process, "hangs"), pool.submit(ask, process, "hangs")
        time.sleep(0.3)
        began = time.monotonic()
        process.close()
        assert {first.result().kind, second.result().kind} == {"crashed"}  # type: ignore[union-attr]
        assert time.monotonic() - began < 2.0


def test_closing_interrupts_an_import(start: Start) -> None:
    process = start("hangs_on_import")
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(process.state)
        time.sleep(0.2)
        process.close()
        assert not waiting.result().available


@pytest.mark.parametrize("formulation", ["fused", "hangs"])
def test_workers_end_with_a_host_that_is_killed(tmp_path: Path, formulation: str) -> None:
    """Idle or in the middle of an evaluation: the end of their input is the end of them."""
    code = f"""
import sys
from pathlib import Path
from gradaudit import workers
from tests.workers.conftest import ask, backend
process = workers.start(backend("misbehaving"), workers.WorkerSettings(), Path({str(tmp_path)!r}))
process.state()
print(process._channel._process.pid, flush=True)
ask(process, {formulation!r})
sys.stdin.read()
"""
    host = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert host.stdout is not None
    assert host.stdin is not None
    worker = int(host.stdout.readline())
    time.sleep(0.3)
    host.kill()
    host.wait()
    assert gone(worker)
    host.stdout.close()
    host.stdin.close()


def test_threads_take_turns(start: Start) -> None:
    process = start()
    with ThreadPoolExecutor(max_workers=4) as pool:
        results = list(pool.map(lambda name: ask(process, name), ["fused", "raises"] * 10))
    assert [type(result) for result in results] == [Evaluation, EvaluationFailure] * 10


def test_a_draw_that_kills_its_worker_is_an_error_of_one_line(start: Start) -> None:
    process = start()
    assert process.draw("uniform", (2,), 5).tolist() == [5.0, 5.0]
    with pytest.raises(WorkerError, match=r"^drawing dies numbers of shape \[2\] by misbehaving: the worker exited"):
        process.draw("dies", (2,), 0)
    with pytest.raises(WorkerError, match=r"unusable result: draw: one of float16.*, float64 came as 'float32'"):
        process.draw("float64", (2,), 0)
    assert isinstance(ask(process), Evaluation)


def test_evaluations_leave_no_files_and_no_descriptors(start: Start, tmp_path: Path) -> None:
    process = start()
    ask(process)
    before = open_descriptors()
    for formulation in ("fused", "raises", "segfaults", "fused", "garbage", "fused"):
        ask(process, formulation)
    process.draw("uniform", (2,), 5)
    with pytest.raises(WorkerError):
        process.draw("float64", (2,), 0)
    assert open_descriptors() == before
    assert list(tmp_path.iterdir()) == []
