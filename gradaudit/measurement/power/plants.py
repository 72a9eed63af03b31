"""One function with each fault class: what it would return on given inputs.

Written from what the faults do, apart from the models that the diagnosis recognises them by.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradaudit.measurement.diagnosis.models.variation import Mass, Variation, reference_logits
from gradaudit.measurement.power import kernels
from gradaudit.measurement.power.scene import Planted, Scene, softmax

CHUNKS = 2
WITHOUT_SOFTMAX = ("softcap",)
ON_COSINES = ("margin",)
"""Functions whose logits are bounded: their exponentials are in range whatever is subtracted."""


@dataclass(frozen=True, slots=True)
class Plant:
    """A fault class by the name of its rule, and how to plant it: None where the function cannot have it.

    `likely` names the probes to look at first.
    """

    fault: str
    make: Callable[[Scene], Planted | None]
    likely: tuple[str, ...] = ()


def _reduction_factor(scene: Scene) -> Planted | None:
    """The backward of the mean is that of the sum, or the other way round."""
    if not scene.takes_targets or not scene.truth.reduced or scene.single:
        return None
    factor = float(scene.rows) if scene.reduction == "mean" else 1.0 / scene.rows
    return Planted(scene.output, scene.gradient * factor)


def _mean_denominator(scene: Scene) -> Planted | None:
    """The mean divides by the number of rows, whatever they weigh."""
    if scene.reduction != "mean" or scene.labels is None or scene.single:
        return None
    factor = scene.denominator / scene.rows
    return Planted(scene.output * factor, scene.gradient * factor)


def _mean_over_classes(scene: Scene) -> Planted | None:
    """The mean runs over the classes too."""
    if scene.reduction != "mean" or not scene.takes_targets:
        return None
    return Planted(scene.output / scene.view.classes, scene.gradient / scene.view.classes)


def _mean_of_means(scene: Scene) -> Planted | None:
    """The mean of the means of two chunks of rows."""
    if scene.reduction != "mean" or not scene.takes_targets or scene.rows < CHUNKS:
        return None
    weights = _row_weights(scene)
    factors = np.zeros((scene.rows, 1))
    for chunk in np.array_split(np.arange(scene.rows), CHUNKS):
        total = weights[chunk].sum()
        factors[chunk] = scene.denominator / (CHUNKS * total) if total else 0.0
    return Planted(scene.reduced(scene.row_outputs * factors), scene.gradient * factors)


def _row_weights(scene: Scene) -> np.ndarray:
    """What each row adds to the mean's denominator, [rows]."""
    if scene.labels is None:
        return np.ones(scene.rows)
    weight = scene.view.weight
    own = np.ones(scene.rows) if weight is None else weight[scene.labels]
    return np.where(scene.counted, own, 0.0)


def _upstream_gradient(scene: Scene) -> Planted | None:
    """The backward does not multiply by what it is handed; that of an activation uses the first row of it for all."""
    upstream = scene.truth.inputs.upstream
    assert upstream is not None, "a scene has an upstream gradient"
    if not scene.elementwise:
        return Planted(scene.output, scene.with_upstream(np.ones_like(upstream)))
    if scene.rows < 2:
        return None
    whole = scene.view.whole
    first = np.tile(whole.as_rows(upstream)[:1], (scene.rows, 1))
    return Planted(scene.output, scene.with_upstream(whole.restored(first)))


def _ignored_rows_leak(scene: Scene) -> Planted | None:
    """Ignored rows keep the softmax in their gradient."""
    if scene.truth.arrays.ignore_index is None or scene.labels is None or scene.single:
        return None
    leaked = np.where(scene.counted[:, None], scene.gradient, scene.cotangent * scene.p * scene.slope)
    return Planted(scene.output, leaked)


def _smoothing_convention(scene: Scene) -> Planted | None:
    """The smoothed mass goes to the other classes alone."""
    eps, labels = scene.view.number("label_smoothing", 0.0), scene.labels
    if not eps or labels is None or len(scene.active) < 2:
        return None
    share = eps / (len(scene.active) - 1)
    dense = np.full(scene.p.shape, share)
    np.put_along_axis(dense, labels[:, None], 1.0 - eps, axis=1)
    weight = 1.0 if scene.view.weight is None else scene.view.weight
    return scene.with_targets(Mass(dense=dense * weight * scene.counted[:, None]))


def _target_mass(scene: Scene) -> Planted | None:
    """The backward is p - t, as if the targets of a row added up to 1."""
    if not scene.plain or not scene.takes_targets or scene.labels is not None:
        return None
    return Planted(scene.output, scene.cotangent * (scene.p - scene.mass) * scene.slope)


def _class_weights(scene: Scene) -> Planted | None:
    """The weights are in the denominator alone."""
    if scene.view.weight is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        dense = np.where(scene.view.weight == 0.0, 0.0, scene.mass / scene.view.weight)
    return scene.with_targets(Mass(dense=dense))


def _truncated_jacobian(scene: Scene) -> Planted | None:
    """The diagonal of the Jacobian alone: u p (1 - p), u (1 - p), or a gradient at the label alone."""
    if scene.name == "softmax":
        return Planted(scene.output, scene.cotangent * scene.p * (1.0 - scene.p) * scene.slope)
    if scene.name == "log_softmax":
        return Planted(scene.output, scene.cotangent * (1.0 - scene.p) * scene.slope)
    if scene.takes_targets and scene.labels is not None:
        at_label = np.zeros(scene.p.shape, dtype=bool)
        np.put_along_axis(at_label, scene.labels[:, None], values=True, axis=1)
        return Planted(scene.output, np.where(at_label, scene.gradient, 0.0))
    return None


