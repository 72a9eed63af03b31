"""Right losses whose backward was written by hand, and is that of something else."""

# ruff: noqa: ARG005 - each gradient takes what it is given
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.measurement.faulty import SHAPES, Loss, diagnosed, likelihoods, one_hot, softmax

FEW = SHAPES[:3]
WEIGHT = (0.71, 1.93, 0.38, 1.27, 2.41, 0.55, 1.09, 0.83, 1.61, 0.47, 2.03)
Written = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""p, labels, 1 where a row counts, logits -> the gradient before upstream and denominator."""


def mean_with(written: Written) -> Loss:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        kept = (y >= 0).astype(np.float64)[:, None]
        gradient = written(softmax(z), np.maximum(y, 0), kept, z)
        return float(likelihoods(z, y).sum() / kept.sum()), u * gradient * kept / kept.sum()

    return loss


def hot(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    return one_hot(y, p.shape[1])


def sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(1.0 / (1.0 + np.exp(-z)))


def last_negated(p: np.ndarray, y: np.ndarray, kept: np.ndarray, z: np.ndarray) -> np.ndarray:
    gradient = p - hot(p, y)
    gradient[:, -1] *= -1.0
    return gradient


def through_the_jacobian(p: np.ndarray, y: np.ndarray, kept: np.ndarray, z: np.ndarray) -> np.ndarray:
    g = p - hot(p, y)
    return np.asarray(p * (g - (p * g).sum(axis=1, keepdims=True)))


def in_every_row(p: np.ndarray, y: np.ndarray, kept: np.ndarray, z: np.ndarray) -> np.ndarray:
    """p[:, y] -= 1."""
    gradient = p.copy()
    gradient[:, y[kept[:, 0] > 0]] -= 1.0
    return gradient


def flat(p: np.ndarray, y: np.ndarray, kept: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Rows are taken to begin every N elements."""
    gradient = p.copy()
    gradient.reshape(-1)[(np.arange(len(p)) * len(p) + y) % p.size] -= 1.0
    return gradient


def largest_left(p: np.ndarray, y: np.ndarray, kept: np.ndarray, z: np.ndarray) -> np.ndarray:
    """The shift by the largest logit is differentiated in the normaliser alone."""
    return np.asarray(p - hot(p, y) - one_hot(np.argmax(z, axis=1), p.shape[1]))


GRADIENTS: dict[str, tuple[Written, str, str]] = {
    "softmax twice": (
        lambda p, y, k, z: softmax(p) - hot(p, y),
        "softmax-applied-twice",
        "softmax(softmax(z)) - y",
    ),
    "sigmoid": (lambda p, y, k, z: sigmoid(z) - hot(p, y), "softmax-applied-twice", "sigmoid(z) - y"),
    "logits": (lambda p, y, k, z: z - hot(p, y), "softmax-applied-twice", "the gradient is z - y"),
    "not divided": (
        lambda p, y, k, z: np.exp(z - z.max(axis=1, keepdims=True)) - hot(p, y),
        "partition-local-normaliser",
        "exp(z - max z) - y",
    ),
    "sigmoid's slope": (lambda p, y, k, z: (p - hot(p, y)) * p * (1.0 - p), "truncated-jacobian", "by p (1 - p)"),
    "relu's slope": (lambda p, y, k, z: (p - hot(p, y)) * (z > 0.0), "truncated-jacobian", "[z > 0]"),
    "Jacobian again": (through_the_jacobian, "truncated-jacobian", "once more"),
    "last column": (last_negated, "sign-flipped", "the last class"),
    "every row": (in_every_row, "labels-misaligned", "the labels of all rows"),
    "flat": (flat, "labels-misaligned", "i S + y, with the number of rows for S"),
    "shift": (largest_left, "detached-path", "the row's largest logit is subtracted"),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_gradient_of_something_else(name: str) -> None:
    written, fault, words = GRADIENTS[name]
    (found,) = diagnosed(mean_with(written), shapes=FEW)
    assert found.fault == fault
    assert words in found.statement
    assert "the loss is right" in found.statement


def test_the_gradient_that_is_due_has_no_fault() -> None:
    assert diagnosed(mean_with(lambda p, y, k, z: p - hot(p, y)), shapes=FEW) == ()


def test_weights_that_multiply_columns() -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        weight = np.array(WEIGHT)
        own = np.where(y >= 0, weight[np.maximum(y, 0)], 0.0)
        gradient = (softmax(z) - one_hot(y, z.shape[1])) * (y >= 0)[:, None] * weight
        return float((likelihoods(z, y) * own).sum() / own.sum()), u * gradient / own.sum()

    (found,) = diagnosed(loss, shapes=FEW, weight=WEIGHT)
    assert found.fault == "class-weights"
    assert "class j is multiplied by the weight of class j" in found.statement


@pytest.mark.parametrize(("change", "words"), [(np.trunc, "cut to whole numbers"), (np.ceil, "rounded up")])
def test_weights_among_integers(change: Callable[[np.ndarray], np.ndarray], words: str) -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        own = np.where(y >= 0, change(np.array(WEIGHT))[np.maximum(y, 0)], 0.0)
        gradient = (softmax(z) - one_hot(y, z.shape[1])) * own[:, None]
        return float((likelihoods(z, y) * own).sum() / own.sum()), u * gradient / own.sum()

    (found,) = diagnosed(loss, shapes=FEW, weight=WEIGHT)
    assert found.fault == "class-weights"
    assert words in found.statement
