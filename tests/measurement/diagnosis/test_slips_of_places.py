"""Labels, rows and numbers that are looked up in the wrong place; probabilities that are taken for something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gradaudit.backends import claimed
from gradaudit.functions import registry
from gradaudit.measurement.diagnosis import diagnose
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.measurement import NamedFault
from gradaudit.reference import admissible
from tests.measurement.faulty import (
    SHAPES,
    SUBJECT,
    Loss,
    Shape,
    audited,
    diagnosed,
    inputs,
    likelihoods,
    one_hot,
    softmax,
)

FEW = SHAPES[:3]
IMAGES = ((2, 11, 4), (3, 11, 2))
Mean = Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]
"""Logits and labels -> the loss and its gradient, before the upstream gradient."""


def of_images(mean: Mean) -> tuple[NamedFault, ...]:
    """The faults of a loss of logits with the classes on axis 1 of three."""
    call = FunctionCall(
        "cross_entropy", {each.name: each.default for each in registry.get("cross_entropy").parameters}
    )
    entries = []
    for place, shape in enumerate(IMAGES):
        drawn = inputs(call, Shape("ordinary", shape[0] * shape[2], shape[1], (1, 2, 5)), None, scalar=True)
        logits = drawn.logits.reshape(shape[0], shape[2], shape[1]).transpose(0, 2, 1).copy()
        assert drawn.targets is not None
        made = replace(
            drawn,
            axis=(1,),
            logits=logits,
            targets=drawn.targets.reshape(shape[0], shape[2]),
            probe=None if place == 0 else "ordinary",
        )

        def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = mean(z, y)
            return value, u * gradient

        entries.append(audited(loss, made))
    return diagnose(
        "loss", "float64", entries, admissible.rows(call, "float64", claimed.profile_of(SUBJECT, "float64"))
    )


def rows_of(rows: np.ndarray, y: np.ndarray, counts: np.ndarray) -> tuple[float, np.ndarray]:
    """Losses of rows [rows, classes] under the weights `counts`, and their gradient."""
    gradient = (softmax(rows) - one_hot(y, rows.shape[1])) * counts[:, None]
    return float((likelihoods(rows, y) * counts).sum()), gradient


def reshaped(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    flat = y.reshape(-1)
    value, gradient = rows_of(z.reshape(-1, z.shape[1]), flat, (flat >= 0) / (flat >= 0).sum())
    return value, gradient.reshape(z.shape)


def by_image(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    rows, kept = z.transpose(0, 2, 1).reshape(-1, z.shape[1]), y >= 0
    counts = (kept / kept.sum(axis=1, keepdims=True) / len(y)).reshape(-1)
    value, gradient = rows_of(rows, y.reshape(-1), counts)
    return value, gradient.reshape(len(y), -1, z.shape[1]).transpose(0, 2, 1)


def transposed_labels(z: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    rows, flat = z.transpose(0, 2, 1).reshape(-1, z.shape[1]), y.T.reshape(-1)
    value, gradient = rows_of(rows, flat, (flat >= 0) / (flat >= 0).sum())
    return value, gradient.reshape(len(y), -1, z.shape[1]).transpose(0, 2, 1)


@pytest.mark.parametrize(
    ("mean", "fault", "words"),
    [
        (reshaped, "wrong-axis", "cut into rows of C as they lie in memory"),
        (by_image, "mean-of-means", "each entry of the first axis"),
        (transposed_labels, "labels-misaligned", "their axes in the order (1, 0)"),
    ],
)
def test_a_slip_of_images(mean: Mean, fault: str, words: str) -> None:
    (found,) = of_images(mean)
    assert found.fault == fault
    assert words in found.statement


def every_label(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """log_p[:, y].mean()."""
    kept = y >= 0
    valid = kept.sum()
    shares = np.tile(one_hot(y[kept], z.shape[1]).mean(axis=0), (len(y), 1))
    log_p = np.log(softmax(z))
    return float(-((log_p * shares).sum(axis=1) * kept).sum() / valid), u * (softmax(z) - shares) * kept[
        :, None
    ] / valid


def square(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    """[N, 1] - [N] is [N, N]."""
    kept, labels = (y >= 0).astype(np.float64), np.maximum(y, 0)
    lse = np.log(np.exp(z).sum(axis=1, keepdims=True))
    table = (lse - np.take_along_axis(z, labels[:, None], axis=1)[:, 0]) * kept
    gradient = softmax(z) - one_hot(labels, z.shape[1]) * (kept * len(y) / kept.sum())[:, None]
    return float(table.sum() / kept.sum()), u * gradient


def one_row_more(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
    count = (y >= 0).sum() + 1
    return likelihoods(z, y).sum() / count, u * (softmax(z) - one_hot(y, z.shape[1])) * (y >= 0)[:, None] / count


@pytest.mark.parametrize(
    ("loss", "fault", "words"),
    [
        (every_label, "labels-misaligned", "the labels of all rows, their mean"),
        (square, "reduction-factor", "[N, 1] and [N] broadcast to [N, N]"),
        (one_row_more, "mean-denominator", "the number of rows that count and one"),
    ],
)
def test_a_slip_of_rows(loss: Loss, fault: str, words: str) -> None:
    (found,) = diagnosed(loss, shapes=FEW)
    assert found.fault == fault
    assert words in found.statement


@pytest.mark.parametrize(
    ("renormalised", "words"),
    [(False, "0.0001 is added to the probabilities"), (True, "divided by their sum again")],
)
def test_probabilities_that_are_given(renormalised: bool, words: str) -> None:
    call = FunctionCall(
        "cross_entropy", {each.name: each.default for each in registry.get("cross_entropy").parameters}
    )

    def loss(p: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        own = np.take_along_axis(p, np.maximum(y, 0)[:, None], axis=1)
        kept = (y >= 0)[:, None]
        hot = one_hot(y, p.shape[1])
        if renormalised:
            losses, gradient = (
                -np.log(own / p.sum(axis=1, keepdims=True)),
                1.0 / p.sum(axis=1, keepdims=True) - hot / p,
            )
        else:
            losses, gradient = -np.log(own + 1e-4), -hot / (p + 1e-4)
        return float((losses * kept).sum() / kept.sum()), u * gradient * kept / kept.sum()

    entries = []
    for shape in (SHAPES[0], SHAPES[1], Shape("length-3", classes=3), Shape("zero", gap=800.0)):
        drawn = inputs(call, shape, None, scalar=True)
        # A probability of 0 has no logarithm, and the loss of a slip may have one.
        entries.append(audited(loss, replace(drawn, logits=softmax(drawn.logits), reading="probabilities")))
    rows = admissible.rows(call, "float64", claimed.profile_of(SUBJECT, "float64"))
    (found,) = diagnose("loss", "float64", entries, rows)
    assert words in found.statement
