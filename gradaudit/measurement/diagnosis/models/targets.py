"""Slips in the targets: labels misaligned, conventions of label smoothing, masses, weights, ignored rows."""

# ruff: noqa: ARG001, ARG005 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np

from gradaudit.measurement.diagnosis.models import smoothing, soft_targets
from gradaudit.measurement.diagnosis.models.variation import Mass, Variation, hot_rows
from gradaudit.measurement.diagnosis.view import View

Make = Callable[[View], Mass | None]
LABELS, IGNORED = "labels-misaligned", "ignored-rows-leak"
MOST_AXES = 4
"""Axes of rows of which all orders are tried: one less."""


def variations(view: View) -> list[Variation]:
    """The slips that exist for the targets of `view`."""
    if not view.truth.function.takes_targets:
        return []
    if view.raw_labels is None:
        return soft_targets.variations(view)
    return [*_labels(view), *smoothing.variations(view), *_ignoring(view)]


# -- labels ----------------------------------------------------------------------------------------------------------


def _labels(view: View) -> list[Variation]:
    advice = "score row i against the label of row i, and class c as class c"
    found: list[Variation] = []

    def entry(name: str, statement: str, change: Callable[[np.ndarray, View], np.ndarray | None]) -> None:
        def make(view: View) -> Mass | None:
            assert view.raw_labels is not None
            changed = change(view.raw_labels, view)
            return None if changed is None else _mass_of(view, changed)

        found.append(Variation("targets", name, LABELS, statement, advice, make))

    for k in (1, -1, 2, -2):
        entry(
            f"labels {k:+d} rows, cut",
            f"row i is scored against the label of row i{k:+d}; rows without such a label have no gradient",
            lambda labels, view, k=k: (
                _shifted(labels, k, _nobody(view), wraps=False) if len(labels) > abs(k) else None
            ),  # type: ignore[misc]
        )
        entry(
            f"labels {k:+d} rows, round",
            f"row i is scored against the label of row i{k:+d}, round the end",
            lambda labels, view, k=k: _shifted(labels, k, 0, wraps=True) if len(labels) > 1 else None,  # type: ignore[misc]
        )
        entry(
            f"labels {k:+d} classes",
            f"row i is scored against class y[i]{k:+d}, modulo the number of classes",
            lambda labels, view, k=k: _classes(labels, view, lambda y: (y + k) % view.classes),  # type: ignore[misc]
        )
        entry(
            f"labels {k:+d} classes, cut",
            f"row i is scored against class y[i]{k:+d}, cut to the classes there are",
            lambda labels, view, k=k: _classes(labels, view, lambda y: np.clip(y + k, 0, view.classes - 1)),  # type: ignore[misc]
        )
    entry(
        "labels from the other end",
        "labels count classes from the other end",
        lambda labels, view: _classes(labels, view, lambda y: view.classes - 1 - y),
    )
    entry("rows reversed", "the labels run through the rows in reversed order", lambda labels, view: labels[::-1])
    entry(
        "one label for all",
        "every row is scored against the label of the first row",
        lambda labels, view: np.where(labels == _nobody(view), labels, labels[0]),
    )
    entry(
        "last label for all",
        "every row is scored against the label of the last row",
        lambda labels, view: np.where(labels == _nobody(view), labels, labels[-1]),
    )
    entry(
        "first class for all",
        "every row is scored against class 0",
        lambda labels, view: _classes(labels, view, np.zeros_like),
    )
    entry(
        "largest logit for all",
        "every row is scored against its own largest logit",
        lambda labels, view: np.where(labels == _nobody(view), labels, np.argmax(view.block.logits, axis=1)),
    )
    for order in _orders(view):
        entry(
            f"label axes {order}",
            f"the labels are flattened with their axes in the order {order}, and the rows are not",
            lambda labels, view, order=order: _flattened(labels, view, order),  # type: ignore[misc]
        )
    entry("labels sorted", "the labels are sorted, the rows are not", lambda labels, view: np.sort(labels))
    return found


