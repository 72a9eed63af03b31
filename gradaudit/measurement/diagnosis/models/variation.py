"""What a model is made of: variations of single stages, and the prediction that a choice of them gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from gradaudit.functions.rows import Rows, Targets
from gradaudit.measurement.diagnosis.prediction import Bounded, Prediction
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics.ball import Ball
from gradaudit.numerics.tape import Tape, Variable
from gradaudit.reference.block import cut

V = Variable[Ball]
M = Tape[Ball]

STAGES = ("logits", "targets", "parameters", "loss", "output", "upstream", "jacobian", "whole")
"""Where a slip can happen: before softmax, in the targets, in the function's own parameters, in the loss of a row, in
the output of a function of classes, in its upstream gradient or Jacobian, or in what belongs to a row at all."""


@dataclass(frozen=True, slots=True, eq=False)
class Mass:
    """Targets as plain numbers: all mass of a row at its label, or [rows, classes]. `factor` multiplies loss and
    gradient (a denominator that changes with the targets)."""

    labels: np.ndarray | None = None
    mass: np.ndarray | None = None
    dense: np.ndarray | None = None
    factor: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Variation:
    """A slip in one stage, told by `fault` (the name of its rule), `statement` (what the code does) and `advice`.

    `make` replaces the stage: `logits(m, x, view)`, `targets(view)`, `parameters(view)`,
    `loss(m, z, mass, view)`, `output(m, z, view)`,
    `upstream(view)`, `jacobian(m, z, upstream, view)` over balls, or `whole(view)`, a prediction of its own; None
    where it does not exist for a view. `all_classes`: masked classes take part. `rarely` marks what is tried only on
    its own, `backward` what leaves the output as it is.
    """

    stage: str
    name: str
    fault: str
    statement: str
    advice: str
    make: Callable[..., Any] = field(repr=False)
    all_classes: bool = False
    rarely: bool = False
    backward: bool = False


NOTHING: Mapping[str, object] = MappingProxyType({})

Recipe = tuple[Variation, ...]
"""Slips of different stages, in the order of STAGES; empty for the reference."""


def key_of_recipe(recipe: Recipe) -> tuple[str, ...]:
    """What a recipe is remembered by."""
    return tuple(f"{variation.stage}: {variation.name}" for variation in recipe)


class NotApplicableError(Exception):
    """A variation does not exist for the inputs of an evaluation."""


def stages(recipe: Recipe) -> Mapping[str, Variation]:
    """The variation of each stage."""
    return {variation.stage: variation for variation in recipe}


def reference_logits(m: M, x: V, view: View) -> V:
    """z = x logit_scale / temperature, capped, and moved by an offset for each class."""
    return adjusted(m, capped(m, scaled(m, x, view), view), view)


def adjusted(m: M, z: V, view: View, sign: float = 1.0) -> V:
    """z plus the logit adjustment, where there is one."""
    offsets = view.parameters.get("logit_adjustment")
    if not isinstance(offsets, tuple):
        return z
    values = np.array([offsets], dtype=np.float64) * sign
    if m.shape(z)[-1] != view.classes and view.active is not None:
        values = values[:, view.active]
    return z + m.parameter(values)


def scaled(m: M, x: V, view: View) -> V:
    """x logit_scale / temperature."""
    scale, temperature = view.number("logit_scale", 1.0), view.number("temperature", 1.0)
    z = x if scale == 1.0 else x * m.parameter(scale)
    return z if temperature == 1.0 else z / m.parameter(temperature)


def capped(m: M, z: V, view: View) -> V:
    """c tanh(z / c), where there is a softcap."""
    cap = view.number("softcap", 0.0)
    if not cap:
        return z
    c = m.parameter(cap)
    return m.tanh(z / c) * c


def reference_mass(view: View) -> Mass:
    """The mass that the reference puts on the classes (docs/numerics.md, "Semantics of cross entropy")."""
    block, eps = view.block, view.number("label_smoothing", 0.0)
    counted = view.counted.astype(np.float64)[:, None]
    weight = np.ones(view.classes) if view.weight is None else view.weight
    spread = eps / view.truth.layout.active_classes
    if block.labels is not None:
        if eps == 0.0:
            return Mass(block.labels, counted * weight[block.labels][:, None])
        hot = hot_rows(view, block.labels)
        return Mass(dense=counted * weight * ((1.0 - eps) * hot + spread))
    assert block.soft is not None
    return Mass(dense=weight * ((1.0 - eps) * block.soft + spread))


def hot_rows(view: View, labels: np.ndarray) -> np.ndarray:
    """e_y of every row, [rows, classes]."""
    hot = np.zeros((len(labels), view.classes))
    np.put_along_axis(hot, labels[:, None], 1.0, axis=-1)
    return hot


def picked(m: M, a: V, targets: Targets[V]) -> V:
    """sum_j t_j a_j of every row."""
    if targets.labels is not None and targets.mass is not None:
        return targets.mass * m.take(a, targets.labels)
    assert targets.dense is not None
    return m.sum(targets.dense * a)


def total_mass(m: M, t: Targets[V]) -> V:
    """T, the mass of every row."""
    if t.mass is not None:
        return t.mass
    assert t.dense is not None
    return m.sum(t.dense)


def weighted(m: M, a: V, t: Targets[V]) -> V:
    """T a."""
    return total_mass(m, t) * a


def loss_slip(
    name: str, fault: str, statement: str, advice: str, make: Callable[..., V | None], *, rarely: bool = False
) -> Variation:
    """A variation of the loss of a row: `make(m, z, targets, view)`."""
    return Variation("loss", name, fault, statement, advice, make, rarely=rarely)


def reference_loss(
    m: M,
    z: V,
    targets: Targets[V],
    view: View,
    changed: Mapping[str, object] = NOTHING,
    *,
    reading: str | None = None,
) -> V:
    """The function's own loss of every row, with some of its parameters changed, or of another `reading`."""
    rows = lifted(m, z, view, changed)
    if reading is not None:
        rows = replace(rows, reading=reading)
    labels = rows.labels if targets.labels is None else targets.labels
    counted = rows.counted
    if targets.mass is not None:
        counted = targets.mass.value.mid != 0.0
    rows = replace(rows, targets=targets, labels=labels, counted=counted)
    if targets.dense is not None and rows.support is not None:
        rows = replace(rows, support=targets.dense.value.mid != 0.0)
    return view.truth.function.output(m, rows)


