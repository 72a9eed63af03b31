"""Errors against an enclosure: counted, ranked, classified; and arb asked only where it is needed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradaudit.measurement.comparison import OPEN, VALUES, WORST
from gradaudit.records.measurement import HISTOGRAM_EDGES
from gradaudit.reference.special_values import Enclosed
from tests.measurement.arrays import compared, comparison, enclosed

INF, NAN = math.inf, math.nan


# ------------------------------------------------------------------------------------------ finite values


def test_errors_in_every_unit() -> None:
    """2.5 where 2 is exact: an error of 1/2, 1/4 of the value, 2^21 units in the last place, twice the tolerance."""
    found = compared([[2.5, 4.0]], enclosed([[2.0, 4.0]]), 0.25).finish(7)
    assert (found.max_abs_error, found.max_rel_error, found.max_ulp) == (0.5, 0.25, 2.0**21)
    assert found.max_error_over_tolerance == 2.0
    assert (found.elements, found.beyond, found.spot_checked) == (2, 1, 7)
    assert (found.name, found.dtype, found.shape) == ("gradient", "float32", (1, 2))


def test_the_low_part_of_the_exact_value_counts() -> None:
    exact = enclosed([[1.0]], low=[[-(2.0**-60)]])
    assert compared([[1.0]], exact, 1.0).finish(0).max_abs_error == 2.0**-60


def test_an_error_at_the_tolerance_is_within_and_one_above_it_beyond() -> None:
    exact = enclosed([[1.0, 1.0, 1.0]])
    found = compared([[1.25, 0.75, 1.25 + 2.0**-50]], exact, 0.25)
    assert found.beyond == 1
    assert found.wrong_rows == {0}


def test_wrong_rows_are_counted_over_the_whole_array() -> None:
    found = comparison(6, 1)
    for start in (0, 3):
        got = np.array([[1.0], [1.0 + start], [1.0]])
        found.add(start, got, enclosed([[1.0]] * 3), np.full((3, 1), 0.5))
    assert found.wrong_rows == {4}


def test_the_histogram_has_its_edges_on_the_right() -> None:
    """counts[i] holds edges[i] < ratio <= edges[i + 1], exact zeros the first."""
    edges = HISTOGRAM_EDGES[1:-1]
    got = np.array([[0.0, *edges, *(edge * (1.0 + 1e-12) for edge in edges), 1e300]])
    found = compared(got, enclosed(np.zeros_like(got)), 1.0).finish(0)
    # Every bin but the outermost holds its own right edge and what is just above its left one.
    assert found.histogram == (2, *[2] * (len(edges) - 1), 2)
    assert sum(found.histogram) == got.size


def test_the_histogram_adds_up_over_blocks() -> None:
    found = comparison(4, 2)
    for start in (0, 2):
        found.add(start, np.full((2, 2), 0.3), enclosed(np.zeros((2, 2))), np.ones((2, 2)))
    assert found.finish(0).histogram[HISTOGRAM_EDGES.index(0.5) - 1] == 8


def test_the_worst_twenty_are_ranked_and_the_first_of_equals_comes_first() -> None:
    found = comparison(10, 10)
    ratios = np.arange(100.0).reshape(10, 10) % 50.0
    for start in range(0, 10, 2):
        part = ratios[start : start + 2]
        found.add(start, part, enclosed(np.zeros_like(part)), np.ones_like(part))
    worst = found.finish(0).worst
    assert len(worst) == WORST
    assert [element.ratio for element in worst] == [float(49 - i // 2) for i in range(WORST)]
    assert [element.index for element in worst[:4]] == [(4, 9), (9, 9), (4, 8), (9, 8)]


def test_an_element_says_what_was_returned_and_what_is_due() -> None:
    element = compared([[0.0, 3.0]], enclosed([[0.0, 1.0]]), [[1.0, 4.0]]).finish(0).worst
    assert len(element) == 1, "exact elements are no bad ones"
    assert (element[0].got, element[0].reference, element[0].tolerance, element[0].ratio) == (3.0, 1.0, 4.0, 0.5)


def test_elements_of_a_jacobian_name_their_plane() -> None:
    found = comparison(2, 2)
    found.add(1, np.array([[0.0, 5.0]]), enclosed([[0.0, 0.0]]), np.ones((1, 2)), unit=3)
    assert found.finish(0).worst[0].index == (3, 1, 1)


@pytest.mark.parametrize(
    ("exact", "tolerance", "vacuous", "undecided"),
    [
        (1.0, 0.5, 0, 0),
        (1.0, 1.0, 1, 1),  # an answer of 0 would pass
        (-1.0, 2.0, 1, 1),
        (0.0, 0.5, 1, 0),  # 0 is right here
        (0.0, 0.0, 1, 0),  # an ignored row, due exactly
        (0.0, INF, 1, 1),  # nothing is promised
        (1.0, INF, 1, 1),
    ],
)
def test_what_decides_nothing(exact: float, tolerance: float, vacuous: int, undecided: int) -> None:
    found = compared([[exact]], enclosed([[exact]]), tolerance)
    assert (found.vacuous, found.undecided, found.beyond) == (vacuous, undecided, 0)


def test_a_tolerance_of_zero_and_one_without_end() -> None:
    """0 / 0 is no error, x / 0 an infinite one, x / inf none at all."""
    found = compared([[0.0, 1.0, 5.0]], enclosed([[0.0, 0.0, 1.0]]), [[0.0, 0.0, INF]]).finish(0)
    assert found.beyond == 1
    assert found.max_error_over_tolerance == INF
    assert [element.index for element in found.worst] == [(0, 1)]


def test_an_exact_zero_beside_a_wrong_value_leaves_its_error_as_it_is() -> None:
    """0 / 0 of a row that takes no part, in the same block as an error of twice the tolerance."""
    exact = enclosed([[0.0, 2.0]])
    found = compared([[0.0, 2.5]], exact, np.array([[0.0, 0.25]])).finish(0)
    assert found.max_error_over_tolerance == 2.0
    assert [element.ratio for element in found.worst] == [2.0]


def test_errors_at_an_exact_zero_have_no_unit_in_the_last_place() -> None:
    found = compared([[1e-20, 1.0 + 2.0**-23]], enclosed([[0.0, 1.0]]), 1.0).finish(0)
    assert found.max_ulp == 1.0


def test_lost_values_are_counted_where_the_exact_one_is_a_normal_number() -> None:
    tiny = 2.0**-130
    got = [[0.0, 0.4e-9, 0.6e-9, 0.0, 0.0]]
    found = compared(got, enclosed([[1e-10, 1e-9, 1e-9, tiny, 0.0]]), 1.0).finish(0)
    assert found.cancelled == 2
    assert found.worst_cancelled is not None
    assert (found.worst_cancelled.index, found.worst_cancelled.reference) == ((0, 1), 1e-9)


def test_values_of_small_arrays_are_kept_and_of_large_ones_not() -> None:
    found = comparison(2, 2)
    for start in (0, 1):
        found.add(start, np.array([[start + 0.5, 1.0]]), enclosed([[1.0, 2.0]]), np.full((1, 2), 0.25))
    values = found.finish(0).values
    assert values is not None
    assert values.got.tolist() == [0.5, 1.0, 1.5, 1.0]
    assert values.reference.tolist() == [1.0, 2.0, 1.0, 2.0]
    assert values.tolerance.tolist() == [0.25] * 4
    large = np.zeros((1, VALUES + 1))
    assert compared(large, enclosed(large), 1.0).finish(0).values is None
    assert compared(large[:, 1:], enclosed(large[:, 1:]), 1.0).finish(0).values is not None


def test_what_a_wider_row_regains() -> None:
    """Beyond the strict tolerance, within the wide one, and decided by it: an answer of 0 would not have passed."""
    exact = enclosed([[1.0, 1.0, 1.0, 1.0]])
    got, wide = [[1.05, 1.3, 1.3, 1.6]], [[0.5, 0.5, 2.0, 0.5]]
    strict = np.full((1, 4), 0.1)
    assert compared(got, exact, wide, strict=strict).regained == 2
    assert compared(got, exact, wide).regained == 0


# ------------------------------------------------------------------------------- what is no finite number


@pytest.mark.parametrize(
    ("got", "due", "non_finite", "special"),
    [
        (NAN, NAN, 0, 0),
        (INF, INF, 0, 0),
        (-INF, -INF, 0, 0),
        (NAN, 1.0, 1, 0),
        (INF, 1.0, 1, 0),
        (INF, -INF, 0, 1),
        (NAN, INF, 0, 1),
        (1.0, NAN, 0, 1),
        (0.0, -INF, 0, 1),
    ],
)
def test_classes_of_non_finite_values(got: float, due: float, non_finite: int, special: int) -> None:
    found = compared([[got, 2.0]], enclosed([[due, 2.0]]), 0.5)
    assert (found.non_finite, found.special_mismatch) == (non_finite, special)
    assert found.non_finite_rows == ({0} if non_finite or special else set())
    assert (found.beyond, found.max_abs, found.vacuous) == (0, 0.0, 0), "the ordinary element is as it was"
    assert (found.finish(0).max_error_over_tolerance == INF) == bool(non_finite)


def test_in_a_row_of_special_values_a_difference_is_a_matter_of_policy() -> None:
    found = compared([[NAN], [NAN]], enclosed([[1.0], [1.0]]), 0.5, special=np.array([True, False]))
    assert (found.special_mismatch, found.non_finite) == (1, 1)


@pytest.mark.parametrize(
    ("exact", "tolerance", "allowed"),
    [
        (65000.0, 600.0, True),
        (65000.0, 400.0, False),
        (-65000.0, 600.0, False),
        (1e300, 0.0, True),
        (1.0, INF, False),
    ],
)
def test_an_infinity_is_right_where_the_tolerance_reaches_beyond_the_largest_number(
    exact: float, tolerance: float, allowed: bool
) -> None:
    found = compared([[INF]], enclosed([[exact]]), tolerance, "float16")
    assert (found.non_finite == 0) == allowed


def test_wrong_infinities_are_among_the_worst() -> None:
    worst = compared([[1.5, NAN]], enclosed([[1.0, 1.0]]), 1.0).finish(0).worst
    assert [element.index for element in worst] == [(0, 1), (0, 0)]
    assert worst[0].ratio == INF


def test_what_is_left_open_is_noted_and_not_judged() -> None:
    left_open = np.array([[True, True, True, True, True, False]])
    exact = enclosed([[NAN, NAN, NAN, NAN, NAN, NAN]], left_open=left_open)
    found = compared([[NAN, INF, -INF, 0.0, 3.0, 0.0]], exact, 0.5)
    assert (found.special_mismatch, found.non_finite) == (1, 0)
    assert [kind for _, kind in found.special_classes] == ["nan", "inf", "-inf", "zero", "finite"]
    assert [index for index, _ in found.special_classes] == [(0, column) for column in range(5)]


def test_only_the_first_open_elements_are_noted() -> None:
    many = np.full((2, OPEN), NAN)
    found = compared(many, enclosed(many, left_open=np.ones_like(many, dtype=bool)), 0.5)
    assert len(found.special_classes) == OPEN
    assert found.special_classes[-1][0] == (0, OPEN - 1)


def test_masked_classes_are_due_exactly() -> None:
    found = comparison(2, 4)
    found.add_masked(np.array([[0.0, -0.0], [1e-45, NAN]]), 0.0, lambda row, column: (row, column + 2))
    assert found.special_mismatch == 2
    assert [element.index for element in found.finish(0).worst] == [(1, 2), (1, 3)]
    assert (found.elements, found.vacuous) == (4, 4), "zeros pass where zeros are due"
    found.add_masked(np.array([[-np.inf]]), -np.inf, lambda row, column: (row, column))
    assert (found.elements, found.vacuous) == (5, 4)


# ------------------------------------------------------------------------------------------------ escalation


class Asked:
    """An escalation that notes the rows it is asked for and answers with `exact`."""

    def __init__(self, exact: Enclosed) -> None:
        self.exact = exact
        self.rows: list[list[int]] = []

    def __call__(self, rows: np.ndarray) -> Enclosed:
        self.rows.append(rows.tolist())
        return enclosed(self.exact.mid[rows], low=None if self.exact.low is None else self.exact.low[rows])


def test_an_error_near_its_tolerance_is_decided_by_the_sharper_value() -> None:
    """Row 1 is within one radius of its tolerance; the midpoint says beyond, the sharper value within."""
    asked = Asked(enclosed([[1.0], [1.02], [1.0]]))
    found = compared([[1.0], [1.26], [1.6]], enclosed([[1.0], [1.0], [1.0]], 0.05), 0.25, escalate=asked)
    assert asked.rows == [[1]]
    assert found.escalated == 1
    assert (found.beyond, found.wrong_rows) == (1, {2})
    assert found.finish(0).worst[1].ratio == pytest.approx(0.24 / 0.25)


def test_the_sharper_value_can_also_convict() -> None:
    asked = Asked(enclosed([[0.9]], low=[[0.0]]))
    assert compared([[1.2]], enclosed([[1.0]], 0.1), 0.25, escalate=asked).beyond == 1


@pytest.mark.parametrize(
    ("got", "rad", "tolerance"),
    [
        (1.1, 0.05, 0.25),  # well within
        (1.6, 0.05, 0.25),  # well beyond
        (1.25, 0.0, 0.25),  # the exact value is known
        (1.0, 0.3, 0.25),  # there is no error at all
        (1.2, 0.3, INF),  # nothing is promised
        (NAN, 0.3, 0.25),
    ],
)
def test_arb_is_not_asked_without_need(got: float, rad: float, tolerance: float) -> None:
    asked = Asked(enclosed([[1.0]]))
    assert compared([[got]], enclosed([[1.0]], rad), tolerance, escalate=asked).escalated == 0
    assert asked.rows == []


def test_radii_known_to_be_small_are_not_looked_at() -> None:
    """With every error at most 15/16 of its tolerance and every radius at most 1/16, nothing is in doubt."""

    class Radii(Enclosed):
        looked = 0

        @property
        def rad(self) -> np.ndarray:
            Radii.looked += 1
            return np.full((1, 2), 0.01)

    shares: list[float] = []

    def dwarfed(share: float) -> bool:
        shares.append(share)
        return True

    exact = Radii(np.array([[1.0, 1.0]]), None, np.zeros((1, 2)), None)
    asked = Asked(enclosed([[1.0, 1.0]]))
    compared([[1.1, 1.2]], exact, 0.25, escalate=asked, dwarfed=dwarfed)
    assert Radii.looked == 0
    assert shares == [2.0**-4]
    compared([[1.1, 1.245]], exact, 0.25, escalate=asked, dwarfed=dwarfed)
    assert Radii.looked > 0
    assert asked.rows == [[0]]


# ------------------------------------------------------------------------------------------------------ sums


def test_row_sums_against_what_they_should_be() -> None:
    found = comparison(3, 2)
    got = np.array([[0.5, -0.5], [0.5, -0.25], [0.25, -0.5]])
    found.add_sums(0, got, np.zeros(3), np.array([[0.5, 0.5], [0.05, 0.05], [0.5, 0.5]]))
    sums = found.finish(0).sums
    assert sums is not None
    assert (sums.row, sums.got, sums.expected, sums.residual) == (1, 0.25, 0.0, 0.25)
    assert sums.tolerance == pytest.approx(0.1, rel=1e-12)
    assert sums.rows_beyond == 1
    assert (sums.total, sums.total_magnitude) == (0.0, 2.5)


def test_the_worst_row_of_all_blocks_is_kept() -> None:
    found = comparison(4, 1)
    for start, residual in ((0, 0.1), (2, 0.3), (3, 0.2)):
        found.add_sums(start, np.array([[2.0 + residual]]), np.array([2.0]), np.array([[1.0]]))
    sums = found.finish(0).sums
    assert sums is not None
    assert sums.row == 2
    assert sums.rows_beyond == 0


def test_sums_with_nan_are_passed_over() -> None:
    found = comparison(2, 2)
    found.add_sums(0, np.array([[NAN, 1.0], [INF, 0.0]]), np.zeros(2), np.ones((2, 2)))
    assert found.finish(0).sums is None


def test_an_exact_sum_with_no_tolerance_is_no_offence() -> None:
    found = comparison(1, 2)
    found.add_sums(0, np.zeros((1, 2)), np.zeros(1), np.zeros((1, 2)))
    sums = found.finish(0).sums
    assert sums is not None
    assert (sums.residual, sums.rows_beyond) == (0.0, 0)
