"""The audit of the auditor: a truth that lies is found out before anybody is judged by it."""

from __future__ import annotations

import numpy as np
import pytest

from gradaudit.errors import AuditError
from gradaudit.measurement.spot_check import CHECKED_ELEMENTS, spot_check
from gradaudit.reference.special_values import Enclosed
from gradaudit.reference.truth import Truth
from tests.measurement.cases import truth

FUNCTIONS = ("softmax", "log_softmax", "logsumexp", "cross_entropy")


def honest(function: str, rows: int = 4, n: int = 3, dtype: str = "float32") -> Truth:
    logits = np.random.default_rng(5).standard_normal((rows, n))
    targets = np.arange(rows) % n if function == "cross_entropy" else None
    return truth(function, logits, dtype, targets=targets)


def moved(enclosed: Enclosed, radii: float) -> Enclosed:
    """Every midpoint so many of its radii too high."""
    return Enclosed(enclosed.mid + radii * enclosed.rad, None, enclosed.rad, None)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_an_honest_truth_is_confirmed_once(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = honest(function)
    assert spot_check(found) == 12
    asked = []
    monkeypatch.setattr(Truth, "exact_gradient", lambda *arguments: asked.append(arguments))
    assert spot_check(found) == 12
    assert not asked


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_lying_output_is_found_out(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    block_at = Truth.block_at

    def lie(self: Truth, start: int) -> object:
        found = block_at(self, start)
        found.output = moved(found.output, 3.0)
        return found

    monkeypatch.setattr(Truth, "block_at", lie)
    with pytest.raises(
        AuditError, match=r"enclosure of the output misses the exact value at row \d, column \d: "
    ) as e:
        spot_check(honest(function))
    assert "no verdict of this audit can be trusted" in str(e.value)
    assert e.value.exit_status == 3


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_lying_gradient_is_found_out(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    gradient = Truth.gradient
    monkeypatch.setattr(Truth, "gradient", lambda self, block, unit: moved(gradient(self, block, unit), -3.0))
    with pytest.raises(AuditError, match="enclosure of the gradient misses"):
        spot_check(honest(function))


def test_one_lying_element_is_named() -> None:
    found = honest("softmax")
    block = found.block_at(0)
    exact = found.gradient(block, None)
    mid = exact.mid.copy()
    mid[2, 1] += 5.0 * exact.rad[2, 1]
    block.gradients[None] = Enclosed(mid, None, exact.rad, None)
    with pytest.raises(AuditError, match="at row 2, column 1"):
        spot_check(found)


def test_a_truth_that_is_arb_already_has_nothing_to_confirm() -> None:
    assert spot_check(honest("softmax", dtype="float64")) == 0


def test_long_rows_are_confirmed_in_part() -> None:
    assert spot_check(honest("logsumexp", rows=3, n=2 * CHECKED_ELEMENTS)) == CHECKED_ELEMENTS


def test_as_many_rows_as_fit_are_confirmed() -> None:
    assert spot_check(honest("softmax", rows=1000, n=5)) == CHECKED_ELEMENTS // 5 * 5


def test_special_values_are_confirmed_as_they_are() -> None:
    logits = [[np.nan, 0.0], [np.inf, 1.0], [-np.inf, 1.0], [-np.inf, -np.inf]]
    for function in FUNCTIONS:
        targets = [0, 1, 0, 1] if function == "cross_entropy" else None
        assert spot_check(truth(function, logits, targets=targets)) == 8


@pytest.mark.parametrize(
    ("logits", "targets"),
    [
        ([[1.0, 2.0], [3.0, 1.0]], [-100, -100]),
        ([[np.inf, 2.0]], [1]),
        ([[-np.inf, 2.0]], [0]),
        ([[np.nan, 2.0]], [1]),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_reduced_loss_that_is_a_matter_of_policy_has_nothing_to_confirm(
    logits: list[list[float]], targets: list[int], reduction: str
) -> None:
    assert spot_check(truth("cross_entropy", logits, targets=targets, reduction=reduction)) == 2 * len(logits)
