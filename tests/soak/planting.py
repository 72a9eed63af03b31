"""Faults planted into what sound code returned, each larger than any tolerance that an admissible row allows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gradaudit.numerics import formats
from gradaudit.records.evaluation import Evaluation
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth

KINDS = ("element", "row", "factor", "loss")
LARGEST_EXCESS = 1000.0
"""A fault is up to so many times as large as what is allowed."""


def planted(
    truth: Truth, evaluation: Evaluation, rows: tuple[ToleranceRow, ...], generator: np.random.Generator
) -> tuple[str, Evaluation] | None:
    """The kind of a random fault and the evaluation with it; None where everything allows anything.

    "Above its tolerance" is meant of every row of the declared precision, whichever the code needs: one element at
    least lies farther from the exact value than the widest of them allows.
    """
    kind = str(generator.choice(KINDS))
    allowed = tuple(row for row in rows if not row.weaker)
    if kind == "loss":
        return _loss(truth, evaluation, allowed, generator)
    assert evaluation.gradient is not None
    exact, widest = _gradient(truth, allowed)
    layout = truth.layout
    got = layout.as_rows(evaluation.gradient).astype(np.float64)
    active = slice(None) if layout.active is None else layout.active
    wide = np.full(got.shape, np.inf)
    due = np.zeros(got.shape)
    wide[:, active], due[:, active] = widest, exact
    faulty = _disturbed(kind, got, due, wide, generator)
    if faulty is None:
        return None
    with np.errstate(over="ignore"):
        rounded = layout.restored(faulty).reshape(evaluation.gradient.shape).astype(evaluation.gradient.dtype)
    back = layout.as_rows(rounded).astype(np.float64)
    # Who may be off by more than the largest number may overflow.
    wide[wide >= formats.get(str(rounded.dtype)).largest] = np.inf
    if not (np.abs(back - due) > wide).any():
        return None
    return kind, replace(evaluation, gradient=rounded)


def _disturbed(
    kind: str, got: np.ndarray, due: np.ndarray, wide: np.ndarray, generator: np.random.Generator
) -> np.ndarray | None:
    """The gradient with one element, one row, or all of it off by a factor; None where none can be far enough."""
    excess = np.exp(generator.uniform(np.log(1.5), np.log(LARGEST_EXCESS)))
    faulty = got.copy()
    decided = np.isfinite(wide) & np.isfinite(got)
    if kind == "element":
        places = np.argwhere(decided)
        if not len(places):
            return None
        row, column = places[generator.integers(len(places))]
        step = max(wide[row, column], np.spacing(abs(due[row, column])))
        faulty[row, column] = due[row, column] + generator.choice([-1.0, 1.0]) * excess * step
        return faulty
    scalable = decided & (due != 0.0)
    if not scalable.any():
        return None
    shares = np.full(got.shape, np.inf)
    with np.errstate(over="ignore"):
        shares[scalable] = wide[scalable] / np.abs(due[scalable])
    if not np.isfinite(shares).any():
        return None
    if kind == "row":
        row = generator.choice(np.flatnonzero(np.isfinite(shares).any(axis=1)))
        faulty[row] = got[row] * (1.0 + generator.choice([-1.0, 1.0]) * excess * shares[row].min())
        return faulty
    return faulty * (1.0 + generator.choice([-1.0, 1.0]) * excess * shares.min())


def _loss(
    truth: Truth, evaluation: Evaluation, rows: tuple[ToleranceRow, ...], generator: np.random.Generator
) -> tuple[str, Evaluation] | None:
    """One loss off; None for activations, and where everything is allowed."""
    if not truth.function.takes_targets:
        return None
    exact, widest = _output(truth, rows)
    output = np.array(evaluation.output)
    flat = output.reshape(-1)
    places = np.flatnonzero(np.isfinite(widest) & np.isfinite(exact) & np.isfinite(flat.astype(np.float64)))
    if not len(places):
        return None
    place = places[generator.integers(len(places))]
    excess = np.exp(generator.uniform(np.log(1.5), np.log(LARGEST_EXCESS)))
    step = max(widest[place], np.spacing(abs(exact[place])))
    with np.errstate(over="ignore"):
        flat[place] = np.float64(exact[place] + generator.choice([-1.0, 1.0]) * excess * step).astype(flat.dtype)
    if not abs(float(flat[place]) - exact[place]) > widest[place]:
        return None
    return "loss", replace(evaluation, output=output)


def _gradient(truth: Truth, rows: tuple[ToleranceRow, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Exact gradients of the classes that take part, [rows, classes], and the widest tolerance of each."""
    exact, widest = [], []
    for block_truth in truth.blocks():
        (unit,) = truth.units
        exact.append(truth.gradient(block_truth, unit).mid)
        allowed = np.zeros(exact[-1].shape)
        for row in rows:
            tolerance = Tolerance(truth, row)
            values = tolerance.gradient(tolerance.block(block_truth), unit).values
            allowed = np.maximum(allowed, np.nan_to_num(values, nan=np.inf, posinf=np.inf))
        widest.append(allowed + truth.gradient(block_truth, unit).rad)
    return np.concatenate(exact), np.concatenate(widest)


def _output(truth: Truth, rows: tuple[ToleranceRow, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Exact losses, flat, and the widest tolerance of each."""
    exact, widest, sums = [], [], {row: [0.0, 0.0] for row in range(len(rows))}
    for block_truth in truth.blocks():
        exact.append(block_truth.output.mid.reshape(-1))
        allowed = np.zeros(exact[-1].shape)
        for number, row in enumerate(rows):
            tolerance = Tolerance(truth, row)
            values = tolerance.output(tolerance.block(block_truth)).values.reshape(-1)
            allowed = np.maximum(allowed, np.nan_to_num(values, nan=np.inf, posinf=np.inf))
            sums[number][0] += float(np.abs(exact[-1]).sum())
            sums[number][1] += float(values.sum())
        widest.append(allowed + block_truth.output.rad.reshape(-1))
    if not truth.reduced:
        return np.concatenate(exact), np.concatenate(widest)
    reduced = truth.reduced_output()
    bounds = [Tolerance(truth, row).reduced(*sums[number]) for number, row in enumerate(rows)]
    return reduced.mid.reshape(1), np.array([max(np.nan_to_num(bounds, nan=np.inf, posinf=np.inf))]) + reduced.rad[0]