def reference_output(m: M, z: V, view: View, changed: Mapping[str, object] = NOTHING) -> V:
    """The function's own outputs."""
    return view.truth.function.output(m, lifted(m, z, view, changed))


def lifted(m: M, z: V, view: View, changed: Mapping[str, object] = NOTHING) -> Rows[V]:
    """What the function is given, with other logits: what the parameters do to those is done."""
    block = cut(view.truth.arrays, 0, view.rows)
    parameters = {**view.truth.parameters.all, **changed, "softcap": None, "logit_adjustment": None}
    counted = None if view.counted.all() else view.counted[:, None]
    upstream = m.exact(np.ones((1, 1)))
    support = None if block.soft is None else block.soft != 0.0
    return Rows(z, None, upstream, None, parameters, block.labels, counted, view.inputs.reading, support)


def predict(view: View, recipe: Recipe) -> Prediction:
    """Output and gradient of the function with the slips of `recipe`; NotApplicableError where one does not exist."""
    chosen = stages(recipe)
    with np.errstate(all="ignore"):
        if "whole" in chosen:
            whole: Prediction | None = chosen["whole"].make(view)
            if whole is None:
                raise NotApplicableError
            return whole
        return _elementwise(view, chosen) if view.elementwise else _of_rows(view, chosen)


