"""Differences of known functions: derivative, error, noise, kinks, rates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gradaudit.measurement import differences
from gradaudit.measurement.differences import Walk

H = 2.0 ** -np.arange(2.0, 27.0, 2.0)
U = 2.0**-53


def walk(f: Callable[[float], float], x: float, slope: float) -> Walk:
    """Values of f around x beside a promised slope."""
    plus, minus = (np.array([f(x + sign * h) for h in H]) for sign in (1.0, -1.0))
    return Walk(H, plus, minus, slope * H, slope * H, f(x))


def noise(f: Callable[[float], float], x: float) -> float:
    """The noise of f around x."""
    points = np.array([[f(x + i * d) for i in range(-4, 5)] for d in (2.0**-40, 2.0**-30, 2.0**-20, 2.0**-14)])
    return differences.noise(points, abs(f(x)), U)


SMOOTH = (
    (np.exp, 0.3, np.exp(0.3)),
    (np.sin, 2.0, np.cos(2.0)),
    (lambda x: x**5, -1.5, 5 * 1.5**4),
    (np.tanh, 9.0, 4.0 * np.exp(-18.0) / (1.0 + np.exp(-18.0)) ** 2),
)


@pytest.mark.parametrize(("f", "x", "slope"), SMOOTH)
def test_the_mismatch_of_a_right_slope_lies_within_its_error(
    f: Callable[[float], float], x: float, slope: float
) -> None:
    found = differences.mismatch(walk(f, x, float(slope)), noise(f, x))
    assert not found.sure
    assert abs(found.value) <= found.error <= 1e-7


@pytest.mark.parametrize(("f", "x", "slope"), SMOOTH[:3])
@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.999999, 1.01, 7.0])
def test_the_mismatch_of_a_wrong_slope_is_what_is_missing(
    f: Callable[[float], float], x: float, slope: float, factor: float
) -> None:
    found = differences.mismatch(walk(f, x, factor * float(slope)), noise(f, x))
    assert found.sure
    assert abs(found.value - (1.0 - factor) * slope) <= found.error


def test_the_rate_is_two_for_a_gradient_and_one_for_anything_else() -> None:
    epsilon = noise(np.exp, 0.3)
    assert differences.taylor_rate(walk(np.exp, 0.3, float(np.exp(0.3))), epsilon) == pytest.approx(2.0, abs=0.1)
    assert differences.taylor_rate(walk(np.exp, 0.3, 1.0), epsilon) == pytest.approx(1.0, abs=0.1)


def test_a_linear_function_has_no_rate() -> None:
    assert np.isnan(differences.taylor_rate(walk(lambda x: 3.0 * x, 1.0, 3.0), 1e-15))


def test_a_kink_is_a_jump_of_the_slope() -> None:
    found = differences.jump(walk(abs, 0.0, 0.0), 1e-16)
    assert found.sure
    assert found.value == pytest.approx(2.0)
    above, below = differences.one_sided(walk(abs, 0.0, 0.0), 1e-16)
    assert (above.value, below.value) == pytest.approx((1.0, -1.0))


@pytest.mark.parametrize(("f", "x", "slope"), SMOOTH)
def test_a_smooth_function_has_no_kink(f: Callable[[float], float], x: float, slope: float) -> None:
    found = differences.jump(walk(f, x, float(slope)), noise(f, x))
    assert not found.sure
    assert abs(found.value) <= found.error


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1e-3])
def test_noise_is_found(size: float) -> None:
    random = np.random.default_rng(1)

    def noisy(x: float) -> float:
        return float(np.sin(x) + size * random.uniform(-1.0, 1.0))

    assert size / 4 <= noise(noisy, 1.0) <= 40 * size


def test_a_function_that_rounds_its_argument_is_as_noisy_as_its_jumps() -> None:
    def coarse(x: float) -> float:
        return float(np.exp(np.float16(x)))

    at = walk(coarse, 0.3, float(np.exp(0.3)))
    epsilon = differences.resolution(at)
    assert epsilon > 1e-4
    assert not differences.mismatch(at, epsilon).sure
    assert differences.resolution(walk(np.exp, 0.3, 1.0)) <= 1e-7
    assert differences.resolution(walk(lambda x: 0.0 * x, 0.3, 1.0)) == 0.0
