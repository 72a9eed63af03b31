"""JAX's backend: its mathematics, the roundings it declares, and what the audit makes of its own defects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from gradaudit import pipeline, workers
from gradaudit.records.evaluation import Evaluation, EvaluationFailure
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.reference.truth import Truth
from gradaudit.specs.loading import load_text
from tests.backends.conftest import rounded_to
from tests.backends.test_functions import FORMULATIONS, LAYOUTS, PAIRS, check, make_arrays
from tests.backends.test_roundings import rounding_to, share, total
from tests.frameworks.surveys import asked, kept, measured, started

pytestmark = pytest.mark.frameworks

Array = np.ndarray
Evaluate = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def process() -> Iterator[workers.BackendProcess]:
    with started("jax") as process:
        yield process


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
        execution: str = "compiled",
        **parameters: object,
    ) -> Evaluation:
        result = asked(process, inputs_of(function, dtype, axis, arrays, **parameters), formulation, execution)
        assert isinstance(result, Evaluation), f"{result.kind}: {result.message}\n{result.detail}"
        return result

    return run


def test_it_says_what_it_is(process: workers.BackendProcess) -> None:
    state, details = process.state(), dict(process.state().details)
    assert (state.threads, state.flush_to_zero) == (1, False)
    assert details["flushes_to_zero_while_computing"] == "True"
    assert details["jax_enable_x64"] == "True"
    assert "--xla_cpu_multi_thread_eigen=false" in details["xla_flags"]
    changed = {fact.name for fact in state.process if fact.changed}
    assert "environment variable TPU_SKIP_MDS_QUERY" in changed
    assert "environment variable XLA_FLAGS" not in changed, "that was the adapter"


def test_the_first_device_that_is_asked_for_chooses_the_platform() -> None:
    """What is tried out on the CPU at the start must not keep a GPU from being used; there is none here."""
    given = inputs_of("softmax", "float32", (1,), {"logits": np.eye(2), "upstream": np.eye(2)})
    object.__setattr__(given, "device", "cuda")
    with started("jax") as process:
        result = asked(process, given)
        assert isinstance(result, EvaluationFailure)
        assert result.kind == "missing"
        assert "has no device 'cuda' here" in result.message
        object.__setattr__(given, "device", "cpu")
        assert isinstance(asked(process, given), Evaluation)
        object.__setattr__(given, "device", "cuda")
        later = asked(process, given)
        assert isinstance(later, EvaluationFailure)
        assert "computes on cpu in this process" in later.message


@pytest.mark.parametrize(("function", "formulation"), PAIRS)
def test_layouts(evaluate: Evaluate, function: str, formulation: str) -> None:
    # Every layout and set of parameters is a program to compile: other formulations share the way to the class axis.
    few = ("columns", "segmentation", "two axes apart")
    for name, (shape, axis) in LAYOUTS.items():
        if formulation != "fused" and name not in few:
            continue
        arrays = make_arrays(shape, axis, function)
        check(evaluate(function, formulation, "float64", axis, arrays), function, axis, arrays, "float64")
        if name in few:
            del arrays["upstream"]
            check(evaluate(function, formulation, "float64", axis, arrays), function, axis, arrays, "float64")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_eager_returns_what_it_was_given(evaluate: Evaluate, dtype: str) -> None:
    for function in FORMULATIONS:
        arrays = make_arrays((5, 7), (1,), function)
        result = evaluate(function, "fused", dtype, (1,), arrays, "eager")
        check(result, function, (1,), arrays, dtype)
        del arrays["upstream"]
        check(evaluate(function, "fused", dtype, (1,), arrays, "eager"), function, (1,), arrays, dtype)


@pytest.mark.parametrize(
    "parameters", [{"temperature": 0.7, "logit_scale": 1.3}, {"masked_classes": [1, 4]}], ids=str
)
def test_parameters_of_the_logits(evaluate: Evaluate, parameters: dict[str, object]) -> None:
    for function, formulation in PAIRS:
        for shape, axis in (((5, 7), (1,)), ((3, 2, 4), (0, 2)))[: 2 if formulation == "fused" else 1]:
            given = make_arrays(shape, axis, function, **parameters)
            result = evaluate(function, formulation, "float64", axis, given, **parameters)
            check(result, function, axis, given, "float64", **parameters)


@pytest.mark.parametrize("formulation", FORMULATIONS["cross_entropy"])
@pytest.mark.parametrize("kind", ["indices", "probabilities"])
def test_parameters_of_cross_entropy(evaluate: Evaluate, formulation: str, kind: str) -> None:
    for shape, axis, reduction in (((2, 5, 3), (1,), "none"), ((5, 7), (1,), "mean"), ((5, 7), (1,), "sum")):
        if formulation == "fused" or reduction == "mean":
            for weighted, smoothing in ((False, 0.1), (True, 0.0), (True, 0.1)):
                more = {"ignore_index": 3} if kind == "indices" else {"masked_classes": [2]}
                parameters = {"reduction": reduction, "label_smoothing": smoothing, **more}
                arrays = make_arrays(shape, axis, "cross_entropy", kind=kind, **parameters)
                if weighted:
                    classes = math.prod(shape[i] for i in axis)
                    arrays["weight"] = np.random.default_rng(5).uniform(0.25, 2.0, classes)
                result = evaluate("cross_entropy", formulation, "float64", axis, arrays, **parameters)
                check(result, "cross_entropy", axis, arrays, "float64", **parameters)


@pytest.mark.parametrize("execution", ["eager", "compiled"])
def test_unstable_formulations_are_what_they_claim(evaluate: Evaluate, execution: str) -> None:
    arrays = {"logits": np.array([[100.0, 0.0, -100.0]]), "targets": np.array([2]), "upstream": np.asarray(1.0)}
    fused, unfused, unshifted = (
        evaluate("cross_entropy", formulation, "float32", (1,), arrays, execution)
        for formulation in ("fused", "unfused", "unshifted")
    )
    assert fused.output == 200.0
    np.testing.assert_array_equal(fused.gradient, [[1.0, 0.0, -1.0]])
    assert np.isposinf(unfused.output)
    assert np.isnan(unfused.gradient).any()
    assert not np.isfinite(unshifted.output)


# -- the sequence of roundings, replayed ---------------------------------------------------------------------------


def drawn(dtype: str, columns: int = 37) -> tuple[Array, Array]:
    r = rounding_to(dtype)
    x = r(np.random.default_rng(1).normal(size=(64, columns)) * 2)
    return x, r(np.random.default_rng(2).normal(size=(64, columns)))


def in_windows(terms: Array, r: Callable[[Array], Array]) -> Array:
    """Sums along the last axis, every addition rounded: 32 terms one after another, then their sums likewise.

    XLA pads the axis on both sides, half of what is missing to whole windows before it.
    """
    while terms.shape[1] > 32:
        missing = -terms.shape[1] % 32
        padded = np.pad(terms, ((0, 0), (missing // 2, missing - missing // 2)))
        terms = added(padded.reshape(len(terms), -1, 32), r)
    return added(terms, r)[:, None]


def added(terms: Array, r: Callable[[Array], Array]) -> Array:
    result = np.zeros(terms.shape[:-1])
    for k in range(terms.shape[-1]):
        result = r(result + terms[..., k])
    return result


@pytest.mark.parametrize("execution", ["eager", "compiled"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_cotangents_are_added_up_in_the_dtype(evaluate: Evaluate, dtype: str, execution: str) -> None:
    r, (x, g) = rounding_to(dtype), drawn(dtype)
    t = r(x - x.max(1, keepdims=True))
    exact_w = np.exp(t)
    w, s = r(exact_w), r(total(r(exact_w)))
    result = evaluate("log_softmax", "fused", dtype, (1,), {"logits": x, "upstream": g}, execution)
    assert share(result.output, r(t - r(np.log(s)))) > 0.98
    assert share(result.gradient, r(g + r(r(in_windows(-g, r) / s) * w))) > 0.97
    assert share(result.gradient, r(g + r(r(r(total(-g)) / s) * w))) < 0.9


@pytest.mark.parametrize("execution", ["eager", "compiled"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_softmax_is_differentiated_by_the_quotient_rule(evaluate: Evaluate, dtype: str, execution: str) -> None:
    r, (x, g) = rounding_to(dtype), drawn(dtype)
    exact_w = np.exp(r(x - x.max(1, keepdims=True)))
    w = r(exact_w)
    # Of bfloat16 XLA leaves in float32 what it makes itself: a reciprocal, and exponentials on their way to a sum.
    narrow = dtype == "float16"
    s = r(total(w if narrow or execution == "eager" else exact_w))
    reciprocal = r(1.0 / s) if narrow else 1.0 / s
    result = evaluate("softmax", "fused", dtype, (1,), {"logits": x, "upstream": g}, execution)
    c = in_windows(r(r(g * r(1.0 / r(s * s))) * w), r)
    assert share(result.gradient, r(r(r(g * reciprocal) - c) * w)) > 0.95
    assert share(result.gradient, r((w / s) * (g - total(w / s * g)))) < 0.7


def test_exponentials_stay_within_their_contract(evaluate: Evaluate) -> None:
    """exp and log within 2 ULP: of numbers beside 0, so that exp is the second and its logarithm the sum's."""
    x = np.random.default_rng(7).uniform(0.0, 80.0, 200_000).astype(np.float32)
    arrays = {"logits": np.stack([np.zeros_like(x), -x], 1), "upstream": np.zeros((len(x), 2))}
    result = evaluate("softmax", "unshifted", "float32", (1,), arrays)
    w = np.exp(-x.astype(np.float64))
    off = np.abs(result.output[:, 1].astype(np.float64) * (1.0 + w) - w) / w
    assert off.max() <= (4.0 + 3.0) * 2.0**-24


