"""TensorFlow's backend: its mathematics, the roundings it declares, and what the audit makes of its own defects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from gradaudit import pipeline, workers
from gradaudit.records.evaluation import EAGER, Evaluation, EvaluationFailure
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.reference.truth import Truth
from gradaudit.specs.loading import load_text
from tests.backends.conftest import rounded_to
from tests.backends.test_functions import FORMULATIONS, LAYOUTS, PAIRS, check, make_arrays
from tests.backends.test_roundings import SAME, rounding_to, share, total
from tests.frameworks.surveys import asked, kept, measured, started

pytestmark = pytest.mark.frameworks

Array = np.ndarray


@pytest.fixture(scope="module")
def process() -> Iterator[workers.BackendProcess]:
    with started("tensorflow") as process:
        yield process


Evaluate = Callable[..., Evaluation]


def inputs_of(
    function: str, dtype: str, axis: tuple[int, ...], arrays: dict[str, Array], **parameters: object
) -> Inputs:
    rounded = {name: rounded_to(array, dtype) for name, array in arrays.items()}
    return Inputs(
        function=FunctionCall(function, parameters),
        dtype=dtype,
        scale=1.0,
        axis=axis,
        logits=rounded["logits"],
        targets=rounded.get("targets"),
        upstream=rounded.get("upstream"),
        per_output="upstream" not in rounded,
        weight=rounded.get("weight"),
    )


@pytest.fixture(scope="module")
def evaluate(process: workers.BackendProcess) -> Evaluate:
    def run(
        function: str,
        formulation: str,
        dtype: str,
        axis: tuple[int, ...],
        arrays: dict[str, Array],
        execution: str = EAGER,
        **parameters: object,
    ) -> Evaluation:
        result = asked(process, inputs_of(function, dtype, axis, arrays, **parameters), formulation, execution)
        assert isinstance(result, Evaluation), f"{result.kind}: {result.message}\n{result.detail}"
        return result

    return run


def test_it_says_what_it_is(process: workers.BackendProcess) -> None:
    state = process.state()
    details = dict(state.details)
    assert state.threads == 1
    assert state.dtypes == ("float16", "bfloat16", "float32", "float64")
    assert details["flushes_subnormals_inside_kernels"] == "True"
    assert state.flush_to_zero is False
    assert {"onednn", "xla", "tensor_float_32", "deterministic_ops"} <= set(details)


@pytest.mark.parametrize(("function", "formulation"), PAIRS)
def test_layouts(evaluate: Evaluate, function: str, formulation: str) -> None:
    for shape, axis in LAYOUTS.values():
        arrays = make_arrays(shape, axis, function)
        for given in (arrays, {name: array for name, array in arrays.items() if name != "upstream"}):
            check(evaluate(function, formulation, "float64", axis, given), function, axis, given, "float64")


@pytest.mark.parametrize(
    "parameters", [{"temperature": 0.7, "logit_scale": 1.3}, {"masked_classes": [1, 4]}], ids=str
)
def test_parameters_of_the_logits(evaluate: Evaluate, parameters: dict[str, object]) -> None:
    for function, formulation in PAIRS:
        for shape, axis in (((5, 7), (1,)), ((7, 3), (0,)), ((2, 3, 4), (1, 2)), ((3, 2, 4), (0, 2))):
            given = make_arrays(shape, axis, function, **parameters)
            result = evaluate(function, formulation, "float64", axis, given, **parameters)
            check(result, function, axis, given, "float64", **parameters)


@pytest.mark.parametrize("formulation", FORMULATIONS["cross_entropy"])
@pytest.mark.parametrize("kind", ["indices", "probabilities"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_parameters_of_cross_entropy(
    process: workers.BackendProcess, formulation: str, kind: str, smoothing: float
) -> None:
    offered = 0
    for shape, axis in (((5, 7), (1,)), ((2, 5, 3, 2), (1,)), ((2, 3, 7), (2,)), ((7,), (0,))):
        for reduction in ("none", "mean", "sum"):
            for weighted in (False, True):
                for more in ({}, {"ignore_index": 3}) if kind == "indices" else ({},):
                    parameters = {"reduction": reduction, "label_smoothing": smoothing, **more}
                    arrays = make_arrays(shape, axis, "cross_entropy", kind=kind, **parameters)
                    if weighted:
                        classes = math.prod(shape[i] for i in axis)
                        arrays["weight"] = np.random.default_rng(5).uniform(0.25, 2.0, classes)
                    given = inputs_of("cross_entropy", "float64", axis, arrays, **parameters)
                    result = asked(process, given, formulation)
                    if formulation == "fused" and weighted and (smoothing or kind == "probabilities"):
                        assert isinstance(result, EvaluationFailure)
                        assert result.kind == "unsupported"
                        assert "labels of a row add up to 1" in result.message
                        continue
                    assert isinstance(result, Evaluation), result
                    check(result, "cross_entropy", axis, arrays, "float64", **parameters)
                    offered += 1
    assert offered >= 12


@pytest.mark.parametrize("execution", ["eager", "graph", "compiled"])
def test_unstable_formulations_are_what_they_claim(evaluate: Evaluate, execution: str) -> None:
    arrays = {"logits": np.array([[100.0, 0.0, -100.0]]), "targets": np.array([2]), "upstream": np.asarray(1.0)}
    fused, unfused, unshifted = (
        evaluate("cross_entropy", formulation, "float32", (1,), arrays, execution)
        for formulation in ("fused", "unfused", "unshifted")
    )
    assert fused.output == 200.0
    np.testing.assert_array_equal(fused.gradient, [[1.0, 0.0, -1.0]])
    assert np.isposinf(unfused.output)
    assert np.isnan(unfused.gradient).all()
    assert not np.isfinite(unshifted.output)


def test_all_rows_ignored(evaluate: Evaluate) -> None:
    arrays = {"logits": np.zeros((3, 4)), "targets": np.full(3, -100), "upstream": np.asarray(1.0)}
    for formulation in FORMULATIONS["cross_entropy"]:
        mean = evaluate("cross_entropy", formulation, "float32", (1,), arrays, reduction="mean")
        assert np.isnan(mean.output)
        np.testing.assert_array_equal(mean.gradient, np.zeros((3, 4)))


# -- the sequence of roundings, replayed


def drawn(dtype: str) -> tuple[Array, Array]:
    r = rounding_to(dtype)
    x = r(np.random.default_rng(1).normal(size=(64, 37)) * 2)
    return x, r(np.random.default_rng(2).normal(size=(64, 37)))


def test_softmax_of_bfloat16_is_one_kernel_and_its_gradient_a_chain(evaluate: Evaluate) -> None:
    r, (x, g) = rounding_to("bfloat16"), drawn("bfloat16")
    w = np.exp(x - x.max(1, keepdims=True))
    p = r(w / total(w))
    result = evaluate("softmax", "fused", "bfloat16", (1,), {"logits": x, "upstream": g})
    assert share(result.output, p) > SAME
    assert share(result.gradient, r(p * r(g - r(total(r(p * g)))))) > SAME
    assert share(result.gradient, r(p * (g - total(p * g)))) < 0.9


@pytest.mark.parametrize("execution", ["eager", "graph"])
def test_eigen_adds_the_classes_of_float16_up_in_float16(evaluate: Evaluate, execution: str) -> None:
    r, (x, g) = rounding_to("float16"), drawn("float16")
    w = r(np.exp(r(x - x.max(1, keepdims=True))))
    result = evaluate("softmax", "fused", "float16", (1,), {"logits": x, "upstream": g}, execution)
    in_float32 = share(result.output, r(w * r(1.0 / r(total(w)))))
    assert 0.5 < in_float32 < 0.9


def test_xla_adds_them_up_in_float32_and_rounds_every_step(evaluate: Evaluate) -> None:
    r, (x, g) = rounding_to("float16"), drawn("float16")
    t = r(x - x.max(1, keepdims=True))
    w = r(np.exp(t))
    s = r(total(w))
    softmax = evaluate("softmax", "fused", "float16", (1,), {"logits": x, "upstream": g}, "compiled")
    p = softmax.output.astype(np.float64)
    assert share(p, r(w / s)) > SAME
    assert share(softmax.gradient, r(p * r(g - r(total(r(p * g)))))) > SAME
    log_softmax = evaluate("log_softmax", "fused", "float16", (1,), {"logits": x, "upstream": g}, "compiled")
    l = log_softmax.output.astype(np.float64)  # noqa: E741
    assert share(l, r(t - r(np.log(s)))) > SAME
    assert share(log_softmax.gradient, r(g - r(r(np.exp(l)) * r(total(g))))) > SAME


def test_the_losses_of_float16_are_computed_in_float32(evaluate: Evaluate) -> None:
    r, (x, _) = rounding_to("float16"), drawn("float16")
    labels = np.arange(64) % 37
    arrays = {"logits": x, "targets": labels, "upstream": np.ones(64)}
    result = evaluate("cross_entropy", "fused", "float16", (1,), arrays, reduction="none")
    w = np.exp(x - x.max(1, keepdims=True))
    assert share(result.gradient, r(w / total(w) - np.eye(37)[labels])) > SAME
    assert (
        share(result.output, r(np.log(total(w))[:, 0] - (x - x.max(1, keepdims=True))[np.arange(64), labels])) > 0.97
    )
    narrow = evaluate("cross_entropy", "fused", "bfloat16", (1,), arrays, reduction="none")
    rb = rounding_to("bfloat16")
    xb = rb(x)
    wb = np.exp(xb - xb.max(1, keepdims=True))
    assert share(narrow.gradient, rb(wb / total(wb) - np.eye(37)[labels])) < 0.9


def test_subnormal_numbers_are_flushed_as_declared(process: workers.BackendProcess) -> None:
    """oneDNN's softmax loses what is below twice the smallest normal number; of larger ones 1 % is told."""
    lost = np.exp(-87.0)
    assert 2.0**-126 < lost < 2.0**-125
    arrays = {"logits": np.array([[0.0, -87.0], [0.0, -80.0]]), "upstream": np.ones((2, 2))}
    given = inputs_of("softmax", "float32", (1,), arrays)
    result = asked(process, given)
    assert isinstance(result, Evaluation)
    assert result.output[0, 1] == 0.0
    assert kept(measured(Truth(given), result))
    result.output[1, 1] *= np.float32(1.01)
    assert not kept(measured(Truth(given), result))


