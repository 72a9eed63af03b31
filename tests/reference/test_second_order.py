"""Second backwards of sound losses lie within some admissible way, and wrong ones beyond all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest

from gradaudit.reference import second_order
from gradaudit.reference.second_order import Enclosure, Way
from gradaudit.reference.truth import Truth
from tests.reference import second_backwards
from tests.reference.second_backwards import CROSS_ENTROPIES, DTYPES, MERGED, OTHERS, Drawn

pytest.importorskip("torch")
NAMES = (*CROSS_ENTROPIES, *OTHERS)
QUICK, MANY = 3, 40


def largest_ratio(got: np.ndarray, exact: Enclosure, tolerance: np.ndarray) -> float:
    """The largest error in units of the tolerance, where anything is promised."""
    promised = ~np.isnan(exact.mid) & np.isfinite(tolerance)
    with np.errstate(all="ignore"):
        ratio = np.abs(got - exact.mid) / (tolerance + exact.rad)
    ratio[got == exact.mid] = 0.0
    return float(np.where(promised, np.where(np.isnan(ratio), np.inf, ratio), 0.0).max(initial=0.0))


def least_ratio(got: np.ndarray, truth: Truth, exact: Enclosure, tolerance: Callable[[Way], np.ndarray]) -> float:
    """Under the way that explains it best; the first one that explains it all is good enough."""
    least = np.inf
    for way in second_order.ways(truth, second_backwards.rows_of(truth.inputs)):
        least = min(least, largest_ratio(got, exact, tolerance(way)))
        if least <= 1.0:
            break
    return least


def of_hessian(case: Drawn, got: np.ndarray) -> float:
    truth = Truth(case.inputs)
    exact = second_order.hessian_product(truth, case.v)
    return least_ratio(got, truth, exact, lambda way: second_order.hessian_tolerance(truth, case.v, way))


def of_targets(case: Drawn, got: np.ndarray) -> float:
    truth = Truth(case.inputs)
    exact = second_order.target_gradient(truth)
    return least_ratio(got, truth, exact, lambda way: second_order.target_tolerance(truth, way))


def sound_hessians(name: str, dtype: str, seeds: range) -> None:
    for seed in seeds:
        case = second_backwards.drawn(name, dtype, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first, got = second_backwards.hessian(case)
        # What is no number in the first order already is not asked for the second.
        if np.isfinite(first).all() and (name != MERGED or np.isfinite(got).all()):
            assert of_hessian(case, got) <= 1.0, f"seed {seed}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_sound_second_backwards_are_explained(name: str, dtype: str) -> None:
    sound_hessians(name, dtype, range(QUICK))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_many_sound_second_backwards_are_explained(name: str, dtype: str) -> None:
    sound_hessians(name, dtype, range(QUICK, QUICK + MANY))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CROSS_ENTROPIES)
def test_sound_gradients_of_the_targets_are_explained(name: str, dtype: str) -> None:
    for seed in range(QUICK):
        case = second_backwards.drawn(name, dtype, seed, soft=True)
        got = second_backwards.by_targets(case)
        if np.isfinite(got).all():
            assert of_targets(case, got) <= 1.0, f"seed {seed}"


@pytest.mark.parametrize("name", ["F.cross_entropy", "logsumexp - z", "z-loss by hand", "focal by hand", "softmax"])
@pytest.mark.parametrize(("dtype", "deviation"), [("float32", 0.05), ("float64", 1e-9)])
def test_an_error_above_the_bound_is_beyond_every_way(name: str, dtype: str, deviation: float) -> None:
    """One element, the largest, of logits with a deviation near 1."""
    seed = next(
        seed
        for seed in range(1000)
        if 0.3 < np.std(second_backwards.drawn(name, dtype, seed).inputs.logits) < 3.0
        and second_backwards.drawn(name, dtype, seed).inputs.function.parameters.get("temperature", 1.0) == 1.0
    )
    case = second_backwards.drawn(name, dtype, seed)
    _, got = second_backwards.hessian(case)
    largest = np.unravel_index(int(np.abs(got).argmax()), got.shape)
    assert of_hessian(case, got) <= 1.0
    got[largest] *= 1.0 + deviation
    assert of_hessian(case, got) > 1.0


def test_ignored_rows_are_due_exactly_0() -> None:
    case = next(
        case
        for case in (second_backwards.drawn("log_softmax", "float32", seed) for seed in range(1000))
        if case.inputs.targets is not None and case.inputs.targets.dtype == np.int64 and -100 in case.inputs.targets
    )
    _, got = second_backwards.hessian(case)
    assert of_hessian(case, got) <= 1.0
    got[int(np.argmax(case.inputs.targets == -100))] = 1e-30
    assert of_hessian(case, got) > 1.0
