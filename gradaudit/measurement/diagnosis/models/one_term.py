"""What happens to the logits in one of both terms of logsumexp(z) - z_y only: a scale, a cap, an offset, a shift."""

# ruff: noqa: ARG001 - each slip takes what its stage is given
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from gradaudit.functions.rows import Targets
from gradaudit.measurement.diagnosis.models.variation import (
    M,
    V,
    Variation,
    adjusted,
    capped,
    lifted_mass,
    loss_slip,
    picked,
    reference_logits,
    reference_mass,
    scaled,
    scattered,
    weighted,
)
from gradaudit.measurement.diagnosis.prediction import Bounded, Prediction
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics.tape import Tape

FACTOR, DETACHED = "logit-transform-factor", "detached-path"
Change = Callable[[M, V, View], V]


def variations(view: View) -> list[Variation]:
    """The slips that exist for a loss of rows."""
    return [replace(slip, rarely=True) for slip in (*_transforms(view), *_shifts())]


# -- transforms ------------------------------------------------------------------------------------------------------


def _transforms(view: View) -> Iterator[Variation]:
    """The loss from logits without one of the transforms, in its normaliser or at its target."""
    if view.function != "cross_entropy" or view.parameters.get("z_loss"):
        return
    whole = reference_logits
    for what, without in _left_out(view):
        for where, other, normaliser, target in (
            ("normaliser", "target's term", without, whole),
            ("target's term", "normaliser", whole, without),
        ):
            yield _slip(
                f"{what} missing in the {where}",
                f"in logsumexp(z) - z_y {what} is missing in the {where}; in the {other} it is there",
                normaliser,
                target,
            )
    if isinstance(view.parameters.get("logit_adjustment"), tuple):
        plain = _unadjusted
        yield _slip(
            "adjustment added to the loss",
            "the logit adjustment of the label is added to the loss, a constant, and to no logit",
            plain,
            lambda m, x, v: adjusted(m, plain(m, x, v), v, -1.0),
        )


def _slip(name: str, statement: str, normaliser: Change, target: Change) -> Variation:
    advice = "transform the logits once, and take the normaliser and the target's logit of the same ones"
    return Variation("whole", name, FACTOR, statement, advice, lambda v: _parted(v, normaliser, target))


def _unadjusted(m: M, x: V, view: View) -> V:
    return capped(m, scaled(m, x, view), view)


def _left_out(view: View) -> Iterator[tuple[str, Change]]:
    if view.number("temperature", 1.0) != 1.0 or view.number("logit_scale", 1.0) != 1.0:
        yield "the scale of the logits", lambda m, x, v: adjusted(m, capped(m, x, v), v)
    if view.number("softcap", 0.0):
        yield "the softcap", lambda m, x, v: adjusted(m, scaled(m, x, v), v)
    if isinstance(view.parameters.get("logit_adjustment"), tuple):
        yield "the logit adjustment", _unadjusted


def _parted(view: View, normaliser: Change, target: Change) -> Prediction:
    columns = view.active
    m: M = Tape(view.m)
    x = m.variable(view.m.exact(view.x if columns is None else view.x[:, columns]))
    t = lifted_mass(m, reference_mass(view), columns)
    loss = weighted(m, m.logsumexp(normaliser(m, x, view)), t) - picked(m, target(m, x, view), t)
    gradient = m.gradient(loss, view.m.exact(view.row_upstream), x)
    return Prediction(Bounded.of(loss.value), scattered(view, gradient, columns))


# -- shifts ----------------------------------------------------------------------------------------------------------


def _shifts() -> Iterator[Variation]:
    """logsumexp(z - c) - (z_y - c), with c differentiated in one of both terms: its slope is left in the gradient."""
    shifts: tuple[tuple[str, Callable[[M, V], V]], ...] = (
        ("the row's largest logit", lambda m, z: m.maximum(z)),
        ("the row's mean", lambda m, z: m.mean(z)),
    )
    for what, shift in shifts:
        for detached, other, sign in (("normaliser", "target's term", 1.0), ("target's term", "normaliser", -1.0)):
            make = _shifted(shift, sign)

            yield replace(
                loss_slip(
                    f"{what} detached in the {detached}",
                    DETACHED,
                    f"{what} is subtracted from the logits and differentiated in the {other} only: its derivative is "
                    "left in the gradient",
                    "detach the shift in both terms, or in neither",
                    make,
                ),
                backward=True,
            )


def _shifted(shift: Callable[[M, V], V], sign: float) -> Callable[[M, V, Targets[V], View], V]:
    def make(m: M, z: V, t: Targets[V], view: View) -> V:
        c = shift(m, z)
        slope = (c - m.stop_gradient(c)) * m.exact(sign)
        return weighted(m, m.logsumexp(z) + slope, t) - picked(m, z, t)

    return make
