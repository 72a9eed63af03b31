"""Clamps and epsilons between a probability and its logarithm."""

# ruff: noqa: ARG001, ARG005 - each slip takes what its stage is given
from __future__ import annotations

import math

import numpy as np

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, loss_slip, picked, weighted
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics import formats

CLAMPED = "clamped-probability"
ADVICE = "use log_softmax: -log p needs neither a clamp nor an epsilon, however small p is"

EPSILONS = (*tuple(float(f"1e-{k}") for k in range(1, 21)), 1e-30, 1e-38, 1e-45, 1e-37, 1e-300)


SINGLE = float(np.finfo(np.float32).tiny)


def epsilons(dtype: str) -> list[tuple[float, str]]:
    """Numbers that people add to probabilities, with their names."""
    form = formats.get(dtype)
    named = [(value, f"{value:g}") for value in EPSILONS]
    named += [
        (2.0 * form.unit_roundoff, f"the spacing of {dtype} at 1"),
        (form.smallest_normal, f"{dtype}'s smallest normal number"),
    ]
    named += [(form.smallest_subnormal, f"{dtype}'s smallest number"), (2.0**-23, "the spacing of float32 at 1")]
    named += [(2.0**-52, "the spacing of float64 at 1")]
    if dtype == "float64":
        # A constant that was written as a float32: MXNet's, in a kernel for every dtype.
        named += [(float(np.float32(value)), f"{value:g} in float32") for value in EPSILONS if value >= SINGLE]
    distinct: dict[float, str] = {}
    for value, text in named:
        if value > 0.0:
            distinct.setdefault(value, text)
    return sorted(distinct.items(), reverse=True)


def variations(view: View) -> list[Variation]:
    """Every clamp by a number that people use."""
    found: list[Variation] = []
    for value, text in epsilons(view.inputs.dtype):
        found += clamps(value, text)
    return [*found, *_cut_losses(), *_smoothed(view)]


def clamps(value: float, text: str) -> list[Variation]:
    """Every way in which `value` may get between a probability and its logarithm."""
    level = -math.log(value)
    named = f"{value:g}" if float(f"{value:g}") == value else text
    capped = f"the loss levels off at {level:.6g} = -log({text})"

    def clip(m: M, z: V, t: Targets[V], v: View, high: float | None) -> V:
        loss = -picked(m, m.log(m.clip(m.softmax(z), value, high)), t)
        return loss if high is None else rounded_end(m, loss, v)

    return [
        loss_slip(
            f"p >= {named}",
            CLAMPED,
            f"probabilities are cut off below {text}: {capped}, and the gradient is 0 beyond",
            ADVICE,
            lambda m, z, t, v: clip(m, z, t, v, None),
            rarely=True,
        ),
        loss_slip(
            f"{named} <= p <= 1 - {named}",
            CLAMPED,
            f"probabilities are cut to [{text}, 1 - {text}]: {capped}, and the gradient is 0 beyond either end",
            ADVICE,
            lambda m, z, t, v: clip(m, z, t, v, 1.0 - value),
            rarely=True,
        ),
        loss_slip(
            f"log(p + {named})",
            CLAMPED,
            f"{text} is added to the probabilities inside the logarithm: {capped}, and the gradient is too small by "
            f"p / (p + {text})",
            ADVICE,
            lambda m, z, t, v: -picked(m, m.log(m.softmax(z) + m.parameter(value)), t),
            rarely=True,
        ),
        loss_slip(
            f"{named} <= p <= 1 - {named}, divided by their sum",
            CLAMPED,
            f"probabilities are cut to [{text}, 1 - {text}] and divided by their sum again: the loss levels off near "
            f"{level:.6g} = -log({text})",
            ADVICE,
            lambda m, z, t, v: rounded_end(m, _renormalised(m, m.clip(m.softmax(z), value, 1.0 - value), t), v),
            rarely=True,
        ),
    ]


def _renormalised(m: M, p: V, t: Targets[V]) -> V:
    return weighted(m, m.log(m.sum(p)), t) - picked(m, m.log(p), t)


LEVELS = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 50.0, 100.0)
"""Where people cut the loss of a row off."""


def _cut_losses() -> list[Variation]:
    """-log p itself cut off, at a number that is the -log of no short epsilon."""
    return [
        loss_slip(
            f"-log p <= {level:g}",
            CLAMPED,
            f"the loss of a row is cut off at {level:g}, and the gradient of such a row is 0",
            "leave -log p as it is: its gradient is bounded already",
            lambda m, z, t, v, level=level: picked(m, m.clip(-m.log_softmax(z), None, level), t),
            rarely=True,
        )
        for level in LEVELS
    ]


def _smoothed(view: View) -> list[Variation]:
    """Label smoothing of the probabilities, in the place of the labels."""
    eps = view.number("label_smoothing", 0.0)
    if not eps or view.block.labels is None or view.weight is not None:
        return []

    def make(m: M, z: V, t: Targets[V], v: View) -> V:
        counted = m.exact(v.counted.astype(np.float64)[:, None])
        mixed = m.softmax(z) * m.parameter(1.0 - eps) + m.parameter(eps / v.truth.layout.active_classes)
        assert v.block.labels is not None
        labels = v.block.labels if v.active is None else np.searchsorted(v.active, v.block.labels)
        return -(counted * m.take(m.log(mixed), labels.clip(0, m.shape(z)[-1] - 1)))

    return [
        loss_slip(
            "probabilities smoothed",
            "smoothing-convention",
            "the probabilities are smoothed, (1 - eps) p + eps / C, and not the labels",
            "mix the labels with the uniform distribution, and take log p as it is",
            make,
        )
    ]


def rounded_end(m: M, loss: V, view: View) -> V:
    """A loss that may end at -log(1 - eps): 1 - eps is rounded to the dtype, and -log of it is as far off."""
    u = max(view.m.arithmetic.u_operation, view.m.arithmetic.u_result)
    return loss + m.constant(view.m.ball(np.zeros((1, 1)), np.full((1, 1), 2.0 * u)))
