"""JAX keeps the arithmetic that its backend declares, eager and compiled; and comes near its limits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.records.inputs import Inputs
from tests.frameworks.surveys import problems, started, survey
from tests.reference.cases import Variant

pytestmark = pytest.mark.frameworks

SOUND = {
    "softmax": ("fused", "log_softmax"),
    "log_softmax": ("fused",),
    "logsumexp": ("fused",),
    "cross_entropy": ("fused", "log_softmax"),
}
"""Formulations that answer wherever a number is due."""

FRAGILE = {
    "softmax": ("unshifted",),
    "log_softmax": ("unfused", "unshifted"),
    "logsumexp": ("unshifted",),
    "cross_entropy": ("unfused", "unshifted"),
}
"""Those that do as long as exp of the logits, its square and 1 / p stay within the format."""

MODERATE = {"float16": 2.0, "bfloat16": 8.0, "float32": 8.0, "float64": 8.0}
"""Logits up to which the fragile ones answer."""


def formulations(variant: Variant, inputs: Inputs) -> tuple[str, ...]:
    """Who is expected to be right on these inputs."""
    scale = variant.parameters.get("logit_scale", 1.0) / variant.parameters.get("temperature", 1.0)
    largest = float(np.abs(inputs.logits.astype(np.float64)).max()) * scale
    return SOUND[variant.function] + (FRAGILE[variant.function] if largest <= MODERATE[inputs.dtype] else ())


@pytest.fixture(scope="module")
def process() -> Iterator[workers.BackendProcess]:
    with started("jax") as process:
        yield process


@pytest.mark.parametrize("execution", ["eager", "compiled"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_what_is_declared_is_kept(process: workers.BackendProcess, dtype: str, execution: str) -> None:
    varied = 2 if execution == "eager" else 0
    worst, beyond, missed = survey(process, problems(dtype, varied=varied, every=4), formulations, execution)
    assert not beyond, "\n".join([f"{len(beyond)} of them", *beyond[:20]])
    assert not missed, "\n".join(missed)
    assert {key for key, reached in worst.items() if not 0.02 < reached <= 1.0} == set(), worst
