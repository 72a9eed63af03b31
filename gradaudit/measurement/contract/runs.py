"""Runs of one subject against one another: calls that are repeated, and calls whose exact results agree.

What is equal by construction (the same call twice, a second backward through one graph) is compared bit for bit. Runs
whose exact results agree though their roundings need not (another memory layout, another row's logits) may differ by
two tolerances: docs/numerics.md, "Contract of a function".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from gradaudit.backends import claimed
from gradaudit.measurement.allowances import Allowances, Difference, allowances, beyond, departure
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.contract.told import breach, pair, raised, row_text, shown
from gradaudit.measurement.evaluation import measure
from gradaudit.numerics import formats
from gradaudit.records.measurement import Breach
from gradaudit.records.subject import Subject
from gradaudit.reference import admissible

QUANTITIES = ("output", "gradient")
LAYOUTS = {
    "transposed": "the logits lie in memory with the class axis first (a transposed view)",
    "strided": "the logits are every other element of a larger memory (a strided view)",
    "expanded": "the upstream gradient is one number with stride 0 (an expanded view)",
}

EXECUTIONS = {
    "graph": "it runs as a traced graph (tf.function)",
    "compiled": "forward and backward are compiled as one program",
}


def nondeterministic(subject: Subject, entry: Audited) -> Iterator[Breach]:  # noqa: ARG001
    """The same call twice, and under another seed: equal bit for bit."""
    evaluation, errors = entry.evaluation, raised(entry)
    failed = evaluation.notes.get("experiments_failed")
    if isinstance(failed, Mapping):
        statement = f"it returned once; called again in other ways it ended: {failed.get('message')}"
        yield breach("nondeterministic", entry, statement)
    if "again" in errors:
        yield breach(
            "nondeterministic", entry, f"it returned once; called again on the same inputs: {errors['again']}"
        )
    for quantity in QUANTITIES:
        first = getattr(evaluation, quantity)
        again, reseeded = pair(entry, "again", quantity), pair(entry, "reseeded", quantity)
        if first is not None and again is not None and not entry.inputs.per_output:
            difference = beyond(first, again, None)
            if difference is not None:
                statement = f"the same call twice gives two {quantity}s: {shown(difference, entry, quantity)}"
                yield breach("nondeterministic", entry, f"{statement}; it keeps something from call to call")
        if again is not None and reseeded is not None:
            difference = beyond(again, reseeded, None)
            if difference is not None:
                statement = f"the {quantity} depends on the random seed: {shown(difference, entry, quantity)}"
                yield breach("nondeterministic", entry, statement)


def second_backward(subject: Subject, entry: Audited) -> Iterator[Breach]:  # noqa: ARG001
    """Two backwards through one graph that was kept."""
    errors = raised(entry)
    if "retained" in errors:
        statement = f"a second backward through the kept graph (retain_graph=True) fails: {errors['retained']}"
        yield breach("second-backward-differs", entry, statement)
    first, second = pair(entry, "retained", "gradient"), pair(entry, "retained_twice", "gradient")
    if first is not None and second is not None:
        difference = beyond(first, second, None)
        if difference is not None:
            statement = f"two backwards through the same graph differ: {shown(difference, entry, 'gradient')}"
            yield breach("second-backward-differs", entry, statement, elements=difference.count)


def rows_not_independent(subject: Subject, entry: Audited) -> Iterator[Breach]:
    """One row with twice its logits: nothing changes in the other rows."""
    row = entry.evaluation.notes.get("perturbed_row")
    if not isinstance(row, int) or entry.truth is None:
        return
    for quantity in QUANTITIES:
        before, after = pair(entry, "again", quantity), pair(entry, "perturbed", quantity)
        if before is None or after is None or before.shape != after.shape:
            continue
        if quantity == "output" and entry.truth.reduced:
            continue
        difference = _beyond(subject, entry, quantity, before, after, without=row)
        if difference is not None:
            place = entry.truth.layout.row_index(row)
            statement = (
                f"doubling the logits of row {row_text(place)} changes the {quantity} of other rows: "
                f"{shown(difference, entry, quantity)}"
            )
            yield breach("rows-not-independent", entry, statement, row=row, elements=difference.count)


def layout_changes(subject: Subject, entry: Audited) -> Iterator[Breach]:
    """Equal values that lie in memory in another way."""
    for name, quantity, difference in _changes(subject, entry, LAYOUTS):
        statement = f"its {quantity} changes when {LAYOUTS[name]}: {shown(difference, entry, quantity)}"
        yield breach("layout-changes-result", entry, statement, layout=name, elements=difference.count)


def execution_changes(subject: Subject, entry: Audited) -> Iterator[Breach]:
    """Equal calls, eager and not: whoever debugs the one trains the other. A compiler may choose another formulation,
    so that what one of them explains by itself is no breach."""
    for name, quantity, difference in _changes(subject, entry, EXECUTIONS):
        if not _explained(subject, entry, name):
            statement = f"its {quantity} changes when {EXECUTIONS[name]}: {shown(difference, entry, quantity)}"
            yield breach("execution-changes-result", entry, statement, elements=difference.count)


def linear(subject: Subject, entry: Audited) -> Iterator[Breach]:  # noqa: ARG001
    """A backward is linear in its upstream gradient, and a doubled one doubles every step of it exactly.

    Where there is a truth it tells more about a gradient than this; without one only the plainest departure is told:
    an element at least as far from doubled as one that did not move, where no step can have underflowed to that.
    """
    given, doubled = pair(entry, "again", "gradient"), pair(entry, "doubled", "gradient")
    if entry.truth is not None or given is None or doubled is None or given.shape != doubled.shape:
        return
    form = formats.get(entry.inputs.dtype)
    one, two = given.astype(np.float64), doubled.astype(np.float64)
    with np.errstate(invalid="ignore"):
        moved = np.isfinite(one) & np.isfinite(two) & (np.abs(one) >= form.smallest_normal / form.unit_roundoff)
        off = moved & (np.abs(two - 2.0 * one) >= np.abs(one))
    if off.any():
        index = tuple(int(i) for i in np.argwhere(off)[0])
        statement = (
            f"its backward is not linear: under twice the upstream gradient {one[index]:.6g} at {list(index)} "
            f"becomes {two[index]:.6g} and not {2.0 * one[index]:.6g}, {int(off.sum())} elements in all"
        )
        yield breach("forward-and-backward-disagree", entry, statement, elements=int(off.sum()))


def _changes(
    subject: Subject, entry: Audited, experiments: Mapping[str, str]
) -> Iterator[tuple[str, str, Difference]]:
    """Experiments on equal values whose results are further from those of the plain call than roundings are."""
    for name in experiments:
        for quantity in QUANTITIES:
            before, after = pair(entry, "again", quantity), pair(entry, name, quantity)
            if before is None or after is None or before.shape != after.shape:
                continue
            difference = _beyond(subject, entry, quantity, before, after)
            if difference is not None:
                yield name, quantity, difference


def _explained(subject: Subject, entry: Audited, experiment: str) -> bool:
    """Whether an admissible formulation explains a run, in no lower a precision than the plain call needs."""
    output, gradient = pair(entry, experiment, "output"), pair(entry, experiment, "gradient")
    if entry.truth is None or entry.measurement is None or output is None or gradient is None:
        return False
    profile = claimed.profile_of(subject, entry.inputs.dtype)
    rows = admissible.rows(entry.inputs.function, entry.inputs.dtype, profile)
    run = replace(entry.evaluation, output=output, gradient=gradient, jacobian=None)
    found = measure(entry.truth, run, profile, "values", rows)
    quantities = [each for each in (found.output, found.gradient) if each is not None]
    return (
        found.explanation.explains
        and found.explanation.weaker <= entry.measurement.explanation.weaker
        and not any(each.non_finite or each.special_mismatch for each in quantities)
    )


def _beyond(  # noqa: PLR0917 - two arrays of one quantity of one entry
    subject: Subject, entry: Audited, quantity: str, before: np.ndarray, after: np.ndarray, without: int | None = None
) -> Difference | None:
    """Where two runs differ by more than two tolerances; `without` leaves one row out.

    Where the truth's tolerance does not explain the first run there is no bound on its roundings. Another layout is
    then not judged; another row's logits are, by whether elements moved as far as they are large.
    """
    if beyond(before, after, None) is None:
        return None  # equal bit for bit, as most are: no tolerance is needed
    allowed: Allowances | None = allowances(subject, entry)
    if allowed is None and (without is None or entry.measurement is None or entry.inputs.per_output):
        return None
    tolerance = departure(entry, before) if allowed is None else np.array(getattr(allowed, quantity))
    if without is not None:
        assert entry.truth is not None
        layout = entry.truth.layout
        if tolerance.shape == layout.shape:
            tolerance = np.where(_rows_mask(entry, without), np.inf, tolerance)
        else:
            tolerance[layout.row_index(without)] = np.inf
    difference = beyond(before, after, tolerance)
    return replace(difference, allowed=0.0) if difference is not None and allowed is None else difference


def _rows_mask(entry: Audited, row: int) -> np.ndarray:
    """The elements of one row, in the shape of the logits."""
    assert entry.truth is not None
    layout = entry.truth.layout
    mask = np.zeros((layout.rows, layout.classes), dtype=bool)
    mask[row] = True
    return replace(layout, active=None).restored(mask)