def _orders(view: View) -> list[tuple[int, ...]]:
    """Other orders of the axes that rows lie along."""
    axes = tuple(range(len(view.whole.outer_shape)))
    return [order for order in permutations(axes) if order != axes] if len(axes) < MOST_AXES else []


def _flattened(labels: np.ndarray, view: View, order: tuple[int, ...]) -> np.ndarray:
    return labels.reshape(view.whole.outer_shape).transpose(order).reshape(-1)


def _nobody(view: View) -> int:
    ignore = view.parameters.get("ignore_index")
    return ignore if isinstance(ignore, int) else -100


def _shifted(labels: np.ndarray, k: int, blank: int, *, wraps: bool) -> np.ndarray:
    moved = np.roll(labels, -k)
    if not wraps:
        if k > 0:
            moved[-k:] = blank
        else:
            moved[:-k] = blank
    return moved


def _classes(labels: np.ndarray, view: View, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return np.where(labels == _nobody(view), labels, change(labels))


def _mass_of(view: View, labels: np.ndarray, counts: np.ndarray | None = None) -> Mass | None:
    """Hard labels scored as the reference does it, with its own smoothing, weights and denominator."""
    assert view.raw_labels is not None
    if np.array_equal(labels, view.raw_labels) and counts is None:
        return None
    counted = labels != _nobody(view) if counts is None else counts
    own = np.where(counted, labels, 0)
    if np.any((own < 0) | (own >= view.classes)):
        return None
    weight = np.ones(view.classes) if view.weight is None else view.weight
    eps = view.number("label_smoothing", 0.0)
    factor = 1.0
    if view.reduction == "mean":
        used = float((counted * weight[own]).sum())
        # Where no row counts, what is returned as a number is 0.
        factor = view.truth.denominator.value / used if used else 1.0
    masses = counted.astype(np.float64)[:, None]
    if eps == 0.0:
        return Mass(own, masses * weight[own][:, None], None, factor)
    spread = eps / view.truth.layout.active_classes
    return Mass(None, None, masses * weight * ((1.0 - eps) * hot_rows(view, own) + spread), factor)


# -- ignored rows ----------------------------------------------------------------------------------------------------


def _ignoring(view: View) -> list[Variation]:
    """Which rows are taken for ignored."""
    advice = "leave out the rows whose label is ignore_index, and no others"
    found: list[Variation] = []

    def entry(
        name: str, statement: str, keep: Callable[[np.ndarray, View], np.ndarray], blank: str = "first"
    ) -> None:
        def make(view: View) -> Mass | None:
            assert view.raw_labels is not None
            counts = keep(view.raw_labels, view)
            if np.array_equal(counts, view.counted):
                return None
            placeholder = 0 if blank == "first" else view.classes - 1
            valid = (view.raw_labels >= 0) & (view.raw_labels < view.classes)
            return _mass_of(view, np.where(valid, view.raw_labels, placeholder), counts)

        found.append(Variation("targets", name, IGNORED, statement, advice, make))

    everyone = "ignored rows count like others, scored against class "
    entry("nobody ignored", f"{everyone}0 or the class of that number", lambda y, v: np.ones(len(y), dtype=bool))
    entry(
        "nobody ignored, last class",
        f"{everyone}C - 1",
        lambda y, v: np.ones(len(y), dtype=bool),
        "last",
    )
    entry("mask inverted", "the mask keeps the rows it should drop", lambda y, v: y == _nobody(v))
    entry("class 0 ignored", "rows of class 0 are ignored", lambda y, v: (y != 0) & (y != _nobody(v)))
    entry(
        "class 0 ignored instead", "rows of class 0 are ignored instead of those of ignore_index", lambda y, v: y != 0
    )
    entry("negative labels ignored", "rows with a negative label are ignored instead", lambda y, v: y >= 0)
    entry(
        "positive labels kept",
        "only rows with a label above 0 count",
        lambda y, v: (y > 0) & (y != _nobody(v)),
    )
    entry(
        "last class ignored",
        "rows of the last class are ignored",
        lambda y, v: (y != v.classes - 1) & (y != _nobody(v)),
    )
    return found
