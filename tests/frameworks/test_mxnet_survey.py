"""Real MXNet keeps the arithmetic that its backend declares, wherever it is sound; and comes near its limits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.records.evaluation import EvaluationFailure
from gradaudit.records.inputs import Inputs
from tests.frameworks.mxnet_worker import NATIVE, asked, measured, started
from tests.oracle import families
from tests.reference.cases import PLAIN, VARIED, Variant, inputs_of, too_large

pytestmark = pytest.mark.frameworks

SOUND = {
    "softmax": ("fused", "log_softmax"),
    "log_softmax": ("fused",),
    "logsumexp": ("fused",),
    "cross_entropy": ("fused", "log_softmax", "gluon"),
}
"""Formulations that answer wherever a number is due."""

FRAGILE = {
    "softmax": ("unshifted",),
    "log_softmax": ("unfused", "unshifted"),
    "logsumexp": ("unshifted",),
    "cross_entropy": ("unfused", "unshifted", "softmax_output", "softmax_cross_entropy"),
}
"""Those that do as long as exp of the logits, its square and -log p stay within the format, and p above 1e-8."""

MODERATE = {"float16": 2.0, "float32": 8.0, "float64": 8.0}
"""Logits up to which the fragile ones answer."""

WEAK = "fused", "log_softmax", "gluon"


def problems(dtype: str) -> Iterator[tuple[str, Variant, Inputs]]:
    """The plain functions on every family, and the varied ones on families in turn."""
    turn = 0
    for family, logits in families.families(dtype, 10, 4, 7):
        for variant in PLAIN:
            yield family, variant, inputs_of(variant, logits, dtype, 7)
        for _ in range(3):
            variant = VARIED[turn % len(VARIED)]
            turn += 1
            if not too_large(variant, logits):
                yield family, variant, inputs_of(variant, logits, dtype, 7 + turn)


def formulations(variant: Variant, inputs: Inputs) -> tuple[str, ...]:
    """Who is expected to be right on these inputs."""
    scale = variant.parameters.get("logit_scale", 1.0) / variant.parameters.get("temperature", 1.0)
    largest = float(np.abs(inputs.logits.astype(np.float64)).max()) * scale
    moderate = largest <= MODERATE[inputs.dtype]
    return SOUND[variant.function] + (FRAGILE[variant.function] if moderate else ())


def by_one_dnn(formulation: str, inputs: Inputs) -> bool:
    """Whether oneDNN's logarithm takes part."""
    last = inputs.axis == (inputs.logits.ndim - 1,) or formulation == "gluon"
    by_log = inputs.function.name in ("log_softmax", "cross_entropy") or formulation == "log_softmax"
    return inputs.dtype == "float32" and last and by_log and formulation in WEAK


def ignores_its_head(formulation: str, inputs: Inputs) -> bool:
    return formulation == "softmax_output" and inputs.upstream is not None and bool((inputs.upstream != 1).any())


@pytest.fixture(scope="module")
def native() -> Iterator[workers.BackendProcess]:
    with started(NATIVE) as process:
        yield process


@pytest.fixture(scope="module")
def one_dnn() -> Iterator[workers.BackendProcess]:
    with started() as process:
        yield process


def test_the_worker_says_which_kernels_it_has(
    native: workers.BackendProcess, one_dnn: workers.BackendProcess
) -> None:
    assert dict(native.state().details)["onednn"] == "off"
    details = dict(one_dnn.state().details)
    assert (details["onednn"], details["safe_accumulation"]) == ("on", "off")
    assert "MKLDNN" in details["features"].split()
    assert one_dnn.state().version == "1.9.1"
    assert one_dnn.state().threads == 1


@pytest.mark.parametrize(
    ("kernels", "dtype"),
    [("native", "float16"), ("native", "float32"), ("native", "float64"), ("one_dnn", "float32")],
)
def test_it_keeps_what_is_declared(request: pytest.FixtureRequest, kernels: str, dtype: str) -> None:
    process = request.getfixturevalue(kernels)
    wrong: list[str] = []
    worst: dict[str, float] = defaultdict(float)
    for family, variant, inputs in problems(dtype):
        for formulation in formulations(variant, inputs):
            if (kernels == "one_dnn" and by_one_dnn(formulation, inputs)) or ignores_its_head(formulation, inputs):
                continue
            place = f"{family}, {variant.name}, {formulation}"
            result = asked(process, inputs, formulation)
            if isinstance(result, EvaluationFailure):
                assert result.kind == "unsupported", f"{place}: {result}"
                continue
            measurement = measured(inputs, result)
            explanation = measurement.explanation
            if not explanation.explains or explanation.weaker:
                wrong.append(f"{place}: {explanation}")
            quantity = measurement.gradient or measurement.jacobian
            assert quantity is not None
            reached = max(measurement.output.max_error_over_tolerance, quantity.max_error_over_tolerance)
            if np.isfinite(reached):
                worst[f"{variant.function}, {formulation}"] = max(
                    worst[f"{variant.function}, {formulation}"], reached
                )
    assert not wrong, "\n".join([f"{len(wrong)} of them", *wrong[:20]])
    assert {key for key, reached in worst.items() if not 0.02 < reached <= 1.0} == set(), worst
