"""Levels: what rounding keeps, and when an error is worse than what was rounded."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradaudit.regression import levels
from gradaudit.regression.levels import FAITHFUL, Error

RATIOS = st.floats(min_value=1e-30, max_value=1e30)
STEPS = [2.0**k * step for k in range(-60, 20) for step in (1.0, 1.5)]


MANY = 25
"""Elements from which on noise no longer doubles the largest error."""


def error(ratio, elements=MANY, ulp=100.0):
    return Error(ratio, ulp, elements)


@pytest.mark.parametrize(
    ("ratio", "level"),
    [
        (0.25, 0.25),
        (0.2500001, 0.375),
        (0.375, 0.375),
        (0.4, 0.5),
        (0.7, 0.75),
        (0.99, 1.0),
        (1.01, 1.5),
        (100.0, 128.0),
    ],
)
def test_errors_are_rounded_up_to_the_next_step(ratio, level):
    assert levels.rounded_up(ratio) == level


def test_what_is_not_finite_is_above_all_steps():
    assert levels.rounded_up(math.inf) == levels.rounded_up(math.nan) == math.inf
    assert levels.rounded_up(1.7e308) == math.inf
    assert levels.is_worse(error(math.inf, ulp=0.0), 1.0)
    assert not levels.is_worse(error(math.inf, ulp=0.0), math.inf)
    assert levels.is_better(error(8.0), math.inf)


@given(RATIOS)
def test_a_step_bounds_the_error_and_is_no_more_than_a_factor_of_1_5_above_it(ratio):
    level = levels.rounded_up(ratio)
    assert ratio <= level < 1.5 * ratio * (1 + 1e-15)
    assert levels.rounded_up(level) == level


def test_the_steps_follow_one_another():
    assert all(levels.next_down(other) == pytest.approx(one, rel=1e-15) for one, other in pairwise(STEPS))


@given(RATIOS, st.floats(min_value=1.0, max_value=2.0), st.integers(min_value=0, max_value=10**9))
def test_an_error_that_less_than_doubled_is_never_worse_and_the_other_way_round_never_better(ratio, growth, elements):
    grown = ratio * growth * (1 - 1e-15)
    crossed = ratio <= 1.0 < grown
    assert levels.is_worse(error(grown, elements), levels.rounded_up(ratio)) <= crossed
    assert levels.is_better(error(ratio, elements), levels.rounded_up(grown)) <= (
        levels.rounded_up(grown) > 1 >= ratio
    )


@given(RATIOS, st.floats(min_value=3.0, max_value=1e6))
def test_an_error_of_many_elements_that_trebled_always_is_worse_and_the_other_way_round_better(ratio, growth):
    grown = error(ratio * growth * (1 + 1e-14))
    assert levels.is_worse(grown, levels.rounded_up(ratio))
    assert levels.is_better(error(ratio), levels.rounded_up(grown.ratio))


@given(RATIOS, RATIOS, st.integers(min_value=0, max_value=1000))
def test_nothing_is_worse_and_better_at_once(old, new, elements):
    level = levels.rounded_up(old)
    assert not (levels.is_worse(error(new, elements), level) and levels.is_better(error(new, elements), level))


def test_what_noise_may_do_depends_on_how_many_elements_there_are():
    assert [levels.growth(n) for n in (25, 100, 10**9)] == [2.0, 2.0, 2.0]
    assert levels.growth(24) > 2.0
    assert levels.growth(8) == pytest.approx(8.4, abs=0.01)
    assert levels.growth(1) == levels.growth(0) > 1e7


@pytest.mark.parametrize("elements", [4, 8, 16, 40])
def test_errors_that_are_drawn_anew_are_hardly_ever_worse(elements):
    generator = np.random.default_rng(20261123)
    # In rows of two classes the errors come in pairs, of opposite signs.
    old, new = np.abs(generator.uniform(-0.5, 0.5, (2, 100_000, elements // 2))).max(axis=2)
    grown = new > levels.growth(elements) * old
    assert grown.mean() <= 2 * levels.CHANCE
    # Rounding up to a step lets some of these pass, and none other fail.
    pairs = zip(old, new, grown, strict=True)
    assert all(grew for a, b, grew in pairs if b > a and levels.is_worse(error(b, elements), levels.rounded_up(a)))


def test_beyond_the_tolerance_is_worse_however_few_they_are():
    assert not levels.is_worse(error(1.0, 1), 2.0**-20)
    assert levels.is_worse(error(1.1, 1), 1.0)
    assert levels.is_better(error(1.0, 1), 1.5)
    assert not levels.is_better(error(0.0, 1, ulp=0.0), 1.0)


def test_within_one_ulp_is_faithful_whatever_share_of_the_tolerance_it_is():
    assert levels.level_of(error(0.4, ulp=1.0)) == FAITHFUL
    assert levels.level_of(error(0.4, ulp=1.1)) == 0.5
    # An exact zero has no ulp, and something else in its place is beyond every tolerance.
    assert levels.level_of(error(math.inf, ulp=0.0)) == math.inf


def test_in_place_of_faithful_stands_1_ulp():
    assert not levels.is_worse(error(0.4, ulp=2.0), FAITHFUL)
    assert levels.is_worse(error(0.4, ulp=2.1), FAITHFUL)
    assert not levels.is_worse(error(0.4, 8, ulp=8.0), FAITHFUL)
    assert levels.is_worse(error(0.4, 8, ulp=8.5), FAITHFUL)
    assert levels.is_worse(error(1.5, ulp=0.5), FAITHFUL)
    assert not levels.is_worse(error(0.4, ulp=0.5), 2.0**-20)
    assert not levels.is_better(error(0.0, ulp=0.0), FAITHFUL)
    # 1.01 ulp that became 0.99 are noise.
    assert not levels.is_better(error(0.4, ulp=0.99), 0.5)
    assert levels.is_better(error(0.1, ulp=0.3), 0.5)


@pytest.mark.parametrize("level", [FAITHFUL, math.inf, *STEPS])
def test_text_comes_back(level):
    assert levels.read(levels.text(level)) == level


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("0.3", "no step between errors; the next one up is 0.375"),
        ("much", "expected faithful, inf or a step such as 0.25"),
        ("nan", "expected faithful"),
        ("-1", "expected faithful"),
        ("0", "expected faithful"),
    ],
)
def test_what_is_no_level_is_told_with_the_nearest(word, message):
    with pytest.raises(ValueError, match=message):
        levels.read(word)
