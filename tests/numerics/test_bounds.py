"""phi and growth are upper bounds of what they stand for, checked in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from flint import arb, ctx  # noqa: TID253
from hypothesis import given
from hypothesis import strategies as st

from gradaudit.numerics.bounds import growth, phi

SLACK = Fraction(1) + Fraction(1, 2**48)
"""phi and growth are themselves computed in float64."""

factors = st.lists(st.floats(min_value=-0.3, max_value=0.3), min_size=1, max_size=8)


@given(factors, st.lists(st.booleans(), min_size=8, max_size=8))
def test_phi_bounds_every_product_of_rounding_factors(deltas: list[float], below: list[bool]) -> None:
    """|prod (1 + d_i)^(+-1) - 1| <= phi(sum |d_i|), whichever factors stand in the denominator."""
    z = sum(Fraction(abs(d)) for d in deltas)
    product = Fraction(1)
    for delta, inverse in zip(deltas, below, strict=False):
        product *= (1 / (1 + Fraction(delta))) if inverse else 1 + Fraction(delta)
    bound = phi(float(z))
    assert bound == float("inf") or abs(product - 1) <= Fraction(bound) * SLACK


def test_phi_is_attained_by_a_quotient() -> None:
    """1 / (1 - z) - 1, the quotient by 1 - z, is phi(z) itself."""
    assert Fraction(phi(0.5)) == 1 / (1 - Fraction(1, 2)) - 1


def test_phi_from_one_on_is_infinite() -> None:
    assert phi(1.0) == phi(7.5) == float("inf")
    assert phi(np.array([0.0, 0.5, 1.0, 2.0, np.inf])).tolist() == [0.0, 1.0, np.inf, np.inf, np.inf]


@given(st.lists(st.floats(min_value=0.0, max_value=3.0), min_size=1, max_size=6))
def test_phi_of_an_array_is_that_of_its_elements(values: list[float]) -> None:
    assert phi(np.array(values)).tolist() == [phi(value) for value in values]


def _exact_growth(a: float, b: float) -> arb:
    return arb(a).exp() / (1 - arb(b)) - 1


@given(
    st.lists(st.floats(min_value=0.0, max_value=30.0), min_size=1, max_size=5),
    st.floats(min_value=0.0, max_value=0.99),
)
def test_growth_is_an_upper_bound(exponents: list[float], b: float) -> None:
    """R(A, B) >= exp(A) / (1 - B) - 1 on both of its branches."""
    bounds = growth(np.array(exponents), b)
    with ctx.workprec(200):
        for a, bound in zip(exponents, bounds, strict=True):
            assert not arb(float(bound)) * (1 + arb(2) ** -48) < _exact_growth(a, b)


def test_growth_by_a_straight_line_is_at_most_three_percent_above() -> None:
    """Up to 1/16, the limit of the affine radius; up to 1/2 it is 3 % above expm1 itself."""
    exponents = np.linspace(1e-9, 0.5, 400)
    ratio = growth(exponents, 0.0) / np.expm1(exponents)
    assert ratio.min() >= 1.0
    assert ratio.max() <= 1.03


def test_growth_is_finite_beyond_one_and_infinite_where_factors_are() -> None:
    assert np.isfinite(growth(np.array([1.0, 40.0]), 0.5)).all()
    assert np.isinf(growth(np.array([0.1]), 1.0)).all()
    assert growth(np.array([0.0]), 0.0).tolist() == [0.0]
