"""Users' code in workers: apart from the backends' own, from other folders' modules, and from what others changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.workers import ending
from gradaudit.workers.pool import Pool
from tests.workers.conftest import gone
from tests.workers.test_ending import pid_of

LOSS = """
import numpy

from constants import FACTOR


def loss(logits, upstream):
    return logits * FACTOR, numpy.ones_like(logits)


def patches(logits, upstream):
    numpy.exp = None
    return logits, logits


def asks(logits, upstream):
    return logits, numpy.full_like(logits, numpy.exp is None)


def moves(logits, upstream):
    import os

    os.chdir("/")
    return logits, logits


class Speechless(Exception):
    def __str__(self):
        raise KeyError("words")


def falls_silent(logits, upstream):
    raise Speechless


def says_nothing(logits, upstream):
    raise ValueError
"""

INPUTS = Inputs(
    function=FunctionCall("softmax", {"temperature": 1.0, "masked_classes": ()}),
    dtype="float32",
    scale=1.0,
    axis=(1,),
    logits=np.ones((2, 3), np.float32),
    targets=None,
    upstream=np.ones((2, 3), np.float32),
    per_output=False,
    weight=None,
)


@pytest.fixture
def pool() -> Iterator[Pool]:
    with Pool(workers.WorkerSettings(timeout=20.0), jobs=1) as pool:
        yield pool


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders, whose losses import a module of one name beside them."""
    found = []
    for number in (2, 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "losses.py").write_text(LOSS)
        (folder / "constants.py").write_text(f"FACTOR = {number}\n")
        found.append(folder)
    return found[0], found[1]


def subject(folder: Path, name: str = "loss", form: str = "losses.py:") -> Subject:
    return Subject(name, "numpy", f"{form}{name}", base_directory=str(folder))


def ask(pool: Pool, own: Subject, given: Inputs = INPUTS) -> Evaluation:
    key = EvaluationKey(own.name, own.backend, own.formulation, given.dtype, 1.0)
    result = pool.submit(key, given, own).result()
    assert isinstance(result, Evaluation), result.message
    return result


def test_users_code_has_a_worker_of_its_own(pool: Pool, folders: tuple[Path, Path]) -> None:
    pool.warm(["numpy"], [subject(folders[0])])
    ask(pool, subject(folders[0]))
    own, users = pid_of(pool.process("numpy")), pid_of(pool.subject_process("numpy"))
    assert own != users
    assert pool.subject_process("numpy") is pool.subject_process("numpy")
    assert [state.name for state in pool.states([], [subject(folders[0])])] == ["numpy"]
    assert [state.name for state in pool.states(["numpy"], [subject(folders[0])])] == ["numpy"]
    pool.__exit__(None, None, None)
    assert gone(own)
    assert gone(users)


@pytest.mark.parametrize("form", ["losses.py:", "losses:"])
def test_modules_of_one_name_in_two_folders_do_not_meet(pool: Pool, folders: tuple[Path, Path], form: str) -> None:
    for folder, factor in ((folders[0], 2), (folders[1], 3), (folders[0], 2)):
        assert (ask(pool, subject(folder, form=form)).output == factor).all()


def test_a_subject_keeps_its_worker(pool: Pool, folders: tuple[Path, Path]) -> None:
    first = subject(folders[0])
    ask(pool, first)
    process = pid_of(pool.subject_process("numpy"))
    for name in ("loss", "asks", "loss"):
        ask(pool, subject(folders[0], name))
        assert pid_of(pool.subject_process("numpy")) == process


def test_what_one_subject_changed_is_not_there_for_the_next(pool: Pool, folders: tuple[Path, Path]) -> None:
    assert ask(pool, subject(folders[0], "patches")).notes["process"] == ["replaces numpy.exp"]
    assert ask(pool, subject(folders[0], "patches")).notes["process"] == ["replaces numpy.exp"]
    result = ask(pool, subject(folders[0], "asks"))
    assert result.gradient is not None
    assert (result.gradient == 0.0).all()


