"""The function's other parameters: dropped, doubled, of the wrong sign, of the wrong class."""

# ruff: noqa: ARG001, ARG005 - each slip takes what its stage is given
from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from gradaudit.measurement.diagnosis.models import focal
from gradaudit.measurement.diagnosis.models.variation import M, V, Variation, adjusted, capped, hot_rows, scaled
from gradaudit.measurement.diagnosis.view import View

DONE_ELSEWHERE = {"temperature", "logit_scale", "label_smoothing", "softcap", "weight", "ignore_index"}
TERM, FACTOR, WEIGHTS = "reduction-factor", "logit-transform-factor", "class-weights"
USUAL = {"gamma": (0.5, 1.5, 3.0, 5.0), "scale": (16.0, 30.0, 32.0, 64.0), "margin": (0.1, 0.2, 0.35, 0.4, 0.5)}
"""Values that are found in code, wherever they come from."""

OF_LOGITS = {"scale", "margin", "cap", "logit_adjustment"}
"""Parameters of a transform of the logits; the others weigh terms of the loss."""


def variations(view: View) -> list[Variation]:
    """The slips that exist for the function of `view`."""
    found: list[Variation] = []
    for parameter in view.truth.function.parameters:
        if parameter.name in DONE_ELSEWHERE:
            continue
        value = view.parameters.get(parameter.name)
        if isinstance(value, float) and value != 0.0:
            found += _numbers(parameter.name, value)
        elif (
            isinstance(value, tuple) and value and parameter.kind == "floats" and parameter.name != "logit_adjustment"
        ):
            found += _lists(parameter.name, tuple(float(each) for each in value))
        elif parameter.kind == "choice" and parameter.name != "reduction":
            found += _choices(parameter.name, str(value), parameter.choices)
    return [*found, *_adjustments(view), *focal.variations(view), *_caps(view)]


def _entry(name: str, statement: str, key: str, value: object) -> Variation:
    fault = FACTOR if key in OF_LOGITS else WEIGHTS if isinstance(value, tuple) or value is None else TERM
    return Variation("parameters", name, fault, statement, f"use {key} as it was asked for", lambda v: {key: value})


def _numbers(key: str, value: float) -> list[Variation]:
    found, seen = [], [value]
    changes: tuple[tuple[str, Callable[[float], float]], ...] = (
        ("dropped", lambda v: 0.0),
        ("doubled", lambda v: 2.0 * v),
        ("halved", lambda v: v / 2.0),
        ("negated", lambda v: -v),
        ("replaced by 1", lambda v: 1.0),
        ("squared", lambda v: v * v),
        ("replaced by its square root", lambda v: math.sqrt(abs(v))),
        ("inverted", lambda v: 1.0 / v),
        ("too large by 1", lambda v: v + 1.0),
        ("too small by 1", lambda v: v - 1.0),
        *((f"{value:g} instead", lambda v, value=value: value) for value in USUAL.get(key, ())),
    )
    for text, change in changes:
        wrong = change(value)
        if any(wrong == other for other in seen) or (key in {"scale", "cap"} and wrong <= 0.0):
            continue
        seen.append(wrong)
        found.append(_entry(f"{key} {text}", f"{key} is {text}: {wrong:g} takes the place of {value:g}", key, wrong))
    return found


def _lists(key: str, values: tuple[float, ...]) -> list[Variation]:
    array = np.array(values)
    changes: tuple[tuple[str, object], ...] = (
        ("dropped", None),
        ("1 - each", tuple((1.0 - array).tolist())),
        ("squared", tuple((array * array).tolist())),
        ("square roots", tuple(np.sqrt(np.abs(array)).tolist())),
        ("reversed", tuple(array[::-1].tolist())),
        ("shifted by a class", tuple(np.roll(array, 1).tolist())),
    )
    return [
        _entry(f"{key}: {text}", f"{key}, one number for each class: {text}", key, value) for text, value in changes
    ]


