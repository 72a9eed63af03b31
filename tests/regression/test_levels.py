"""Levels: what rounding keeps, and when an error is worse than what was rounded."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradaudit.regression import levels
from gradaudit.regression.levels import FAITHFUL, Error

RATIOS = st.floats(min_value=1e-30, max_value=1e30)
STEPS = [2.0**k * step for k in range(-60, 20) for step in (1.0, 1.5)]


def error(ratio):
    return Error(ratio, 100.0)


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
    assert levels.is_worse(Error(math.inf, 0.0), 1.0)
    assert not levels.is_worse(Error(math.inf, 0.0), math.inf)
    assert levels.is_better(error(8.0), math.inf)


@given(RATIOS)
def test_a_step_bounds_the_error_and_is_no_more_than_a_factor_of_1_5_above_it(ratio):
    level = levels.rounded_up(ratio)
    assert ratio <= level < 1.5 * ratio * (1 + 1e-15)
    assert levels.rounded_up(level) == level


def test_the_steps_follow_one_another():
    assert all(levels.next_up(one) == other for one, other in pairwise(STEPS))


@given(RATIOS, st.floats(min_value=1.0, max_value=4.0 / 3.0))
def test_an_error_that_grew_by_less_than_a_third_is_never_worse(ratio, growth):
    assert not levels.is_worse(error(ratio * growth * (1 - 1e-15)), levels.rounded_up(ratio))


@given(RATIOS, st.floats(min_value=2.0, max_value=1e6))
def test_an_error_that_doubled_always_is_worse_and_the_other_way_round_better(ratio, growth):
    grown = error(ratio * growth * (1 + 1e-15))
    assert levels.is_worse(grown, levels.rounded_up(ratio))
    assert levels.is_better(error(ratio), levels.rounded_up(grown.ratio))


@given(RATIOS, RATIOS)
def test_nothing_is_worse_and_better_at_once(old, new):
    level = levels.rounded_up(old)
    assert not (levels.is_worse(error(new), level) and levels.is_better(error(new), level))


def test_within_one_ulp_is_faithful_whatever_share_of_the_tolerance_it_is():
    assert levels.level_of(Error(0.4, 1.0)) == FAITHFUL
    assert levels.level_of(Error(0.4, 1.1)) == 0.5
    # An exact zero has no ulp, and something else in its place is beyond every tolerance.
    assert levels.level_of(Error(math.inf, 0.0)) == math.inf


def test_worse_than_faithful_is_more_than_two_ulp():
    assert not levels.is_worse(Error(0.4, 2.0), FAITHFUL)
    assert levels.is_worse(Error(0.4, 2.1), FAITHFUL)
    assert levels.is_worse(Error(1.5, 0.5), FAITHFUL)
    assert levels.is_better(Error(0.4, 0.9), 0.5)
    assert not levels.is_better(Error(0.4, 0.9), FAITHFUL)


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
