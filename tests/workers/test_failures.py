"""Whatever a framework does to its process costs that evaluation only, and is reported by name."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest

from gradaudit.records.evaluation import FAILURE_KINDS, Evaluation, EvaluationFailure
from tests.workers.conftest import Start, ask, gone, make_inputs

# formulation: kind, message, something of the detail
FAILURES = {
    "raises": ("raised", r"ValueError: logits of shape \(2, 3\) are not to my taste", "in raises"),
    "leaves": ("raised", "SystemExit: I am leaving", "SystemExit"),
    "lacks_the_dtype": ("unsupported", "UnsupportedError: no kernel for float32", ""),
    "exits": ("crashed", "the worker exited with status 3", "last words"),
    "segfaults": ("crashed", "the worker was killed by SIGSEGV", "in segfaults"),
    "kills_itself": ("crashed", r"the worker was killed by SIGKILL \(not by gradaudit; the system does that .*", ""),
    "forks_and_exits": ("crashed", "the worker exited with status 4", ""),
    "allocates": ("out_of_memory", "MemoryError: Unable to allocate.*|_ArrayMemoryError: .*", ""),
    "allocates_beyond_its_own_limit": (
        "out_of_memory",
        "the worker held [0-9,]+ bytes, 419,430,400 beyond its imports are allowed",
        "",
    ),
    "runs_out_like_torch": ("out_of_memory", "RuntimeError: .*can't allocate memory.*", ""),
    "aborts_out_of_memory": ("out_of_memory", "the worker was killed by SIGABRT: memory ran out", "std::bad_alloc"),
    "wrong_shape": ("raised", r"unusable result: gradient: shape \[2, 3\] was expected, \[1, 3\] came", ""),
    "wrong_output_shape": ("raised", r"unusable result: output: shape \[2, 3\] was expected, \[\] came", ""),
    "no_gradient": ("raised", "unusable result: gradient: nothing was returned", ""),
    "objects": ("raised", "ValueError: Object arrays cannot be saved when allow_pickle=False", ""),
    "integers": ("raised", "unusable result: output: one of float16, .* was expected, int64 came as 'int64'", ""),
    "another_dtype_than_it_says": (
        "raised",
        "unusable result: output: one of float16, .* was expected, float64 came as 'float32'",
        "",
    ),
    "nothing": ("raised", "TypeError: .*NoneType.*", ""),
    "no_time": ("raised", "ValueError: Out of range float values are not JSON compliant.*", ""),
    "garbage": ("crashed", r"the worker broke its protocol: a response was expected, b'hello' came", ""),
    "endless_garbage": ("crashed", r"the worker broke its protocol: a response was expected, b'HTTP.*' came", ""),
    "answers_for_another": ("crashed", r"the worker broke its protocol: .*12345.* came", ""),
    "closes_everything": ("crashed", "the worker closed its protocol and went on", ""),
}


@pytest.mark.parametrize("formulation", FAILURES)
def test_a_failure_has_a_name_and_the_next_evaluation_works(start: Start, formulation: str) -> None:
    kind, message, detail = FAILURES[formulation]
    process = start()
    before = ask(process)
    result = ask(process, formulation)
    assert isinstance(result, EvaluationFailure)
    assert (result.kind, result.key.formulation) == (kind, formulation)
    assert kind in FAILURE_KINDS
    assert re.fullmatch(message, result.message), result.message
    assert detail in result.detail
    after = ask(process)
    assert isinstance(before, Evaluation)
    assert isinstance(after, Evaluation)
    np.testing.assert_array_equal(after.gradient, 2 * np.arange(6).reshape(2, 3))


@pytest.mark.parametrize("formulation", ["hangs", "spins", "prints_for_ever"])
def test_what_does_not_end_is_ended(start: Start, formulation: str) -> None:
    process = start(timeout=0.7)
    assert isinstance(ask(process), Evaluation)
    began = time.monotonic()
    result = ask(process, formulation)
    assert isinstance(result, EvaluationFailure)
    assert (result.kind, result.message) == ("timed_out", "no answer within 0.7 s")
    assert 0.6 < time.monotonic() - began < 3.0
    assert result.detail.strip("z") == ("thinking\n" if formulation == "hangs" else "")
    assert isinstance(ask(process), Evaluation)


def test_what_a_worker_has_started_ends_with_it(start: Start, tmp_path: Path) -> None:
    process = start(timeout=1.0)
    assert ask(process, "leaves_a_child_and_hangs").kind == "timed_out"  # type: ignore[union-attr]
    assert gone(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize("formulation", ["closes_its_streams", "replaces_its_streams", "leaves_a_thread"])
def test_what_does_no_harm_is_not_held_against_it(start: Start, formulation: str) -> None:
    process = start()
    assert isinstance(ask(process, formulation), Evaluation)
    assert isinstance(ask(process), Evaluation)


def test_a_flood_of_output_neither_blocks_nor_fills_the_memory(start: Start) -> None:
    result = ask(start(), "floods")
    assert isinstance(result, Evaluation)
    assert result.captured.endswith("straight to descriptor 1\nthe end\n")
    assert 1000 < len(result.captured) <= 1 << 16


def test_output_belongs_to_its_evaluation(start: Start) -> None:
    process = start()
    ask(process, "floods")
    after = ask(process)
    assert isinstance(after, Evaluation)
    assert after.captured == ""


def test_values_are_not_judged_here(start: Start) -> None:
    process = start()
    result, wider = ask(process, "nan"), ask(process, "wider")
    assert isinstance(result, Evaluation)
    assert np.isnan(result.gradient).all()
    assert isinstance(wider, Evaluation)
    assert wider.output.dtype == np.float64


@pytest.mark.parametrize("size", [6, 1 << 20])
def test_inputs_cannot_be_changed(start: Start, size: int) -> None:
    """Small arrays are copies, large ones are mapped: neither way leads back to the file or to the caller."""
    process = start()
    inputs = make_inputs(np.arange(size, dtype=np.float32).reshape(2, -1))
    for _ in range(2):
        result = ask(process, "writes_into_its_inputs", inputs)
        assert isinstance(result, Evaluation)
        np.testing.assert_array_equal(result.output, np.arange(size).reshape(2, -1))
    assert inputs.logits.flat[1] == 1.0


def test_a_dtype_that_the_installed_framework_lacks_is_unsupported(start: Start) -> None:
    result = ask(start(), "fused", make_inputs(np.ones((2, 3))))
    assert isinstance(result, EvaluationFailure)
    assert result.kind == "unsupported"
    assert result.message.startswith("this misbehaving (")
    assert result.message.endswith(") has no float64; it has float16, bfloat16, float32")


def test_a_run_folder_that_cannot_be_written_is_named(start: Start, tmp_path: Path) -> None:
    process = start()
    assert isinstance(ask(process), Evaluation)
    for path in tmp_path.iterdir():
        path.unlink()
    tmp_path.rmdir()
    result = ask(process)
    assert isinstance(result, EvaluationFailure)
    assert result.kind == "crashed"
    assert result.message.startswith(f"arrays cannot be stored in {tmp_path}: ")