def _choices(key: str, value: str, choices: tuple[str, ...]) -> list[Variation]:
    return [
        _entry(f"{key} {other}", f"{key} is {other}, not {value}", key, other) for other in choices if other != value
    ]


# -- offsets of the logits, and caps ---------------------------------------------------------------------------------


def _adjustments(view: View) -> list[Variation]:
    if not isinstance(view.parameters.get("logit_adjustment"), tuple):
        return []

    def entry(name: str, statement: str, make: Callable[[M, V, View], V | None]) -> Variation:
        return Variation("logits", name, FACTOR, statement, "add the adjustment of each class to its logit", make)

    def plain(m: M, x: V, view: View) -> V:
        return capped(m, scaled(m, x, view), view)

    def offsets(view: View) -> np.ndarray:
        own = np.array([view.parameters["logit_adjustment"]], dtype=np.float64)
        return own if view.active is None else own[:, view.active]

    def at_label(view: View) -> np.ndarray:
        assert view.block.labels is not None
        hot = hot_rows(view, view.block.labels)
        return hot if view.active is None else hot[:, view.active]

    return [
        entry("no adjustment", "the logit adjustment is not applied", lambda m, x, v: capped(m, scaled(m, x, v), v)),
        entry(
            "adjustment subtracted",
            "the logit adjustment is subtracted, not added",
            lambda m, x, v: adjusted(m, capped(m, scaled(m, x, v), v), v, -1.0),
        ),
        entry(
            "adjustment twice",
            "the logit adjustment is applied twice",
            lambda m, x, v: adjusted(m, capped(m, scaled(m, x, v), v), v, 2.0),
        ),
        entry(
            "adjustment exponentiated",
            "exp(adjustment) is added: the prior itself, where its logarithm was meant",
            lambda m, x, v: plain(m, x, v) + m.exact(np.exp(offsets(v))),
        ),
        entry(
            "adjustment as a factor",
            "the logits are multiplied by the adjustment",
            lambda m, x, v: plain(m, x, v) * m.exact(offsets(v)),
        ),
        entry(
            "adjustment of the label alone",
            "the adjustment is added to the logit of the label only",
            lambda m, x, v: None if v.block.labels is None else plain(m, x, v) + m.exact(offsets(v) * at_label(v)),
        ),
        entry(
            "adjustment of all but the label",
            "the adjustment is added to every logit but that of the label",
            lambda m, x, v: (
                None if v.block.labels is None else plain(m, x, v) + m.exact(offsets(v) * (1.0 - at_label(v)))
            ),
        ),
    ]


def _caps(view: View) -> list[Variation]:
    """The function "softcap" itself."""
    if view.function != "softcap":
        return []
    cap = view.number("cap", 0.0)

    def entry(name: str, statement: str, make: Callable[[M, V, View], V]) -> Variation:
        return Variation("output", name, FACTOR, statement, f"return {cap:g} * tanh(z / {cap:g})", make)

    def slope_lost(m: M, z: V, view: View) -> V:
        c = m.parameter(cap)
        return z + m.stop_gradient(m.tanh(z / c) * c - z)

    return [
        entry("identity", "the cap is not applied", lambda m, z, v: z + m.exact(0.0)),
        entry("z tanh(z / c)", "z * tanh(z / c) never saturates", lambda m, z, v: z * m.tanh(z / m.parameter(cap))),
        entry("tanh(z / c)", "the factor c is missing", lambda m, z, v: m.tanh(z / m.parameter(cap))),
        entry("c tanh(z)", "the division by c is missing", lambda m, z, v: m.tanh(z) * m.parameter(cap)),
        entry("clip(z)", "logits are cut off instead of being capped smoothly", lambda m, z, v: m.clip(z, -cap, cap)),
        entry("no slope", "the gradient lacks the slope 1 - tanh(z / c)^2", slope_lost),
    ]
