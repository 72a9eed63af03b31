"""Causes of wrong losses and gradients: named with their numbers, or left unnamed with what is known."""

# ruff: noqa: ARG005 - factors of the labels that are the same for all
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tests.measurement.faulty import SHAPES, Loss, Shape, diagnosed, likelihoods, one_hot, softmax

WEIGHT = (0.71, 1.93, 0.38, 1.27, 2.41, 0.55, 1.09, 0.83, 1.61, 0.47, 2.03)


def residual(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """p - e_y, 0 in ignored rows."""
    return np.asarray((softmax(z) - one_hot(y, z.shape[1])) * (y >= 0)[:, None])


def valid(y: np.ndarray) -> int:
    """The number of rows that count."""
    return int((y >= 0).sum())


def scaled(of_loss: Callable[[np.ndarray], float], of_gradient: Callable[[np.ndarray], float]) -> Loss:
    """The mean cross entropy with factors before its loss and before its gradient, each of the labels."""

    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = likelihoods(z, y).sum() / valid(y), u * residual(z, y) / valid(y)
        return of_loss(y) * value, of_gradient(y) * gradient

    return loss


def one(_: np.ndarray) -> float:
    """No factor."""
    return 1.0


def test_a_right_loss_has_no_fault() -> None:
    assert diagnosed(scaled(one, one)) == ()


@pytest.mark.parametrize(
    ("of_loss", "of_gradient", "fault", "words"),
    [
        (lambda y: valid(y) / len(y), lambda y: valid(y) / len(y), "mean-denominator", "the mean also counts"),
        (one, valid, "reduction-factor", "(the loss is right)"),
        (lambda y: 2.0, lambda y: 2.0, "reduction-factor", "reference x 2"),
        (lambda y: -1.0, lambda y: -1.0, "sign-flipped", "reference x -1"),
        (lambda y: 0.7311, lambda y: 0.7311, "reduction-factor", "0.7311"),
        (lambda y: 0.5, one, "reduction-factor", "(the gradient is right)"),
        (one, lambda y: 1 / 1.7, "upstream-gradient", "upstream"),
    ],
)
def test_one_factor(
    of_loss: Callable[[np.ndarray], float], of_gradient: Callable[[np.ndarray], float], fault: str, words: str
) -> None:
    (named,) = diagnosed(scaled(of_loss, of_gradient))
    assert named.fault == fault
    assert words in named.statement


def test_the_statement_holds_the_numbers() -> None:
    factor = lambda y: valid(y) / len(y)  # noqa: E731
    (named,) = diagnosed(scaled(factor, factor))
    assert (
        "loss and gradient = reference x 0.714286 = 5/7 = V/N: the mean also counts the 2 ignored rows"
        in named.statement
    )
    assert named.advice == "divide by the number of rows whose target is not -100"
    assert dict(named.evidence)["factor"] == 5 / 7
    assert named.key.probe == "ignored-rows"


def means_of_means(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """Two chunks, each averaged over its own rows that count."""
    losses, gradients = [], []
    size = -(-len(y) // 2)
    for start in range(0, len(y), size):
        part = slice(start, start + size)
        losses.append(likelihoods(z[part], y[part]).sum() / valid(y[part]))
        gradients.append(u * residual(z[part], y[part]) / valid(y[part]))
    return sum(losses) / len(losses), np.concatenate(gradients) / len(losses)


def leaking(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """Only the target's term of an ignored row is dropped."""
    gradient = softmax(z) - one_hot(y, z.shape[1])
    return likelihoods(z, y).sum() / valid(y), u * gradient / valid(y)


def twice(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """Softmax of softmax."""
    p = softmax(z)
    inner = u * residual(p, y) / valid(y)
    return likelihoods(p, y).sum() / valid(y), p * (inner - (p * inner).sum(axis=1, keepdims=True))


def shifted(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """Class y + 1 in place of y."""
    return scaled(one, one)(z, np.where(y >= 0, (y + 1) % z.shape[1], y), u)  # type: ignore[return-value]


def halves(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """Every exponential counted twice."""
    gradient = (softmax(z) / 2 - one_hot(y, z.shape[1])) * (y >= 0)[:, None]
    return likelihoods(z, y).sum() / valid(y) + math.log(2.0), u * gradient / valid(y)


def detached(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """logsumexp without a derivative."""
    return likelihoods(z, y).sum() / valid(y), -u * one_hot(y, z.shape[1]) / valid(y)


def clipped(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """p at least 1e-7."""
    p = softmax(z)
    own = np.take_along_axis(p, np.maximum(y, 0)[:, None], axis=1)[:, 0]
    losses = np.where(y >= 0, -np.log(np.maximum(own, 1e-7)), 0.0)
    return losses.sum() / valid(y), u * residual(z, y) * (own > 1e-7)[:, None] / valid(y)


@pytest.mark.parametrize(
    ("loss", "fault"),
    [
        (means_of_means, "mean-of-means"),
        (leaking, "ignored-rows-leak"),
        (twice, "softmax-applied-twice"),
        (shifted, "labels-misaligned"),
        (halves, "partition-local-normaliser"),
        (detached, "detached-path"),
        (clipped, "clamped-probability"),
    ],
)
def test_one_slip(loss: Loss, fault: str) -> None:
    assert {named.fault for named in diagnosed(loss)} == {fault}


@pytest.mark.parametrize(
    ("own", "other", "fault"),
    [
        (lambda c: 0.9, lambda c: 0.1 / (c - 1), "smoothing-convention"),
        (lambda c: 1.0, lambda c: 0.0, "smoothing-convention"),
        (lambda c: 1.0, lambda c: 0.1 / c, "target-mass"),
        (lambda c: 0.9, lambda c: 0.1 / c, "target-mass"),
        (lambda c: 1 - 0.13 + 0.13 / c, lambda c: 0.13 / c, "smoothing-convention"),
    ],
)
def test_conventions_of_smoothing(own: Callable[[int], float], other: Callable[[int], float], fault: str) -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        classes = z.shape[1]
        hot = one_hot(y, classes)
        t = (other(classes) + (own(classes) - other(classes)) * hot) * (y >= 0)[:, None]
        log_p = np.log(softmax(z))
        gradient = t.sum(axis=1, keepdims=True) * softmax(z) - t
        return -(t * log_p).sum() / valid(y), u * gradient / valid(y)

    assert {named.fault for named in diagnosed(loss, label_smoothing=0.1)} == {fault}


@pytest.mark.parametrize(("power", "fault"), [(0.0, "class-weights"), (0.5, "class-weights"), (2.0, "class-weights")])
def test_powers_of_the_weights(power: float, fault: str) -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        w = np.array(WEIGHT)[np.maximum(y, 0)] ** power * (y >= 0)
        return (w * likelihoods(z, y)).sum() / w.sum(), u * w[:, None] * residual(z, y) / w.sum()

    assert {named.fault for named in diagnosed(loss, weight=WEIGHT)} == {fault}


@pytest.mark.parametrize(
    ("formula", "kernel"),
    [
        ("p g (1 - p)", lambda p, g: p * g * (1 - p)),
        ("p g", lambda p, g: p * g),
        ("p (g - sum(g))", lambda p, g: p * (g - g.sum(axis=1, keepdims=True))),
    ],
)
def test_truncated_jacobians(formula: str, kernel: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    def loss(z: np.ndarray, _: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return softmax(z), kernel(softmax(z), u)

    (named,) = diagnosed(loss, "softmax")
    assert named.fault == "truncated-jacobian"
    assert f"the gradient is {formula}, where p (g - sum(p g)) is due" in named.statement


def test_two_slips() -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        return likelihoods(z, y).sum() / len(y), u * residual(z, y) / len(y)

    found = {named.fault for named in diagnosed(loss, temperature=2.0)}
    assert found == {"logit-transform-factor", "mean-denominator"}


def test_what_is_known_where_nothing_explains() -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        return likelihoods(z, y).sum() / valid(y), u * residual(z, y) / valid(y) + 0.01 * np.sin(z)

    (named,) = diagnosed(loss)
    assert named.fault == "undiagnosed"
    assert "the loss is right in all 6 evaluations" in named.statement
    assert "0 of 7 rows are multiples of the reference" in named.statement


def test_one_element_off_is_no_fault_of_a_class() -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = u * residual(z, y) / len(y)
        gradient[0, 0] *= 1.001
        return likelihoods(z, y).sum() / len(y), gradient

    assert {named.fault for named in diagnosed(loss)} == {"undiagnosed"}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("softmax", {"temperature": 2.0}),
        ("softmax", {"masked_classes": (0,)}),
        ("log_softmax", {"logit_scale": 0.5}),
        ("logsumexp", {}),
        ("softcap", {"cap": 3.0}),
        ("cross_entropy", {"reduction": "none", "label_smoothing": 0.1}),
        ("cross_entropy", {"weight": WEIGHT, "label_smoothing": 0.1}),
        ("cross_entropy", {"softcap": 3.0, "z_loss": 0.01, "entropy_regularization": 0.1}),
        ("cross_entropy", {"logit_adjustment": WEIGHT, "reduction": "sum"}),
        ("focal", {"alpha": WEIGHT}),
        ("poly", {}),
        ("z_loss", {"label_smoothing": 0.1}),
        ("margin", {"scale": 4.0}),
    ],
)
def test_noise_is_left_undiagnosed(name: str, parameters: dict[str, object]) -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        draws = np.random.default_rng(z.size)
        elementwise = name in {"softmax", "log_softmax", "softcap"}
        scalar = name != "logsumexp" and not elementwise and parameters.get("reduction") != "none"
        shape = z.shape if elementwise else () if scalar else (len(z),)
        return draws.normal(size=shape), draws.normal(size=z.shape)

    shapes = [shape for shape in SHAPES if shape.classes == 11 and not (name == "margin" and shape.gap)]
    assert {named.fault for named in diagnosed(loss, name, shapes=shapes, **parameters)} == {"undiagnosed"}


def test_classes_without_a_gradient_are_told() -> None:
    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        gradient = u * residual(z, y) / valid(y)
        gradient[:, 2] = 0.0
        return likelihoods(z, y).sum() / valid(y), gradient

    (named,) = diagnosed(loss)
    assert named.fault == "undiagnosed"
    assert "the gradient is wrong at class 2 alone, and 0 there" in named.statement


def test_a_loss_is_no_multiple_of_an_upstream_gradient_that_it_does_not_know() -> None:
    """Here 1/u and V/N are so near to one another that float64 alone tells them apart."""

    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        return likelihoods(z, y).sum() / valid(y) / 1.7, u * residual(z, y) / valid(y) / 1.7

    (found,) = diagnosed(loss)
    assert found.fault == "reduction-factor"
    assert "upstream" not in found.statement


@pytest.mark.parametrize("ignored", [(), (1, 2)])
def test_a_gradient_that_is_0_everywhere_was_cut_off(ignored: tuple[int, ...]) -> None:
    """Of a single evaluation too: no row has to be missing for it."""

    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        return likelihoods(z, y).sum() / valid(y), np.zeros_like(z)

    (found,) = diagnosed(loss, shapes=[Shape(None, ignored=ignored)])
    assert found.fault == "detached-path"
