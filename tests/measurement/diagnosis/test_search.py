"""How far a fault is searched for, and that a search that ends early names nothing."""

from __future__ import annotations

import numpy as np
import pytest

from gradaudit.measurement.diagnosis import budget
from gradaudit.measurement.diagnosis.prediction import Bounded
from tests.measurement.faulty import diagnosed, likelihoods, one_hot, softmax


def residual(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """p - e_y, 0 in ignored rows."""
    return np.asarray((softmax(z) - one_hot(y, z.shape[1])) * (y >= 0)[:, None])


def strange(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """What nobody writes: a weight for each row that has nothing to do with anything."""
    weight = 1.0 + 0.37 * np.sin(np.arange(len(y)) ** 2 + 1.0)
    counted = (y >= 0).sum()
    return float((weight * likelihoods(z, y)).sum() / counted), u * weight[:, None] * residual(z, y) / counted


def inverted(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """The mean over the ignored rows, scored against class 0; 0 where none is ignored."""
    dropped = (y < 0).astype(np.float64)
    if not dropped.any():
        return 0.0, np.zeros_like(z)
    first = np.zeros_like(y)
    gradient = (softmax(z) - one_hot(first, z.shape[1])) * dropped[:, None]
    return float((dropped * likelihoods(z, first)).sum() / dropped.sum()), u * gradient / dropped.sum()


@pytest.mark.parametrize("parameters", [{}, {"label_smoothing": 0.1}])
def test_a_search_without_an_answer_ends(parameters: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    spent = []
    plain = budget.Budget.spend
    monkeypatch.setattr(budget.Budget, "spend", lambda self, n: (spent.append(n), plain(self, n))[1])
    (fault,) = diagnosed(strange, **parameters)
    assert fault.fault == "undiagnosed"
    assert 100 < len(spent) <= budget.MOST + 50


def test_a_search_that_may_try_nothing_names_nothing_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        moved = np.where(y >= 0, (y + 1) % z.shape[1], y)
        return float(likelihoods(z, moved).sum() / (y >= 0).sum()), u * residual(z, moved) / (y >= 0).sum()

    assert diagnosed(doubled)[0].fault == "labels-misaligned"
    monkeypatch.setattr(budget.Budget, "spent", True)
    (fault,) = diagnosed(doubled)
    assert fault.fault == "undiagnosed"
    assert "the search ended after" in fault.statement


def test_what_is_large_counts_for_more() -> None:
    small, large = budget.Budget(), budget.Budget()
    small.spend(77)
    large.spend(128 * 256)
    assert small.used == 1
    assert large.used > 10
    assert not large.spent
    large.spend(budget.MOST * budget.ELEMENTS)
    assert large.spent


def test_a_mask_the_wrong_way_round_is_named_where_some_inputs_have_no_row_left() -> None:
    (fault,) = diagnosed(inverted)
    assert fault.fault == "ignored-rows-leak"
    assert "the mask keeps the rows it should drop" in fault.statement


def test_a_clamp_is_decided_by_the_elements_that_it_takes_away() -> None:
    """Where p is cut off the gradient is 0; what is left beside it may lie within its own uncertainty."""

    def clamped(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        p = np.take_along_axis(softmax(z), np.maximum(y, 0)[:, None], axis=1)[:, 0]
        inside = (p >= 1e-7) & (p <= 1.0 - 1e-7) & (y >= 0)
        value = -np.log(np.clip(p, 1e-7, 1.0 - 1e-7)) * (y >= 0)
        return float(value.sum() / (y >= 0).sum()), u * residual(z, y) * inside[:, None] / (y >= 0).sum()

    (fault,) = diagnosed(clamped)
    assert fault.fault == "clamped-probability"


def test_roundings_without_a_bound_leave_a_zero_what_it_is() -> None:
    """So many rows in 16 bits that a sum over them may be anything."""
    bounded = Bounded(np.array([0.0, 1.0, 0.0, 2.0]), np.array([0.0, 0.0, 1.0, 1.0])).charged(np.inf, 0.5)
    assert bounded.rad.tolist() == [0.5, np.inf, np.inf, np.inf]
