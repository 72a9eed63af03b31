"""Rows of exponentials and what may be wrong with them: the affine bound against the dense one, both against
computed exponents."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, ctx  # noqa: TID253
from hypothesis import given, settings
from hypothesis import strategies as st

from gradaudit.numerics.exponentials import AFFINE_LIMIT, RowExponentials, exponent_errors, grown
from tests.numerics.exact import BITS, DTYPES, uniform

seeds = st.integers(0, 2**32 - 1)


def some_logits(seed: int, rows: int = 4, n: int = 6) -> np.ndarray:
    generator = np.random.default_rng(seed)
    scale = generator.choice([0.1, 1.0, 10.0], (rows, 1))
    return (generator.standard_normal((rows, n)) * scale).astype(np.float16).astype(np.float64)


@given(seeds)
@settings(max_examples=15)
def test_the_numbers_of_a_row_are_what_their_names_say(seed: int) -> None:
    logits = some_logits(seed)
    rows = RowExponentials(logits)
    with ctx.workprec(BITS):
        for i, row in enumerate(logits):
            z = [arb(float(x)) for x in row]
            s = sum((x - max(z)).exp() for x in z)
            p = [(x - max(z)).exp() / s for x in z]
            close(rows.top[i, 0], max(z))
            close(rows.total[i, 0], s)
            close(rows.rest[i, 0], s - 1)
            close(rows.log_total[i, 0], s.log())
            for j in range(len(z)):
                close(rows.gap[i, j], max(z) - z[j])
                close(rows.p[i, j], p[j])
                close(rows.log_p[i, j], p[j].log())
            close(rows.spread[i, 0], sum(p[j] * (max(z) - z[j]) for j in range(len(z))))
            close(rows.widest[i, 0], max(z) - min(z))


def close(found: float, exact: arb) -> None:
    """To a relative 1e-13 and an absolute 1e-290; the rest and its logarithm included, however small."""
    assert abs(arb(float(found)) - exact) <= abs(exact) * 1e-13 + 1e-290


def test_a_small_rest_keeps_its_digits() -> None:
    rows = RowExponentials(np.array([[0.0, -40.0, -41.0], [-700.0, 0.0, 0.0]]))
    assert rows.rest[0, 0] == pytest.approx(np.exp(-40.0) + np.exp(-41.0), rel=1e-15)
    assert rows.log_total[0, 0] == pytest.approx(rows.rest[0, 0], rel=1e-15)
    assert rows.rest[1, 0] == 1.0, "of two largest classes one is the top, the other belongs to the rest"
    assert rows.weight[0].tolist() == [1.0, np.exp(-40.0), np.exp(-41.0)], "the weights are as they were"


def test_the_mean_gap_is_the_entropy_less_the_logarithm_of_the_sum() -> None:
    """D = H(p) - log s, which keeps it below log n however far apart the logits are."""
    rows = RowExponentials(some_logits(3, rows=50))
    entropy = -(rows.p * rows.log_p).sum(axis=-1, keepdims=True)
    assert (np.abs(rows.spread - (entropy - rows.log_total)) <= 1e-14 * (1.0 + entropy)).all()
    assert (rows.spread <= np.log(rows.n)).all()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@given(seed=seeds)
@settings(max_examples=25)
def test_the_affine_bound_is_never_below_the_dense_one_and_close_to_it(dtype: str, seed: int) -> None:
    """Exact logits go through the affine path; a `delta` of zeros takes the dense one."""
    a, rows = uniform(dtype), RowExponentials(some_logits(seed))
    affine, dense = exponent_errors(rows, 0.0, a), exponent_errors(rows, np.zeros_like(rows.gap), a)
    assert affine.linear is not None
    assert dense.linear is None
    assert affine.shift == 0.0
    assert not np.any(dense.shift)
    for one, other in ((affine.sigma, dense.sigma), (affine.alpha, dense.alpha)):
        assert (one >= other * (1.0 - 1e-12)).all()
        assert (one <= other * 1.04).all()
    factors = a.e + affine.sigma
    one, other = grown(rows, affine, factors), grown(rows, dense, factors)
    assert (one >= other * (1.0 - 1e-12)).all()
    assert (one <= other * 1.04).all()


def test_gaps_too_wide_for_a_straight_line_take_the_dense_path() -> None:
    a = uniform("float16")
    widest = AFFINE_LIMIT / a.u
    assert exponent_errors(RowExponentials(np.array([[0.0, -widest]])), 0.0, a).linear is not None
    dense = exponent_errors(RowExponentials(np.array([[0.0, -1.01 * widest]])), 0.0, a)
    assert dense.error is not None
    assert dense.error.tolist() == [[0.0, 1.01 * widest * a.u]]


def test_an_error_that_the_row_shares_is_told_apart() -> None:
    """The largest logit's own error, or that of another which could overtake it."""
    a = uniform("float32")
    rows = RowExponentials(np.array([[0.0, -1.0, -5.0]]))
    assert exponent_errors(rows, np.array([[0.25, 0.0, 0.0]]), a).shift.tolist() == [[0.25]]
    assert exponent_errors(rows, np.array([[0.25, 3.0, 0.0]]), a).shift.tolist() == [[2.0]]
    assert exponent_errors(rows, np.array([[0.25, 3.0, 9.0]]), a).shift.tolist() == [[4.0]]


