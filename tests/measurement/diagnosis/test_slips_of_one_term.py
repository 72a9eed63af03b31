"""Logits that are transformed in one of both terms of a loss, and z-losses beside a cross entropy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.measurement.diagnosis.test_slips_of_chunks import picked, whole
from tests.measurement.faulty import SHAPES, Loss, diagnosed, one_hot, softmax

FEW = SHAPES[:3]
ADJUSTMENT = (-0.3, -1.2, -2.1, -1.9, -2.6, -0.9, -3.1, -0.7, -1.5, -2.3, -0.2)
Change = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Logits -> changed ones, and their slopes."""


def same(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return z, np.ones_like(z)


def cooled(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return z / 2.5, np.full_like(z, 1.0 / 2.5)


def capped(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return 3.0 * np.tanh(z / 3.0), 1.0 - np.tanh(z / 3.0) ** 2


def adjusted(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return z + np.array(ADJUSTMENT), np.ones_like(z)


def of_two(normaliser: Change, target: Change) -> Loss:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        kept, labels = (y >= 0).astype(np.float64), np.maximum(y, 0)
        (a, slope_a), (b, slope_b) = normaliser(z), target(z)
        gradient = softmax(a) * slope_a - one_hot(labels, z.shape[1]) * slope_b
        losses = whole(a) - picked(b, labels)
        return float((losses * kept).sum() / kept.sum()), u * gradient * kept[:, None] / kept.sum()

    return loss


CHANGES: dict[str, tuple[Change, dict[str, object], str]] = {
    "temperature": (cooled, {"temperature": 2.5}, "the scale of the logits"),
    "softcap": (capped, {"softcap": 3.0}, "the softcap"),
    "adjustment": (adjusted, {"logit_adjustment": ADJUSTMENT}, "the logit adjustment"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("where", ["normaliser", "target's term"])
def test_a_transform_in_one_term_only(name: str, where: str) -> None:
    change, parameters, what = CHANGES[name]
    loss = of_two(same, change) if where == "normaliser" else of_two(change, same)
    (found,) = diagnosed(loss, shapes=FEW, **parameters)  # type: ignore[arg-type]
    assert found.fault == "logit-transform-factor"
    assert f"{what} is missing in the {where}" in found.statement


@pytest.mark.parametrize("name", CHANGES)
def test_a_transform_in_both_terms_is_right(name: str) -> None:
    change, parameters, _ = CHANGES[name]
    assert diagnosed(of_two(change, change), shapes=FEW, **parameters) == ()  # type: ignore[arg-type]


def z_loss(rows: Callable[[np.ndarray], np.ndarray], power: int = 2) -> Loss:
    """0.1 logsumexp^power of the rows that `rows` weighs, by the labels, beside a cross entropy."""

    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        kept, labels = (y >= 0).astype(np.float64), np.maximum(y, 0)
        lse, p, share = whole(z), softmax(z), rows(y)
        value = ((lse - picked(z, labels)) * kept).sum() / kept.sum() + 0.1 * (share * lse**power).sum()
        own = (p - one_hot(labels, z.shape[1])) * (kept / kept.sum())[:, None]
        return float(value), u * (own + 0.1 * p * (share * power * lse ** (power - 1))[:, None])

    return loss


def valid(y: np.ndarray) -> float:
    return float((y >= 0).sum())


@pytest.mark.parametrize(
    ("loss", "fault", "words"),
    [
        (z_loss(lambda y: np.ones(len(y)) / valid(y)), "ignored-rows-leak", "that of all rows"),
        (z_loss(lambda y: np.ones(len(y)) / len(y)), "ignored-rows-leak", "averaged over all rows"),
        (z_loss(lambda y: (y >= 0) / len(y)), "mean-denominator", "the z-loss is divided by N"),
        (z_loss(lambda y: (y >= 0) / valid(y), 1), "reduction-factor", "not squared"),
    ],
)
def test_a_z_loss_over_other_rows(loss: Loss, fault: str, words: str) -> None:
    (found,) = diagnosed(loss, shapes=FEW, z_loss=0.1)
    assert found.fault == fault
    assert words in found.statement


def test_the_z_loss_that_is_due_has_no_fault() -> None:
    assert diagnosed(z_loss(lambda y: (y >= 0) / valid(y)), shapes=FEW, z_loss=0.1) == ()


def test_one_number_is_no_multiple_of_a_loss() -> None:
    """Any loss is some multiple of any other: a factor without a name takes two evaluations to be seen."""

    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = u * (softmax(z) - one_hot(y, z.shape[1])) / len(y)
        return 0.123456, gradient

    (found,) = diagnosed(loss, shapes=SHAPES[:1])
    assert found.fault == "undiagnosed"
