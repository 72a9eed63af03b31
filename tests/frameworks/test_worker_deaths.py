"""Whatever happens to the process of a framework costs one evaluation; the next one is as good as the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.backends import registry
from gradaudit.backends.interface import OwnFormulation
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs

pytestmark = pytest.mark.frameworks

FAULTS = {
    "prints": None,
    "lets_the_framework_run_out_of_memory": "out_of_memory",
    "runs_out_of_memory": "out_of_memory",
    "segfaults": "crashed",
    "exits": "crashed",
    "breaks_the_protocol": "crashed",
    "hangs": "timed_out",
}
"""What is done to the process, and the kind of failure that it is; None: the evaluation stands."""

WORDS = {
    "segfaults": "the worker was killed by SIGSEGV",
    "exits": "the worker exited with status 3",
    "hangs": "no answer within ",
    "breaks_the_protocol": "the worker broke its protocol: ",
}


FRAMEWORKS = [name for name in registry.names() if not name.startswith("keras")]
"""Keras lives in processes of the others."""


@pytest.fixture(params=FRAMEWORKS)
def process(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[workers.BackendProcess]:
    real = registry.get(request.param)
    adapter = tmp_path / "faulty_adapter.py"
    text = (Path(__file__).parent / "faulty_adapter.py").read_text()
    adapter.write_text(text.replace('"/the/real/adapter.py"', repr(str(real.adapter))))
    own = {name: OwnFormulation(("softmax",), "fused", name) for name in FAULTS}
    backend = replace(real, adapter=adapter, formulations=MappingProxyType(own))
    # TensorFlow asks for memory again and again for ten seconds before it gives up.
    timeout = 14.0 if "tensorflow" in request.param else 6.0
    settings = workers.WorkerSettings(timeout=timeout, max_memory=2 << 30)
    (tmp_path / "run").mkdir()
    with workers.start(backend, settings, tmp_path / "run") as started:
        assert started.state().available, started.state().reason
        yield started


def test_each_death_costs_one_evaluation(process: workers.BackendProcess) -> None:
    logits = np.array([[0.1, 2.0, -1.0]], np.float32)
    call = FunctionCall("softmax", {"temperature": 1.0, "logit_scale": 1.0, "masked_classes": ()})
    inputs = Inputs(call, "float32", 1.0, (1,), logits, None, np.ones_like(logits), False, None)
    name = process.backend.name

    def ask(formulation: str) -> Evaluation | EvaluationFailure:
        return process.evaluate(EvaluationKey(name, name, formulation, "float32", 1.0), inputs)

    first = ask("fused")
    assert isinstance(first, Evaluation), first
    for fault, kind in FAULTS.items():
        result = ask(fault)
        if kind is None:
            assert isinstance(result, Evaluation), (fault, result)
            assert "garbage on stdout" in result.captured
        else:
            assert isinstance(result, EvaluationFailure), fault
            assert (result.kind, WORDS.get(fault, "") in result.message) == (kind, True), result
        again = ask("fused")
        assert isinstance(again, Evaluation), (fault, again)
        assert np.array_equal(again.output, first.output)
        assert again.gradient is not None
        assert first.gradient is not None
        assert np.array_equal(again.gradient, first.gradient)
