"""Evaluation + truth -> Measurement: the first tolerance row that explains every element, and the errors under it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradaudit.measurement.comparison import Comparison
from gradaudit.measurement.diagnosis import hypotheses
from gradaudit.measurement.rejection import rejected
from gradaudit.measurement.spot_check import spot_check
from gradaudit.numerics import formats
from gradaudit.records.evaluation import Evaluation
from gradaudit.records.measurement import Diagnosis, Explanation, Measurement
from gradaudit.records.profile import Profile
from gradaudit.reference import ladder
from gradaudit.reference.block import Block
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.tolerance import BlockTolerance, Tolerance
from gradaudit.reference.truth import Truth

Allowing = tuple[Tolerance, BlockTolerance]
"""A tolerance row and the block that it is asked about."""


@dataclass(slots=True, eq=False)
class _Pass:
    """An evaluation under one row. `gradient` holds the gradient or the Jacobian."""

    row: ToleranceRow
    output: Comparison
    gradient: Comparison

    @property
    def explains(self) -> bool:
        """Whether the row accounts for every element.

        A row of lower precision than storage is so wide that it hides small elements altogether, and so is one that
        flushes where something is divided by what was flushed. It explains only what it also decides: one element at
        least that the declared row rejects, with a tolerance below its value, or flushed to 0.
        A formulation that hides small probabilities may decide no element at all: what it allows accuses nobody, and
        the report counts it as undecided.
        """
        if self.output.beyond or self.gradient.beyond:
            return False
        return not self.row.must_regain or self.output.regained + self.gradient.regained > 0

    @property
    def regular(self) -> bool:
        return self.output.non_finite == 0 and self.gradient.non_finite == 0


def measure(
    truth: Truth,
    evaluation: Evaluation,
    profile: Profile,
    upstream: str,
    rows: tuple[ToleranceRow, ...] | None = None,
    *,
    formulation: str | None = None,
) -> Measurement:
    """Measure one evaluation against the exact results of its inputs.

    The `rows`, by default those of :mod:`gradaudit.reference.ladder`, are tried strictest first; if none explains
    every element, the errors are given under the last one of the declared precision; of a user's code, whose
    formulation is unknown, under the last that loses no digits. `formulation` is the standard one whose rows and
    faults count, by default the one that the evaluation's key names.
    """
    checked = spot_check(truth)
    key = evaluation.key
    formulation = formulation or key.formulation
    if rows is None:
        rows = ladder.rows(truth.function.name, formulation, profile, truth.inputs.reading)
    tried: list[str] = []
    declared: ToleranceRow | None = None
    under_declared: _Pass | None = None
    best: _Pass | None = None
    for row in rows:
        tried.append(f"{row.formulation} ({row.precision})")
        current = None
        if declared is None or not rejected(truth, evaluation, row):
            current = _compare(truth, evaluation, row, declared)
            if current.explains:
                best = current
                break
        if not row.weaker and not (declared is not None and row.primitives is not None and row.looser):
            declared, under_declared = row, current
    assert declared is not None or best is not None, "a ladder has at least one row of the declared precision"
    found = best or under_declared or _compare(truth, evaluation, declared or rows[0], None)
    explanation = Explanation(
        found.row.formulation,
        found.row.precision,
        best is not None,
        best is not None and found.row.weaker,
        best is not None and found.row.looser,
        best is not None and found.row.common_offset,
        tuple(tried),
    )
    diagnoses: tuple[Diagnosis, ...] = ()
    if best is None or not found.regular:
        suspected = hypotheses.diagnose(truth, profile, _wrong(found, reduced=truth.reduced), formulation)
        diagnoses = tuple(each for each in suspected if _accounts_for(truth, evaluation, profile, each, found))
    quantity = found.gradient.finish(checked)
    return Measurement(
        key=key,
        profile=profile,
        explanation=explanation,
        output=found.output.finish(checked),
        gradient=quantity if evaluation.gradient is not None else None,
        jacobian=None if evaluation.gradient is not None else quantity,
        diagnoses=diagnoses,
        seconds=evaluation.seconds,
        upstream=upstream,
        captured=evaluation.captured,
    )


def _accounts_for(truth: Truth, evaluation: Evaluation, profile: Profile, diagnosis: Diagnosis, found: _Pass) -> bool:
    """Whether the fault explains the finite values too: each lies within the tolerance of the faulty formulation.

    Without this a flipped sign in a row where the fault may strike would pass for the fault.
    """
    if found.explains:
        return True
    faulty = ladder.rows(truth.function.name, hypotheses.FORMULATIONS[diagnosis.fault], profile)
    row = [each for each in faulty if not each.weaker][-1]
    return _compare(truth, evaluation, row, None).explains


def _wrong(found: _Pass, *, reduced: bool) -> hypotheses.WrongRows:
    output = found.output
    return hypotheses.WrongRows(
        frozenset(found.gradient.wrong_rows if reduced else output.wrong_rows | found.gradient.wrong_rows),
        frozenset() if reduced else frozenset(output.non_finite_rows),
        frozenset(found.gradient.non_finite_rows),
        reduced and bool(output.non_finite_rows),
    )


def _compare(truth: Truth, evaluation: Evaluation, row: ToleranceRow, declared: ToleranceRow | None) -> _Pass:
    """The evaluation under `row`; for one that hides elements also what of it the `declared` row rejects."""
    tolerance = Tolerance(truth, row)
    strict = Tolerance(truth, declared) if row.must_regain and declared is not None else None
    output = _comparison(
        truth,
        "loss" if truth.function.takes_targets and not truth.elementwise else "output",
        evaluation.output,
        per_unit=False,
    )
    array = evaluation.gradient if evaluation.gradient is not None else evaluation.jacobian
    assert array is not None, "an evaluation holds a gradient or a Jacobian"
    gradient = _comparison(
        truth,
        "gradient" if evaluation.gradient is not None else "jacobian",
        array,
        per_unit=evaluation.gradient is None,
    )
    layout = truth.layout
    got_output = None
    if not truth.reduced:
        got_output = layout.as_rows(evaluation.output) if truth.elementwise else evaluation.output.reshape(-1, 1)
    planes = [array] if evaluation.gradient is not None else list(array)
    got_gradients = [layout.as_rows(plane) for plane in planes]
    samples = np.zeros(layout.rows, dtype=np.int64) if truth.samples is None else truth.samples
    losses, tolerances = np.zeros(int(samples.max(initial=0)) + 1), np.zeros(int(samples.max(initial=0)) + 1)
    special = np.zeros(len(losses), dtype=bool)
    for block_truth in truth.blocks():
        block = block_truth.block
        bounds = tolerance.block(block_truth)
        tight = None if strict is None else strict.block(block_truth)
        bound = tolerance.output(bounds).values
        own = samples[block.start : block.stop]
        marked = _special_rows(block)
        if marked is not None:
            special[own[marked]] = True
        if got_output is not None:
            got = _cut(truth, got_output, block, classes=truth.elementwise)
            output.add(
                block.start,
                got,
                block_truth.output,
                bound,
                escalate=lambda r, b=block: truth.exact_output(b, r),  # type: ignore[misc]
                strict=None if strict is None or tight is None else strict.output(tight).values,
                flushed=row.flushed,
                special=_special_rows(block),
            )
        else:
            losses += np.bincount(own, np.abs(block_truth.output.mid).sum(axis=-1), len(losses))
            tolerances += np.bincount(own, bound.sum(axis=-1), len(losses))
        _compare_gradients(
            gradient, got_gradients, (tolerance, bounds), None if strict is None or tight is None else (strict, tight)
        )
    if layout.active is not None:
        _compare_masked(truth, output, gradient, evaluation)
    if truth.reduced:
        exact = truth.reduced_output()
        finite = np.isfinite(exact.mid[:, 0])
        allowed = [
            tolerance.reduced(float(loss), float(own_tolerance)) if known else 0.0
            for loss, own_tolerance, known in zip(losses, tolerances, finite, strict=True)
        ]
        got = evaluation.output.astype(np.float64).reshape(-1, 1)
        output.add(
            0,
            got,
            exact,
            np.array(allowed)[:, None],
            escalate=lambda r: truth.exact_reduced().at(r),
            special=special,
        )
    return _Pass(row, output, gradient)


def _compare_gradients(
    gradient: Comparison, planes: list[np.ndarray], allowed_by: Allowing, strictly_by: Allowing | None
) -> None:
    tolerance, bounds = allowed_by
    truth, block_truth = tolerance.truth, bounds.truth
    block = block_truth.block
    special = _special_rows(block)
    per_unit = gradient.name == "jacobian"
    for unit in truth.units:
        plane = truth.layout.class_of(unit) if unit is not None and truth.elementwise else 0
        got = _cut(truth, planes[plane], block, classes=True)
        allowed, exact = tolerance.gradient(bounds, unit), truth.gradient(block_truth, unit)
        gradient.add(
            block.start,
            got,
            exact,
            allowed.values,
            unit=plane if per_unit else None,
            escalate=lambda r, u=unit: truth.exact_gradient(block, u, r),  # type: ignore[misc]
            strict=None if strictly_by is None else strictly_by[0].gradient(strictly_by[1], unit).values,
            flushed=tolerance.row.flushed,
            dwarfed=lambda share, a=allowed, e=exact: a.dwarfs(e, share),  # type: ignore[misc]
            special=special,
        )
        gradient.add_sums(block.start, got, truth.row_sums(block, unit), allowed.values)
    if per_unit and truth.elementwise:
        exact = truth.inactive_gradient(block)
        for plane in truth.layout.masked.tolist():
            got = _cut(truth, planes[plane], block, classes=True)
            gradient.add(block.start, got, exact, np.zeros(got.shape), unit=plane, special=special)


def _compare_masked(truth: Truth, output: Comparison, gradient: Comparison, evaluation: Evaluation) -> None:
    """Masked classes take no part: probability 0, log-probability -inf, gradient 0, exactly."""
    layout, masked = truth.layout, truth.layout.masked

    def check(comparison: Comparison, array: np.ndarray, due: float, lead: tuple[int, ...]) -> None:
        got = layout.as_rows(array)[:, masked].astype(np.float64)
        comparison.add_masked(got, due, lambda row, column: (*lead, *layout.place(row, int(masked[column]))))

    if truth.elementwise:
        check(output, evaluation.output, -np.inf if truth.function.name == "log_softmax" else 0.0, ())
    if evaluation.gradient is not None:
        check(gradient, evaluation.gradient, 0.0, ())
    elif evaluation.jacobian is not None:
        for unit, plane in enumerate(evaluation.jacobian):
            check(gradient, plane, 0.0, (unit,))


def _special_rows(block: Block) -> np.ndarray | None:
    if block.excluded is None and not block.undefined.any():
        return None
    excluded = False if block.excluded is None else block.excluded.any(axis=-1)
    return np.asarray(block.undefined | excluded)


def _cut(truth: Truth, rows: np.ndarray, block: Block, *, classes: bool) -> np.ndarray:
    part = rows[block.start : block.stop]
    active = truth.layout.active
    if classes and active is not None:
        part = part[:, active]
    return part.astype(np.float64)


def _comparison(truth: Truth, name: str, array: np.ndarray, *, per_unit: bool) -> Comparison:
    layout = truth.layout
    form = formats.FORMATS.get(formats.name_of(array), formats.FORMATS[truth.inputs.dtype])
    forward = name in {"loss", "output"}
    elementwise = truth.elementwise or not forward

    def locate(plane: int | None, row: int, column: int) -> tuple[int, ...]:
        if forward and truth.reduced:
            return () if truth.samples is None else (row,)
        own = layout.index(row, column) if elementwise else layout.row_index(row)
        return own if plane is None else (plane, *own)

    def restore(parts: list[np.ndarray]) -> np.ndarray:
        if not elementwise:
            return np.concatenate([part.ravel() for part in parts])
        if per_unit:
            planes = [layout.restored(part).ravel() for part in parts]
            if truth.elementwise and layout.active is not None:
                # The planes of the masked classes were compared after the others.
                planes = [planes[k] for k in np.argsort(np.concatenate([layout.active, layout.masked]))]
            return np.concatenate(planes)
        return layout.restored(np.concatenate(parts)).ravel()

    return Comparison(name, formats.name_of(array), tuple(array.shape), form, locate, restore)
