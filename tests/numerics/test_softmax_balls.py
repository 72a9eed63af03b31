"""softmax and its kin in balls: enclosures contain what `arb` computes, tolerances contain what NumPy computes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from flint import arb, ctx  # noqa: TID253
from hypothesis import given, settings
from hypothesis import strategies as st

from gradaudit.numerics.arithmetic import FLOAT64
from gradaudit.numerics.ball import Ball, BallAlgebra
from tests.numerics.exact import (
    BITS,
    DTYPES,
    as_arb,
    assert_contains_function,
    ball,
    fractions,
    inside,
    stored,
    uniform,
)

seeds = st.integers(0, 2**32 - 1)
ENCLOSING = BallAlgebra(FLOAT64, encloses=True)


def exact_row(z: list[arb]) -> dict[str, list[arb]]:
    """Every primitive of one row, by definition and without a shift."""
    w = [x.exp() for x in z]
    s = sum(w)
    return {
        "softmax": [x / s for x in w],
        "log_softmax": [x - s.log() for x in z],
        "logsumexp": [s.log()],
        "complement": [sum(other for k, other in enumerate(w) if k != j) / s for j in range(len(z))],
    }


def some_rows(generator: np.random.Generator, n: int = 5) -> np.ndarray:
    """Ordinary, saturated and equal logits, and a common offset."""
    logits = generator.standard_normal((4, n)) * generator.choice([0.1, 1.0, 8.0, 30.0], (4, 1))
    logits[1] = generator.integers(-2, 3, n)
    logits[2] += generator.choice([-1e4, 1e3])
    return logits


PRIMITIVES: dict[str, Callable[[BallAlgebra, Ball], Ball]] = {
    "softmax": lambda m, z: m.softmax(z),
    "log_softmax": lambda m, z: m.log_softmax(z),
    "logsumexp": lambda m, z: m.logsumexp(z),
    "complement": lambda m, z: m.complement(z),
}


@pytest.mark.parametrize("name", PRIMITIVES)
@pytest.mark.parametrize("moved", [0.0, 1e-15, 1e-3])
@given(seed=seeds)
@settings(max_examples=12)
def test_enclosures_contain_the_exact_value(name: str, moved: float, seed: int) -> None:
    """Also where every logit is itself a ball, and the exact one lies at its edge."""
    generator = np.random.default_rng(seed)
    logits = some_rows(generator)
    z = ball(ENCLOSING, logits, np.abs(logits) * moved if moved else 0.0)
    found, exact_logits = PRIMITIVES[name](ENCLOSING, z), inside(z, generator)
    assert_row_values(found, exact_logits, name)


def assert_row_values(found: Ball, exact_logits: np.ndarray, name: str) -> None:
    rad = np.broadcast_to(np.asarray(found.rad), found.mid.shape)
    with ctx.workprec(40 * BITS):
        for i, row in enumerate(exact_logits):
            for j, value in enumerate(exact_row([as_arb(x) for x in row])[name]):
                distance = abs(arb(float(found.mid[i, j])) - value)
                assert not distance > arb(float(rad[i, j])) * (1 + arb(2) ** -30), (name, i, j)


@pytest.mark.parametrize("name", ["log_softmax", "complement"])
@given(seed=seeds)
@settings(max_examples=15)
def test_one_class_of_each_row_is_that_of_the_whole_row(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    z = ENCLOSING.exact(some_rows(generator))
    labels = generator.integers(0, 5, 4)
    labels[::2] = z.mid.argmax(axis=-1)[::2]
    operation = {"log_softmax": ENCLOSING.log_softmax, "complement": ENCLOSING.complement}[name]
    one, whole = operation(z, at=labels), ENCLOSING.take(operation(z), labels)
    np.testing.assert_array_max_ulp(one.mid, whole.mid, maxulp=2)
    np.testing.assert_array_max_ulp(np.asarray(one.rad), np.asarray(whole.rad), maxulp=64)


@pytest.mark.parametrize("gap", [20.0, 40.0, 300.0, 700.0])
def test_a_saturated_row_is_known_to_its_last_digits(gap: float) -> None:
    """The loss of the winner and 1 - p keep a relative accuracy of 1e-12 where p itself rounds to 1."""
    z = ENCLOSING.exact(np.array([[0.0, -gap, -gap - 1.0]]))
    for found in (ENCLOSING.complement(z), ENCLOSING.log_softmax(z)):
        assert abs(found.mid[0, 0]) > 0.0
        assert float(np.asarray(found.rad)[0, 0]) <= 1e-12 * abs(float(found.mid[0, 0]))


def test_a_shared_error_counts_against_the_largest_weights_own_one() -> None:
    """The winner's logit may be 1e-3 higher: its loss is then e^-1e-3 of what it was, not known to 1e-12."""
    z = ball(ENCLOSING, [[0.0, -30.0]], np.array([[1e-3, 0.0]]))
    for edge in (-1e-3, 1e-3):
        assert_row_values(ENCLOSING.log_softmax(z), fractions(np.array([[edge, -30.0]])), "log_softmax")
    loss = ENCLOSING.log_softmax(z)
    assert float(np.asarray(loss.rad)[0, 0]) >= 0.99e-3 * abs(float(loss.mid[0, 0]))


