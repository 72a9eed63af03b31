"""One rounding, judged by exact rational arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradaudit.numerics import formats
from gradaudit.specs.rounding import BLOCK, rounded

NAMES = ("float16", "bfloat16", "float32")


def nearest(value: float, name: str) -> float:
    """The number of a format nearest to a finite float64, ties to the even significand; by rational arithmetic."""
    form = formats.get(name)
    if value == 0:
        return value
    exact = Fraction(abs(value))
    exponent = form.emin
    while Fraction(2) ** (exponent + 1) <= exact:
        exponent += 1
    spacing = Fraction(2) ** (exponent - form.precision + 1)
    count = exact / spacing
    whole = count.numerator // count.denominator
    rest = count - whole
    if rest > Fraction(1, 2) or (rest == Fraction(1, 2) and whole % 2):
        whole += 1
    result = whole * spacing
    size = float("inf") if result > Fraction(form.largest) else float(result)
    return float(np.copysign(size, value))


@pytest.mark.parametrize("name", NAMES)
@given(value=st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=300, deadline=None)
@example(1 + 2**-8 + 2**-40)
@example(1 + 3 * 2**-8 - 2**-45)
@example(1 + 2**-11 + 2**-40)
@example(2.0**-134)
@example(2.0**-134 + 2.0**-160)
@example(3 * 2.0**-134 - 2.0**-180)
@example(2.0**-133 + 2.0**-150)
@example(65519.99)
@example(65520.0)
@example(3.3961775292304601e38)
@example(-3.3961775292304600e38)
@example(3.4e38)
@example(-0.0)
@example(5e-324)
def test_float64_is_rounded_once(name: str, value: float) -> None:
    check(value, name)


@pytest.mark.parametrize("name", NAMES)
@given(value=st.floats(-60000, 60000, width=16), noise=st.integers(-3, 3), bits=st.integers(0, 45))
@settings(max_examples=300, deadline=None)
def test_near_ties_fall_to_the_right_side(name: str, value: float, noise: int, bits: int) -> None:
    form = formats.get(name)
    with np.errstate(over="ignore"):
        ulp = float(formats.ulp(np.array([value]), form)[0])
    check(value + ulp / 2 + noise * ulp * 2.0 ** -(bits + 1), name)


def check(value: float, name: str) -> None:
    found = rounded(np.array([value]), name)
    assert found.dtype == formats.dtype(name)
    result, expected = float(found[0]), nearest(value, name)
    assert result == expected
    assert np.signbit(result) == np.signbit(expected)


@pytest.mark.parametrize("name", [*NAMES, "float64"])
def test_special_values_stay_what_they_are(name: str) -> None:
    result = rounded(np.array([np.inf, -np.inf, np.nan]), name).astype(np.float64)
    np.testing.assert_array_equal(result, [np.inf, -np.inf, np.nan])


def test_factors_are_applied_in_float64_before_the_rounding() -> None:
    values = np.array([1 / 3], dtype=np.float32)
    assert rounded(values, "float16", 3.0, 0.1)[0] == np.float16(np.float64(values[0]) * 3.0 * 0.1)


def test_an_array_that_needs_nothing_is_not_copied() -> None:
    values = np.zeros(3, dtype=np.float32)
    assert rounded(values, "float32", 1.0) is values
    assert rounded(values, "float64") is not values


def test_blocks_and_layouts_make_no_difference() -> None:
    values = np.random.default_rng(0).standard_normal((3, BLOCK // 2))
    np.testing.assert_array_equal(rounded(values.T, "float32", 3.0), (values.T * 3.0).astype(np.float32))
    assert rounded(np.array(0.1), "float16").shape == ()
