"""Losses whose classes lie on several ranks, or in blocks of a kernel, each with one slip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.measurement.diagnosis.test_slips_of_chunks import kernel, picked, whole
from tests.measurement.faulty import SHAPES, diagnosed, one_hot, softmax

SHAPES_OF_MANY = tuple(shape for shape in SHAPES[:3] if shape.classes > 3)
Rows = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Logits and labels -> the losses of the rows and their gradients."""


def mean_of(rows: Rows) -> Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[float, np.ndarray]]:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        losses, gradient = rows(z, np.maximum(y, 0))
        kept = y >= 0
        return float((losses * kept).sum() / kept.sum()), u * gradient * kept[:, None] / kept.sum()

    return loss


def halves(z: np.ndarray) -> tuple[slice, slice]:
    middle = z.shape[1] // 2
    return slice(0, middle), slice(middle, z.shape[1])


def own_maxima(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The all-reduce of the maximum is missing."""
    moved = np.concatenate([z[:, part] - z[:, part].max(axis=1, keepdims=True) for part in halves(z)], axis=1)
    total = np.exp(moved).sum(axis=1)
    return np.log(total) - picked(moved, y), np.exp(moved) / total[:, None] - one_hot(y, z.shape[1])


def first_of_others(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Every rank looks its label up, at its class 0 if it has none."""
    hits = one_hot(y, z.shape[1])
    middle = z.shape[1] // 2
    hits[np.arange(len(y)), np.where(y < middle, middle, 0)] += 1.0
    return hits


def masked_logit_added(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hits = first_of_others(z, y)
    return whole(z) - (z * hits).sum(axis=1), softmax(z) - hits


def masked_label_subtracted(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return whole(z) - picked(z, y), softmax(z) - first_of_others(z, y)


def averaged(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exponentials of two ranks are averaged, not added up."""
    return whole(z) - np.log(2.0) - picked(z, y), 2.0 * softmax(z) - one_hot(y, z.shape[1])


def lost_at_the_edge(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """y > start where y >= start was meant."""
    hits = one_hot(y, z.shape[1]) * (y != z.shape[1] // 2)[:, None]
    return whole(z) - (z * hits).sum(axis=1), softmax(z) - hits


def zero_lanes(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lanes up to the next power of two are loaded with 0."""
    lanes = (1 << (z.shape[1] - 1).bit_length()) - z.shape[1]
    lse = whole(np.concatenate([z, np.zeros((len(z), lanes))], axis=1))
    return lse - picked(z, y), np.exp(z - lse[:, None]) - one_hot(y, z.shape[1])


def one_more(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1 + sum exp(z)."""
    lse = whole(np.concatenate([z, np.zeros((len(z), 1))], axis=1))
    return lse - picked(z, y), np.exp(z - lse[:, None]) - one_hot(y, z.shape[1])


def running(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The backward takes the normaliser of the classes so far."""
    parts = [np.exp(z[:, k : k + 3] - whole(z[:, : k + 3])[:, None]) for k in range(0, z.shape[1], 3)]
    return whole(z) - picked(z, y), np.concatenate(parts, axis=1) - one_hot(y, z.shape[1])


def beside(z: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """1e-4 is added to a sum that is at least 1."""
    w = np.exp(z - z.max(axis=1, keepdims=True))
    total = w.sum(axis=1) + 1e-4
    return np.log(total) - picked(z, y) + z.max(axis=1), w / total[:, None] - one_hot(y, z.shape[1])


SLIPS = {
    "own maxima": (own_maxima, "partition-local-normaliser", "subtracts its own largest logit"),
    "masked logit": (masked_logit_added, "partition-local-normaliser", "contributes its first class in its place"),
    "masked label": (masked_label_subtracted, "partition-local-normaliser", "the loss is right"),
    "averaged": (averaged, "partition-local-normaliser", "2 p - y"),
    "edge": (lost_at_the_edge, "partition-local-normaliser", "the first class of a shard is found in none"),
    "zero lanes": (zero_lanes, "partition-local-normaliser", "padded to a power of 2 with logits of 0"),
    "one more": (one_more, "partition-local-normaliser", "1 is added to the sum"),
    "running": (running, "partition-local-normaliser", "up to the end of their own chunk (chunks of 3 classes)"),
    "beside": (beside, "clamped-probability", "0.0001 is added to the sum of the exponentials"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_shards(slip: str) -> None:
    rows, fault, words = SLIPS[slip]
    found = diagnosed(mean_of(rows), shapes=SHAPES_OF_MANY)
    assert {each.fault for each in found} == {fault}
    assert any(words in each.statement for each in found)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_lanes_of_zeros_in_a_softmax(name: str) -> None:
    def activation(z: np.ndarray, y: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        log_p = z - whole(np.concatenate([z, np.zeros((len(z), 5))], axis=1))[:, None]
        p = np.exp(log_p)
        if name == "softmax":
            return p, p * (g - (p * g).sum(axis=1, keepdims=True))
        return log_p, g - p * g.sum(axis=1, keepdims=True)

    (found,) = diagnosed(activation, name, shapes=[SHAPES[0]])
    assert found.fault == "partition-local-normaliser"
    assert "exp(0) = 1 takes part" in found.statement


def test_two_halves_that_are_merged_rightly_have_no_fault() -> None:
    def due(z: np.ndarray, y: np.ndarray, lse: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(z - lse[:, None]) - one_hot(y, z.shape[1]))

    def merged(z: np.ndarray) -> np.ndarray:
        left, right = (whole(z[:, part]) for part in halves(z))
        return np.asarray(np.logaddexp(left, right))

    assert diagnosed(kernel(merged, due), shapes=SHAPES_OF_MANY) == ()
