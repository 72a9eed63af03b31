"""Slips in targets that are probabilities."""

# ruff: noqa: ARG005 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradaudit.measurement.diagnosis.models.variation import Mass, Variation, hot_rows
from gradaudit.measurement.diagnosis.view import View

SMOOTHING, MASS, WEIGHTS, LABELS = "smoothing-convention", "target-mass", "class-weights", "labels-misaligned"
TWICE = "softmax-applied-twice"
LEVELS = (0.1, 0.05, 0.02, *(float(f"1e-{k}") for k in range(2, 11)))
"""What target probabilities are kept above."""


def variations(view: View) -> list[Variation]:
    """The slips that exist for soft targets."""
    found: list[Variation] = []

    def entry(
        name: str, fault: str, statement: str, advice: str, change: Callable[[np.ndarray, View], np.ndarray]
    ) -> None:
        def make(view: View) -> Mass | None:
            assert view.block.soft is not None
            changed = change(view.block.soft, view)
            if np.array_equal(changed, view.block.soft):
                return None
            eps = view.number("label_smoothing", 0.0)
            weight = np.ones(view.classes) if view.weight is None else view.weight
            return Mass(dense=weight * ((1.0 - eps) * changed + eps / view.truth.layout.active_classes))

        found.append(Variation("targets", name, fault, statement, advice, make))

    take = "use the target probabilities as they are"
    entry(
        "targets normalised",
        MASS,
        "the targets are divided by their sum, though they need not add up to 1",
        take,
        lambda t, v: t / np.maximum(t.sum(axis=1, keepdims=True), 1e-300),
    )
    entry(
        "targets through softmax",
        TWICE,
        "the target probabilities go through softmax as if they were logits",
        take,
        lambda t, v: np.exp(t) / np.exp(t).sum(axis=1, keepdims=True),
    )
    entry(
        "hardest target only",
        MASS,
        "only the largest target probability is used, as a hard label",
        take,
        lambda t, v: hot_rows(v, np.argmax(t, axis=1)),
    )
    entry("targets squared", MASS, "the target probabilities are squared", take, lambda t, v: t * t)
    entry(
        "largest target alone",
        MASS,
        "all target probabilities but the largest are dropped",
        take,
        lambda t, v: t * hot_rows(v, np.argmax(t, axis=1)),
    )
    entry(
        "targets reversed", LABELS, "the targets run through the rows in reversed order", take, lambda t, v: t[::-1]
    )
    for value in (0.5, 3.0, 4.0):
        entry(
            f"targets to the power {value:g}",
            MASS,
            f"the target probabilities are raised to the power {value:g}",
            take,
            lambda t, v, value=value: t**value,  # type: ignore[misc]
        )
    for value in (0.5, 2.0, 3.0, 4.0):
        entry(
            f"targets sharpened by {value:g}",
            MASS,
            f"the target probabilities are raised to the power {value:g} and divided by their sum",
            take,
            lambda t, v, value=value: t**value / np.maximum((t**value).sum(axis=1, keepdims=True), 1e-300),  # type: ignore[misc]
        )
    for value in LEVELS:
        entry(
            f"targets >= {value:g}",
            MASS,
            f"target probabilities below {value:g} are raised to {value:g}",
            take,
            lambda t, v, value=value: np.maximum(t, value),  # type: ignore[misc]
        )
        entry(
            f"targets + {value:g}",
            MASS,
            f"{value:g} is added to every target probability",
            take,
            lambda t, v, value=value: t + value,  # type: ignore[misc]
        )
    for k in (1, -1):
        entry(
            f"targets {k:+d} rows",
            LABELS,
            f"row i is scored against the targets of row i{k:+d}, round the end",
            take,
            lambda t, v, k=k: np.roll(t, -k, axis=0),  # type: ignore[misc]
        )
        entry(
            f"targets {k:+d} classes",
            LABELS,
            f"class j is scored against the target of class j{k:+d}, round the end",
            take,
            lambda t, v, k=k: np.roll(t, -k, axis=1),  # type: ignore[misc]
        )
    if view.number("label_smoothing", 0.0):
        eps = view.number("label_smoothing", 0.0)
        found.append(
            Variation(
                "targets",
                "no smoothing",
                SMOOTHING,
                f"label smoothing by {eps:g} is not applied to soft targets",
                "mix the targets with the uniform distribution: (1 - eps) q + eps / C",
                lambda v: Mass(dense=(np.ones(v.classes) if v.weight is None else v.weight) * v.block.soft),
            )
        )
    if view.weight is not None:
        found.append(
            Variation(
                "targets",
                "weights dropped",
                WEIGHTS,
                "the class weights have no effect",
                "multiply each target probability by the weight of its class",
                lambda v: Mass(
                    dense=(1.0 - v.number("label_smoothing", 0.0)) * v.block.soft
                    + v.number("label_smoothing", 0.0) / v.truth.layout.active_classes
                ),
            )
        )
    return found