# -- what the audit makes of its own defects


def test_xla_squares_the_sum_of_an_unshifted_softmax(process: workers.BackendProcess) -> None:
    """(w / s) / s becomes w / (s s), which overflows float16 from s = 256 on: the gradient loses its second term."""
    arrays = {"logits": np.full((2, 300), 0.125), "upstream": np.random.default_rng(3).normal(size=(2, 300))}
    given = inputs_of("softmax", "float16", (1,), arrays)
    verdicts = {}
    for execution in ("eager", "compiled"):
        result = asked(process, given, "unshifted", execution)
        assert isinstance(result, Evaluation)
        verdicts[execution] = kept(measured(Truth(given), result))
    assert verdicts == {"eager": True, "compiled": False}


SPEC = """
version: 1
defaults: {function: cross_entropy, backends: [tensorflow]}
cases:
  - name: targets that do not add up to 1
    logits: [[1.0, 2.0, 4.0], [0.5, -3.0, 2.0]]
    targets: [[0.5, 0.25, 0.75], [0.0, 0.0, 0.5]]
    formulations: [fused, log_softmax]
  - name: underflow
    logits: [[0, -90], [1, 2]]
    targets: [1, 0]
    formulations: [fused, unfused]
    execution: [eager, graph, compiled]
"""


def test_its_defects_are_named() -> None:
    report = pipeline.audit(load_text(SPEC, "tensorflow.yaml"), pipeline.Settings())
    found = {
        (case.case.name, finding.formulation, finding.subject): finding.code
        for case in report.cases
        for finding in case.findings
        if finding.severity == "error"
    }
    executions = ("tensorflow", "tensorflow, graph", "tensorflow, compiled")
    assert found == {
        ("targets that do not add up to 1", "fused", "tensorflow"): "BUG432",
        **{("underflow", "unfused", name): "BUG461" for name in executions},
    }
