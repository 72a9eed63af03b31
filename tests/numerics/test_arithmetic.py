"""Tree heights against the trees themselves, and what a profile is charged with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest

from gradaudit.numerics import arithmetic
from gradaudit.numerics.arithmetic import any_order, lanes, of_profile, pairwise
from gradaudit.records.profile import Profile

T = TypeVar("T")
SIZES = [*range(1, 150), 200, 255, 256, 257, 511, 1000, 1024, 4096, 32000, 128256]


def pairwise_tree(terms: list[T], add: Callable[[T, T], T]) -> T:
    """NumPy's pairwise summation (numpy/_core/src/umath/loops_utils.h.src), over any addition."""
    n = len(terms)
    if n < 8:
        total = terms[0]
        for term in terms[1:]:
            total = add(total, term)
        return total
    if n <= 128:
        parts = terms[:8]
        for start in range(8, n - n % 8, 8):
            parts = [add(part, term) for part, term in zip(parts, terms[start : start + 8], strict=True)]
        total = add(
            add(add(parts[0], parts[1]), add(parts[2], parts[3])),
            add(add(parts[4], parts[5]), add(parts[6], parts[7])),
        )
        for term in terms[n - n % 8 :]:
            total = add(total, term)
        return total
    middle = n // 2 - (n // 2) % 8
    return add(pairwise_tree(terms[:middle], add), pairwise_tree(terms[middle:], add))


def lane_tree(terms: list[T], add: Callable[[T, T], T], width: int, *, tail_in_lanes: bool) -> T:
    """`width` partial sums, added up as a tree; the tail in the first lanes or one by one at the end."""
    whole = len(terms) - len(terms) % width
    if whole == 0:
        return lane_tree(terms, add, width // 2, tail_in_lanes=tail_in_lanes)
    parts, tail = terms[:width], terms[whole:]
    for start in range(width, whole, width):
        parts = [add(part, term) for part, term in zip(parts, terms[start : start + width], strict=True)]
    if tail_in_lanes:
        parts = [add(part, term) for part, term in zip(parts, tail, strict=False)] + parts[len(tail) :]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [add(a, b) for a, b in zip(parts[:half], parts[half:], strict=True)]
    total = parts[0]
    if not tail_in_lanes:
        for term in tail:
            total = add(total, term)
    return total


def deeper(a: int, b: int) -> int:
    return max(a, b) + 1


def test_heights_of_known_trees() -> None:
    for n in SIZES:
        assert pairwise(n) == pairwise_tree([0] * n, deeper), n
        assert any_order(n) == n - 1, n
        assert max(pairwise(n), lanes(n)) <= any_order(n), n


@pytest.mark.parametrize("width", [8, 16, 32])
def test_the_height_of_lanes_holds_where_the_tail_joins_them(width: int) -> None:
    for n in SIZES[7:]:
        assert lanes(n) >= lane_tree([0] * n, deeper, width, tail_in_lanes=True), n


def test_the_height_of_lanes_holds_for_eight_and_a_tail_one_by_one() -> None:
    for n in SIZES[7:]:
        assert lanes(n) >= lane_tree([0] * n, deeper, 8, tail_in_lanes=False), n


def test_no_terms_take_no_additions() -> None:
    assert any_order(0) == any_order(1) == pairwise(0) == pairwise(1) == lanes(1) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [5, 8, 15, 64, 128, 129, 250, 257, 1000])
def test_the_pairwise_tree_is_the_one_that_numpy_uses(dtype: Any, n: int) -> None:
    """Bit for bit: the height is that of the additions which NumPy performs over a contiguous axis."""
    rows = np.random.default_rng(n).standard_normal((4, n)).astype(dtype)
    expected = [pairwise_tree(list(row), lambda a, b: dtype(a + b)) for row in rows]
    assert rows.sum(axis=-1).tolist() == [float(value) for value in expected]


def test_height_names_are_those_that_profiles_use() -> None:
    assert set(arithmetic.HEIGHTS) == {"any", "pairwise", "lanes"}


# ------------------------------------------------------------------------------------------------ profiles

FLOAT32 = Profile("float32", "float32", "float32", "float32", 4.0, 1.0, "pairwise")
U16, UB, U32, U64 = 2.0**-11, 2.0**-8, 2.0**-24, 2.0**-53


