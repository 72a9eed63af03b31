"""What the inputs do to the function: saturation on both sides of its thresholds, cancellation, conditioning."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradaudit.measurement.facts import facts
from gradaudit.numerics import formats
from gradaudit.records.measurement import InputFacts
from tests.measurement.cases import truth
from tests.numerics.documented import THRESHOLDS

INF = math.inf


def of(function: str, logits: object, dtype: str = "float32", **options: object) -> InputFacts:
    return facts(truth(function, logits, dtype, **options))


# ------------------------------------------------------------------------------------------------ saturation


@pytest.mark.parametrize(
    ("logits", "top", "saturated"),
    [
        ([490.0, 495.0, 500.0], 0.993262, 0),
        ([300.0, 400.0, 500.0], 1.0, 1),
        ([4.9, 4.95, 5.0], 0.350132, 0),
    ],
)
def test_known_rows(logits: list[float], top: float, saturated: int) -> None:
    found = of("softmax", [logits])
    assert found.max_probability == pytest.approx(top, abs=5e-7)
    assert (found.saturated_rows, found.vanished_rows) == (saturated, saturated)
    assert (found.rows, found.classes, found.dtype, found.scale) == (1, 3, "float32", 1.0)


def neighbours(dtype: str, threshold: float) -> tuple[float, float]:
    """Numbers of the format on both sides of a threshold: the last below it and the first above.

    In float64 eight units further off, where the exponential's own rounding no longer decides.
    """
    stored = formats.dtype(dtype)
    nearest = np.asarray(threshold).astype(stored)
    below = nearest if float(nearest) < threshold else np.nextafter(nearest, np.asarray(0.0, stored))
    above = np.nextafter(below, np.asarray(INF, stored))
    assert float(below) < threshold <= float(above)
    further = 8.0 * math.ulp(threshold) if dtype == "float64" else 0.0
    return float(below) - further, float(above) + further


def flags(dtype: str, gap: float) -> dict[str, int]:
    found = of("softmax", [[0.0, -gap]], dtype)
    return {
        "saturated": found.saturated_rows,
        "vanished": found.vanished_rows,
        "underflowed": found.underflowed,
        "zero": found.zero,
    }


@pytest.mark.parametrize("flag", ["saturated", "vanished", "underflowed", "zero"])
@pytest.mark.parametrize("dtype", formats.FORMATS)
def test_thresholds_of_two_classes(dtype: str, flag: str) -> None:
    """Those of docs/numerics.md: the last number of the format below one does not set the flag, the next one does."""
    (value,) = (value for name, (_, value) in THRESHOLDS.items() if name.startswith(flag))
    threshold = value(formats.get(dtype))
    below, above = neighbours(dtype, threshold)
    assert flags(dtype, below)[flag] == 0
    assert flags(dtype, above)[flag] == 1


@pytest.mark.parametrize("dtype", formats.FORMATS)
def test_saturated_means_that_the_probability_rounds_to_one(dtype: str) -> None:
    form = formats.get(dtype)
    for gap in neighbours(dtype, math.log(2.0 / form.unit_roundoff - 1.0)):
        found = of("softmax", [[0.0, -gap]], dtype)
        nearest = float(np.asarray(1.0 - found.complement).astype(formats.dtype(dtype)))
        assert (nearest == 1.0) == (found.saturated_rows == 1)


def test_the_complement_keeps_its_digits_where_p_is_one() -> None:
    found = of("softmax", [[0.0, -300.0]], "float64")
    assert found.max_probability == 1.0
    assert found.complement == pytest.approx(math.exp(-300.0), rel=1e-14)
    assert found.largest_jacobian_entry == pytest.approx(math.exp(-300.0), rel=1e-14)


def test_the_most_saturated_row_is_shown() -> None:
    found = of("softmax", [[0.0, 1.0], [0.0, 5.0], [0.0, 2.0]])
    assert found.max_probability == pytest.approx(1.0 / (1.0 + math.exp(-5.0)), rel=1e-12)
    p = 1.0 / (1.0 + math.exp(5.0))
    assert found.largest_jacobian_entry == pytest.approx(p * (1.0 - p), rel=1e-12)
    assert found.smallest_probability == pytest.approx(p, rel=1e-12)


def test_the_largest_entry_of_the_jacobian_is_at_the_largest_class() -> None:
    """By the dense diag(p) - p p^T, for probabilities on both sides of one half."""
    generator = np.random.default_rng(1)
    for scale in (0.1, 1.0, 4.0, 12.0):
        logits = (generator.standard_normal((1, 5)) * scale).astype(np.float32).astype(float)
        p = np.exp(logits[0] - logits.max())
        p /= p.sum()
        dense = np.abs(np.diag(p) - np.outer(p, p)).max()
        assert of("softmax", logits).largest_jacobian_entry == pytest.approx(dense, rel=1e-12)


def test_a_single_class_says_nothing() -> None:
    found = of("softmax", [[3.0]])
    assert (found.saturated_rows, found.vanished_rows, found.cancelled_rows, found.complement) == (0, 0, 0, 0.0)


def test_masked_and_infinite_logits_are_no_underflow() -> None:
    found = of("softmax", [[0.0, -INF, 1.0], [0.0, 2.0, 1.0]])
    assert (found.underflowed, found.zero, found.special_rows) == (0, 0, 1)
    assert found.smallest_probability == pytest.approx(1.0 / (1.0 + math.exp(2.0) + math.e), rel=1e-12)
    found = of("softmax", [[0.0, -500.0, 1.0]], masked_classes=(1,))
    assert (found.classes, found.underflowed) == (2, 0)


def test_undefined_rows_are_counted_and_left_out() -> None:
    found = of("softmax", [[math.nan, 0.0], [INF, 0.0], [-INF, -INF], [0.0, 0.0]])
    assert found.special_rows == 3
    assert found.max_probability == 0.5
    assert found.saturated_rows == 0


# ---------------------------------------------------------------------------------------------- cancellation


def test_a_constant_upstream_of_softmax_cancels() -> None:
    """Per-output gradients +-0.11318 a row; their sum is exactly 0."""
    found = of("softmax", [[0.1, 2.0]])
    assert found.sums_outputs
    assert (found.cancelled_rows, found.cancelled_sum) == (1, 0.0)
    p = 1.0 / (1.0 + math.exp(np.float64(np.float32(2.0)) - np.float64(np.float32(0.1))))
    assert found.cancelled_magnitude == pytest.approx(2.0 * p * (1.0 - p), rel=1e-12)
    assert found.cancelled_magnitude == pytest.approx(2.0 * 0.11318, abs=1e-5)


def test_an_upstream_that_tells_classes_apart_does_not_cancel() -> None:
    assert of("softmax", [[0.1, 2.0]], upstream=[[1.0, -1.0]]).cancelled_rows == 0
    assert of("softmax", [[0.1, 2.0]], upstream=[[1.0, 1.0 + 2.0**-20]]).cancelled_rows == 0


def test_an_upstream_that_differs_by_less_than_a_rounding_cancels() -> None:
    """The sum is 2^-23 of the magnitude or less: not 0, and lost in float32 all the same."""
    found = of("softmax", [[0.1, 2.0]], upstream=[[1.0, 1.0 - 2.0**-24]])
    assert found.cancelled_rows == 1
    assert 0.0 < abs(found.cancelled_sum) <= 2.0**-24 * found.cancelled_magnitude


def test_the_cancelled_row_of_the_largest_magnitude_is_shown() -> None:
    found = of("softmax", [[0.0, 9.0], [0.0, 0.0], [0.0, 3.0]])
    assert found.cancelled_rows == 3
    assert found.cancelled_magnitude == pytest.approx(0.5, rel=1e-12)


def test_the_magnitude_is_that_of_the_per_output_gradients() -> None:
    """By the dense Jacobian: sum_k |g_k J_kj| at the class where it is largest."""
    logits, g = np.array([[0.3, -1.0, 2.0, 0.5]]), np.full((1, 4), 3.0)
    p = np.exp(logits[0].astype(np.float32).astype(float))
    p /= p.sum()
    softmax = np.abs(g.T * (np.diag(p) - np.outer(p, p))).sum(axis=0)
    assert of("softmax", logits, upstream=g).cancelled_magnitude == pytest.approx(softmax.max(), rel=1e-12)
    found = of("log_softmax", [[0.0, 0.0]], upstream=[[2.0, 2.0]])
    assert (found.cancelled_rows, found.cancelled_magnitude) == (1, 2.0)


def test_functions_of_one_output_a_row_sum_nothing() -> None:
    assert not of("logsumexp", [[0.1, 2.0]]).sums_outputs
    assert not of("softmax", [[0.1, 2.0]], per_output=True).sums_outputs


# ---------------------------------------------------------------------------------------------- conditioning


def measured_condition(function: str, x: np.ndarray, output: int) -> float:
    """sum_i |x_i df/dx_i| / |f| by central differences in float64."""
    p = np.exp(x - x.max())
    p /= p.sum()
    lse = x.max() + math.log(np.exp(x - x.max()).sum())
    jacobian = {"softmax": (np.eye(len(x)) - p) * p[:, None], "log_softmax": np.eye(len(x)) - p[None, :]}
    if function == "logsumexp":
        return float(np.abs(x * p).sum() / abs(lse))
    value = p[output] if function == "softmax" else x[output] - lse
    name = "softmax" if function == "softmax" else "log_softmax"
    return float(np.abs(x * jacobian[name][output]).sum() / abs(value))


@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp", "cross_entropy"])
def test_condition_numbers_are_those_of_the_jacobian(function: str) -> None:
    x = np.array([1.5, -0.25, 3.0, 0.125])
    options = {"targets": [2]} if function == "cross_entropy" else {}
    found = of(function, [x], **options).condition
    outputs = [2] if function == "cross_entropy" else range(4)
    assert found == pytest.approx(max(measured_condition(function, x, j) for j in outputs), rel=1e-12)


def test_ignored_rows_have_no_condition_number() -> None:
    ignored = of("cross_entropy", [[40.0, 0.0], [0.5, 0.0]], targets=[-100, 0])
    assert ignored.condition == of("cross_entropy", [[0.5, 0.0]], targets=[0]).condition


def test_a_common_offset_is_measured_in_units_of_the_spread() -> None:
    assert of("softmax", [[1e4, 1e4 - 2.0]]).offset == pytest.approx(9999.0 / 2.0, rel=1e-6)
    assert of("softmax", [[1.0, -1.0]]).offset == 0.0
    assert of("softmax", [[0.0, 0.0]]).offset == 0.0