# ------------------------------------------------------------------------------------------------- as a tolerance


def computed(logits: np.ndarray) -> dict[str, np.ndarray]:
    """The textbook algorithms in the logits' own format, one operation at a time."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    weight = np.exp(shifted)
    total = weight[:, :1].copy()
    for j in range(1, logits.shape[1]):
        total = total + weight[:, j : j + 1]
    log_p = shifted - np.log(total)
    return {
        "softmax": weight / total,
        "by the reciprocal": weight * (logits.dtype.type(1.0) / total),
        "log_softmax": log_p,
        "exp of log_softmax": np.exp(log_p),
        "logsumexp": logits.max(axis=-1, keepdims=True) + np.log(total),
    }


TOLERANCES: dict[str, tuple[str, Callable[[BallAlgebra, Ball], Ball]]] = {
    "softmax": ("softmax", lambda m, z: m.softmax(z)),
    "by the reciprocal": ("softmax", lambda m, z: m.softmax(z)),
    "log_softmax": ("log_softmax", lambda m, z: m.log_softmax(z)),
    "exp of log_softmax": ("softmax", lambda m, z: m.softmax_of_log(z)),
    "logsumexp": ("logsumexp", lambda m, z: m.logsumexp(z)),
}


@pytest.mark.parametrize("name", TOLERANCES)
@pytest.mark.parametrize("dtype", DTYPES)
@given(seed=seeds)
@settings(max_examples=8)
def test_what_numpy_computes_lies_within_the_tolerance(name: str, dtype: str, seed: int) -> None:
    logits = some_rows(np.random.default_rng(seed)).astype(DTYPES[dtype])
    quantity, row = TOLERANCES[name]
    m = BallAlgebra(uniform(dtype, ulps=4.0))
    assert_row_errors(row(m, m.exact(logits.astype(np.float64))), computed(logits)[name], logits, quantity)


@pytest.mark.parametrize("name", TOLERANCES)
@given(seed=seeds)
@settings(max_examples=8)
def test_what_is_stored_in_sixteen_bits_lies_within_the_tolerance(name: str, seed: int) -> None:
    logits = some_rows(np.random.default_rng(seed)).astype(np.float16)
    quantity, row = TOLERANCES[name]
    m = BallAlgebra(stored("float32", "float16"))
    wide = computed(logits.astype(np.float32))
    if name == "exp of log_softmax":
        # Of the stored logarithm, inside the kernel that uses it.
        got = np.exp(wide["log_softmax"].astype(np.float16).astype(np.float32))
    else:
        got = wide[name].astype(np.float16)
    assert_row_errors(row(m, m.exact(logits.astype(np.float64))), got, logits, quantity)


def assert_row_errors(tolerance: Ball, got: np.ndarray, logits: np.ndarray, quantity: str) -> None:
    rad = np.broadcast_to(np.asarray(tolerance.rad), got.shape)
    with ctx.workprec(40 * BITS):
        for i, row in enumerate(logits.astype(np.float64)):
            exact = exact_row([arb(float(x)) for x in row])[quantity]
            for j, value in enumerate(exact):
                assert abs(arb(float(got[i, j])) - value) <= arb(float(rad[i, j])), (quantity, i, j)


@given(seed=seeds)
@settings(max_examples=15)
def test_the_straight_line_for_exp_of_a_logarithm_is_not_below_the_curve(seed: int) -> None:
    """softmax_of_log by five numbers a row, and exp of the dense log-softmax."""
    logits = np.random.default_rng(seed).standard_normal((3, 6)) * 5.0
    for m in (BallAlgebra(uniform("float32")), BallAlgebra(stored("float32", "float16"))):
        affine = m.softmax_of_log(m.exact(logits))
        dense = m.exp(m.log_softmax(m.exact(logits)), stored=False)
        assert affine.row_radius is not None
        assert (np.asarray(affine.rad) >= np.asarray(dense.rad) * (1.0 - 1e-12)).all()
        assert (np.asarray(affine.rad) <= np.asarray(dense.rad) * 1.04).all()


def test_exp_of_a_log_softmax_has_the_probabilities_for_midpoints() -> None:
    m = BallAlgebra(uniform("float32"))
    z = m.exact(np.array([[0.0, -200.0, 3.0]]))
    assert m.exp(m.log_softmax(z)).mid.tolist() == m.exponentials(z).p.tolist()


def test_a_candidates_loss_at_the_winner_is_not_expected_to_be_relative() -> None:
    """Only enclosures use log1p of the rest; a sound candidate may return 0 at a gap of 20 in float32."""
    m = BallAlgebra(uniform("float32"))
    assert float(np.asarray(m.log_softmax(m.exact(np.array([[0.0, -20.0]]))).rad)[0, 0]) >= np.exp(-20.0)


def test_the_exponential_of_a_wide_ball_is_contained() -> None:
    z = ball(ENCLOSING, [[1.0, -1.0]], np.array([[40.0, 0.5]]))
    assert_contains_function(ENCLOSING.exp(z), arb.exp, fractions(np.array([[41.0, -1.5]])))
    assert np.isinf(np.asarray(ENCLOSING.exp(ball(ENCLOSING, [[1.0]], np.array([[1e3]]))).rad)).all()