# -- what the audit makes of JAX's own defects ----------------------------------------------------------------------


@pytest.mark.parametrize("execution", ["eager", "compiled"])
def test_softmax_of_float16_squares_the_sum(process: workers.BackendProcess, execution: str) -> None:
    """s s overflows from s = 256 on: the gradient loses its second term."""
    g = np.random.default_rng(3).normal(size=(2, 300))
    verdicts = []
    for classes in (100, 300):
        arrays = {"logits": np.full((2, classes), 0.125), "upstream": g[:, :classes]}
        given = inputs_of("softmax", "float16", (1,), arrays)
        result = asked(process, given, "fused", execution)
        assert isinstance(result, Evaluation)
        verdicts.append(kept(measured(Truth(given), result)))
    assert verdicts == [True, False]


SPEC = """
version: 1
defaults: {backends: [jax], execution: [eager, compiled]}
cases:
  - name: squared sum
    function: softmax
    logits: {random: {distribution: uniform, shape: [3, 400], scale: 0.5, seed: 2}}
    upstream: ones
    dtypes: [float16, bfloat16]
  - name: unfused
    function: cross_entropy
    logits: [[100, 0, -100]]
    targets: [2]
    formulations: [fused, unfused]
"""


def test_its_defects_are_named() -> None:
    report = pipeline.audit(load_text(SPEC, "jax.yaml"), pipeline.Settings())
    found = {
        (case.case.name, finding.formulation, finding.dtype, finding.subject): finding.code
        for case in report.cases
        for finding in case.findings
        if finding.severity == "error"
    }
    for name in ("jax", "jax, compiled"):
        assert found.pop(("unfused", "unfused", "float32", name)) == "BUG461"
        assert found.pop(("squared sum", "fused", "float16", name)).startswith(("BUG", "DIV301"))
    assert not found, "bfloat16 has the range, and the fused loss is right"
