"""Five numbers a row describe the same balls as the dense arithmetic, and never smaller ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradaudit.numerics.arithmetic import FLOAT64, Arithmetic
from gradaudit.numerics.ball import Ball, BallAlgebra
from gradaudit.numerics.exponentials import RowExponentials
from gradaudit.numerics.row_radius import Patch, RowRadius
from tests.numerics.exact import assert_contains, inside, stored, uniform

seeds = st.integers(0, 2**32 - 1)
ARITHMETICS = {"float32": uniform("float32"), "float16 stored": stored("float32", "float16")}


def described(seed: int, rows: int = 3, n: int = 5) -> tuple[RowRadius, RowExponentials, np.random.Generator]:
    """Any affine radius around multiples of a softmax, and the generator that drew it."""
    generator = np.random.default_rng(seed)
    exponentials = RowExponentials(generator.standard_normal((rows, n)) * generator.choice([0.5, 5.0, 30.0]))
    slope, offset, floor = (
        generator.uniform(0.0, 1.0, (rows, 1)) * generator.choice([0.0, 1e-7, 1e-3]) for _ in range(3)
    )
    scale = generator.choice([1.0, -2.5, 1e-3], (rows, 1))
    return RowRadius(exponentials, scale, slope, offset, floor), exponentials, generator


def spelled_out(radius: RowRadius) -> np.ndarray:
    rows = radius.rows
    return rows.p * (radius.slope * rows.gap + radius.offset) + radius.floor


@given(seed=seeds)
@settings(max_examples=30)
def test_the_dense_radius_and_the_midpoints_are_the_formula(seed: int) -> None:
    radius, rows, _ = described(seed)
    np.testing.assert_array_max_ulp(radius.dense(), spelled_out(radius), maxulp=4)
    assert radius.midpoints().tolist() == (rows.p * radius.scale).tolist()
    np.testing.assert_array_max_ulp(radius.dense(2.0), 2.0 * radius.dense(), maxulp=4)


@given(seed=seeds)
@settings(max_examples=30)
def test_one_class_of_each_row_is_that_of_the_dense_radius(seed: int) -> None:
    radius, _, generator = described(seed)
    index = generator.integers(0, 5, (3, 1))
    mid, rad = radius.at(index)
    assert mid.tolist() == np.take_along_axis(radius.midpoints(), index, axis=-1).tolist()
    np.testing.assert_array_max_ulp(rad, np.take_along_axis(radius.dense(), index, axis=-1), maxulp=4)


def as_ball(radius: RowRadius, arithmetic: Arithmetic = FLOAT64) -> Ball:
    return Ball(BallAlgebra(arithmetic), radius.midpoints(), radius.dense())


@given(seed=seeds)
@settings(max_examples=30)
def test_a_product_with_a_number_a_row_contains_every_product(seed: int) -> None:
    radius, _, generator = described(seed)
    factor, error = generator.standard_normal((3, 1)), np.abs(generator.standard_normal((3, 1))) * 1e-3
    other = Ball(BallAlgebra(FLOAT64), factor, error)
    # The product of midpoints is rounded once; the enclosure charges that separately.
    product = as_ball(radius.times(factor, error).rounded(2.0**-53, 0.0))
    assert_contains(product, inside(as_ball(radius), generator) * inside(other, generator))


@pytest.mark.parametrize("name", ARITHMETICS)
@given(seed=seeds)
@settings(max_examples=30)
def test_products_and_roundings_are_those_of_the_dense_arithmetic(name: str, seed: int) -> None:
    """`Ball.__mul__` with a described radius, and with the same radius spelled out."""
    radius, _, generator = described(seed)
    m = BallAlgebra(ARITHMETICS[name])
    factor = Ball(m, generator.standard_normal((3, 1)), np.abs(generator.standard_normal((3, 1))) * 1e-4)
    short, long = Ball(m, None, radius) * factor, Ball(m, radius.midpoints(), radius.dense()) * factor
    assert short.row_radius is not None
    assert long.row_radius is None
    np.testing.assert_array_max_ulp(short.mid, long.mid, maxulp=2)
    np.testing.assert_array_max_ulp(np.asarray(short.rad), np.asarray(long.rad), maxulp=16)


@given(seed=seeds, u=st.sampled_from([2.0**-8, 2.0**-24, 0.0]), eta=st.sampled_from([0.0, 2.0**-24]))
@settings(max_examples=30)
def test_a_rounding_adds_its_share_of_the_largest_value(seed: int, u: float, eta: float) -> None:
    radius, _, _ = described(seed)
    exact = radius.dense() + u * (np.abs(radius.midpoints()) + radius.dense()) + eta
    np.testing.assert_array_max_ulp(radius.rounded(u, eta).dense(), exact, maxulp=16)


@given(seed=seeds)
@settings(max_examples=20)
def test_charged_roundings_are_those_of_the_dense_arithmetic(seed: int) -> None:
    radius, _, _ = described(seed)
    m = BallAlgebra(uniform("float16"))
    short = m.charged(Ball(m, None, radius), 4)
    long = m.charged(Ball(m, radius.midpoints(), radius.dense()), 4)
    np.testing.assert_array_max_ulp(np.asarray(short.rad), np.asarray(long.rad), maxulp=16)


def test_a_patch_stands_in_for_one_class_of_each_row() -> None:
    radius, _, _ = described(4)
    index = np.array([[0], [4], [2]])
    patch = Patch(index, np.array([[7.0], [8.0], [9.0]]), np.array([[0.1], [0.2], [0.3]]))
    patched = radius.patched(patch)
    at = (np.arange(3), index[:, 0])
    assert patched.midpoints()[at].tolist() == [7.0, 8.0, 9.0]
    assert patched.dense(2.0)[at].tolist() == [0.2, 0.4, 0.6]
    kept = np.ones((3, 5), dtype=bool)
    kept[at] = False
    assert patched.midpoints()[kept].tolist() == radius.midpoints()[kept].tolist()
    assert patched.dense()[kept].tolist() == radius.dense()[kept].tolist()


@given(seed=seeds, share=st.sampled_from([2.0**-4, 0.5, 1.0]))
@settings(max_examples=40)
def test_what_lies_within_by_the_numbers_of_a_row_lies_within_by_every_element(seed: int, share: float) -> None:
    mine, rows, generator = described(seed)
    theirs = RowRadius(rows, mine.scale, *(generator.uniform(0.0, 4.0, (3, 1)) for _ in range(3)))
    patch = Patch(np.zeros((3, 1), dtype=int), np.ones((3, 1)), np.full((3, 1), 0.25))
    wider = Patch(patch.index, patch.mid, np.full((3, 1), generator.choice([0.2, 1.0, 8.0])))
    within = mine.patched(patch).within(theirs.patched(wider), share)
    if within:
        assert (mine.patched(patch).dense() <= share * theirs.patched(wider).dense() * (1.0 + 1e-12)).all()
    assert within == bool(
        np.all(mine.slope <= share * theirs.slope)
        and np.all(mine.offset <= share * theirs.offset)
        and np.all(mine.floor <= share * theirs.floor)
        and np.all(patch.rad <= share * wider.rad)
    )


def test_radii_of_other_rows_are_not_compared() -> None:
    mine, _, _ = described(5)
    other, _, _ = described(6)
    patch = Patch(np.zeros((3, 1), dtype=int), np.ones((3, 1)), np.zeros((3, 1)))
    assert not mine.patched(patch).within(other.patched(patch), 1.0)
    assert not mine.within(mine, 1.0), "without a patch nothing is promised"
    assert mine.patched(patch).within(mine.patched(patch), 1.0)


def test_a_softmax_of_exact_logits_is_described_and_of_inexact_ones_spelled_out() -> None:
    m = BallAlgebra(uniform("float32"))
    logits = np.array([[0.0, 1.0, -2.0]])
    exact, moved = m.exact(logits), Ball(m, logits, np.full((1, 3), 1e-9))
    assert m.softmax(exact).row_radius is not None
    assert m.softmax(moved).row_radius is None
    assert m.softmax(exact).mid.tolist() == m.softmax(moved).mid.tolist()
