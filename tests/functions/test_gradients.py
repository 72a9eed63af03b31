"""Gradients by hand on small cases, and against differences of the outputs in 300-bit arithmetic.

The logits 0, log 2, log 5 have the probabilities 1/8, 2/8, 5/8.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from flint import arb  # noqa: TID253
from hypothesis import given, settings
from hypothesis import strategies as st

from gradaudit.functions import registry
from gradaudit.functions.rows import Rows
from gradaudit.numerics import arb_algebra
from gradaudit.numerics.arb_algebra import ArbAlgebra
from tests.functions import exact_rows

seeds = st.integers(0, 2**32 - 1)
NAMES = ("softmax", "log_softmax", "logsumexp", "cross_entropy")


@pytest.fixture(autouse=True)
def _precise() -> Iterator[None]:
    with arb_algebra.precision(exact_rows.BITS):
        yield


def logits() -> np.ndarray:
    return exact_rows.array([[0, arb(2).log(), arb(5).log()]])


def assert_equal(found: np.ndarray, expected: list[Fraction | int]) -> None:
    for value, due in zip(found[0], exact_rows.array([expected])[0], strict=True):
        assert abs(value - due) <= arb(2) ** -250


def gradient(name: str, given_rows: Rows[np.ndarray]) -> np.ndarray:
    return exact_rows.gradient(registry.get(name), given_rows)


def test_outputs_by_hand() -> None:
    m, given_rows = ArbAlgebra(), exact_rows.rows(logits(), [[1, 1, 1]], labels=[2])
    p = registry.get("softmax").output(m, given_rows)
    assert_equal(p, [Fraction(1, 8), Fraction(2, 8), Fraction(5, 8)])
    log_p = registry.get("log_softmax").output(m, given_rows)
    assert_equal(np.array([[value.exp() for value in log_p[0]]]), [Fraction(1, 8), Fraction(2, 8), Fraction(5, 8)])
    assert_equal(np.array([[registry.get("logsumexp").output(m, given_rows)[0, 0].exp()]]), [8])
    loss = registry.get("cross_entropy").output(m, given_rows)[0, 0]
    assert abs(loss - (arb(8) / 5).log()) <= arb(2) ** -250


def test_the_vjp_of_softmax_by_hand() -> None:
    """p_j (g_j - <p, g>) with g = e_2: p_2 p_j with the sign turned but at 2, p_2 (1 - p_2) there."""
    found = gradient("softmax", exact_rows.rows(logits(), [[0, 0, 1]]))
    assert_equal(found, [Fraction(-5, 64), Fraction(-10, 64), Fraction(15, 64)])
    found = gradient("softmax", exact_rows.rows(logits(), [[8, 0, 0]]))
    assert_equal(found, [Fraction(7, 8), Fraction(-2, 8), Fraction(-5, 8)])


def test_a_constant_upstream_gives_exactly_nothing() -> None:
    """Not only a small number: the constant is taken away before anything can cancel."""
    found = gradient("softmax", exact_rows.rows(logits(), [[0.1, 0.1, 0.1]]))
    assert all(value.is_zero() for value in found[0])


def test_the_vjp_of_log_softmax_by_hand() -> None:
    """g_j - p_j sum g with g = (1, 2, 5): 0, for it is the gradient at its own probabilities."""
    assert_equal(gradient("log_softmax", exact_rows.rows(logits(), [[1, 2, 5]])), [0, 0, 0])
    found = gradient("log_softmax", exact_rows.rows(logits(), [[8, 0, 0]]))
    assert_equal(found, [7, -2, -5])


def test_the_gradient_of_logsumexp_by_hand() -> None:
    found = gradient("logsumexp", exact_rows.rows(logits(), [[16]]))
    assert_equal(found, [2, 4, 10])


def test_the_gradient_of_cross_entropy_is_p_minus_y() -> None:
    """Not y - p, and at the target p_y - 1, not 1 - p_y."""
    found = gradient("cross_entropy", exact_rows.rows(logits(), [[1]], labels=[1]))
    assert_equal(found, [Fraction(1, 8), Fraction(-6, 8), Fraction(5, 8)])
    found = gradient("cross_entropy", exact_rows.rows(logits(), [[-2]], labels=[2], mass=[Fraction(1, 2)]))
    assert_equal(found, [Fraction(-1, 8), Fraction(-2, 8), Fraction(3, 8)])


def test_the_gradient_of_soft_targets_is_their_mass_times_p_less_them() -> None:
    """T p - t with t = (1/2, 0, 1/4), T = 3/4: an auditor that assumed T = 1 would be wrong by p / 4."""
    dense = [[Fraction(1, 2), 0, Fraction(1, 4)]]
    found = gradient("cross_entropy", exact_rows.rows(logits(), [[32]], dense=dense))
    assert_equal(found, [3 - 16, 6, 15 - 8])


def test_a_row_without_mass_has_no_gradient() -> None:
    found = gradient("cross_entropy", exact_rows.rows(logits(), [[1]], labels=[0], mass=[0]))
    assert all(value.is_zero() for value in found[0])


def random_rows(name: str, generator: np.random.Generator) -> Rows[np.ndarray]:
    z = exact_rows.array(generator.standard_normal((2, 4)) * generator.choice([0.3, 3.0, 30.0]))
    wide = name in {"softmax", "log_softmax"}
    upstream = generator.standard_normal((2, 4 if wide else 1))
    if name == "cross_entropy" and generator.random() < 0.5:
        return exact_rows.rows(z, upstream, dense=generator.random((2, 4)) * (generator.random((2, 4)) < 0.7))
    if name == "cross_entropy":
        return exact_rows.rows(z, upstream, labels=generator.integers(0, 4, 2), mass=generator.random(2))
    return exact_rows.rows(z, upstream)


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
@settings(max_examples=15)
def test_the_gradient_is_the_derivative_of_the_output(name: str, seed: int) -> None:
    with arb_algebra.precision(exact_rows.BITS):
        given_rows = random_rows(name, np.random.default_rng(seed))
        function = registry.get(name)
        found, expected = exact_rows.gradient(function, given_rows), exact_rows.differences(function, given_rows)
        assert max(abs(a - b) for a, b in zip(found.ravel(), expected.ravel(), strict=True)) <= 1e-40


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
@settings(max_examples=15)
def test_gradient_rows_add_up_to_what_is_declared(name: str, seed: int) -> None:
    with arb_algebra.precision(exact_rows.BITS):
        given_rows = random_rows(name, np.random.default_rng(seed))
        function = registry.get(name)
        sums = exact_rows.gradient(function, given_rows).sum(axis=-1)
        for row, total in enumerate(sums):
            due = arb(0) if function.gradient_row_sum == "zero" else given_rows.upstream[row, 0]
            assert abs(total - due) <= 1e-60


@pytest.mark.parametrize("name", NAMES)
@given(seed=seeds)
@settings(max_examples=8)
def test_a_shift_of_the_logits_does_what_the_invariants_say(name: str, seed: int) -> None:
    """It adds itself to a logsumexp, and changes neither the other outputs nor any gradient."""
    with arb_algebra.precision(exact_rows.BITS):
        given_rows = random_rows(name, np.random.default_rng(seed))
        shifted = Rows(given_rows.z + arb(1000), None, given_rows.upstream, given_rows.targets)
        function, m = registry.get(name), ArbAlgebra()
        moved = function.output(m, shifted) - function.output(m, given_rows)
        due = 1000 if name == "logsumexp" else 0
        assert max(abs(value - due) for value in moved.ravel()) <= 1e-60
        change = exact_rows.gradient(function, shifted) - exact_rows.gradient(function, given_rows)
        assert max(abs(value) for value in change.ravel()) <= 1e-60
