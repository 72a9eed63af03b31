"""What one call alone shows: inputs written over, another shape or dtype, labels that it should have refused."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.contract.told import breach, texts
from gradaudit.numerics import formats
from gradaudit.records.measurement import Breach
from gradaudit.records.subject import Subject


def mutated(subject: Subject, entry: Audited) -> Iterator[Breach]:  # noqa: ARG001 - the checks' signature
    """Logits, targets or upstream gradient that are not the bytes any more that they were."""
    written = texts(entry.evaluation.notes, "mutated")
    if written:
        phases: dict[str, list[str]] = {}
        for each in written:
            phase, _, name = each.partition(": ")
            phases.setdefault(phase, []).append(name)
        what = "; ".join(f"the {phase} writes over {' and '.join(names)}" for phase, names in phases.items())
        yield breach(
            "input-mutated",
            entry,
            f"{what}: these are not the bytes any more that were handed over",
            mutated=len(written),
        )


def wrong_shape_or_dtype(subject: Subject, entry: Audited) -> Iterator[Breach]:
    """A result or gradient of another shape, or of a narrower dtype, than is due."""
    notes, evaluation, inputs = entry.evaluation.notes, entry.evaluation, entry.inputs
    if inputs.special:
        return
    if notes.get("unusable"):
        yield breach("wrong-shape-or-dtype", entry, str(notes["unusable"]))
        return
    due = _due_shape(entry)
    returned = tuple(evaluation.output.shape)
    if due is not None and returned != due:
        reduction = inputs.function.parameters.get("reduction")
        said = f" (reduction: {reduction})" if reduction else ""
        statement = f"it returns shape {list(returned)} where {list(due)} is due{said}{_sum_of(entry, returned)}"
        yield breach("wrong-shape-or-dtype", entry, statement, returned=str(list(returned)), due=str(list(due)))
    array = evaluation.gradient if evaluation.gradient is not None else evaluation.jacobian
    shape = None if array is None else array.shape if evaluation.gradient is not None else array.shape[1:]
    if shape is not None and tuple(shape) != tuple(inputs.logits.shape):
        statement = f"its gradient has the shape {list(shape)}, the logits {list(inputs.logits.shape)}"
        yield breach("wrong-shape-or-dtype", entry, statement)
    for name, got in (("result", evaluation.output), ("gradient", array)):
        if got is not None and got.size and subject.autocast is None and _narrower(got.dtype.name, inputs.dtype):
            statement = f"its {name} is {got.dtype.name} though the logits are {inputs.dtype}: digits are lost"
            yield breach("wrong-shape-or-dtype", entry, statement)


def process_changed(subject: Subject, entry: Audited) -> Iterator[Breach]:  # noqa: ARG001
    """State of the process that the subject changes."""
    changes = texts(entry.evaluation.notes, "process")
    seeded = texts(entry.evaluation.notes, "seeded")
    if seeded:
        changes = [*changes, f"seeds {' and '.join(seeded)} random generator{'s' if len(seeded) > 1 else ''}"]
    if changes:
        statement = f"it {'; it '.join(changes)}: state of the process that all other code computes in"
        yield breach("process-changed", entry, statement)


def accepted(entries: Sequence[Audited]) -> Iterator[Breach]:
    """A number that came back where the inputs are such as a function should refuse."""
    taken = [entry for entry in entries if entry.inputs.expects_error and not entry.evaluation.notes.get("unusable")]
    for entry in taken[:1]:
        targets, classes = (
            entry.inputs.targets,
            math.prod(entry.inputs.logits.shape[axis] for axis in entry.inputs.axis),
        )
        outside = [] if targets is None else targets[(targets < 0) | (targets >= classes)].reshape(-1).tolist()
        label = (
            f"the label {outside[0]}, which is none of the {classes} classes" if outside else "inputs out of range"
        )
        output = np.asarray(entry.evaluation.output, np.float64).reshape(-1)
        returned = f"{float(output[0]):.6g}" if output.size == 1 else f"{output.size} values"
        statement = f"it takes {label}, and returns {returned} where an exception is due"
        yield breach("special-values-differ", entry, statement, probes=len(taken))


def _due_shape(entry: Audited) -> tuple[int, ...] | None:
    truth = entry.truth
    if truth is None:
        return None
    return () if truth.reduced else truth.layout.shape if truth.elementwise else truth.layout.outer_shape


def _sum_of(entry: Audited, returned: tuple[int, ...]) -> str:
    """What a single number is, where one for each row is due: their sum or their mean, if it is that."""
    truth = entry.truth
    if truth is None or truth.reduced or truth.elementwise or math.prod(returned) != 1:
        return ""
    exact = np.concatenate([block.output.mid.ravel() for block in truth.blocks()])
    got, u = float(np.asarray(entry.evaluation.output, np.float64).ravel()[0]), formats.get(entry.inputs.dtype)
    # A loss within one rounding an operation: twice as many as there are terms, in every row and between them.
    slack = 2.0 * (len(exact) + truth.layout.classes) * u.unit_roundoff * float(np.abs(exact).sum())
    if abs(got - float(exact.sum())) <= slack:
        return ": it is the sum of the rows' losses"
    if abs(got - float(exact.mean())) <= slack / len(exact):
        return ": it is the mean of the rows' losses"
    return ""


def _narrower(returned: str, given: str) -> bool:
    return formats.get(returned).precision < formats.get(given).precision
