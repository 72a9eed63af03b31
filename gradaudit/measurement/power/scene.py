"""Where faults are planted: the exact results of one set of inputs, as plain float64 rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.diagnosis.models.variation import (
    Mass,
    NotApplicableError,
    Variation,
    predict,
    reference_mass,
)
from gradaudit.measurement.diagnosis.view import View
from gradaudit.numerics import formats
from gradaudit.records.inputs import Inputs
from gradaudit.records.profile import Profile
from gradaudit.reference.truth import Truth

PLAIN = ("softmax", "log_softmax", "cross_entropy", "kl_divergence")


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """What a function with a fault returns, before it is rounded to the dtype.

    `output` is [] for a reduced loss, else [rows, 1] or [rows, classes]; `gradient` is [rows, classes].
    """

    output: np.ndarray
    gradient: np.ndarray


class Scene:
    """One set of inputs with its exact results. All arrays are float64, masked classes included."""

    def __init__(self, truth: Truth, profile: Profile) -> None:
        self.truth = truth
        self.profile = profile
        self.view = View(truth, profile, None)
        self.dtype = truth.inputs.dtype
        self.form = formats.get(self.dtype)
        self.name = truth.inputs.function.name
        self.rows = self.view.rows
        self.elementwise = truth.elementwise
        self.reduction = truth.parameters.reduction
        self.takes_targets = truth.function.takes_targets

    # -- what is due -----------------------------------------------------------------------------------------------

    @cached_property
    def row_outputs(self) -> np.ndarray:
        """Losses of the rows [rows, 1], or outputs [rows, classes]; 0 at masked classes."""
        parts = [block.output.mid for block in self.truth.blocks()]
        joined = np.concatenate([np.broadcast_to(part, (len(part), part.shape[-1])) for part in parts])
        return self.scattered(joined) if self.elementwise else joined

    @cached_property
    def output(self) -> np.ndarray:
        """The output as it is returned."""
        return self.reduced(self.row_outputs)

    @cached_property
    def gradient(self) -> np.ndarray:
        """The gradient [rows, classes]."""
        return self.scattered(np.concatenate([self.truth.gradient(block, None).mid for block in self.truth.blocks()]))

    @cached_property
    def denominator(self) -> float:
        """What the losses of the rows are divided by."""
        return self.truth.denominator.value if self.truth.reduced else 1.0

    def reduced(self, losses: np.ndarray) -> np.ndarray:
        """Losses of rows [rows, 1] as the function returns them."""
        return np.asarray(losses.sum() / self.denominator) if self.truth.reduced else losses

    # -- what it is made of ----------------------------------------------------------------------------------------

    @cached_property
    def factor(self) -> float:
        """dz / dx where there is no softcap: logit_scale / temperature."""
        return self.view.number("logit_scale", 1.0) / self.view.number("temperature", 1.0)

    @cached_property
    def slope(self) -> np.ndarray:
        """dz / dx, [1, 1] or [rows, classes]."""
        cap = self.view.number("softcap", 0.0)
        bend = 1.0 - np.tanh(self.view.x * self.factor / cap) ** 2 if cap else np.ones((1, 1))
        return np.asarray(self.factor * bend)

    @cached_property
    def active(self) -> np.ndarray:
        """Classes that take part."""
        return np.arange(self.view.classes) if self.view.active is None else self.view.active

    @cached_property
    def z(self) -> np.ndarray:
        """Scaled logits [rows, classes]; -inf at masked classes and where the logits are."""
        z = self.view.x * self.factor
        cap = self.view.number("softcap", 0.0)
        if cap:
            z = cap * np.tanh(z / cap)
        if self.view.active is not None:
            masked = np.ones(self.view.classes, dtype=bool)
            masked[self.view.active] = False
            z[:, masked] = -np.inf
        return z

    @cached_property
    def p(self) -> np.ndarray:
        """Probabilities [rows, classes]."""
        return softmax(self.z, axis=1)

    @cached_property
    def log_p(self) -> np.ndarray:
        """Log-probabilities [rows, classes]."""
        with np.errstate(invalid="ignore", under="ignore"):
            shifted = self.z - self.z.max(axis=1, keepdims=True)
            return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))

    @cached_property
    def mass(self) -> np.ndarray:
        """t [rows, classes]: the mass that the reference puts on each class."""
        mass = reference_mass(self.view)
        if mass.dense is not None:
            return np.broadcast_to(mass.dense, self.p.shape)
        assert mass.labels is not None
        assert mass.mass is not None
        dense = np.zeros(self.p.shape)
        np.put_along_axis(dense, mass.labels[:, None], mass.mass, axis=1)
        return dense

    @cached_property
    def plain(self) -> bool:
        """Whether the function is softmax, its logarithm, or a sum of target masses times that, and nothing more."""
        extras = ("z_loss", "entropy_regularization", "logit_adjustment")
        return self.name in PLAIN and not any(self.view.parameters.get(name) for name in extras)

    @property
    def single(self) -> bool:
        """Whether the logits are one row, and no function of them has a say over several."""
        return len(self.view.whole.outer_shape) == 0

    @cached_property
    def cotangent(self) -> np.ndarray:
        """What multiplies the gradient of each row's loss, [rows, 1]; or the upstream gradient [rows, classes]."""
        if self.elementwise:
            return np.broadcast_to(self.view.upstream, self.p.shape)
        return self.view.row_upstream

    @cached_property
    def labels(self) -> np.ndarray | None:
        """Labels [rows]; those of ignored rows are of no account."""
        return self.view.block.labels

    @cached_property
    def counted(self) -> np.ndarray:
        """Rows that take part, [rows]."""
        return self.view.counted

    def scattered(self, part: np.ndarray) -> np.ndarray:
        """[rows, active classes] among all classes."""
        if self.view.active is None:
            return part
        whole = np.zeros((len(part), self.view.classes))
        whole[:, self.view.active] = part
        return whole

    # -- the function with a change --------------------------------------------------------------------------------

    def with_targets(self, mass: Mass) -> Planted | None:
        """The function on other targets."""
        return self._predicted(Variation("targets", "planted", "", "", "", lambda _: mass))

    def with_logits(self, variation: Variation) -> Planted | None:
        """The function on other logits."""
        return self._predicted(variation)

    def with_upstream(self, upstream: np.ndarray) -> np.ndarray:
        """The gradient under another upstream gradient, of the output's shape."""
        other = Truth(replace(self.truth.inputs, upstream=upstream))
        return self.scattered(np.concatenate([other.gradient(block, None).mid for block in other.blocks()]))

    def _predicted(self, variation: Variation) -> Planted | None:
        try:
            prediction = predict(self.view, (variation,))
        except NotApplicableError:
            return None
        output = prediction.output.mid
        return Planted(output if self.elementwise else self.reduced(output), prediction.gradient.mid)