def _partition_local(scene: Scene) -> Planted | None:
    """Each half of the classes has a normaliser of its own."""
    if len(scene.active) < 2:
        return None
    second = np.array_split(scene.active, 2)[1]
    side = np.zeros(scene.view.classes, dtype=np.int64)
    side[second] = 1
    halves = [np.where(side == which, scene.z, -np.inf) for which in (0, 1)]
    local = sum(softmax(half, axis=1) for half in halves)
    assert isinstance(local, np.ndarray)

    def gathered(values: np.ndarray) -> np.ndarray:
        """Each class's half of the row's values, added up."""
        sums = [np.where(side == which, values, 0.0).sum(axis=1, keepdims=True) for which in (0, 1)]
        return np.where(side == 0, sums[0], sums[1])

    return kernels.from_probabilities(scene, local, gathered)


def _wrong_axis(scene: Scene) -> Planted | None:
    """Softmax along the rows."""
    if scene.single:
        return None
    down = np.where(np.isfinite(scene.z), softmax(scene.z, axis=0), 0.0)
    return kernels.from_probabilities(scene, down, lambda values: values.sum(axis=0, keepdims=True))


def _logit_transform_factor(scene: Scene) -> Planted | None:
    """The backward forgets the temperature, the scale or the derivative of the softcap."""
    slope = scene.slope
    if np.all(slope == 1.0):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        return Planted(scene.output, np.where(slope > 0.0, scene.gradient / slope, 0.0))


def _softmax_twice(scene: Scene) -> Planted | None:
    """Softmax before softmax."""
    if scene.name in WITHOUT_SOFTMAX:
        return None
    twice = Variation("logits", "planted", "", "", "", lambda m, x, view: m.softmax(reference_logits(m, x, view)))
    return scene.with_logits(twice)


def _labels_misaligned(scene: Scene) -> Planted | None:
    """Labels that count from 1, or soft targets one class off."""
    if not scene.takes_targets or len(scene.active) < 2:
        return None
    if scene.labels is None:
        dense = np.zeros(scene.p.shape)
        dense[:, scene.active] = np.roll(scene.mass[:, scene.active], 1, axis=1)
        return scene.with_targets(Mass(dense=dense))
    place = np.searchsorted(scene.active, scene.labels)
    labels = scene.active[(place + 1) % len(scene.active)]
    weight = np.ones(scene.view.classes) if scene.view.weight is None else scene.view.weight
    return scene.with_targets(Mass(labels=labels, mass=(scene.counted * weight[labels])[:, None]))


def _missing_max_shift(scene: Scene) -> Planted | None:
    """Exponentials overflow, or all of a row's vanish; nothing of the row is a number then."""
    form = kernels.range_of(scene.dtype)
    if scene.name in (*WITHOUT_SOFTMAX, *ON_COSINES) or 0.0 < scene.view.number("softcap", 0.0) < math.log(
        form.largest
    ):
        return None
    top = scene.z.max(axis=1, keepdims=True)
    lost = (top > math.log(form.largest)) | (top < math.log(form.smallest_subnormal))
    if scene.takes_targets:
        lost &= scene.counted[:, None]
    outputs = np.where(lost, np.nan, scene.row_outputs)
    return Planted(scene.reduced(outputs), np.where(lost, np.nan, scene.gradient))


def _sign_flipped(scene: Scene) -> Planted | None:
    """The gradient with the opposite sign."""
    return Planted(scene.output, -scene.gradient)


PLANTS = (
    Plant("reduction-factor", _reduction_factor),
    Plant("mean-denominator", _mean_denominator, ("ignored-rows",)),
    Plant("mean-over-classes", _mean_over_classes),
    Plant("mean-of-means", _mean_of_means, ("ignored-rows",)),
    Plant("upstream-gradient", _upstream_gradient, ("ordinary", "negative")),
    Plant("ignored-rows-leak", _ignored_rows_leak, ("ignored-rows",)),
    Plant("smoothing-convention", _smoothing_convention),
    Plant("target-mass", _target_mass),
    Plant("class-weights", _class_weights),
    Plant("truncated-jacobian", _truncated_jacobian),
    Plant("partition-local-normaliser", _partition_local),
    Plant("logit-transform-factor", _logit_transform_factor),
    Plant("wrong-axis", _wrong_axis),
    Plant("softmax-applied-twice", _softmax_twice),
    Plant("labels-misaligned", _labels_misaligned),
    Plant("unfused-logarithm", kernels.unfused, ("gap-far-loser", "gap-underflow-loser")),
    Plant("clamped-probability", kernels.clamped, ("gap-moderate-loser",)),
    Plant("missing-max-shift", _missing_max_shift, ("offset-overflow", "rows-apart")),
    Plant("low-precision-inside", kernels.low_precision, ("equal", "many-classes")),
    Plant("sign-flipped", _sign_flipped),
)
"""Fault classes that can be planted into values. What only a second derivative shows cannot."""
