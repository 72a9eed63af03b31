"""The sequences of roundings that the backends declare, replayed step by step for 16-bit types.

Every step is done in float64 and rounded where the declaration says so. A step that is rounded elsewhere, or not
at all, changes some of the elements; the shares below tell the declared sequence from its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from gradaudit.backends import registry
from tests.backends.conftest import Evaluate, rounded_to

Array = np.ndarray
Round = Callable[[Array], Array]

SAME = 0.995
"""Share of equal elements that is "the same sequence": exp may be off by an ULP of float32, which shows rarely."""


def rounding_to(dtype: str) -> Round:
    return lambda array: rounded_to(np.asarray(array), dtype).astype(np.float64)


f32: Round = rounding_to("float32")


def total(array: Array) -> Array:
    return array.sum(axis=1, keepdims=True)


def share(first: Array, second: Array) -> float:
    return float(np.mean(np.asarray(first, np.float64) == second))


@pytest.fixture(params=["float16", "bfloat16"])
def dtype(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def x(dtype: str) -> Array:
    return rounding_to(dtype)(np.random.default_rng(1).normal(size=(64, 37)) * 2)


@pytest.fixture
def g(dtype: str) -> Array:
    return rounding_to(dtype)(np.random.default_rng(2).normal(size=(64, 37)))


def test_torch_softmax_is_one_kernel_each_way(evaluate: Evaluate, dtype: str, x: Array, g: Array) -> None:
    r = rounding_to(dtype)
    w = np.exp(x - x.max(1, keepdims=True))
    p = r(w / total(w))
    result = evaluate("torch", "softmax", "fused", dtype, (1,), {"logits": x, "upstream": g})
    assert share(result.output, p) > SAME
    assert share(result.gradient, r(p * (g - total(p * g)))) > SAME
    assert share(result.gradient, r(p * r(g - r(total(r(p * g)))))) < 0.9


def test_torch_log_softmax_rounds_the_row_sum_over_the_last_axis_only(
    evaluate: Evaluate, dtype: str, x: Array, g: Array
) -> None:
    r = rounding_to(dtype)
    t = x - x.max(1, keepdims=True)
    s = total(np.exp(t))
    kept, stored = r(t - np.log(s)), r(t - r(np.log(r(s))))
    last = evaluate("torch", "log_softmax", "fused", dtype, (1,), {"logits": x, "upstream": g})
    first = evaluate("torch", "log_softmax", "fused", dtype, (0,), {"logits": x.T.copy(), "upstream": g.T.copy()})
    assert share(last.output, stored) > SAME
    assert share(last.output, kept) < 0.97
    assert share(first.output.T, kept) > SAME
    assert share(first.output.T, stored) < 0.97
    assert share(first.gradient.T, r(g - np.exp(kept) * total(g))) > SAME


@pytest.mark.parametrize(("columns", "stored"), [(6, True), (31, True), (64, False)])
def test_torch_softmax_over_another_axis_stores_the_exponentials_of_odd_columns(
    evaluate: Evaluate, dtype: str, columns: int, stored: bool
) -> None:
    r = rounding_to(dtype)
    x = r(np.random.default_rng(6).normal(size=(37, columns)) * 2)
    w = np.exp(x - x.max(0))
    p = {False: r(w / w.sum(0)), True: r(r(w) / w.sum(0))}
    result = evaluate("torch", "softmax", "fused", dtype, (0,), {"logits": x, "upstream": np.ones_like(x)})
    assert share(result.output, p[stored]) > SAME
    assert share(result.output, p[not stored]) < 0.9
    profile = registry.get("torch").profile
    assert profile("softmax", "fused", dtype, classes_last=False).stored_exponentials
    assert not profile("softmax", "fused", dtype).stored_exponentials


def test_torch_logsumexp_is_a_chain_of_stored_operations(evaluate: Evaluate, dtype: str, x: Array) -> None:
    r = rounding_to(dtype)
    upstream = r(np.random.default_rng(3).normal(size=(64, 1)))
    a = x.max(1, keepdims=True)
    lse = r(r(np.log(r(total(r(np.exp(r(x - a))))))) + a)
    result = evaluate("torch", "logsumexp", "fused", dtype, (1,), {"logits": x, "upstream": upstream[:, 0]})
    assert share(result.output[:, None], lse) > SAME
    assert share(result.gradient, r(upstream * r(np.exp(r(x - lse))))) > SAME
    assert share(result.gradient, r(upstream * np.exp(x - lse))) < 0.9


def test_torch_unshifted_forms_are_differentiated_step_by_step(
    evaluate: Evaluate, dtype: str, x: Array, g: Array
) -> None:
    r = rounding_to(dtype)
    w = r(np.exp(x))
    s = r(total(w))
    p = r(w / s)
    result = evaluate("torch", "softmax", "unshifted", dtype, (1,), {"logits": x, "upstream": g})
    assert share(result.output, p) > SAME
    through_the_sum = r(total(r(-g * r(p / s))))
    assert share(result.gradient, r(r(r(g / s) + through_the_sum) * w)) > SAME
    result = evaluate("torch", "log_softmax", "unshifted", dtype, (1,), {"logits": x, "upstream": g})
    assert share(result.output, r(x - r(np.log(s)))) > SAME
    assert share(result.gradient, r(g + r(r(r(total(r(-g))) / s) * w))) > SAME


def in_blocks_of_16(terms: Array, r: Round) -> float:
    """A cascade of partial sums, 16 terms to each, every addition rounded: how nll_loss adds up over rows."""
    partial = [0.0] * 8
    for i, term in enumerate(terms):
        partial[0] = float(r(partial[0] + term))
        for level in range(7):
            if i & (15 << (4 * level)):
                break
            partial[level + 1] = float(r(partial[level + 1] + partial[level]))
            partial[level] = 0.0
    whole = 0.0
    for value in partial:
        whole = float(r(whole + value))
    return whole


def test_torch_adds_class_weights_up_in_the_dtype(evaluate: Evaluate) -> None:
    r = rounding_to("bfloat16")
    rng = np.random.default_rng(4)
    found = []
    for rows in (300, 1000, 3000):
        weight, labels = r(rng.uniform(0.2, 2.0, 5)), rng.integers(0, 5, rows)
        arrays = {"logits": np.zeros((rows, 5)), "targets": labels, "weight": weight, "upstream": np.asarray(1.0)}
        result = evaluate("torch", "cross_entropy", "fused", "bfloat16", (1,), arrays, reduction="mean")
        l = r(-r(np.log(5.0)))  # noqa: E741

        def gradient(denominator: float, weight: Array = weight, labels: Array = labels, l: Array = l) -> Array:  # noqa: E741
            h = -r(weight[labels] * r(1.0 / denominator))[:, None]
            return r(np.where(np.arange(5) == labels[:, None], h, 0.0) - np.exp(l) * h)

        added = weight[labels]
        assert share(result.gradient, gradient(in_blocks_of_16(added, r))) == 1.0
        found.append(share(result.gradient, gradient(float(added.sum()))))
    assert min(found) < 0.5


def test_numpy_rounds_every_elementwise_step(evaluate: Evaluate, dtype: str, x: Array, g: Array) -> None:
    r = rounding_to(dtype)
    t = r(x - x.max(1, keepdims=True))
    w = r(np.exp(t))
    s = f32(total(w))
    p, log_p = r(f32(w / s)), r(f32(t - f32(np.log(s))))
    softmax = evaluate("numpy", "softmax", "fused", dtype, (1,), {"logits": x, "upstream": g})
    assert share(softmax.output, p) > SAME
    assert share(softmax.gradient, r(p * r(f32(g - f32(total(r(p * g))))))) > SAME
    log_softmax = evaluate("numpy", "log_softmax", "fused", dtype, (1,), {"logits": x, "upstream": g})
    assert share(log_softmax.output, log_p) > SAME
    assert share(log_softmax.gradient, r(g - r(f32(r(np.exp(log_p)) * f32(total(g)))))) > SAME
    arrays = {"logits": x, "targets": np.arange(64) % 37, "upstream": np.asarray(1.0)}
    loss = evaluate("numpy", "cross_entropy", "fused", dtype, (1,), arrays, reduction="mean")
    mass = np.eye(37)[arrays["targets"]]
    assert share(loss.gradient, r(r(p - mass) * f32(1.0 / 64))) > SAME
    assert share(loss.output, r(f32(-(mass * log_p).sum()) / 64)) == 1.0


def test_onnxruntime_rounds_16_bit_results_only(evaluate: Evaluate, dtype: str, x: Array, g: Array) -> None:
    r = rounding_to(dtype)
    w = np.exp(x - x.max(1, keepdims=True))
    p = w / total(w)
    result = evaluate("onnxruntime", "softmax", "fused", dtype, (1,), {"logits": x, "upstream": g})
    assert share(result.output, r(p)) > SAME
    assert share(result.gradient, r(p * (g - total(p * g)))) > SAME
    assert share(result.gradient, r(r(p) * r(g - total(r(r(p) * g))))) < 0.9
    unfused = evaluate("onnxruntime", "log_softmax", "unfused", dtype, (1,), {"logits": x, "upstream": g})
    assert share(unfused.output, r(np.log(p))) > SAME
    assert share(unfused.output, r(np.log(r(p)))) < 0.97


def test_bfloat16_arrives_and_leaves_bit_by_bit(evaluate: Evaluate) -> None:
    """Every bfloat16 number that is its own exp(log) image: softmax of one class is 1, its gradient 0."""
    logits = np.array([[0.5, 0.5], [-3.0, -3.0]])
    for backend in ("numpy", "onnxruntime", "torch"):
        arrays = {"logits": logits, "upstream": np.array([[1.0, -2.5], [3.140625, 0.0078125]])}
        result = evaluate(backend, "log_softmax", "fused", "bfloat16", (1,), arrays)
        assert result.output.dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(result.output.astype(np.float64), np.full((2, 2), -0.69140625))