def softmax(z: np.ndarray, axis: int) -> np.ndarray:
    """Probabilities along an axis, in float64."""
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        w = np.exp(z - z.max(axis=axis, keepdims=True))
        return np.asarray(w / w.sum(axis=axis, keepdims=True))


def scene_of(entry: Audited, profile: Profile) -> Scene | None:
    """The scene of an evaluation's inputs; None where no exact result is due, or it is a matter of policy."""
    if entry.truth is None or entry.truth.undefined_mean:
        return None
    if entry.inputs.special and not np.isfinite(entry.inputs.logits.astype(np.float64)).all():
        return None
    return Scene(stand_in(entry.truth), profile)


MOST_ELEMENTS = 1 << 14
"""Logits of a scene: where a case has more, some of its rows stand for all."""


def stand_in(truth: Truth) -> Truth:
    """`truth`, or that of a few of its rows where they are many, under one upstream gradient.

    What a fault does to some rows it does to all of them together; that the rows most apart are among those that are
    taken keeps the saturated ones. One cotangent without zeros stands for those of a Jacobian.
    """
    inputs, layout = truth.inputs, truth.layout
    if not inputs.per_output and inputs.logits.size <= MOST_ELEMENTS:
        return truth
    rows = _chosen(truth, max(8, MOST_ELEMENTS // max(1, layout.classes)))
    logits = layout.as_rows(inputs.logits)[rows]
    targets = inputs.targets
    if targets is not None:
        labelled = np.issubdtype(targets.dtype, np.integer)
        targets = targets.reshape(-1)[rows] if labelled else layout.as_rows(targets)[rows]
    return Truth(
        replace(
            inputs,
            axis=(1,),
            logits=logits,
            targets=targets,
            upstream=_upstream(truth, inputs, rows).astype(inputs.logits.dtype),
            per_output=False,
        )
    )


def _upstream(truth: Truth, inputs: Inputs, rows: np.ndarray) -> np.ndarray:
    layout = truth.layout
    if truth.reduced:
        return np.ones(()) if inputs.upstream is None else inputs.upstream
    if inputs.upstream is not None:
        return layout.as_rows(inputs.upstream)[rows] if truth.elementwise else inputs.upstream.reshape(-1)[rows]
    if not truth.elementwise:
        return np.ones(len(rows))
    return np.random.default_rng(0).uniform(0.5, 2.0, (len(rows), layout.classes))


def _chosen(truth: Truth, most: int) -> np.ndarray:
    """Row numbers, ascending: evenly spread ones, and those with the largest and smallest logits and spreads."""
    layout = truth.layout
    if layout.rows <= most:
        return np.arange(layout.rows)
    logits = layout.as_rows(truth.inputs.logits)
    top = logits.max(axis=1).astype(np.float64)
    spread = top - logits.min(axis=1).astype(np.float64)
    chosen = {int(f(values)) for values in (top, spread) for f in (np.nanargmax, np.nanargmin)}
    ignore = truth.arrays.ignore_index
    if truth.arrays.labels is not None and ignore is not None:
        chosen |= {int(row) for row in np.flatnonzero(truth.arrays.labels == ignore)[:2]}
    evenly = np.linspace(0, layout.rows - 1, most - len(chosen)).astype(np.int64)
    return np.unique(np.concatenate([evenly, np.array(sorted(chosen), dtype=np.int64)]))
