"""Slips of losses made of several terms: two means, focal factors and their weights, terms that nobody asked for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.measurement.faulty import SHAPES, Loss, diagnosed, likelihoods, one_hot, softmax

EPS = 0.1
ALPHA = (0.71, 1.93, 0.38, 1.27, 2.41, 0.55, 1.09, 0.83, 1.61, 0.47, 2.03)
GAMMA = 2.0
MODERATE = tuple(shape for shape in SHAPES if not shape.gap)
OF_ALPHA = tuple(shape for shape in MODERATE if shape.classes == len(ALPHA))


def smoothed(*, masked: bool, by_all: bool) -> Loss:
    """(1 - eps) times the mean over rows that count, and eps times a mean of the uniform term."""

    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        counted = (y >= 0).astype(np.float64)
        rows = counted if masked else np.ones(len(y))
        number = len(y) if by_all else counted.sum()
        p, classes = softmax(z), z.shape[1]
        log_p = z - z.max(axis=1, keepdims=True)
        log_p = log_p - np.log(np.exp(log_p).sum(axis=1, keepdims=True))
        value = (1 - EPS) * likelihoods(z, y).sum() / counted.sum()
        value -= EPS * (rows * log_p.mean(axis=1)).sum() / number
        gradient = (1 - EPS) * counted[:, None] * (p - one_hot(y, classes)) / counted.sum()
        return float(value), u * (gradient + EPS * rows[:, None] * (p - 1 / classes) / number)

    return loss


@pytest.mark.parametrize(
    ("masked", "by_all", "fault"),
    [(False, True, "ignored-rows-leak"), (False, False, "ignored-rows-leak"), (True, True, "mean-denominator")],
)
def test_two_means(masked: bool, by_all: bool, fault: str) -> None:
    found = diagnosed(smoothed(masked=masked, by_all=by_all), label_smoothing=EPS, shapes=MODERATE)
    assert [each.fault for each in found] == [fault]


def test_the_same_loss_without_a_slip() -> None:
    assert diagnosed(smoothed(masked=True, by_all=False), label_smoothing=EPS, shapes=MODERATE) == ()


def focal(z: np.ndarray, y: np.ndarray, u: np.ndarray, slip: str = "") -> tuple[float, np.ndarray]:
    """The focal loss of weighted classes with its gradient by hand."""
    labels, counted = np.maximum(y, 0), (y >= 0).astype(np.float64)
    alpha = np.array(ALPHA)[labels]
    log_p = -likelihoods(z, labels)
    p = np.exp(log_p)
    inner = alpha * log_p if slip == "weighted" else log_p
    q = np.exp(inner)
    added = 1e-3 if slip == "epsilon" else 0.0
    logarithm = np.log(p + added)
    value = -alpha * (1 - q) ** GAMMA * logarithm
    inside = alpha if slip == "weighted" else 1.0
    slope = alpha * (GAMMA * (1 - q) ** (GAMMA - 1) * q * inside * logarithm - (1 - q) ** GAMMA * p / (p + added))
    if slip == "slope":
        slope = alpha * (GAMMA * (1 - q) ** (GAMMA - 1) * logarithm - (1 - q) ** GAMMA)
    number = (counted * alpha).sum() if slip == "denominator" else counted.sum()
    gradient = (counted * slope)[:, None] * (one_hot(labels, z.shape[1]) - softmax(z))
    return float((counted * value).sum() / number), u * gradient / number


@pytest.mark.parametrize(
    ("slip", "fault", "words"),
    [
        ("denominator", "mean-denominator", "the sum of the alphas"),
        ("weighted", "class-weights", "p_t is exp(-alpha_y ce)"),
        ("epsilon", "clamped-probability", "0.001 is added"),
        ("slope", "truncated-jacobian", "dL / dlog p"),
    ],
)
def test_a_slip_of_the_focal_loss(slip: str, fault: str, words: str) -> None:
    found = diagnosed(lambda z, y, u: focal(z, y, u, slip), "focal", gamma=GAMMA, alpha=ALPHA, shapes=OF_ALPHA)
    assert [each.fault for each in found] == [fault]
    assert words in found[0].statement


def test_the_focal_loss_without_a_slip() -> None:
    assert diagnosed(focal, "focal", gamma=GAMMA, alpha=ALPHA, shapes=OF_ALPHA) == ()


def test_an_extra_term_is_told_with_its_factor_and_has_no_class() -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        counted = (y >= 0).astype(np.float64)
        top = z.max(axis=1)
        lse = top + np.log(np.exp(z - top[:, None]).sum(axis=1))
        p = softmax(z)
        gradient = p - one_hot(y, z.shape[1]) + 2e-3 * lse[:, None] * p
        value = (likelihoods(z, y) + 1e-3 * lse**2 * counted).sum()
        return float(value / counted.sum()), u * counted[:, None] * gradient / counted.sum()

    (found,) = diagnosed(loss, shapes=MODERATE)
    assert found.fault == "undiagnosed"
    assert "an extra term of 0.001 x logsumexp(z)^2" in found.statement
