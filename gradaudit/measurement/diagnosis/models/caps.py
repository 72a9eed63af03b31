"""Slips of a softcap c tanh(z / c): left out, half of it, at the wrong place, and its slope in the backward."""

# ruff: noqa: ARG005 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Callable

from gradaudit.measurement.diagnosis.models.variation import (
    M,
    V,
    Variation,
    adjusted,
    capped,
    reference_logits,
    scaled,
)
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics.ball import Ball, BallAlgebra

FACTOR = "logit-transform-factor"
Make = Callable[[M, V, View], V | None]
Slope = Callable[[BallAlgebra, Ball, Ball], Ball]
"""m, logits, capped logits -> the slope of the cap."""


def variations(view: View) -> list[Variation]:
    """The slips that exist where the logits are capped."""
    cap = view.number("softcap", 0.0)
    if not cap:
        return []

    def entry(name: str, statement: str, make: Make) -> Variation:
        advice = f"cap the logits by {cap:g} * tanh(z / {cap:g})"
        return Variation("logits", name, FACTOR, statement, advice, make)

    def slope_lost(m: M, x: V, view: View) -> V:
        z = scaled(m, x, view)
        return z + m.stop_gradient(capped(m, z, view) - z)

    def wrong_slope(slope: Slope) -> Make:
        def make(m: M, x: V, view: View) -> V:
            z = scaled(m, x, view)
            value = capped(m, z, view).value
            factor = slope(view.m, z.value, value)
            return adjusted(m, m.node(value, (z, lambda g: g * factor)), view)

        return make

    def square(m: BallAlgebra, a: Ball, divisor: float = 1.0) -> Ball:
        part = a / m.exact(divisor)
        return m.exact(1.0) - part * part

    slopes: tuple[tuple[str, Slope], ...] = (
        (f"1 - (z / {cap:g})^2, z not capped", lambda m, z, y: square(m, z, cap)),
        (f"1 - y^2, y the capped logit, not divided by {cap:g}", lambda m, z, y: square(m, y)),
        ("1 - tanh(z)^2", lambda m, z, y: m.tanh_slope(z)),
        (f"1 - tanh(y / {cap:g})^2, y the capped logit", lambda m, z, y: m.tanh_slope(y / m.exact(cap))),
        (f"{cap:g} (1 - tanh(z / {cap:g})^2)", lambda m, z, y: square(m, y, cap) * m.exact(cap)),
        (f"(1 - tanh(z / {cap:g})^2) / {cap:g}", lambda m, z, y: square(m, y, cap) / m.exact(cap)),
        (f"1 - tanh(z / {cap:g})", lambda m, z, y: m.exact(1.0) - y / m.exact(cap)),
    )
    return [
        entry("no softcap", "the softcap is not applied", scaled),
        entry(
            "softcap times the logit",
            f"the cap is z * tanh(z / {cap:g}), which never saturates, instead of {cap:g} * tanh(z / {cap:g})",
            lambda m, x, v: scaled(m, x, v) * m.tanh(scaled(m, x, v) / m.parameter(cap)),
        ),
        entry(
            "softcap without its factor",
            f"the cap is tanh(z / {cap:g}), without the factor {cap:g}",
            lambda m, x, v: m.tanh(scaled(m, x, v) / m.parameter(cap)),
        ),
        entry(
            "softcap without its divisor",
            f"the cap is {cap:g} * tanh(z), without the division by {cap:g}",
            lambda m, x, v: m.tanh(scaled(m, x, v)) * m.parameter(cap),
        ),
        entry(
            "softcap cut off",
            f"logits are cut to [-{cap:g}, {cap:g}] instead of being capped smoothly",
            lambda m, x, v: m.clip(scaled(m, x, v), -cap, cap),
        ),
        entry(
            "softcap without its slope", "the gradient lacks the slope 1 - tanh(z / c)^2 of the softcap", slope_lost
        ),
        *(
            entry(
                f"softcap's slope: {formula}",
                f"the gradient's slope of the softcap is {formula}, where 1 - tanh(z / {cap:g})^2 is due",
                wrong_slope(slope),
            )
            for formula, slope in slopes
        ),
        entry(
            "softcap before the scale",
            "the softcap is applied before the logit scale and the temperature instead of after them",
            lambda m, x, v: scaled(m, m.tanh(x / m.parameter(cap)) * m.parameter(cap), v),
        ),
        entry(
            "softcap twice",
            "the softcap is applied twice",
            lambda m, x, v: capped(m, reference_logits(m, x, v), v),
        ),
    ]
