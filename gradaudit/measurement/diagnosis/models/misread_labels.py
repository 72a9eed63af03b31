"""Labels that are looked up in the wrong place: in all rows, at a wrong stride, along axes in another order."""

# ruff: noqa: ARG005 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, loss_slip, picked, total_mass, weighted
from gradaudit.measurement.diagnosis.view import View

LABELS, FACTOR = "labels-misaligned", "reduction-factor"
Hits = Callable[[View, int], np.ndarray | None]
"""The view, the number of classes -> what is scored in the place of e_y, [rows, classes]."""


def variations(view: View) -> list[Variation]:
    """The slips that exist for hard labels."""
    if view.raw_labels is None or view.active is not None:
        return []
    return [replace(slip, rarely=True) for slip in (*_of_all_rows(), *_flat(), _square())]


def _scored(name: str, statement: str, advice: str, hits: Hits) -> Variation:
    """The normaliser of every row that counts, and other entries than the label's."""

    def make(m: M, z: V, t: Targets[V], view: View) -> V | None:
        found = hits(view, m.shape(z)[-1])
        if found is None:
            return None
        return weighted(m, m.logsumexp(z), t) - total_mass(m, t) * m.sum(z * m.exact(found))

    return loss_slip(name, LABELS, statement, advice, make)


def _of_all_rows() -> Iterator[Variation]:
    advice = "pair row i with its own label: p[arange(N), y], not p[:, y]"

    def counts(view: View, classes: int, *, padding: bool) -> np.ndarray:
        assert view.raw_labels is not None
        labels = view.raw_labels[view.counted] if not padding else np.where(view.counted, view.raw_labels, 0)
        return np.bincount(labels, minlength=classes)[:classes].astype(np.float64)

    def every(what: str, change: Callable[[np.ndarray], np.ndarray], *, padding: bool) -> Variation:
        def hits(view: View, classes: int) -> np.ndarray | None:
            found = counts(view, classes, padding=padding)
            return None if not found.any() else np.tile(change(found), (view.rows, 1))

        which = "the labels of all rows" + (", class 0 for ignored ones" if padding else "")
        return _scored(
            f"{what}{', padded' if padding else ''}", f"every row is scored against {which}{what}", advice, hits
        )

    for padding in (False, True):
        yield every(" at once, each class that occurs", lambda n: (n > 0).astype(np.float64), padding=padding)
        yield every(", their mean", lambda n: n / n.sum(), padding=padding)
        yield every(", added up", lambda n: n, padding=padding)


def _flat() -> Iterator[Variation]:
    """i S + y as the place in the logits one after the other, with another S than the number of classes."""
    strides: tuple[tuple[str, Callable[[View], int]], ...] = (
        ("the number of rows", lambda v: v.rows),
        ("the number of classes less one", lambda v: v.classes - 1),
        ("the number of classes and one", lambda v: v.classes + 1),
        ("1", lambda v: 1),
    )
    for what, stride in strides:

        def hits(view: View, classes: int, stride: Callable[[View], int] = stride) -> np.ndarray | None:
            assert view.raw_labels is not None
            labels = np.where(view.counted, view.raw_labels, 0)
            size = view.rows * classes
            found = np.zeros(size)
            found[(np.arange(view.rows) * stride(view) + labels) % size] = 1.0
            return found.reshape(view.rows, classes)

        yield _scored(
            f"flat labels, stride {what}",
            f"labels are looked up in the logits one after the other at i S + y, with {what} for S",
            "rows begin every C elements: i C + y, C the number of classes",
            hits,
        )


def _square() -> Variation:
    """[N, 1] - [N] is [N, N]: every normaliser meets every target, and a mask [N] leaves out columns alone."""

    def make(m: M, z: V, t: Targets[V], view: View) -> V | None:
        if view.weight is not None or not view.truth.reduced or not view.counted.any():
            return None
        rows, valid = float(view.rows), float(view.counted.sum())
        return m.logsumexp(z) * m.exact(valid) - picked(m, z, t) * m.exact(rows)

    return loss_slip(
        "N by N",
        FACTOR,
        "every row's normaliser meets every row's target: [N, 1] and [N] broadcast to [N, N], of which a mask of "
        "shape [N] leaves out the targets of ignored rows, and not their normalisers",
        "take both as [N] (or both as [N, 1]) before they are subtracted",
        make,
    )
