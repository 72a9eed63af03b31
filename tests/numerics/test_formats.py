"""Formats agree with ml_dtypes and NumPy, and ULPs with `math.ulp` and `np.spacing`."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradaudit.numerics import formats

NAMES = tuple(formats.FORMATS)


@pytest.mark.parametrize("name", NAMES)
def test_format_agrees_with_finfo(name: str) -> None:
    form, info = formats.get(name), ml_dtypes.finfo(formats.dtype(name))
    assert form.name == name
    assert form.unit_roundoff == float(info.eps) / 2.0
    assert form.smallest_normal == float(info.smallest_normal)
    assert form.smallest_subnormal == float(info.smallest_subnormal)
    assert form.largest == float(info.max)


@pytest.mark.parametrize("name", NAMES)
def test_dtype_stores_the_format(name: str) -> None:
    form, dtype = formats.get(name), formats.dtype(name)
    assert formats.name_of(np.zeros(1, dtype)) == name
    exact = np.array([1.0 + 2.0 * form.unit_roundoff, form.smallest_subnormal, form.largest])
    assert exact.astype(dtype).astype(np.float64).tolist() == exact.tolist()
    # 1 + u is a tie and goes to the even neighbour.
    assert float(np.asarray(1.0 + form.unit_roundoff).astype(dtype)) == 1.0


def test_an_unknown_format_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        formats.get("float8")
    assert formats.name_of(np.zeros(1, np.int32)) == "int32"


def _samples(name: str) -> np.ndarray:
    """Values of the format in every binade, with powers of two, their neighbours and subnormal numbers."""
    form = formats.get(name)
    generator = np.random.default_rng(1)
    exponents = np.arange(form.emin - form.precision + 1, form.emax + 1, dtype=np.float64)
    powers = np.exp2(exponents)
    values = np.concatenate([powers, powers * generator.uniform(1.0, 2.0, powers.size), [0.0, form.largest]])
    values = values.astype(formats.dtype(name))
    return np.concatenate([values, np.nextafter(values, np.zeros_like(values)), -values])


@pytest.mark.parametrize("name", NAMES)
def test_ulp_is_the_spacing_above_a_value(name: str) -> None:
    """The distance from |x| to the next larger number, by NumPy's own counting."""
    form, values = formats.get(name), _samples(name)
    values = values[np.abs(values.astype(np.float64)) < form.largest]
    size = np.abs(values)
    spacing = np.nextafter(size, np.full_like(size, np.inf)).astype(np.float64) - size.astype(np.float64)
    assert formats.ulp(values.astype(np.float64), form).tolist() == spacing.tolist()
    if name != "bfloat16":
        assert formats.ulp(values.astype(np.float64), form).tolist() == np.spacing(size).astype(float).tolist()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_ulp_of_float64_is_that_of_the_standard_library(value: float) -> None:
    assert formats.ulp(np.array([value]), formats.get("float64"))[0] == math.ulp(value)


@given(st.floats(min_value=2.0**-120, max_value=2.0**120), st.sampled_from(NAMES[1:3]))
def test_ulp_between_the_numbers_of_a_format(value: float, name: str) -> None:
    """Float64 values between two numbers of the format have the unit of the binade they lie in."""
    form = formats.get(name)
    unit = 2.0 ** (math.frexp(value)[1] - form.precision)
    assert formats.ulp(np.array([value, -value]), form).tolist() == [unit, unit]


def test_ulp_of_zero_is_the_smallest_subnormal_number() -> None:
    for name in NAMES:
        form = formats.get(name)
        assert formats.ulp(np.array([0.0, -0.0]), form).tolist() == [form.smallest_subnormal] * 2


def test_ulp_of_values_that_are_not_contiguous() -> None:
    values = np.arange(1.0, 13.0).reshape(3, 4).T
    expected = [[math.ulp(value) for value in row] for row in values]
    assert formats.ulp(values, formats.get("float64")).tolist() == expected
