"""A float64 loss that computes, or stores something, in less."""

from __future__ import annotations

import numpy as np
import pytest

from tests.measurement.faulty import SHAPES, Loss, Shape, diagnosed, likelihoods, one_hot, softmax

FEW = (*SHAPES[:2], Shape("gap", gap=25.0))


def mean(losses: np.ndarray, y: np.ndarray) -> float:
    return float(np.where(y >= 0, losses, 0.0).sum() / (y >= 0).sum())


def residual(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.asarray((p - one_hot(y, p.shape[1])) * (y >= 0)[:, None] / (y >= 0).sum())


def cast(offset: float, form: type[np.floating]) -> Loss:
    """All that follows a cast of the logits is exact, but for an offset that the cast has rounded."""

    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        moved = (z + offset).astype(form).astype(np.float64) - offset
        return mean(likelihoods(moved, y), y), (u * residual(softmax(moved), y)).astype(form).astype(np.float64)

    return loss


def stored(form: type[np.floating]) -> Loss:
    """The probabilities are saved for the backward in fewer digits."""

    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        p = softmax(z).astype(form).astype(np.float64)
        return mean(likelihoods(z, y), y), u * residual(p, y)

    return loss


@pytest.mark.parametrize(("form", "name"), [(np.float32, "float32"), (np.float16, "float16")])
def test_logits_that_are_cast_on_the_way_in(form: type[np.floating], name: str) -> None:
    (found,) = diagnosed(cast(0.0, form), shapes=FEW)
    assert found.fault == "low-precision-inside"
    assert f"the logits are rounded to {name} before anything else" in found.statement
    assert dict(found.evidence)["precision"] == name


@pytest.mark.parametrize("form", [np.float32, np.float16])
def test_probabilities_that_are_stored_in_less(form: type[np.floating]) -> None:
    (found,) = diagnosed(stored(form), shapes=FEW)
    assert found.fault == "low-precision-inside"


def test_one_wrong_element_tells_of_no_precision() -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = u * residual(softmax(z), y)
        gradient[0, 0] *= 1.0 + 1e-4
        return mean(likelihoods(z, y), y), gradient

    assert {each.fault for each in diagnosed(loss, shapes=FEW)} == {"undiagnosed"}


def test_a_loss_without_a_cast_has_no_fault() -> None:
    assert diagnosed(cast(0.0, np.float64), shapes=FEW) == ()