def _columns(view: View, chosen: Mapping[str, Variation]) -> np.ndarray | None:
    return None if any(each.all_classes for each in chosen.values()) else view.active


def _start(view: View, columns: np.ndarray | None, chosen: Mapping[str, Variation]) -> tuple[M, V, V]:
    m: M = Tape(view.m)
    x = m.variable(view.m.exact(view.x if columns is None else view.x[:, columns]))
    make = chosen["logits"].make if "logits" in chosen else reference_logits
    z = make(m, x, view)
    if z is None:
        raise NotApplicableError
    return m, x, z


def _elementwise(view: View, chosen: Mapping[str, Variation]) -> Prediction:
    columns = _columns(view, chosen)
    m, x, z = _start(view, columns, chosen)
    changed = chosen["parameters"].make(view) if "parameters" in chosen else NOTHING
    if "output" in chosen:
        output = chosen["output"].make(m, z, view)
    else:
        output = None if changed is None else reference_output(m, z, view, changed)
    upstream = chosen["upstream"].make(view) if "upstream" in chosen else view.upstream
    if output is None or upstream is None:
        raise NotApplicableError
    upstream = np.broadcast_to(upstream, view.x.shape)
    g = view.m.exact(upstream if columns is None else upstream[:, columns])
    if "jacobian" in chosen:
        gradient = m.gradient(z, chosen["jacobian"].make(view.m, z.value, g, view), x)
    else:
        gradient = m.gradient(output, g, x)
    return Prediction(scattered(view, output.value, columns), scattered(view, gradient, columns))


def _of_rows(view: View, chosen: Mapping[str, Variation]) -> Prediction:
    columns = _columns(view, chosen)
    m, x, z = _start(view, columns, chosen)
    targets: Targets[V] | None = None
    factor = 1.0
    if view.truth.function.takes_targets:
        mass = chosen["targets"].make(view) if "targets" in chosen else reference_mass(view)
        if mass is None:
            raise NotApplicableError
        targets, factor = lifted_mass(m, mass, columns), mass.factor
    changed = chosen["parameters"].make(view) if "parameters" in chosen else NOTHING
    if "loss" in chosen:
        loss = chosen["loss"].make(m, z, targets, view)
    elif changed is None:
        loss = None
    elif targets is None:
        loss = reference_output(m, z, view, changed)
    else:
        loss = reference_loss(m, z, targets, view, changed)
    if loss is None:
        raise NotApplicableError
    upstream = view.row_upstream
    if "upstream" in chosen:
        upstream = chosen["upstream"].make(view)
    gradient = m.gradient(loss, view.m.exact(upstream * factor), x)
    losses = Bounded.of(loss.value)
    if factor != 1.0:
        losses = Bounded(losses.mid * factor, losses.rad * abs(factor))
    return Prediction(losses, scattered(view, gradient, columns))


def lifted_mass(m: M, mass: Mass, columns: np.ndarray | None) -> Targets[V]:
    """Plain targets as numbers of the algebra, for the classes `columns`."""
    if mass.labels is not None:
        assert mass.mass is not None
        labels = mass.labels if columns is None else np.searchsorted(columns, mass.labels).clip(0, len(columns) - 1)
        return Targets(labels, m.exact(mass.mass), None)
    assert mass.dense is not None
    dense = mass.dense if columns is None else mass.dense[:, columns]
    # Whoever makes such targets rounds 1 - eps, eps / C, their products and their sum.
    return Targets(None, None, m.charged(m.exact(dense), 4))


def scattered(view: View, ball: Ball, columns: np.ndarray | None) -> Bounded:
    """[rows, columns] among all classes; exactly 0 at the others."""
    part = Bounded.of(ball)
    if columns is None:
        return part
    mid, rad = np.zeros(view.x.shape), np.zeros(view.x.shape)
    mid[:, columns], rad[:, columns] = part.mid, part.rad
    return Bounded(mid, rad)
