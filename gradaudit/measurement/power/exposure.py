"""Which fault classes the inputs of a subject could expose: each is planted into the truth and measured."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.diagnosis.prediction import Bounded, reference
from gradaudit.measurement.power.plants import PLANTS, Plant
from gradaudit.measurement.power.scene import Scene, scene_of
from gradaudit.numerics import formats
from gradaudit.records.measurement import Exposure
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.tolerance import Tolerance


def exposures(
    subject: str, dtype: str, entries: Sequence[Audited], rows: Sequence[ToleranceRow], *, prove: bool = False
) -> tuple[Exposure, ...]:
    """One record for a subject at a dtype: which classes its own inputs expose, which the probes add, which neither.

    `entries` are its evaluations, `rows` the admissible rows it was tried against. A class that the function cannot
    have is in none of the lists. With `prove` the very diagnosis is run on each planted fault. Empty where no exact
    result tells.
    """
    lit = [(entry, _Lit(scene, rows)) for entry in entries if (scene := scene_of(entry, rows[0].profile)) is not None]
    own = [each for entry, each in lit if entry.inputs.probe is None]
    probes = {str(entry.inputs.probe): each for entry, each in lit if entry.inputs.probe is not None}
    if not own:
        return ()
    found: dict[str, list[str]] = {"own": [], "probes": [], "hidden": []}
    for plant in PLANTS:
        where = _where(plant, own, probes)
        if where is not None:
            found[where].append(plant.fault)
    lists = {name: tuple(faults) for name, faults in found.items()}
    named = None
    if prove:
        from gradaudit.measurement.power.proof import named_by  # the whole diagnosis, for those who ask

        named = named_by(subject, dtype, [(entry, each.scene) for entry, each in lit], rows)
    return (Exposure(subject, dtype, lists["own"], lists["probes"], lists["hidden"], named),)


def _where(plant: Plant, own: Sequence[_Lit], probes: dict[str, _Lit]) -> str | None:
    """Which inputs expose a plant; None where it exists on none of them."""
    exists = False
    for each in own:
        shown = each.exposes(plant)
        if shown:
            return "own"
        exists |= shown is not None
    likely = [probes[name] for name in plant.likely if name in probes]
    for each in dict.fromkeys((*likely, *probes.values())):
        shown = each.exposes(plant)
        if shown:
            return "probes"
        exists |= shown is not None
    return "hidden" if exists else None


class _Lit:
    """A scene with the tolerances of the rows that were needed so far."""

    def __init__(self, scene: Scene, rows: Sequence[ToleranceRow]) -> None:
        self.scene = scene
        # Of a formulation at several precisions the lowest, which comes last, explains whatever a higher one does.
        self.rows = list({row.formulation: row for row in rows if not row.weaker}.values())
        self._known: dict[int, tuple[Bounded, Bounded]] = {}
        self._explaining = 0

    def exposes(self, plant: Plant) -> bool | None:
        """Whether no admissible row explains what the plant returns here; None where there is no such plant."""
        with np.errstate(all="ignore"):
            planted = plant.make(self.scene)
            if planted is None:
                return None
            output, gradient = (self._stored(array) for array in (planted.output, planted.gradient))
            # A row so wide that it explained the last plant will often explain the next.
            order = dict.fromkeys((self._explaining, *range(len(self.rows))))
            for position in order:
                if not self._refuted(position, output, gradient):
                    self._explaining = position
                    return False
            return True

    def _stored(self, values: np.ndarray) -> np.ndarray:
        return values.astype(formats.dtype(self.scene.dtype)).astype(np.float64)

    def _refuted(self, position: int, output: np.ndarray, gradient: np.ndarray) -> bool:
        due_output, due_gradient = self._due(position)
        active, largest = self.scene.active, self.scene.form.largest
        shown = output[:, active] if self.scene.elementwise else output
        return _beyond(gradient[:, active], due_gradient, largest) or _beyond(shown, due_output, largest)

    def _due(self, position: int) -> tuple[Bounded, Bounded]:
        """Output and gradient that are due, with the tolerances of a row."""
        if position not in self._known:
            self._known[position] = self._bounded(self.rows[position])
        return self._known[position]

    def _bounded(self, row: ToleranceRow) -> tuple[Bounded, Bounded]:
        scene = self.scene
        with np.errstate(all="ignore"):
            due = reference(scene.view, row)
            columns = scene.active
            gradient = Bounded(due.gradient.mid[:, columns], due.gradient.rad[:, columns])
            if scene.elementwise:
                return Bounded(due.output.mid[:, columns], due.output.rad[:, columns]), gradient
            if not scene.truth.reduced:
                return due.output, gradient
            losses, tolerances = np.abs(due.output.mid).sum(), due.output.rad.sum()
            total = Tolerance(scene.truth, row).reduced(float(losses), float(tolerances))
            return Bounded(scene.output, np.asarray(total)), gradient


def _beyond(got: np.ndarray, due: Bounded, largest: float) -> bool:
    """Whether some element is no number, infinite within range, or further off than its tolerance."""
    infinite = np.isinf(got) & (np.abs(due.mid) + due.rad <= largest)
    inside = (np.abs(got - due.mid) <= due.rad) | (np.isinf(due.rad) & ~np.isnan(got))
    return bool(np.any(infinite | ~(inside | np.isinf(got))))
