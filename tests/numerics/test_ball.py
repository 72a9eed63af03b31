"""Elementwise operations and sums: the exact result of exact operands lies in the ball, and so does a candidate's."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from flint import arb  # noqa: TID253
from hypothesis import given, settings
from hypothesis import strategies as st

from gradaudit.numerics.arithmetic import FLOAT64, pairwise
from gradaudit.numerics.ball import Ball, BallAlgebra
from tests.numerics.exact import (
    DTYPES,
    assert_contains,
    assert_contains_function,
    ball,
    fractions,
    inside,
    stored,
    uniform,
)

ENCLOSING = BallAlgebra(FLOAT64, encloses=True)
seeds = st.integers(0, 2**32 - 1)


def some_balls(generator: np.random.Generator, shape: tuple[int, ...], m: BallAlgebra = ENCLOSING) -> Ball:
    """Midpoints of every size, radii from nothing to a tenth of them, some of them far below."""
    mid = generator.standard_normal(shape) * np.exp(generator.uniform(-40.0, 40.0, shape))
    return ball(m, mid, np.abs(mid) * generator.choice([0.0, 1e-17, 1e-9, 0.1], shape))


# ----------------------------------------------------------------------------- as an enclosure, charged with float64

BINARY: dict[str, Callable[[Ball, Ball], Ball]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
}


@pytest.mark.parametrize("name", BINARY)
@given(seed=seeds)
@settings(max_examples=40)
def test_an_operation_encloses_the_exact_result(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    a, b = some_balls(generator, (2, 3)), some_balls(generator, (2, 3))
    operation = BINARY[name]
    assert_contains(operation(a, b), operation(inside(a, generator), inside(b, generator)))


@given(seed=seeds)
@settings(max_examples=40)
def test_nearly_equal_numbers_cancel_into_their_radii(seed: int) -> None:
    generator = np.random.default_rng(seed)
    a = some_balls(generator, (1, 6))
    b = ball(ENCLOSING, a.mid * (1.0 + generator.integers(-3, 4, (1, 6)) * 2.0**-52), np.abs(a.mid) * 1e-16)
    assert_contains(a - b, inside(a, generator) - inside(b, generator))


def test_a_quotient_by_a_ball_around_zero_has_no_bound() -> None:
    a, b = ball(ENCLOSING, [[1.0, 1.0]]), ball(ENCLOSING, [[0.5, 0.5]], np.array([[0.5, 0.25]]))
    quotient = a / b
    assert np.isinf(quotient.rad[0, 0])
    assert 2.0 <= quotient.rad[0, 1] <= 2.0 + 1e-15, "1 / 0.25 is 2 away from 1 / 0.5"


def test_products_that_underflow_may_be_lost_altogether() -> None:
    """2^-600 squared is 0 in float64, and 2^-1200 lies within one subnormal number of it."""
    a = ball(ENCLOSING, [[2.0**-600, 2.0**-540]])
    product = a * a
    assert_contains(product, fractions(a.mid) * fractions(a.mid))
    assert product.rad.max() <= 2.0 * 2.0**-1074


def test_negation_and_exact_numbers_round_nothing() -> None:
    exact = ENCLOSING.exact(np.array([[0.1, -3.0]]))
    assert exact.rad == 0.0
    assert (-exact).mid.tolist() == [[-0.1, 3.0]]
    assert (-exact).rad == 0.0


@given(seed=seeds)
@settings(max_examples=30)
def test_exp_and_log_enclose(seed: int) -> None:
    generator = np.random.default_rng(seed)
    exponents = generator.uniform(-30.0, 30.0, (2, 4))
    a = ball(ENCLOSING, exponents, generator.choice([0.0, 1e-15, 1e-3, 2.0], (2, 4)))
    assert_contains_function(ENCLOSING.exp(a), arb.exp, inside(a, generator))
    positive = ball(ENCLOSING, np.exp(exponents), np.exp(exponents) * generator.choice([0.0, 1e-15, 0.5], (2, 4)))
    assert_contains_function(ENCLOSING.log(positive), arb.log, inside(positive, generator))


def test_log_has_no_bound_where_the_ball_reaches_zero() -> None:
    found = ENCLOSING.log(ball(ENCLOSING, [[1.0, 1e-300, 0.0]], np.array([[0.5, 1e-300, 0.0]])))
    assert np.isfinite(found.rad[0, 0])
    assert np.isinf(found.rad[0, 1:]).all()


@given(seed=seeds, n=st.integers(1, 12))
@settings(max_examples=40)
def test_sums_enclose(seed: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    a = some_balls(generator, (2, n))
    assert_contains(ENCLOSING.sum(a), inside(a, generator).sum(axis=-1, keepdims=True))


@given(seed=seeds, n=st.integers(2, 9))
@settings(max_examples=40)
def test_the_sum_of_the_others_keeps_its_digits(seed: int, n: int) -> None:
    """Beside a mass of 1, a remainder of 1e-14 is known to 1e-12 of itself."""
    generator = np.random.default_rng(seed)
    mid = np.abs(generator.standard_normal((3, n))) * 1e-14
    mid[np.arange(3), generator.integers(0, n, 3)] = 1.0
    a = ball(ENCLOSING, mid, mid * 1e-15)
    exact = inside(a, generator)
    assert_contains(ENCLOSING.others(a), exact.sum(axis=-1, keepdims=True) - exact)
    others, top = ENCLOSING.others(ENCLOSING.exact(mid)), mid.argmax(axis=-1)
    rad, rest = others.rad[np.arange(3), top], others.mid[np.arange(3), top]
    assert (rad <= 1e-12 * rest).all()


@given(seed=seeds, n=st.integers(2, 9))
@settings(max_examples=30)
def test_centring_encloses_and_is_exactly_zero_at_the_largest_logit(seed: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    g, z = some_balls(generator, (3, n)), ball(ENCLOSING, generator.standard_normal((3, n)))
    top, exact = z.mid.argmax(axis=-1), inside(g, generator)
    centred = ENCLOSING.center(g, z)
    assert_contains(centred, exact - exact[np.arange(3), top][:, None])
    assert centred.mid[np.arange(3), top].tolist() == [0.0] * 3
    assert centred.rad[np.arange(3), top].tolist() == [0.0] * 3


def test_take_and_replace_round_nothing() -> None:
    generator, labels = np.random.default_rng(2), np.array([2, 0])
    a, values = some_balls(generator, (2, 3)), some_balls(generator, (2, 1))
    taken, replaced = ENCLOSING.take(a, labels), ENCLOSING.replace(a, labels, values)
    assert taken.mid[:, 0].tolist() == [a.mid[0, 2], a.mid[1, 0]]
    assert taken.rad[:, 0].tolist() == [a.rad[0, 2], a.rad[1, 0]]
    assert replaced.mid[0].tolist() == [a.mid[0, 0], a.mid[0, 1], values.mid[0, 0]]
    assert replaced.rad[1].tolist() == [values.rad[1, 0], a.rad[1, 1], a.rad[1, 2]]
    assert ENCLOSING.take(ENCLOSING.exact(np.eye(3)[:1]), np.array([0, 1])).mid.tolist() == [[1.0], [0.0]]


def test_a_single_row_serves_all_labels() -> None:
    shared = ENCLOSING.take(ball(ENCLOSING, [[1.0, 2.0, 3.0]], np.array([[0.1, 0.2, 0.3]])), np.array([2, 1]))
    assert shared.mid.tolist() == [[3.0], [2.0]]
    assert shared.rad.tolist() == [[0.3], [0.2]]


# ------------------------------------------------------------------- as a tolerance, charged with the candidate's own


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=seeds)
@settings(max_examples=40)
def test_a_candidates_chain_stays_within_its_tolerance(dtype: str, seed: int) -> None:
    """(a b - c) / d, every operation rounded to the format."""
    generator = np.random.default_rng(seed)
    a, b, c, d = (generator.uniform(0.5, 4.0, (2, 5)).astype(DTYPES[dtype]) for _ in range(4))
    got = (a * b - c) / d
    m = BallAlgebra(uniform(dtype))
    balls = [m.exact(part) for part in (a, b, c, d)]
    exact = [fractions(part) for part in (a, b, c, d)]
    tolerance = (balls[0] * balls[1] - balls[2]) / balls[3]
    _assert_within(tolerance, got, (exact[0] * exact[1] - exact[2]) / exact[3])


@given(seed=seeds)
@settings(max_examples=40)
def test_results_that_are_stored_are_rounded_twice(seed: int) -> None:
    generator = np.random.default_rng(seed)
    a, b, c = (generator.uniform(-4.0, 4.0, (2, 5)).astype(np.float16) for _ in range(3))
    wide = (a.astype(np.float32) * b.astype(np.float32)).astype(np.float16)
    got = (wide.astype(np.float32) + c.astype(np.float32)).astype(np.float16)
    m = BallAlgebra(stored("float32", "float16"))
    tolerance = m.exact(a) * m.exact(b) + m.exact(c)
    _assert_within(tolerance, got, fractions(a) * fractions(b) + fractions(c))


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=seeds, n=st.integers(2, 40))
@settings(max_examples=40)
def test_sums_in_any_order_stay_within(dtype: str, seed: int, n: int) -> None:
    generator = np.random.default_rng(seed)
    terms = generator.standard_normal((1, n)).astype(DTYPES[dtype])
    parts = list(terms[0])
    while len(parts) > 1:
        first, second = generator.choice(len(parts), 2, replace=False)
        total = DTYPES[dtype](parts[first] + parts[second])
        parts = [part for i, part in enumerate(parts) if i not in (first, second)] + [total]
    m = BallAlgebra(uniform(dtype))
    _assert_within(m.sum(m.exact(terms)), np.array([[parts[0]]]), fractions(terms).sum(axis=-1, keepdims=True))


@given(seed=seeds, n=st.integers(2, 400))
@settings(max_examples=30)
def test_numpys_own_sum_stays_within_its_height(seed: int, n: int) -> None:
    terms = np.abs(np.random.default_rng(seed).standard_normal((1, n))).astype(np.float32)
    m = BallAlgebra(uniform("float32", height="pairwise"))
    found = m.sum(m.exact(terms))
    assert float(found.rad[0, 0]) <= pairwise(n) * 2.0**-24 * float(terms.sum()) * (1.0 + 1e-5)
    _assert_within(found, terms.sum(axis=-1, keepdims=True), fractions(terms).sum(axis=-1, keepdims=True))


def test_charged_roundings_are_relative_to_the_value() -> None:
    m = BallAlgebra(uniform("float32"))
    a = ball(m, [[2.0, -1.0]], np.array([[0.5, 0.0]]))
    factor = 3 * 2.0**-24 / (1.0 - 3 * 2.0**-24)
    assert m.charged(a, 3).rad.tolist() == [[2.0 * factor + 0.5 * (1.0 + factor), factor]]
    assert m.charged(a, 0) is a
    assert ENCLOSING.charged(a, 3) is a


def test_parameters_are_exact_in_an_enclosure_and_rounded_by_a_candidate() -> None:
    assert ENCLOSING.parameter(0.7).rad == 0.0
    assert float(BallAlgebra(uniform("float32")).parameter(-0.7).rad) == 2.0**-24 * 0.7


def _assert_within(tolerance: Ball, got: np.ndarray, exact: np.ndarray) -> None:
    """What was computed lies within the radius of the exact value, and the midpoint is that value to float64."""
    for index in np.ndindex(exact.shape):
        bound = Fraction(float(np.asarray(tolerance.rad)[index]))
        assert abs(Fraction(float(got[index])) - exact[index]) <= bound
        assert abs(Fraction(float(tolerance.mid[index])) - exact[index]) <= bound