def test_two_files_may_use_one_name_for_what_changes_the_process_and_what_does_not(
    pool: Pool, folders: tuple[Path, Path]
) -> None:
    folder = folders[0]
    (folder / "others.py").write_text(
        LOSS.replace("def asks", "def patches", 1).replace("def patches", "def loss", 1)
    )
    first = Subject("patches", "numpy", "losses.py:patches", base_directory=str(folder))
    assert ask(pool, first).notes["process"] == ["replaces numpy.exp"]
    result = ask(pool, replace(first, target="others.py:patches"))
    assert result.notes["process"] == []
    assert result.gradient is not None
    assert (result.gradient == 0.0).all()


def test_who_has_hung_is_told_from_another_file_s_function_of_that_name(folders: tuple[Path, Path]) -> None:
    folder = folders[0]
    (folder / "endless.py").write_text("def loss(logits, upstream):\n    while True:\n        pass\n")
    with Pool(workers.WorkerSettings(timeout=1.0)) as pool:
        hung = replace(subject(folder), target="endless.py:loss")
        key = EvaluationKey("loss", "numpy", hung.formulation, "float32", 1.0)
        result = pool.submit(key, INPUTS, hung).result()
        assert isinstance(result, EvaluationFailure)
        assert result.kind == "timed_out"
        assert (ask(pool, subject(folder)).output == 2).all()


def test_places_are_told_from_where_the_audit_was_started(pool: Pool, folders: tuple[Path, Path]) -> None:
    before = ask(pool, subject(folders[0])).notes["defined"]
    moved = ask(pool, subject(folders[0], "moves")).notes
    assert moved["process"] == ["changes the working directory to /"]
    assert str(moved["defined"]).partition(":")[0] == str(before).partition(":")[0]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("falls_silent", " in falls_silent: Speechless: (its text cannot be made: KeyError)"),
        ("says_nothing", " in says_nothing: ValueError"),
    ],
)
def test_exceptions_without_a_text_are_told_by_their_names(
    pool: Pool, folders: tuple[Path, Path], name: str, words: str
) -> None:
    own = subject(folders[0], name)
    failed = pool.submit(EvaluationKey(name, "numpy", "custom", "float32", 1.0), INPUTS, own).result()
    assert isinstance(failed, EvaluationFailure)
    assert failed.kind == "raised"
    assert failed.message.endswith(words)


def test_a_live_function_runs_here_and_fails_like_any_other(pool: Pool) -> None:
    seen = []

    def loss(logits: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen.append(logits.dtype.name)
        return logits * 2, upstream

    live = Subject("loss", "numpy", "loss", live=loss)
    key = EvaluationKey("loss", "numpy", "custom", "bfloat16", 1.0)
    import ml_dtypes

    sixteen = replace(
        INPUTS,
        dtype="bfloat16",
        logits=INPUTS.logits.astype(ml_dtypes.bfloat16),
        upstream=np.ones((2, 3), ml_dtypes.bfloat16),
    )
    result = pool.submit(key, sixteen, live, experiments=True).result()
    assert isinstance(result, Evaluation)
    assert (result.output == 2.0).all()
    assert result.experiments["doubled.gradient"].dtype.name == "bfloat16"
    assert set(seen) == {"bfloat16"}
    assert str(result.notes["defined"]).startswith("tests/workers/test_subjects.py:")

    def fails(logits: np.ndarray, upstream: np.ndarray) -> None:
        raise ValueError("not today")

    failed = pool.submit(key, sixteen, replace(live, live=fails)).result()
    assert isinstance(failed, EvaluationFailure)
    assert failed.kind == "raised"
    assert failed.message.startswith("tests/workers/test_subjects.py:")
    assert failed.message.endswith(" in fails: ValueError: not today")


def test_the_last_words_tell_where() -> None:
    own = Subject("loss", "torch", "losses.py:loss")
    words = (
        "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n"
        '  File "/usr/lib/python3.12/site-packages/torch/nn.py", line 3 in linear\n'
        '  File "/home/me/losses.py", line 12 in loss\n  File "/home/me/losses.py", line 20 in outer\n'
    )
    assert ending.of_subject(own, "it died", words) == "/home/me/losses.py:12 in loss: it died"
    assert ending.of_subject(own, "it died", "no frames") == "losses.py:loss: it died"
