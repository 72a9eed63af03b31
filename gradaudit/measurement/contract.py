"""How a subject behaves as a function: what its further runs show, as breaches of the contract of one.

What is equal by construction (the same call twice, a second backward through one graph) is compared bit for bit. Runs
whose exact results agree though their roundings need not (another memory layout, another row's logits) may differ by
two tolerances: docs/numerics.md, "Contract of a function".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from gradaudit.backends import claimed
from gradaudit.measurement.allowances import Allowances, Difference, allowances, beyond, departure
from gradaudit.measurement.audited import Audited
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


def breaches(subject: Subject, entries: Sequence[Audited]) -> tuple[Breach, ...]:
    """What `subject` does at one dtype that a function must not: each kind once, by what shows it first.

    `entries` are all its evaluations, those of probes included.
    """
    found: dict[str, Breach] = {}
    checks: tuple[Callable[[Subject, Audited], Iterator[Breach]], ...] = (
        _mutated,
        _wrong_shape_or_dtype,
        _nondeterministic,
        _second_backward,
        _rows_not_independent,
        _layout,
        _execution,
        _linear,
        _process,
    )
    for check in checks:
        if check in COMPARING and "nondeterministic" in found:
            continue  # what differs from call to call differs here too
        for entry in entries:
            if entry.inputs.expects_error:
                continue
            for breach in check(subject, entry):
                found.setdefault(breach.fault, breach)
    for breach in (*_backward_alone(entries), *_accepted(entries)):
        found.setdefault(breach.fault, breach)
    return tuple(found.values())


def _accepted(entries: Sequence[Audited]) -> Iterator[Breach]:
    """A number that came back where the inputs are such as a function should refuse."""
    accepted = [
        entry for entry in entries if entry.inputs.expects_error and not entry.evaluation.notes.get("unusable")
    ]
    for entry in accepted[:1]:
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
        yield _breach("special-values-differ", entry, statement, probes=len(accepted))


def _mutated(subject: Subject, entry: Audited) -> Iterator[Breach]:  # noqa: ARG001 - the checks' signature
    mutated = _texts(entry.evaluation.notes, "mutated")
    if mutated:
        phases: dict[str, list[str]] = {}
        for each in mutated:
            phase, _, name = each.partition(": ")
            phases.setdefault(phase, []).append(name)
        what = "; ".join(f"the {phase} writes over {' and '.join(names)}" for phase, names in phases.items())
        yield _breach(
            "input-mutated",
            entry,
            f"{what}: these are not the bytes any more that were handed over",
            mutated=len(mutated),
        )


def _wrong_shape_or_dtype(subject: Subject, entry: Audited) -> Iterator[Breach]:
    notes, evaluation, inputs = entry.evaluation.notes, entry.evaluation, entry.inputs
    if inputs.special:
        return
    if notes.get("unusable"):
        yield _breach("wrong-shape-or-dtype", entry, str(notes["unusable"]))
        return
    due = _due_shape(entry)
    returned = tuple(evaluation.output.shape)
    if due is not None and returned != due:
        reduction = inputs.function.parameters.get("reduction")
        said = f" (reduction: {reduction})" if reduction else ""
        statement = f"it returns shape {list(returned)} where {list(due)} is due{said}{_sum_of(entry, returned)}"
        yield _breach("wrong-shape-or-dtype", entry, statement, returned=str(list(returned)), due=str(list(due)))
    array = evaluation.gradient if evaluation.gradient is not None else evaluation.jacobian
    shape = None if array is None else array.shape if evaluation.gradient is not None else array.shape[1:]
    if shape is not None and tuple(shape) != tuple(inputs.logits.shape):
        statement = f"its gradient has the shape {list(shape)}, the logits {list(inputs.logits.shape)}"
        yield _breach("wrong-shape-or-dtype", entry, statement)
    for name, got in (("result", evaluation.output), ("gradient", array)):
        if got is not None and got.size and subject.autocast is None and _narrower(got.dtype.name, inputs.dtype):
            statement = f"its {name} is {got.dtype.name} though the logits are {inputs.dtype}: digits are lost"
            yield _breach("wrong-shape-or-dtype", entry, statement)


def _nondeterministic(subject: Subject, entry: Audited) -> Iterator[Breach]:  # noqa: ARG001
    evaluation, raised = entry.evaluation, _raised(entry)
    failed = evaluation.notes.get("experiments_failed")
    if isinstance(failed, Mapping):
        statement = f"it returned once; called again in other ways it ended: {failed.get('message')}"
        yield _breach("nondeterministic", entry, statement)
    if "again" in raised:
        yield _breach(
            "nondeterministic", entry, f"it returned once; called again on the same inputs: {raised['again']}"
        )
    for quantity in QUANTITIES:
        first = getattr(evaluation, quantity)
        again, reseeded = _pair(entry, "again", quantity), _pair(entry, "reseeded", quantity)
        if first is not None and again is not None and not entry.inputs.per_output:
            difference = beyond(first, again, None)
            if difference is not None:
                statement = f"the same call twice gives two {quantity}s: {_shown(difference, entry, quantity)}"
                yield _breach("nondeterministic", entry, f"{statement}; it keeps something from call to call")
        if again is not None and reseeded is not None:
            difference = beyond(again, reseeded, None)
            if difference is not None:
                statement = f"the {quantity} depends on the random seed: {_shown(difference, entry, quantity)}"
                yield _breach("nondeterministic", entry, statement)


def _second_backward(subject: Subject, entry: Audited) -> Iterator[Breach]:  # noqa: ARG001
    raised = _raised(entry)
    if "retained" in raised:
        statement = f"a second backward through the kept graph (retain_graph=True) fails: {raised['retained']}"
        yield _breach("second-backward-differs", entry, statement)
    first, second = _pair(entry, "retained", "gradient"), _pair(entry, "retained_twice", "gradient")
    if first is not None and second is not None:
        difference = beyond(first, second, None)
        if difference is not None:
            statement = f"two backwards through the same graph differ: {_shown(difference, entry, 'gradient')}"
            yield _breach("second-backward-differs", entry, statement, elements=difference.count)


def _rows_not_independent(subject: Subject, entry: Audited) -> Iterator[Breach]:
    row = entry.evaluation.notes.get("perturbed_row")
    if not isinstance(row, int) or entry.truth is None:
        return
    for quantity in QUANTITIES:
        before, after = _pair(entry, "again", quantity), _pair(entry, "perturbed", quantity)
        if before is None or after is None or before.shape != after.shape:
            continue
        if quantity == "output" and entry.truth.reduced:
            continue
        difference = _beyond(subject, entry, quantity, before, after, without=row)
        if difference is not None:
            place = entry.truth.layout.row_index(row)
            statement = (
                f"doubling the logits of row {_row(place)} changes the {quantity} of other rows: "
                f"{_shown(difference, entry, quantity)}"
            )
            yield _breach("rows-not-independent", entry, statement, row=row, elements=difference.count)


def _layout(subject: Subject, entry: Audited) -> Iterator[Breach]:
    for name, quantity, difference in _changes(subject, entry, LAYOUTS):
        statement = f"its {quantity} changes when {LAYOUTS[name]}: {_shown(difference, entry, quantity)}"
        yield _breach("layout-changes-result", entry, statement, layout=name, elements=difference.count)


def _execution(subject: Subject, entry: Audited) -> Iterator[Breach]:
    """Equal calls, eager and not: whoever debugs the one trains the other. A compiler may choose another formulation,
    so that what one of them explains by itself is no breach."""
    for name, quantity, difference in _changes(subject, entry, EXECUTIONS):
        if not _explained(subject, entry, name):
            statement = f"its {quantity} changes when {EXECUTIONS[name]}: {_shown(difference, entry, quantity)}"
            yield _breach("execution-changes-result", entry, statement, elements=difference.count)


def _changes(
    subject: Subject, entry: Audited, experiments: Mapping[str, str]
) -> Iterator[tuple[str, str, Difference]]:
    """Experiments on equal values whose results are further from those of the plain call than roundings are."""
    for name in experiments:
        for quantity in QUANTITIES:
            before, after = _pair(entry, "again", quantity), _pair(entry, name, quantity)
            if before is None or after is None or before.shape != after.shape:
                continue
            difference = _beyond(subject, entry, quantity, before, after)
            if difference is not None:
                yield name, quantity, difference


def _explained(subject: Subject, entry: Audited, experiment: str) -> bool:
    """Whether an admissible formulation explains a run, in no lower a precision than the plain call needs."""
    output, gradient = _pair(entry, experiment, "output"), _pair(entry, experiment, "gradient")
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


def _linear(subject: Subject, entry: Audited) -> Iterator[Breach]:  # noqa: ARG001
    """A backward is linear in its upstream gradient, and a doubled one doubles every step of it exactly.

    Where there is a truth it tells more about a gradient than this; without one only the plainest departure is told:
    an element at least as far from doubled as one that did not move, where no step can have underflowed to that.
    """
    given, doubled = _pair(entry, "again", "gradient"), _pair(entry, "doubled", "gradient")
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
        yield _breach("forward-and-backward-disagree", entry, statement, elements=int(off.sum()))


COMPARING = (_second_backward, _rows_not_independent, _layout, _execution)
"""Checks that compare one call with another."""


def _process(subject: Subject, entry: Audited) -> Iterator[Breach]:  # noqa: ARG001
    changes = _texts(entry.evaluation.notes, "process")
    if changes:
        statement = f"it {'; it '.join(changes)}: state of the process that all other code computes in"
        yield _breach("process-changed", entry, statement)


def _backward_alone(entries: Sequence[Audited]) -> Iterator[Breach]:
    """A loss that is right wherever it was tried, beside a gradient written by hand that is not that of it."""
    plain = [entry for entry in entries if entry.measurement is not None and not entry.inputs.special]
    hand = next((_texts(each.evaluation.notes, "written_by_hand") for each in plain if _by_hand(each)), [])
    if not hand or any(each.measurement.output.beyond or each.measurement.output.non_finite for each in plain):  # type: ignore[union-attr]
        return
    wrong = [each for each in plain if _quantity_beyond(each) and not _non_finite(each)]
    if wrong and not any(_non_finite(each) for each in plain):
        what = "loss" if wrong[0].inputs.targets is not None else "result"
        statement = (
            f"the {what} is right on all {len(plain)} inputs, and the gradient is that of something else on "
            f"{len(wrong)} of them: the fault stands in the forward or backward written by hand of "
            f"{' or '.join(_named_place(each, wrong[0]) for each in hand[:3])}"
        )
        yield _breach("forward-and-backward-disagree", wrong[0], statement, inputs=len(plain), wrong=len(wrong))


def _named_place(place: str, entry: Audited) -> str:
    """`losses.py:9 in Loss`, as the adapter tells it, with the name first; the name alone for the subject itself."""
    where, _, name = place.rpartition(" in ")
    if place == entry.evaluation.notes.get("defined"):
        return name  # every statement ends with that place
    return f"{name} ({where})" if where else place


def _by_hand(entry: Audited) -> bool:
    return bool(entry.evaluation.notes.get("written_by_hand"))


def _quantity_beyond(entry: Audited) -> bool:
    assert entry.measurement is not None
    quantity = entry.measurement.gradient or entry.measurement.jacobian
    return quantity is not None and quantity.beyond > 0 and not entry.measurement.explanation.explains


def _non_finite(entry: Audited) -> bool:
    assert entry.measurement is not None
    quantity = entry.measurement.gradient or entry.measurement.jacobian
    return quantity is not None and quantity.non_finite > 0


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


def _pair(entry: Audited, experiment: str, quantity: str) -> np.ndarray | None:
    return entry.evaluation.experiments.get(f"{experiment}.{quantity}")


def _raised(entry: Audited) -> Mapping[str, str]:
    raised = entry.evaluation.notes.get("raised")
    return raised if isinstance(raised, Mapping) else {}


def _texts(notes: Mapping[str, object], name: str) -> list[str]:
    value = notes.get(name)
    return [str(each) for each in value] if isinstance(value, list) else []


def _row(place: tuple[int, ...]) -> str:
    return str(place[0]) if len(place) == 1 else str(list(place))


def _shown(difference: Difference, entry: Audited, quantity: str) -> str:
    place = f" at {list(difference.index)}" if difference.index else ""
    allowed = f", and may differ by {difference.allowed:.2g}" if difference.allowed else ""
    more = f", {difference.count} elements in all" if difference.count > 1 else ""
    dtype = entry.evaluation.output.dtype if quantity == "output" else entry.inputs.logits.dtype
    digits = math.ceil(formats.get(dtype.name).precision * math.log10(2.0)) + 1
    return f"{difference.first:.{digits}g} and {difference.second:.{digits}g}{place}{allowed}{more}"


def _breach(fault: str, entry: Audited, statement: str, **evidence: float | int | str) -> Breach:
    defined = entry.evaluation.notes.get("defined")
    place = f" ({defined})" if defined else ""
    return Breach(fault, entry.evaluation.key, f"{statement}{place}", tuple(evidence.items()))
