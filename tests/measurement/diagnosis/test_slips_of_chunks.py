"""Losses that run over the classes in chunks, each with one slip, as a fused kernel would have it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.measurement.faulty import SHAPES, Loss, diagnosed, likelihoods, one_hot, softmax

SIZE = 4
WIDE = tuple(shape for shape in SHAPES if shape.classes >= SIZE and not shape.gap)
"""Shapes of which at least one whole chunk is left."""


def mean(losses: np.ndarray, y: np.ndarray) -> float:
    """Over the rows that count."""
    return float(np.where(y >= 0, losses, 0.0).sum() / (y >= 0).sum())


def picked(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The logit of every row's label."""
    return np.asarray(np.take_along_axis(z, np.maximum(y, 0)[:, None], axis=1)[:, 0])


def kernel(
    normaliser: Callable[[np.ndarray], np.ndarray],
    residual: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> Loss:
    """A loss from its normaliser, and a gradient written by hand of logits, labels and that normaliser."""

    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        lse = normaliser(z)
        gradient = residual(z, y, lse) * (y >= 0)[:, None]
        return mean(lse - picked(z, y), y), u * gradient / (y >= 0).sum()

    return loss


def whole(z: np.ndarray) -> np.ndarray:
    """logsumexp."""
    top = z.max(axis=1)
    return np.asarray(top + np.log(np.exp(z - top[:, None]).sum(axis=1)))


def of_whole_chunks(z: np.ndarray) -> np.ndarray:
    """logsumexp without what is left beyond whole chunks."""
    return whole(z[:, : z.shape[1] // SIZE * SIZE])


def unscaled(z: np.ndarray) -> np.ndarray:
    """A running logsumexp that forgets to scale its sum."""
    top, total = np.full(len(z), -np.inf), np.zeros(len(z))
    for start in range(0, z.shape[1], SIZE):
        part = z[:, start : start + SIZE]
        top = np.maximum(top, part.max(axis=1))
        total = total + np.exp(part - top[:, None]).sum(axis=1)
    return np.asarray(top + np.log(total))


def due(z: np.ndarray, y: np.ndarray, lse: np.ndarray) -> np.ndarray:
    """exp(z - normaliser) - e_y."""
    return np.asarray(np.exp(z - lse[:, None]) - one_hot(y, z.shape[1]))


def in_whole_chunks(z: np.ndarray, y: np.ndarray, lse: np.ndarray) -> np.ndarray:
    """The same, written for whole chunks alone."""
    gradient = due(z, y, lse)
    gradient[:, z.shape[1] // SIZE * SIZE :] = 0.0
    return gradient


def matched(hits: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    """The label's term wherever `hits` finds the label among the classes."""

    def residual(z: np.ndarray, y: np.ndarray, lse: np.ndarray) -> np.ndarray:
        return np.exp(z - lse[:, None]) - hits(np.maximum(y, 0)[:, None], np.arange(z.shape[1])[None, :])

    return residual


SLIPS = {
    "last chunk left out of the forward": (of_whole_chunks, due, "partition-local-normaliser", "of all classes"),
    "left out of both": (of_whole_chunks, in_whole_chunks, "partition-local-normaliser", "no gradient either"),
    "left out of the backward": (whole, in_whole_chunks, "partition-local-normaliser", "the gradient is 0 there"),
    "running maximum": (unscaled, due, "missing-max-shift", "chunks of 4 classes"),
    "label in every chunk": (
        whole,
        matched(lambda y, j: j % SIZE == y),
        "labels-misaligned",
        "as if each began at class 0",
    ),
    "label modulo": (whole, matched(lambda y, j: j % SIZE == y % SIZE), "labels-misaligned", "the label modulo 4"),
}


def test_the_loss_without_a_slip_has_no_fault() -> None:
    assert diagnosed(kernel(whole, due), shapes=WIDE) == ()


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_chunks(slip: str) -> None:
    normaliser, residual, fault, words = SLIPS[slip]
    found = diagnosed(kernel(normaliser, residual), shapes=WIDE)
    assert [each.fault for each in found] == [fault]
    assert words in found[0].statement


def test_the_last_rows_dropped_where_some_inputs_lose_all_of_them() -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        kept = np.where(np.arange(len(y)) < len(y) // SIZE * SIZE, y, -100)
        gradient = (softmax(z) - one_hot(kept, z.shape[1])) * (kept >= 0)[:, None]
        return float(likelihoods(z, kept).sum() / (y >= 0).sum()), u * gradient / (y >= 0).sum()

    (found,) = diagnosed(loss)
    assert found.fault == "reduction-factor"
    assert "whole blocks of 4 rows" in found.statement
