"""Ignored rows that have a gradient or a loss all the same: what it consists of."""

# ruff: noqa: ARG005 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gradaudit.measurement.diagnosis.models.variation import M, Mass, V, lifted_mass, reference_logits, reference_loss
from gradaudit.measurement.diagnosis.prediction import Bounded, Prediction
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics.tape import Tape

Make = Callable[[M, V, View], V | None]


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """What an ignored row contributes, by its loss; `statement` describes its gradient."""

    name: str
    statement: str
    make: Make = field(repr=False)


def leaks(view: View) -> list[Leak]:
    """What may leak from rows with such a label."""
    if not view.truth.function.takes_targets or view.raw_labels is None or view.inputs.reading != "logits":
        return []
    eps = view.number("label_smoothing", 0.0)
    found = [Leak("p", "p: only the target's term was dropped", lambda m, z, v: m.logsumexp(z))]
    places: list[tuple[str, Callable[[View], int]]] = [
        ("class 0", lambda v: 0),
        ("the last class", lambda v: v.classes - 1),
        ("class 1", lambda v: 1),
        ("the class of that number", _wrapped),
    ]
    for text, place in places:
        found.append(
            Leak(
                f"p - e of {text}",
                f"p - y for {text}: the row is scored like any other",
                _scored(place, smoothed=True),
            )
        )
    if eps:
        found.append(
            Leak(
                "eps (p - 1/C)",
                "eps (p - 1/C): the uniform part of label smoothing forgets the mask",
                lambda m, z, v: -(m.mean(m.log_softmax(z)) * m.parameter(eps)),
            )
        )
        for text, place in places[:2]:
            found.append(
                Leak(f"(1 - eps) part, {text}", f"(1 - eps)(p - y) for {text}", _scored(place, smoothed=False))
            )
    found.append(Leak("-e_0", "-1 at class 0", lambda m, z, v: -m.take(z, np.zeros(v.rows, dtype=np.int64))))
    found.append(Leak("p - 1/C", "p - 1/C", lambda m, z, v: -m.mean(m.log_softmax(z))))
    return found


def _wrapped(view: View) -> int:
    ignore = view.parameters.get("ignore_index")
    return ignore % view.classes if isinstance(ignore, int) else 0


def _scored(place: Callable[[View], int], *, smoothed: bool) -> Make:
    def make(m: M, z: V, view: View) -> V | None:
        k = place(view)
        width = m.shape(z)[-1]
        if not 0 <= k < width:
            return None
        labels = np.full(view.rows, k, dtype=np.int64)
        eps = view.number("label_smoothing", 0.0)
        own = np.ones((view.rows, 1))
        if not eps or not smoothed:
            mass = Mass(labels, own * (1.0 - eps))
        else:
            dense = np.full((view.rows, view.classes), eps / view.truth.layout.active_classes)
            dense[:, k] += 1.0 - eps
            mass = Mass(dense=dense)
        return reference_loss(m, z, lifted_mass(m, mass, view.active), view)

    return make


def predict_leak(view: View, leak: Leak) -> Prediction | None:
    """Loss and gradient of such rows with the multipliers that rows that count have without weights."""

    def make() -> Prediction | None:
        m: M = Tape(view.m)
        x = m.variable(view.m.exact(view.x if view.active is None else view.x[:, view.active]))
        with np.errstate(all="ignore"):
            loss = leak.make(m, reference_logits(m, x, view), view)
            if loss is None:
                return None
            gradient = Bounded.of(m.gradient(loss, view.m.exact(view.row_upstream), x))
        if view.active is not None:
            mid, rad = np.zeros(view.x.shape), np.zeros(view.x.shape)
            mid[:, view.active], rad[:, view.active] = gradient.mid, gradient.rad
            gradient = Bounded(mid, rad)
        return Prediction(Bounded.of(loss.value), gradient)

    result = view.remembered(("leak", leak.name), make)
    assert result is None or isinstance(result, Prediction)
    return result
