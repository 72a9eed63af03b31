"""Slips on the way from the logits to softmax: scales, caps, masks, weights in the wrong place, softmax twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradaudit.measurement.diagnosis.models import caps
from gradaudit.measurement.diagnosis.models.variation import (
    M,
    V,
    Variation,
    adjusted,
    capped,
    reference_logits,
)
from gradaudit.measurement.diagnosis.view import View

Make = Callable[[M, V, View], V | None]
FACTOR, TWICE, WEIGHTS = "logit-transform-factor", "softmax-applied-twice", "class-weights"
MASKED = "logit-transform-factor"


def variations(view: View) -> list[Variation]:
    """The slips that exist for the function of `view`."""
    found = [*_scales(view), *caps.variations(view), *_masks(view), *_weights(view)]
    found.append(_entry("softmax twice", TWICE, *_TWICE_TEXT, lambda m, x, v: m.softmax(reference_logits(m, x, v))))
    found += [
        _entry(
            "negated logits",
            "sign-flipped",
            "the logits enter softmax with the opposite sign",
            "take exp(x), not exp(-x)",
            lambda m, x, v: -reference_logits(m, x, v),
        ),
        _entry(
            "sigmoid before softmax",
            TWICE,
            "the logits pass through a sigmoid before softmax",
            "give the loss logits, not probabilities",
            lambda m, x, v: m.share(reference_logits(m, x, v), m.exact(0.0)),
        ),
    ]
    return found + [_cut(bound) for bound in BOUNDS]


def scaled_by(factor: float) -> Variation:
    """Logits multiplied by a number that is none of the parameters."""
    return _entry(
        f"scale {factor:.6g}, fitted",
        FACTOR,
        f"softmax is taken of the logits x {factor:.6g}, which is not logit_scale / temperature",
        "multiply the logits by logit_scale / temperature once, forward and backward",
        lambda m, x, v: adjusted(m, capped(m, x * m.parameter(factor), v), v),
        rarely=True,
    )


MASKS = (1.0, 5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0, 1e3, 1e4)
"""How far down people put the logits of masked classes."""

BOUNDS = (5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 60.0, 80.0, 88.0, 100.0)
"""Where logits are cut off in practice."""


def _cut(bound: float) -> Variation:
    return Variation(
        "logits",
        f"logits cut at {bound:g}",
        "clamped-probability",
        f"logits are cut to [-{bound:g}, {bound:g}]: beyond, the loss levels off and the gradient is 0",
        "remove the clamp; softmax needs none once the row's largest logit is subtracted",
        lambda m, x, v: m.clip(reference_logits(m, x, v), -bound, bound),
        rarely=True,
    )


_TWICE_TEXT = (
    "softmax is applied twice: the loss gets probabilities where it expects logits",
    "give the loss the logits, or take the logarithm of the probabilities it is given",
)


def _entry(
    name: str, fault: str, statement: str, advice: str, make: Make, *, everywhere: bool = False, rarely: bool = False
) -> Variation:
    return Variation("logits", name, fault, statement, advice, make, all_classes=everywhere, rarely=rarely)


def _scales(view: View) -> list[Variation]:
    t, s = view.number("temperature", 1.0), view.number("logit_scale", 1.0)
    found: list[Variation] = []

    def add(factor: float, text: str) -> None:
        known = {round(each, 12) for each in seen}
        if round(factor, 12) in known:
            return
        seen.append(factor)
        found.append(
            _entry(
                f"scale {factor:.6g}",
                FACTOR,
                f"softmax is taken of the logits x {factor:.6g} instead of x {s / t:.6g}: {text}",
                f"multiply the logits by logit_scale / temperature = {s / t:.6g} once, forward and backward",
                lambda m, x, v: adjusted(m, capped(m, x * m.parameter(factor), v), v),
                rarely=rarely,
            )
        )

    seen = [s / t]
    rarely = False
    if t != 1.0:
        add(s, "the temperature is dropped")
        add(s * t, "the temperature multiplies where it should divide")
        add(s / (t * t), "the temperature is applied twice")
        add(s / float(np.sqrt(t)), "the square root of the temperature is taken")
        add(s / float(np.logaddexp(t, 0.0)), "softplus of the temperature is taken")
        add(s / float(np.exp(t)), "the temperature is taken for a logarithm")
        add(s / (t + 1.0), "1 is added to the temperature")
        for whole in dict.fromkeys((float(np.trunc(t)), float(np.ceil(t)))):
            if whole:
                add(s / whole, f"the temperature is rounded to {whole:g}, as an integer")
    if s != 1.0:
        add(1.0 / t, "the logit scale is dropped")
        add(1.0 / (s * t), "the logit scale divides where it should multiply")
        add(s * s / t, "the logit scale is applied twice")
        add(float(np.sqrt(s)) / t, "the square root of the logit scale is taken")
        add(float(np.exp(s)) / t, "the logit scale is taken for a logarithm")
    if t != 1.0 and s != 1.0:
        add(1.0, "neither the logit scale nor the temperature is applied")
        add(t / s, "both are applied the wrong way round")
    if t == 1.0 and s == 1.0:
        rarely = True
        classes = view.truth.layout.active_classes
        for factor, text in (
            (2.0, "they are doubled"),
            (0.5, "they are halved"),
            (1.0 / np.sqrt(classes), "they are divided by the square root of the number of classes"),
            (1.0 / np.log(2.0), "powers of 2 are mixed with powers of e"),
            (np.log(2.0), "powers of 2 are mixed with powers of e"),
        ):
            add(float(factor), text)
    return found


def _masks(view: View) -> list[Variation]:
    if view.active is None:
        return []
    kept = np.isin(np.arange(view.classes), view.active)

    def zeroed(m: M, x: V, view: View) -> V:
        z = reference_logits(m, x, view)
        return m.where(kept[None, :], z, m.exact(np.zeros((1, view.classes))))

    def filled(value: float) -> Make:
        def make(m: M, x: V, view: View) -> V:
            return m.where(kept[None, :], reference_logits(m, x, view), m.exact(np.full((1, view.classes), -value)))

        return make

    def lowered(value: float) -> Make:
        return lambda m, x, v: reference_logits(m, x, v) - m.exact(np.where(kept[None, :], 0.0, value))

    ways: tuple[tuple[str, Callable[[float], str], Callable[[float], Make]], ...] = (
        ("mask by -", lambda k: f"masked logits are set to {-k:g}, which is not far enough below the others", filled),
        ("mask less", lambda k: f"masked logits are lowered by {k:g}, which is not far enough", lowered),
    )
    advice = "give masked classes a logit of -inf (or leave them out) before softmax"
    return [
        _entry("no mask", MASKED, "masked classes take part", advice, reference_logits, everywhere=True),
        _entry(
            "mask by zeros",
            MASKED,
            "masked logits are set to 0, and exp(0) = 1 takes part",
            advice,
            zeroed,
            everywhere=True,
        ),
        *(
            _entry(f"{how} {value:g}", MASKED, statement(value), advice, make(value), everywhere=True, rarely=True)
            for value in MASKS
            for how, statement, make in ways
        ),
    ]


def _weights(view: View) -> list[Variation]:
    if view.weight is None:
        return []

    def entry(name: str, statement: str, make: Make) -> Variation:
        return _entry(name, WEIGHTS, statement, "multiply the loss of a row by the weight of its label", make)

    def weight(view: View) -> np.ndarray:
        assert view.weight is not None
        return view.weight[None, :] if view.active is None else view.weight[None, view.active]

    return [
        entry(
            "weights in the logits",
            "the class weights multiply the logits, before softmax",
            lambda m, x, v: reference_logits(m, x, v) * m.exact(weight(v)),
        ),
        entry(
            "weights in the exponentials",
            "the class weights multiply the exponentials inside softmax",
            lambda m, x, v: (
                reference_logits(m, x, v) + m.log(m.exact(np.broadcast_to(weight(v), (v.rows, weight(v).shape[1]))))
            ),
        ),
    ]
