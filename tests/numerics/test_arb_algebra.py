"""The arb algebra: what it splits into, that it rounds nothing, and that both algebras mean the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flint  # noqa: TID253
import numpy as np
import pytest
from flint import arb  # noqa: TID253
from hypothesis import given, settings
from hypothesis import strategies as st

from gradaudit.numerics import arb_algebra
from gradaudit.numerics.arb_algebra import PRECISION, ArbAlgebra, split
from gradaudit.numerics.arithmetic import FLOAT64
from gradaudit.numerics.ball import BallAlgebra

seeds = st.integers(0, 2**32 - 1)


def array(*values: arb) -> np.ndarray:
    return np.array([*values, None], dtype=object)[:-1].reshape(1, -1)


def assert_split_contains(value: arb) -> tuple[float, float, float]:
    high, low, rad = (float(part[0, 0]) for part in split(array(value)))
    with arb_algebra.precision(2000):
        for edge in (value.mid() - value.rad(), value.mid() + value.rad()):
            assert abs(edge - high - low) <= rad
    return high, low, rad


def test_precision_is_restored_even_after_an_error() -> None:
    before = flint.ctx.prec
    with pytest.raises(ZeroDivisionError), arb_algebra.precision(777):
        _ = 1 / (flint.ctx.prec - 777)
    assert flint.ctx.prec == before
    with arb_algebra.precision():
        assert flint.ctx.prec == PRECISION


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_splits_into_itself(value: float) -> None:
    with arb_algebra.precision():
        high, low, rad = assert_split_contains(arb(value))
    assert (high, low, rad) == (value, 0.0, 0.0)


@given(seed=seeds, bits=st.sampled_from([60, 120, PRECISION]))
@settings(max_examples=60)
def test_a_split_contains_its_ball(seed: int, bits: int) -> None:
    """Numbers of 60 to 192 bits, of every size, with radii from nothing to far above their last digit."""
    generator = np.random.default_rng(seed)
    with arb_algebra.precision(bits):
        value = arb(float(generator.standard_normal())) / 3 * arb(2) ** int(generator.integers(-1060, 1000))
        value += value * (arb(0, 1) * arb(2) ** int(generator.integers(-300, -10)))
        high, low, rad = assert_split_contains(value)
        assert abs(low) <= math.ulp(high)
        widest = float(value.rad()) + 2.0**-104 * abs(high) + 2.0**-1072
        assert rad <= widest * (1.0 + 1e-9)


def test_numbers_below_the_range_of_float64_stay_contained() -> None:
    with arb_algebra.precision():
        for exponent in (-1073, -1074, -1075, -1076, -1200):
            high, _, rad = assert_split_contains(arb(2) ** exponent * 3 / 4)
            assert high <= 2.0**-1073
            assert rad <= 2.0**-1073


def test_what_is_no_finite_number_is_itself() -> None:
    with arb_algebra.precision():
        high, low, rad = split(array(arb.pos_inf(), arb.neg_inf(), arb.nan()))
    assert high[0, 0] == math.inf
    assert high[0, 1] == -math.inf
    assert math.isnan(high[0, 2])
    assert low.tolist() == rad.tolist() == [[0.0, 0.0, 0.0]]


def test_shapes_are_kept() -> None:
    with arb_algebra.precision():
        parts = split(ArbAlgebra().exact(np.arange(6.0).reshape(2, 3)))
    assert [part.shape for part in parts] == [(2, 3)] * 3
    assert parts[0].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_nothing_is_rounded_for_a_candidate() -> None:
    with arb_algebra.precision():
        m = ArbAlgebra()
        a = m.exact(np.array([[0.1]]))
        assert m.charged(a, 5) is a
        assert m.parameter(0.1).item() == arb(0.1)
        assert m.exact(0.1).item().is_exact()


# --------------------------------------------------------------------------------- the two algebras mean the same


@dataclass(frozen=True)
class Given:
    """Arguments in either algebra."""

    z: Any
    g: Any
    at: np.ndarray


PRIMITIVES: dict[str, Callable[[Any, Given], Any]] = {
    "sum": lambda m, a: m.sum(a.g),
    "softmax": lambda m, a: m.softmax(a.z),
    "log_softmax": lambda m, a: m.log_softmax(a.z),
    "log_softmax at": lambda m, a: m.log_softmax(a.z, at=a.at),
    "logsumexp": lambda m, a: m.logsumexp(a.z),
    "complement": lambda m, a: m.complement(a.z),
    "complement at": lambda m, a: m.complement(a.z, at=a.at),
    "others": lambda m, a: m.others(a.g * a.g),
    "center": lambda m, a: m.center(a.g, a.z),
    "take": lambda m, a: m.take(a.g, a.at),
    "replace": lambda m, a: m.replace(a.g, a.at, m.sum(a.z)),
    "arithmetic": lambda m, a: -(a.g * a.z - a.g / m.exact(3.0)) + a.z,
}


@pytest.mark.parametrize("name", PRIMITIVES)
@given(seed=seeds)
@settings(max_examples=12)
def test_balls_of_float64_contain_the_arb_values(name: str, seed: int) -> None:
    generator = np.random.default_rng(seed)
    logits = generator.standard_normal((3, 4)) * generator.choice([1.0, 20.0, 300.0])
    upstream = generator.standard_normal((3, 4))
    at = np.where(generator.random(3) < 0.5, logits.argmax(axis=-1), generator.integers(0, 4, 3))
    balls, primitive = BallAlgebra(FLOAT64, encloses=True), PRIMITIVES[name]
    found = primitive(balls, Given(balls.exact(logits), balls.exact(upstream), at))
    with arb_algebra.precision():
        exact = ArbAlgebra()
        values = primitive(exact, Given(exact.exact(logits), exact.exact(upstream), at))
        assert values.shape == found.mid.shape
        high, low, rad = split(values)
    # Two float64 hold 106 bits of the 192.
    assert (rad <= 2.0**-104 * np.abs(high) + 1e-320).all()
    allowed = np.broadcast_to(np.asarray(found.rad), found.mid.shape) * (1.0 + 2.0**-30)
    assert (np.abs((found.mid - high) - low) <= allowed + rad).all()


def test_the_row_of_the_last_logits_is_kept_and_no_other() -> None:
    """Two arrays one after the other: the second is not answered from the first."""
    with arb_algebra.precision():
        m = ArbAlgebra()
        first, second = m.exact(np.array([[0.0, 0.0]])), m.exact(np.array([[0.0, math.log(3.0)]]))
        assert abs(m.softmax(first)[0, 1] - arb(0.5)) < 1e-50
        assert abs(m.softmax(second)[0, 1] - arb(0.75)) < 1e-15
        assert abs(m.softmax(first)[0, 1] - arb(0.5)) < 1e-50


@pytest.mark.parametrize("labels", [[0, 1], [2, 2]])
def test_logits_equal_at_the_top_have_one_winner(labels: list[int]) -> None:
    with arb_algebra.precision():
        m = ArbAlgebra()
        z = m.exact(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]))
        complement, p = m.complement(z, at=np.array(labels)), m.softmax(z)
        for row, label in enumerate(labels):
            assert (complement[row, 0] + p[row, label]).contains(1)