def test_large_errors_of_far_classes_do_not_make_a_nan() -> None:
    """exp(E_j - t_j) is formed at once: 0 * inf never."""
    a = uniform("float32")
    rows = RowExponentials(np.array([[1.0, 2.0, -3.0e38], [0.0, -1e4, -2e4]]))
    errors = exponent_errors(rows, 0.0, a)
    assert np.isfinite(errors.sigma).all()
    assert np.isfinite(grown(rows, errors, a.e)).all()
    assert grown(rows, errors, a.e)[0, 2] == 0.0


@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=seeds)
@settings(max_examples=25)
def test_computed_weights_sums_and_logarithms_stay_within(dtype: str, seed: int) -> None:
    """NumPy's own exponentials in the format: the gap rounded, exp, the sum one by one, its logarithm."""
    logits = some_logits(seed).astype(DTYPES[dtype])
    a, rows = uniform(dtype, ulps=4.0), RowExponentials(logits.astype(np.float64))
    errors = exponent_errors(rows, 0.0, a)
    weight = np.exp(logits - logits.max(axis=-1, keepdims=True))
    total = weight[:, :1].copy()
    for j in range(1, weight.shape[1]):
        total += weight[:, j : j + 1]
    with ctx.workprec(BITS):
        for i, row in enumerate(logits.astype(np.float64)):
            z = [arb(float(x)) for x in row]
            exact = sum((x - max(z)).exp() for x in z)
            assert abs(arb(float(total[i, 0])) / exact - 1) <= float(errors.sigma[i, 0])
            assert abs(arb(float(np.log(total[i, 0]))) - exact.log()) <= float(errors.alpha[i, 0])
            bound = grown(rows, errors, a.e)[i] * rows.total[i, 0] + a.eta
            for j, x in enumerate(z):
                assert abs(arb(float(weight[i, j])) - (x - max(z)).exp()) <= float(bound[j])


@given(seed=seeds, factor=st.sampled_from([0.7, 3.3]))
@settings(max_examples=25)
def test_inexact_logits_stay_within_up_to_what_the_row_shares(seed: int, factor: float) -> None:
    """Logits multiplied in float32: p is right within R(E, e + sigma + 2 u), whatever the shared error is."""
    exact_logits = some_logits(seed)
    a = uniform("float32", ulps=4.0)
    k = np.float32(factor)
    computed = exact_logits.astype(np.float32) * k
    z = exact_logits * float(k)
    rows = RowExponentials(z)
    errors = exponent_errors(rows, a.u * np.abs(z), a)
    weight = np.exp(computed - computed.max(axis=-1, keepdims=True))
    p = weight / weight.sum(axis=-1, keepdims=True, dtype=np.float32)
    bound = grown(rows, errors, a.e + errors.sigma + 2.0 * a.u) + a.eta
    with ctx.workprec(BITS):
        for i, row in enumerate(exact_logits):
            scaled = [arb(float(x)) * float(k) for x in row]
            s = sum((x - max(scaled)).exp() for x in scaled)
            for j, x in enumerate(scaled):
                assert abs(arb(float(p[i, j])) - (x - max(scaled)).exp() / s) <= float(bound[i, j])
