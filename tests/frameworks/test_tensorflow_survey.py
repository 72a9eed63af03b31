"""TensorFlow keeps the arithmetic that its backend declares, wherever it answers; and comes near its limits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.records.evaluation import Evaluation
from gradaudit.records.inputs import Inputs
from tests.frameworks.surveys import asked, problems, started, survey
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
    if variant.targets == "soft" and inputs.dtype != "float64":
        # Rounded, they add up to 1 within a rounding of their own: the kernel's p - q is off by that share of p.
        sound = tuple(each for each in SOUND[variant.function] if each != "fused")
    else:
        sound = SOUND[variant.function]
    scale = variant.parameters.get("logit_scale", 1.0) / variant.parameters.get("temperature", 1.0)
    largest = float(np.abs(inputs.logits.astype(np.float64)).max()) * scale
    return sound + (FRAGILE[variant.function] if largest <= MODERATE[inputs.dtype] else ())


@pytest.fixture(scope="module")
def process() -> Iterator[workers.BackendProcess]:
    with started("tensorflow") as process:
        yield process


def check(found: tuple[dict[str, float], list[str], list[str]]) -> None:
    worst, beyond, missed = found
    assert not beyond, "\n".join([f"{len(beyond)} of them", *beyond[:20]])
    assert not missed, "\n".join(missed)
    assert {key for key, reached in worst.items() if not 0.02 < reached <= 1.0} == set(), worst


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_eager_operations_keep_what_is_declared(process: workers.BackendProcess, dtype: str) -> None:
    check(survey(process, problems(dtype, every=4), formulations))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_what_xla_compiles_keeps_what_is_declared(process: workers.BackendProcess, dtype: str) -> None:
    check(survey(process, problems(dtype, varied=0, every=6), formulations, "compiled"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_graph_runs_the_same_kernels(process: workers.BackendProcess, dtype: str) -> None:
    compared = 0
    for family, variant, inputs in problems(dtype, varied=0, every=3):
        for formulation in formulations(variant, inputs):
            eager, graph = (asked(process, inputs, formulation, execution) for execution in ("eager", "graph"))
            assert isinstance(eager, Evaluation), f"{family}: {eager}"
            assert isinstance(graph, Evaluation), f"{family}: {graph}"
            assert eager.gradient is not None
            assert graph.gradient is not None
            assert eager.output.tobytes() == graph.output.tobytes(), f"{family}, {variant.name}, {formulation}"
            assert eager.gradient.tobytes() == graph.gradient.tobytes(), f"{family}, {variant.name}, {formulation}"
            compared += 1
    assert compared > 50
