"""Every backend, function, formulation and dtype against plain float64: the mathematics and the shapes.

Exactness is for the reference floor to judge. These bounds are coarse (a small number of roundings for each class,
relative to the size of the terms), and yet a wrong factor, sign, axis, mask or denominator exceeds them in float32
and float64 by orders of magnitude.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradaudit.records.evaluation import Evaluation
from tests.backends.conftest import Evaluate, rounded_to
from tests.backends.plain import expected

BACKENDS = ("numpy", "onnxruntime", "torch")
DTYPES = {"float16": 2.0**-11, "bfloat16": 2.0**-8, "float32": 2.0**-24, "float64": 2.0**-53}
FORMULATIONS = {
    "softmax": ("fused", "log_softmax", "unshifted"),
    "log_softmax": ("fused", "unfused", "unshifted"),
    "logsumexp": ("fused", "unshifted"),
    "cross_entropy": ("fused", "log_softmax", "unfused", "unshifted"),
}
PAIRS = [(function, formulation) for function, names in FORMULATIONS.items() for formulation in names]

LAYOUTS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "rows": ((5, 7), (1,)),
    "columns": ((7, 5), (0,)),
    "one row": ((7,), (0,)),
    "language model": ((2, 3, 7), (2,)),
    "segmentation": ((2, 5, 3, 2), (1,)),
    "two classes over axis 1": ((1, 2, 1, 1), (1,)),
    "first of three": ((5, 2, 3), (0,)),
    "first of four": ((2, 3, 2, 2), (0,)),
    "two last axes": ((2, 3, 4), (1, 2)),
    "two axes apart": ((3, 2, 4), (0, 2)),
    "all axes": ((3, 4), (0, 1)),
}


def make_arrays(
    shape: tuple[int, ...], axis: tuple[int, ...], function: str, *, kind: str = "indices", **parameters: object
) -> dict[str, np.ndarray]:
    """Logits, targets and upstream gradient in float64, moderate enough for every formulation and dtype."""
    rng = np.random.default_rng([len(shape), *shape, *axis])
    outer = tuple(size for i, size in enumerate(shape) if i not in axis)
    count = math.prod(shape[i] for i in axis)
    active = [j for j in range(count) if j not in set(parameters.get("masked_classes", ()))]
    arrays = {"logits": rng.normal(size=shape)}
    output_shape = shape if function in ("softmax", "log_softmax") else outer
    if function == "cross_entropy":
        kept = [j for j in active if j != parameters.get("ignore_index")]
        labels = np.asarray(rng.choice(kept, size=outer), np.int64)
        if outer and outer[0] > 1:
            labels[0] = parameters.get("ignore_index", -100)
        arrays["targets"] = labels if kind == "indices" else _probabilities(rng, shape, axis, outer)
        output_shape = outer if parameters.get("reduction", "mean") == "none" else ()
    arrays["upstream"] = np.asarray(rng.normal(size=output_shape))
    return arrays


def _probabilities(
    rng: np.random.Generator, shape: tuple[int, ...], axis: tuple[int, ...], outer: tuple[int, ...]
) -> np.ndarray:
    count = math.prod(shape[i] for i in axis)
    q = rng.dirichlet(np.ones(count), outer).reshape(*outer, *(shape[i] for i in axis))
    return np.ascontiguousarray(np.moveaxis(q, range(len(outer), len(shape)), axis))


def check(
    result: Evaluation, function: str, axis: tuple[int, ...], arrays: dict[str, np.ndarray], dtype: str, **p: object
) -> None:
    exact = {name: rounded_to(array, dtype).astype(np.float64) for name, array in arrays.items()}
    exact |= {name: array for name, array in arrays.items() if array.dtype.kind == "i"}
    output, derivative = expected(function, axis, exact, **p)
    classes = math.prod(exact["logits"].shape[i] for i in axis)
    roundings = 8 * (classes + 8)
    # The size of the terms that are added up, upstream gradient included.
    factor = float(p.get("logit_scale", 1.0)) / float(p.get("temperature", 1.0))
    size = factor * np.abs(exact.get("upstream", np.ones(1))).max(initial=0.0) * exact.get("weight", np.ones(1)).max()
    got = result.jacobian if "upstream" not in arrays else result.gradient
    assert got is not None
    assert (result.gradient is None) == ("upstream" not in arrays)
    for name, value, truth, scale in (
        ("output", result.output, output, max(1.0, np.abs(output[np.isfinite(output)]).max(initial=0.0))),
        ("derivative", got, derivative, max(size, np.abs(derivative).max())),
    ):
        assert value.dtype == rounded_to(np.zeros(1), dtype).dtype, name
        assert value.shape == truth.shape, name
        finite = np.isfinite(truth)
        np.testing.assert_array_equal(value.astype(np.float64)[~finite], truth[~finite], err_msg=name)
        error = np.abs(value.astype(np.float64)[finite] - truth[finite]).max(initial=0.0)
        assert error <= roundings * DTYPES[dtype] * scale, (name, error, scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "formulation"), PAIRS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_layouts(evaluate: Evaluate, backend: str, function: str, formulation: str, dtype: str) -> None:
    # The mathematics of a layout does not depend on the dtype; narrow ones are tried on a few.
    names = LAYOUTS if dtype == "float64" else ("rows", "columns", "segmentation", "two axes apart")
    for shape, axis in (LAYOUTS[name] for name in names):
        arrays = make_arrays(shape, axis, function)
        for asked in (arrays, {name: array for name, array in arrays.items() if name != "upstream"}):
            result = evaluate(backend, function, formulation, dtype, axis, asked)
            check(result, function, axis, asked, dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
@pytest.mark.parametrize(("function", "formulation"), PAIRS)
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": 0.7},
        {"logit_scale": 1.3, "temperature": 3.0},
        {"masked_classes": [1, 4]},
        {"masked_classes": [0], "logit_scale": 0.5},
    ],
    ids=str,
)
def test_parameters_of_the_logits(
    evaluate: Evaluate, backend: str, function: str, formulation: str, dtype: str, parameters: dict[str, object]
) -> None:
    layouts = (((5, 7), (1,)), ((7, 3), (0,)), ((2, 3, 4), (1, 2)), ((3, 2, 4), (0, 2)))
    for shape, axis in layouts if dtype == "float64" else layouts[:1]:
        arrays = make_arrays(shape, axis, function, **parameters)
        for asked in (arrays, {name: array for name, array in arrays.items() if name != "upstream"}):
            result = evaluate(backend, function, formulation, dtype, axis, asked, **parameters)
            check(result, function, axis, asked, dtype, **parameters)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("formulation", FORMULATIONS["cross_entropy"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["indices", "probabilities"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_parameters_of_cross_entropy(
    evaluate: Evaluate, backend: str, formulation: str, dtype: str, kind: str, smoothing: float
) -> None:
    layouts = (((5, 7), (1,)), ((2, 5, 3, 2), (1,)), ((2, 3, 7), (2,)), ((7,), (0,)))
    for shape, axis in layouts if dtype == "float64" else layouts[:1]:
        classes = math.prod(shape[i] for i in axis)
        for reduction in ("none", "mean", "sum"):
            for weighted in (False, True):
                for more in ({}, {"ignore_index": 3} if kind == "indices" else {"masked_classes": [2]}):
                    parameters = {"reduction": reduction, "label_smoothing": smoothing, **more}
                    arrays = make_arrays(shape, axis, "cross_entropy", kind=kind, **parameters)
                    if weighted:
                        arrays["weight"] = np.random.default_rng(5).uniform(0.25, 2.0, classes)
                    result = evaluate(backend, "cross_entropy", formulation, dtype, axis, arrays, **parameters)
                    check(result, "cross_entropy", axis, arrays, dtype, **parameters)


@pytest.mark.parametrize("formulation", FORMULATIONS["cross_entropy"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_all_rows_ignored(evaluate: Evaluate, backend: str, formulation: str) -> None:
    arrays = {"logits": np.zeros((3, 4)), "targets": np.full(3, -100), "upstream": np.asarray(1.0)}
    mean = evaluate(backend, "cross_entropy", formulation, "float32", (1,), arrays, reduction="mean")
    total = evaluate(backend, "cross_entropy", formulation, "float32", (1,), arrays, reduction="sum")
    assert np.isnan(mean.output)
    assert total.output == 0.0
    for result in (mean, total):
        np.testing.assert_array_equal(result.gradient, np.zeros((3, 4)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_unstable_formulations_are_what_they_claim(evaluate: Evaluate, backend: str) -> None:
    """The frameworks must not repair them: log of an underflowed probability, exp of a large logit."""
    arrays = {
        "logits": np.array([[100.0, 0.0, -100.0]]),
        "targets": np.array([2]),
        "upstream": np.asarray(1.0),
    }
    fused = evaluate(backend, "cross_entropy", "fused", "float32", (1,), arrays)
    unfused = evaluate(backend, "cross_entropy", "unfused", "float32", (1,), arrays)
    unshifted = evaluate(backend, "cross_entropy", "unshifted", "float32", (1,), arrays)
    assert fused.output == 200.0
    assert fused.gradient is not None
    np.testing.assert_array_equal(fused.gradient, [[1.0, fused.gradient[0, 1], -1.0]])
    assert np.isposinf(unfused.output)
    assert np.isnan(unfused.gradient).all()
    assert not np.isfinite(unshifted.output)


@pytest.mark.parametrize("backend", BACKENDS)
def test_infinite_logits(evaluate: Evaluate, backend: str) -> None:
    """-inf in a row takes its class away; an infinite maximum is the logsumexp."""
    arrays = {"logits": np.array([[1.0, -np.inf, 2.0]]), "upstream": np.array([[1.0, 2.0, 4.0]])}
    result = evaluate(backend, "log_softmax", "fused", "float64", (1,), arrays)
    assert result.gradient is not None
    assert np.isneginf(result.output[0, 1])
    p = 1.0 / (1.0 + np.e)
    assert abs(result.gradient[0, 0] - (1.0 - 7.0 * p)) < 1e-12
    assert result.gradient[0, 1] == 2.0
    rows = np.array([[np.inf, 0.0], [-np.inf, -np.inf]])
    result = evaluate(backend, "logsumexp", "fused", "float64", (1,), {"logits": rows, "upstream": np.ones(2)})
    np.testing.assert_array_equal(result.output, [np.inf, -np.inf])


@pytest.mark.parametrize("function", FORMULATIONS)
def test_numpy_s_blocks_of_rows_leave_no_trace(evaluate: Evaluate, function: str) -> None:
    rows, cut = 5000, 2500
    arrays = make_arrays((rows, 64), (1,), function, reduction="none")
    whole = evaluate("numpy", function, "fused", "float32", (1,), arrays, reduction="none")
    for part in (slice(cut), slice(cut, rows)):
        half = {name: array[part] for name, array in arrays.items()}
        result = evaluate("numpy", function, "fused", "float32", (1,), half, reduction="none")
        np.testing.assert_array_equal(result.output, whole.output[part])
        np.testing.assert_array_equal(result.gradient, whole.gradient[part])


@pytest.mark.parametrize(
    ("function", "parameters"),
    [("cross_entropy", {}), ("cross_entropy", {"masked_classes": (3,)}), ("log_softmax", {"masked_classes": (3,)})],
)
def test_numpy_adds_the_classes_of_every_row_up_pairwise(
    evaluate: Evaluate, function: str, parameters: dict[str, tuple[int, ...]]
) -> None:
    """A single row is contiguous however it was picked; among others it must be added up in the same order."""
    rows, classes = 3, 32000
    name = "targets" if function == "cross_entropy" else "upstream"
    arrays = {"logits": np.random.default_rng(5).normal(size=(rows, classes)), name: np.full((rows, classes), 0.1)}
    if function == "cross_entropy":
        arrays["upstream"] = np.ones(rows)
        parameters = {**parameters, "reduction": "none"}  # type: ignore[dict-item]
    whole = evaluate("numpy", function, "fused", "float32", (1,), arrays, **parameters)
    for row in range(rows):
        alone = {key: array[row : row + 1] for key, array in arrays.items()}
        result = evaluate("numpy", function, "fused", "float32", (1,), alone, **parameters)
        np.testing.assert_array_equal(result.gradient[0], whole.gradient[row])