def test_one_format_throughout() -> None:
    a = of_profile(FLOAT32)
    assert (a.u, a.e, a.l, a.eta) == (U32, 8 * U32, 2 * U32, 2.0**-149)
    assert (a.u_sum, a.u_reduction, a.l_statistics) == (U32, U32, 2 * U32)
    assert (a.u_statistics, a.u_store, a.eta_store, a.u_result, a.eta_result) == (0.0, 0.0, 0.0, 0.0, 0.0)
    assert (a.u_operation, a.eta_operation) == (U32, 2.0**-149)
    assert a.height(1000) == pairwise(1000)


def test_a_narrower_storage_rounds_once_more() -> None:
    a = of_profile(replace(FLOAT32, storage="float16"))
    assert (a.u, a.u_store, a.eta_store) == (U32, U16, 2.0**-24)
    assert a.u_operation == pytest.approx((1 + U32) * (1 + U16) - 1, rel=1e-15)
    assert a.u_operation >= (1 + U32) * (1 + U16) - 1
    assert a.eta_operation == 2.0**-24
    assert a.u_result == 0.0


def test_a_wider_storage_costs_nothing() -> None:
    a = of_profile(Profile("float16", "float32", "float32", "float32"))
    assert (a.u, a.u_store, a.u_operation) == (U16, 0.0, U16)


def test_statistics_narrower_than_their_sum_are_rounded_when_stored() -> None:
    a = of_profile(Profile("float32", "float32", "bfloat16", "bfloat16", 1.0, 1.0))
    assert (a.u_statistics, a.u_sum) == (UB, U32)
    assert a.l_statistics == 2 * U32, "the logarithm is computed inside the kernel and then stored"
    kept = of_profile(Profile("float32", "float32", "bfloat16", "float32", 1.0, 1.0))
    assert (kept.u_statistics, kept.l_statistics) == (0.0, 2 * U32)


def test_statistics_of_a_sum_kept_in_the_same_format_are_not_rounded_again() -> None:
    a = of_profile(Profile("float16", "float16", "float16", "float16", 1.0, 1.0))
    assert (a.u_statistics, a.u_sum, a.l_statistics) == (0.0, U16, 2 * U16)


def test_wider_statistics_have_their_own_logarithm() -> None:
    """NumPy on 16-bit types: weights in the dtype, sums and their logarithm in float32."""
    a = of_profile(Profile("float16", "float32", "float16", "float32", 1.0, 1.0))
    assert (a.u, a.u_sum, a.l_statistics, a.l) == (U16, U32, 2 * U32, 2 * U16)


def test_a_narrower_result_is_one_rounding_at_the_end() -> None:
    a = of_profile(replace(FLOAT32, result="bfloat16"))
    assert (a.u_result, a.eta_result) == (UB, 2.0**-133)
    assert (a.u_store, a.u_operation) == (0.0, U32)
    assert of_profile(replace(FLOAT32, result="float64")).u_result == 0.0


def test_sums_over_rows_may_have_a_format_of_their_own() -> None:
    assert of_profile(replace(FLOAT32, reduction="bfloat16")).u_reduction == UB
    assert of_profile(replace(FLOAT32, accumulate="float64")).u_reduction == U64


def test_exponentials_that_are_stored_on_the_way_are_rounded_once_more() -> None:
    kernel = Profile("float32", "float32", "bfloat16", "float32", 1.0, 1.0)
    assert (of_profile(kernel).u_exponential, of_profile(kernel).eta_exponential) == (0.0, 0.0)
    a = of_profile(replace(kernel, stored_exponentials=True))
    assert (a.u_exponential, a.eta_exponential) == (UB, 2.0**-133)


def test_flushing_loses_up_to_the_smallest_normal_number() -> None:
    assert of_profile(replace(FLOAT32, flushes=True)).eta == 2.0**-126
    a = of_profile(replace(FLOAT32, storage="float16", flushes=True))
    assert (a.eta, a.eta_store, a.eta_operation) == (2.0**-126, 2.0**-14, 2.0**-14)


def test_a_range_can_be_narrower_where_the_precision_is_not() -> None:
    """bfloat16 inside, float16 stored: nothing is rounded again, but results below 2^-24 vanish."""
    a = of_profile(Profile("bfloat16", "bfloat16", "float16", "bfloat16"))
    assert (a.u_store, a.eta_store, a.eta_operation) == (0.0, 2.0**-24, 2.0**-24)


def test_the_enclosure_is_charged_with_float64() -> None:
    a = arithmetic.FLOAT64
    assert (a.u, a.e, a.l, a.eta, a.u_sum, a.u_operation) == (U64, 4 * U64, 4 * U64, 2.0**-1073, U64, U64)
    assert a.height(1000) == 999
