"""Further runs of users' functions: what comes back under which name, and what is noted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.workers.pool import Pool
from tests.backends.test_subjects import FOLDER, LABELS, LOGITS, expected, inputs

EVERYWHERE = ("again", "reseeded", "perturbed", "doubled", "transposed", "strided")


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers.WorkerSettings()) as pool:
        yield pool


def ask(pool: Pool, target: str, given: Inputs | None = None, derivatives: int = 1) -> Evaluation:
    backend = "numpy" if target.startswith("arrays") else "torch"
    subject = Subject(target, backend, target, base_directory=str(FOLDER), derivatives=derivatives)
    given = inputs() if given is None else given
    key = EvaluationKey(target, backend, "custom", given.dtype, 1.0)
    result = pool.submit(key, given, subject, experiments=True).result()
    assert isinstance(result, Evaluation), result.message
    assert "experiments_failed" not in result.notes
    return result


def same(first: np.ndarray, second: np.ndarray) -> bool:
    return bool(np.abs(first.astype(np.float64) - second.astype(np.float64)).max() < 1e-14)


@pytest.mark.parametrize("target", ["losses.py:plain", "arrays.py:loss"])
def test_every_run_of_a_sound_loss_is_the_loss(pool: Pool, target: str) -> None:
    labels = np.where(np.arange(7) == 3, -100, LABELS) if target.startswith("losses") else LABELS
    result = ask(pool, target, inputs(targets=labels))
    gradient, runs = result.gradient, result.experiments
    assert gradient is not None
    graph = {"retained.gradient", "retained_twice.gradient"} if target.startswith("losses") else set()
    assert set(runs) == {f"{name}.{kind}" for name in EVERYWHERE for kind in ("output", "gradient")} | graph
    for name in ("again", "reseeded", "transposed", "strided"):
        assert same(runs[f"{name}.output"], result.output)
        assert same(runs[f"{name}.gradient"], gradient)
    assert (runs["doubled.gradient"] == 2 * gradient).all()
    row = result.notes["perturbed_row"]
    assert isinstance(row, int)
    assert labels[row] != -100
    others = np.arange(7) != row
    assert same(runs["perturbed.gradient"][others], gradient[others])
    assert not same(runs["perturbed.gradient"][row], gradient[row])
    assert result.notes["raised"] == {}


def test_an_upstream_gradient_of_equal_entries_is_expanded_too(pool: Pool) -> None:
    result = ask(pool, "losses.py:rows", inputs(upstream=np.ones(7)))
    assert "expanded.gradient" in result.experiments
    assert "expanded.gradient" not in ask(pool, "losses.py:rows", inputs(upstream=np.arange(7.0))).experiments


def test_all_dtypes_come_back_as_they_are(pool: Pool) -> None:
    for target in ("losses.py:plain", "arrays.py:loss"):
        result = ask(pool, target, inputs("bfloat16"))
        assert {array.dtype.name for array in result.experiments.values()} == {"bfloat16"}


def test_other_seeds_draw_other_numbers(pool: Pool) -> None:
    result = ask(pool, "losses.py:noisy")
    assert result.experiments["again.output"] == result.output
    assert result.experiments["reseeded.output"] != result.output


def test_what_raises_is_a_note_with_its_place(pool: Pool) -> None:
    raised = ask(pool, "losses.py:flat").notes["raised"]
    assert isinstance(raised, dict)
    assert set(raised) == {"transposed"}
    assert "tests/backends/subjects/losses.py:" in raised["transposed"]
    assert " in flat: RuntimeError: view size is not compatible" in raised["transposed"]
    raised = ask(pool, "losses.py:once_only").notes["raised"]
    assert isinstance(raised, dict)
    assert set(raised) == {"retained"}
    assert " in backward: AssertionError: the buffers are gone" in raised["retained"]


def test_backwards_written_by_hand_are_found_in_the_graph(pool: Pool) -> None:
    places = ask(pool, "losses.py:saved_gradient").notes["written_by_hand"]
    assert isinstance(places, list)
    (place,) = places
    assert "tests/backends/subjects/losses.py:" in place
    assert place.endswith(" in _Saved")
    assert ask(pool, "losses.py:plain").notes["written_by_hand"] == []
    assert ask(pool, "arrays.py:loss").notes["written_by_hand"]


def test_the_second_order_is_the_hessian_times_a_direction(pool: Pool) -> None:
    result = ask(pool, "losses.py:plain", derivatives=2)
    assert result.notes["second_order"] == "a graph"
    direction = result.experiments["second_order.direction"]
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    due = 1.5 / 7 * p * (direction - (p * direction).sum(1, keepdims=True))
    assert np.abs(result.experiments["second_order.hessian"] - due).max() < 1e-13
    assert same(result.experiments["second_order.gradient"], expected()[1])


def test_a_refusal_and_a_path_that_is_cut(pool: Pool) -> None:
    assert ask(pool, "losses.py:refusing", derivatives=2).notes["second_order"] == "refused"
    assert ask(pool, "losses.py:saved_gradient", derivatives=2).notes["second_order"] == "no path"
    assert "second_order" not in ask(pool, "losses.py:saved_gradient").notes


def test_the_gradient_of_soft_targets(pool: Pool) -> None:
    soft = np.full((7, 11), 1 / 11)
    learned = ask(pool, "losses.py:learns_its_targets", inputs(targets=soft), derivatives=2)
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(1, keepdims=True))
    assert np.abs(learned.experiments["of_targets.gradient"] + 1.5 / 7 * log_p).max() < 1e-13
    cut = ask(pool, "losses.py:detaches_its_targets", inputs(targets=soft), derivatives=2)
    assert "of_targets.gradient" not in cut.experiments
    assert ask(pool, "losses.py:plain", derivatives=2).notes.get("of_targets") is None
    assert cut.notes["of_targets"] == "no path"


def test_special_rows_are_not_the_ones_that_are_doubled(pool: Pool) -> None:
    logits = LOGITS.copy()
    logits[:6] = 0.0
    assert ask(pool, "losses.py:plain", inputs(logits=logits)).notes["perturbed_row"] == 6
    assert "perturbed_row" not in ask(pool, "losses.py:plain", inputs(logits=np.zeros((7, 11)))).notes
    one = replace(inputs(), logits=LOGITS[:1], targets=LABELS[:1])
    assert "perturbed_row" not in ask(pool, "losses.py:plain", one).notes
