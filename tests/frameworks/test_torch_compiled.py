"""torch.compile as the execution "compiled": it compiles, and keeps the arithmetic that is declared for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.records.evaluation import Evaluation
from gradaudit.records.inputs import Inputs
from gradaudit.reference.truth import Truth
from tests.frameworks.surveys import asked, kept, measured, started
from tests.frameworks.test_jax import inputs_of

pytestmark = pytest.mark.frameworks


@pytest.fixture(scope="module")
def process() -> Iterator[workers.BackendProcess]:
    with started("torch", timeout=300.0) as process:
        yield process


def problem(function: str, dtype: str) -> Inputs:
    """Rows of every magnitude and several offsets."""
    rng = np.random.default_rng(11)
    rows = 48
    logits = rng.standard_normal((rows, 19)) * 10.0 ** rng.uniform(-3.0, 1.5, (rows, 1))
    logits += rng.choice([0.0, 0.0, 10.0, 300.0], (rows, 1))
    labels = rng.integers(0, 19, rows)
    labels[::5] = -100
    arrays = {"logits": logits, "upstream": rng.standard_normal(logits.shape)}
    if function == "cross_entropy":
        arrays |= {"targets": labels, "upstream": np.asarray(1.5)}
    parameters = {"reduction": "mean", "ignore_index": -100} if function == "cross_entropy" else {}
    return inputs_of(function, dtype, (1,), arrays, **parameters)


@pytest.mark.parametrize(("function", "dtype"), [("softmax", "float32"), ("cross_entropy", "bfloat16")])
def test_what_is_declared_is_kept(process: workers.BackendProcess, function: str, dtype: str) -> None:
    given = problem(function, dtype)
    eager, compiled = (asked(process, given, "fused", execution) for execution in ("eager", "compiled"))
    assert isinstance(eager, Evaluation), eager
    assert isinstance(compiled, Evaluation), compiled
    assert eager.gradient is not None
    assert compiled.gradient is not None
    assert eager.gradient.tobytes() != compiled.gradient.tobytes(), "the same kernels: nothing was compiled"
    measurement = measured(Truth(given), compiled)
    assert kept(measurement), measurement.explanation
    assert measurement.gradient is not None
    assert 0.02 < measurement.gradient.max_error_over_tolerance <= 1.0
    index = np.unravel_index(np.abs(compiled.gradient.astype(np.float64)).argmax(), compiled.gradient.shape)
    compiled.gradient[index] *= compiled.gradient.dtype.type(1.0 + 2.0 ** (-3 if dtype == "bfloat16" else -14))
    assert not kept(measured(Truth(given), compiled)), "a planted error"


def test_without_a_compiler_the_row_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    with started("torch", timeout=300.0) as process:
        result = asked(process, problem("softmax", "float32"), "fused", "compiled")
        assert not isinstance(result, Evaluation)
        assert result.kind == "unsupported"
        assert "No working C++ compiler found" in result.message
        assert isinstance(asked(process, problem("softmax", "float32")), Evaluation)
