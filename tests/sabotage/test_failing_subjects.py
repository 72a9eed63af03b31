"""Whatever a user's function does costs that evaluation only, and is reported with the user's file and line."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.workers.pool import Pool

FOLDER = Path(__file__).parent / "subjects"
FILE = "tests/sabotage/subjects/failing.py"
ENDING = "tests/sabotage/subjects/ending.py"

INPUTS = Inputs(
    function=FunctionCall("cross_entropy", {"reduction": "mean", "ignore_index": -100}),
    dtype="float32",
    scale=1.0,
    axis=(1,),
    logits=np.random.default_rng(1).normal(size=(7, 11)).astype(np.float32),
    targets=np.arange(7),
    upstream=np.asarray(1.7, dtype=np.float32),
    per_output=False,
    weight=None,
)

FAILED = {
    "raises": ("raised", rf"{FILE}:\d+ in raises: ValueError: 7 rows are not to my taste"),
    "raises_in_torch": ("raised", rf"{FILE}:\d+ in raises_in_torch: ValueError: Expected input batch_size .*"),
    "raises_in_backward": ("raised", rf"{FILE}:\d+ in backward: RuntimeError: no way back"),
    "leaves": ("raised", rf"{FILE}:\d+ in leaves: SystemExit: enough"),
    "allocates": ("out_of_memory", rf"{FILE}:\d+ in allocates: RuntimeError: .*can't allocate memory.*"),
    "Needs": ("raised", r"Needs cannot be constructed with no arguments \(kwargs: is absent\): .*'smoothing'"),
    "number": ("raised", "it cannot be called: 3 is of type int"),
    "rasies": ("raised", "failing.py has no 'rasies'; did you mean 'raises'\\?"),
    "right.nothing": ("raised", "failing.py:right has no 'nothing'; it has nothing public"),
}

ENDED = {
    "exits": ("crashed", "ending.py:exits: the worker exited with status 7"),
    "segfaults": ("crashed", rf"{ENDING}:\d+ in segfaults: the worker was killed by SIGSEGV"),
    "loops": ("timed_out", rf"{ENDING}:\d+ in loops: no answer within 3 s"),
    "forks": ("raised", rf"{ENDING}:\d+ in forks: it forks the process; a loss that is called .*"),
    "forks_and_forgets": ("raised", rf"{ENDING}:\d+ in forks_and_forgets: it forks the process; .*"),
}

UNUSABLE = {
    "returns_nothing": "it returned None where a tensor is due",
    "returns_an_int": "it returned the int 3 where a tensor is due",
    "returns_a_float": "it returned the float 3.*",
    "returns_numpy": r"it returned a numpy.ndarray of shape \[3\] where a tensor is due",
    "returns_a_tuple": r"it returned a tuple of 2 \(Tensor, dict\) where a tensor is due",
    "returns_labels": r"it returned a int64 tensor of shape \[7\] where floating-point numbers are due",
    "detached": r"what it returned carries no gradient \(requires_grad is False\).*",
    "elsewhere": "the gradient of the logits is None.*",
}

CHANGING = {
    "closes_stdout": "closes sys.stdout",
    "closes_descriptors": "closes standard output",
    "leaves_a_thread": r"leaves \d threads? running",
    "moves": "changes the working directory to /",
}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers.WorkerSettings(timeout=3.0, max_memory=2 << 30)) as pool:
        # The import of torch may take its time; what is timed here is an evaluation.
        pool.states([], [Subject(name, name, "") for name in ("torch", "numpy")])
        yield pool


def ask(
    pool: Pool, name: str, *, file: str = "failing.py", experiments: bool = False
) -> Evaluation | EvaluationFailure:
    backend = "numpy" if file == "ending.py" else "torch"
    subject = Subject(name, backend, f"{file}:{name}", base_directory=str(FOLDER))
    key = EvaluationKey(name, backend, "custom", "float32", 1.0)
    return pool.submit(key, INPUTS, subject, experiments=experiments).result()


def answered(pool: Pool, name: str, *, file: str = "failing.py", experiments: bool = False) -> Evaluation:
    result = ask(pool, name, file=file, experiments=experiments)
    assert isinstance(result, Evaluation), result.message
    return result


@pytest.mark.parametrize("name", FAILED)
def test_a_failure_is_named_by_file_and_line_and_the_others_go_on(pool: Pool, name: str) -> None:
    kind, message = FAILED[name]
    result = ask(pool, name)
    assert isinstance(result, EvaluationFailure)
    assert (result.kind, result.key.subject) == (kind, name)
    assert re.fullmatch(message, result.message, re.DOTALL), result.message
    assert answered(pool, "right").gradient is not None


@pytest.mark.parametrize("name", ENDED)
def test_the_end_of_a_process_costs_that_evaluation_only(pool: Pool, name: str) -> None:
    kind, message = ENDED[name]
    result = ask(pool, name, file="ending.py")
    assert isinstance(result, EvaluationFailure)
    assert (result.kind, result.key.subject) == (kind, name)
    assert re.fullmatch(message, result.message, re.DOTALL), result.message
    assert answered(pool, "right", file="ending.py").gradient is not None


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_carries_no_gradient_is_said_to(pool: Pool, name: str) -> None:
    result = answered(pool, name)
    assert result.gradient is None
    assert re.fullmatch(UNUSABLE[name], str(result.notes["unusable"])), result.notes
    assert re.fullmatch(rf"{FILE}:\d+ in {name}", str(result.notes["defined"]))


def test_values_are_values_whatever_they_are(pool: Pool) -> None:
    assert np.isnan(answered(pool, "not_a_number").output)
    rows = answered(pool, "rows")
    assert rows.output.shape == (7,)
    assert rows.gradient is not None
    assert rows.gradient.shape == (7, 11)


def test_a_flood_is_cut(pool: Pool) -> None:
    result = answered(pool, "prints", file="ending.py")
    assert 0 < len(result.captured) <= 1 << 16
    assert result.gradient is not None


def test_a_module_that_removes_itself_is_found_again(pool: Pool) -> None:
    assert answered(pool, "forgets_its_module", file="ending.py").gradient is not None
    assert answered(pool, "forgets_its_module", file="ending.py").gradient is not None


@pytest.mark.parametrize("name", CHANGING)
def test_what_is_changed_of_the_process_is_told_and_kept_from_the_others(pool: Pool, name: str) -> None:
    result = answered(pool, name, file="ending.py")
    changes = result.notes["process"]
    assert isinstance(changes, list)
    assert any(re.fullmatch(CHANGING[name], str(change)) for change in changes), changes
    assert answered(pool, "right", file="ending.py").notes["process"] == []


def test_whoever_seeds_the_generators_is_told_from_whoever_draws(pool: Pool) -> None:
    assert answered(pool, "seeds", file="ending.py", experiments=True).notes["seeded"] == ["NumPy's"]
    assert answered(pool, "right", file="ending.py", experiments=True).notes["seeded"] == []
    assert answered(pool, "shows_the_generator", experiments=True).notes["seeded"] == []
    assert answered(pool, "seeds_torch", experiments=True).notes["seeded"] == ["torch's"]


def test_what_is_changed_of_torch_is_told_and_kept_from_the_others(pool: Pool) -> None:
    result = answered(pool, "changes_torch")
    assert result.notes["process"] == ["replaces torch.exp", "sets torch's default dtype to torch.float64"]
    assert answered(pool, "expects_an_untouched_torch").notes["process"] == []


def test_every_call_draws_the_same_numbers(pool: Pool) -> None:
    first, second = answered(pool, "shows_the_generator"), answered(pool, "shows_the_generator")
    assert first.output == second.output


def test_whoever_dies_when_called_again_leaves_the_first_call(pool: Pool) -> None:
    result = answered(pool, "dies_when_called_again", file="ending.py", experiments=True)
    assert result.gradient is not None
    failed = result.notes["experiments_failed"]
    assert isinstance(failed, dict)
    assert failed["kind"] == "crashed"
    assert "the worker exited with status 5" in str(failed["message"])


def test_whoever_has_hung_is_not_asked_again(pool: Pool) -> None:
    first, second = ask(pool, "loops", file="ending.py"), ask(pool, "loops", file="ending.py")
    assert isinstance(second, EvaluationFailure)
    assert isinstance(first, EvaluationFailure)
    assert (first.kind, second.kind) == ("timed_out", "timed_out")
    assert second.message.startswith("not asked again: ")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (
            "broken.py",
            r"tests/sabotage/subjects/broken.py:3 in <module>: importing broken.py failed: ZeroDivisionError: .*",
        ),
        (
            "incomplete.py",
            r"\S*incomplete.py:3 in <module>: importing incomplete.py failed: ModuleNotFoundError: No .*",
        ),
        ("absent.py", r"there is no file absent.py in \S*/tests/sabotage/subjects and .*"),
    ],
)
def test_import_errors_tell_what_is_absent_from_what_fails(pool: Pool, file: str, message: str) -> None:
    result = ask(pool, "loss", file=file)
    assert isinstance(result, EvaluationFailure)
    assert re.fullmatch(message, result.message), result.message


def test_a_file_that_is_no_python_is_named_by_its_line(pool: Pool, tmp_path: Path) -> None:
    shutil.copy(FOLDER / "unreadable.py.txt", tmp_path / "unreadable.py")
    result = ask(pool, "loss", file=str(tmp_path / "unreadable.py"))
    assert isinstance(result, EvaluationFailure)
    assert re.match(r"\S+/unreadable.py:1 in <module>: importing \S+ failed: SyntaxError: ", result.message)
