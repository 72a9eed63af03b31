"""The audit put to the proof: the very diagnosis, run on copies of the truth with a fault in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.diagnosis import diagnose
from gradaudit.measurement.evaluation import measure
from gradaudit.measurement.power.plants import PLANTS, Plant
from gradaudit.measurement.power.scene import Planted, Scene
from gradaudit.numerics import formats
from gradaudit.records.evaluation import Evaluation
from gradaudit.reference.ladder import ToleranceRow


def named_by(
    subject: str, dtype: str, scenes: Sequence[tuple[Audited, Scene]], rows: Sequence[ToleranceRow]
) -> tuple[str, ...]:
    """The fault classes that the diagnosis names when a subject has them, on these very inputs."""
    return tuple(plant.fault for plant in PLANTS if _is_named(plant, subject, dtype, scenes, rows))


def _is_named(
    plant: Plant,
    subject: str,
    dtype: str,
    scenes: Sequence[tuple[Audited, Scene]],
    rows: Sequence[ToleranceRow],
) -> bool:
    with np.errstate(all="ignore"):
        planted = [plant.make(scene) for _, scene in scenes]
    if all(each is None for each in planted):
        return False
    entries = [
        _faked(entry, scene, Planted(scene.output, scene.gradient) if each is None else each, rows)
        for (entry, scene), each in zip(scenes, planted, strict=True)
    ]
    return any(fault.fault == plant.fault for fault in diagnose(subject, dtype, entries, rows))


def _faked(entry: Audited, scene: Scene, planted: Planted, rows: Sequence[ToleranceRow]) -> Audited:
    """What a subject with the fault would have returned, measured like what it did return."""
    truth = scene.truth
    layout = scene.view.whole
    output = planted.output
    if not truth.reduced:
        output = layout.restored(output) if scene.elementwise else output.reshape(layout.outer_shape)
    evaluation = Evaluation(
        key=entry.evaluation.key,
        output=_stored(output, scene.dtype),
        gradient=_stored(layout.restored(planted.gradient), scene.dtype),
        jacobian=None,
        seconds=0.0,
    )
    measurement = measure(truth, evaluation, rows[0].profile, "values", tuple(rows))
    return Audited(truth.inputs, truth, evaluation, measurement)


def _stored(values: np.ndarray, dtype: str) -> np.ndarray:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return np.ascontiguousarray(values).astype(formats.dtype(dtype))
