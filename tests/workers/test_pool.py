"""The workers of an audit: started on first use, one queue each, one folder, gone together."""

from __future__ import annotations

import time

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.backends import registry
from gradaudit.errors import FlagError
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.workers.pool import Pool
from tests.workers.conftest import backend, gone, make_inputs
from tests.workers.test_ending import pid_of


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Pool:
    monkeypatch.setattr(registry, "get", lambda _: backend("misbehaving"))
    return Pool(workers.WorkerSettings(timeout=20.0), jobs=1)


def key(name: str, formulation: str = "fused") -> EvaluationKey:
    return EvaluationKey(name, name, formulation, "float32", 1.0)


def test_backends_share_inputs_and_end_together(pool: Pool) -> None:
    inputs = make_inputs()
    with pool:
        pool.warm(["first", "second"])
        results = [pool.submit(key(name), inputs) for name in ("first", "second", "first")]
        assert all(isinstance(result.result(), Evaluation) for result in results)
        assert pool.process("first") is pool.process("first")
        processes = [pid_of(pool.process(name)) for name in ("first", "second")]
        assert len(set(processes)) == 2
        assert len(list(pool._folder.iterdir())) == 2, "logits and upstream, each once"
        assert [state.available for state in pool.states(["first", "second"])] == [True, True]
    assert all(gone(process) for process in processes)
    assert not pool._folder.exists()


def test_leaving_does_not_wait_for_what_is_under_way(pool: Pool) -> None:
    with pool:
        pool.states(["first"])
        hanging = [pool.submit(key("first", "hangs"), make_inputs()) for _ in range(3)]
        time.sleep(0.3)
        began = time.monotonic()
    assert time.monotonic() - began < 2.0
    assert hanging[0].result().kind == "crashed"  # type: ignore[union-attr]
    assert hanging[2].cancelled()


def test_an_unknown_backend_is_a_flag_error() -> None:
    with Pool(workers.WorkerSettings()) as pool, pytest.raises(FlagError, match="no backend is called 'torhc'"):
        pool.process("torhc")


def test_draws_come_from_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def get(name: str) -> object:
        asked.append(name)
        return backend("misbehaving")

    monkeypatch.setattr(registry, "get", get)
    with Pool(workers.WorkerSettings()) as pool:
        np.testing.assert_array_equal(pool.draw("normal", (2, 3), 7), np.full((2, 3), 7.0))
    assert asked == ["torch"]
