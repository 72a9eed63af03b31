"""How workers start, what they report of themselves, and what is said where they cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gradaudit import workers
from gradaudit.errors import WorkerError
from gradaudit.records.evaluation import Evaluation, EvaluationFailure
from tests.workers.conftest import Start, ask, backend


def test_a_worker_reports_its_process(start: Start) -> None:
    state = start(threads=2).state()
    assert state.available
    assert state.reason == state.remedy == ""
    assert state.python.split(".") == [str(part) for part in sys.version_info[:3]]
    assert dict(state.versions)["numpy"] == state.version
    assert state.threads == 2
    assert state.flush_to_zero is False
    assert state.dtypes == ("float16", "bfloat16", "float32")
    assert dict(state.details) == {"omp": "2", "stdin": "True"}


def test_starting_does_not_wait(start: Start) -> None:
    began = time.monotonic()
    process = start("hangs_on_import", startup_timeout=1.0)
    assert time.monotonic() - began < 0.5
    state = process.state()
    assert not state.available
    assert state.reason == "while starting: no answer within 1 s"


def test_a_missing_framework_is_a_state_with_a_remedy(start: Start) -> None:
    process = start("missing")
    state = process.state()
    assert not state.available
    assert state.reason == "ModuleNotFoundError: No module named 'a_framework_that_nobody_has'"
    assert state.remedy == "pip install missing"
    for _ in range(2):
        result = ask(process)
        assert isinstance(result, EvaluationFailure)
        assert (result.kind, result.message, result.detail) == ("missing", state.reason, state.remedy)
    with pytest.raises(WorkerError, match=r"drawing normal numbers of shape \[1\] by missing: ModuleNotFoundError"):
        process.draw("normal", (1,), 0)


def test_an_import_that_crashes_is_said_to(start: Start) -> None:
    process = start("dies_on_import")
    assert process.state().reason == "while starting: the worker was killed by SIGSEGV"
    result = ask(process)
    assert isinstance(result, EvaluationFailure)
    assert result.kind == "crashed"
    assert result.detail.startswith("importing\n")


def test_a_broken_adapter_is_said_to_be_one(start: Start, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def hello(threads)\n    return {}\n")
    assert start("broken", tmp_path).state().reason.startswith("SyntaxError: expected ':' (broken.py, line 1)")


def test_a_framework_that_greets_is_heard_out(start: Start) -> None:
    """2.5 MB on stdout during the import, before anybody asks."""
    process = start("chatty")
    assert process.state().available
    assert isinstance(ask(process), Evaluation)


def test_another_interpreter_can_be_named(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "my-python"
    python.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\necho "<$PYTHONPATH>" > {tmp_path}/path\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    monkeypatch.setenv("GRADAUDIT_PYTHON_MISBEHAVING", str(python))
    monkeypatch.setenv("PYTHONPATH", "/packages/of/another/python")
    assert start().state().available
    assert (tmp_path / "arguments").read_text().startswith("-s ")
    assert (tmp_path / "path").read_text() == "<>\n"


@pytest.mark.parametrize("python", ["/no/such/python", "/etc/hostname"])
def test_an_interpreter_that_does_not_run_is_named(start: Start, python: str) -> None:
    process = start(python=python)
    assert process.state().reason.startswith(f"{python}: ")
    assert ask(process).kind == "missing"  # type: ignore[union-attr]


def test_a_program_that_is_no_python_is_told_from_one(start: Start, tmp_path: Path) -> None:
    """It starts, and ends before it says a word."""
    state = start(python="/bin/true").state()
    assert (state.available, state.reason) == (False, "/bin/true is no Python interpreter")
    assert state.remedy == "name a Python that has it (GRADAUDIT_PYTHON_MISBEHAVING, python:)"
    old = tmp_path / "python2"
    old.write_text("#!/bin/sh\ncase $* in *-c*) echo python 2 7;; *) exit 1;; esac\n")
    old.chmod(0o755)
    process = start(python=str(old))
    assert process.state().reason == f"{old} is Python 2.7; workers need 3.8"
    assert ask(process).kind == "missing"  # type: ignore[union-attr]


def test_a_python_that_lacks_the_framework_is_named_with_what_gets_it_there(start: Start, tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    state = start("missing", python=str(tmp_path)).state()  # the folder of the environment will do
    assert state.reason.endswith(f"(in {python})")
    assert state.remedy.startswith(f"{python} -m pip install missing, or name a Python that has it")


def test_two_interpreters_of_one_framework_are_two_workers(tmp_path: Path) -> None:
    from dataclasses import replace

    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    other.chmod(0o755)
    plain = backend("misbehaving")
    limits = workers.WorkerSettings()
    with (
        workers.start(plain, limits, tmp_path) as ours,
        workers.start(replace(plain, name=f"misbehaving@{other}"), limits, tmp_path) as theirs,
    ):
        assert [each.state().name for each in (ours, theirs)] == ["misbehaving", f"misbehaving@{other}"]
        assert "interpreter" not in dict(ours.state().details)
        assert dict(theirs.state().details)["interpreter"] == str(other)
        for process in (ours, theirs):
            assert isinstance(ask(process), Evaluation)


def test_the_host_side_imports_neither_numpy_nor_a_framework() -> None:
    """Workers are started before the caller's own imports, so that both import at the same time."""
    code = (
        "import sys, gradaudit.workers as workers; from gradaudit.backends import registry; registry.get('torch');"
        "print(sorted({'numpy', 'torch', 'onnx', 'onnxruntime', 'ml_dtypes'} & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_threads_are_pinned_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from gradaudit.workers import environment

    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    seen = environment.environment(backend("misbehaving"), workers.WorkerSettings(threads=3))
    assert {seen[name] for name in environment.THREAD_VARIABLES} == {"3"}
    assert os.environ["OMP_NUM_THREADS"] == "64"


def test_memory_is_capped_unless_told_otherwise() -> None:
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    assert workers.WorkerSettings().memory_cap == half
    assert workers.WorkerSettings(max_memory=1000).memory_cap == 1000
