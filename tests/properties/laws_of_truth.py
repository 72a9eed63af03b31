"""What the exact results obey, whatever the inputs: each law draws a problem and compares enclosures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from gradaudit.backends import numpy as numpy_backend
from gradaudit.numerics import formats
from gradaudit.reference import ladder
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth
from tests.properties.balls import (
    EXACT,
    Balls,
    assert_contains_zero,
    assert_overlap,
    exact,
    gradient,
    gradients,
    output,
    widest,
)
from tests.properties.problems import (
    IGNORE,
    PER_CLASS,
    Problem,
    arrays,
    bits,
    grid,
    held,
    problems,
)

NARROW = 2.0**-20
"""An enclosure in units of the tightest tolerance; some 2^-29 is promised."""


def shifts_change_nothing(data: st.DataObject) -> None:
    """A constant added to a row's logits is added to its logsumexp, and changes nothing else."""
    size = data.draw(st.sampled_from((1, 4, 7)))
    problem = data.draw(problems(scaled=False, sizes=(size,)))
    shift = data.draw(arrays((problem.rows, 1), 2 ** bits(problem.dtype))) * grid(problem.dtype, size)
    before, after = problem.truth(), problem.but(logits=problem.logits + shift).truth()
    moved = output(before)
    if problem.function == "logsumexp":
        moved = moved + exact(shift)
    assert_overlap(moved, output(after), "output")
    assert_overlap(gradient(before), gradient(after), "gradient")


def classes_have_no_order(data: st.DataObject) -> None:
    """Results follow the classes when these are permuted."""
    problem = data.draw(problems())
    order = np.array(data.draw(st.permutations(range(problem.classes))))
    before, after = problem.truth(), problem.with_classes(order).truth()
    expected = output(before)
    if problem.function in PER_CLASS:
        expected = expected[:, order]
    assert_overlap(expected, output(after), "output")
    assert_overlap(gradient(before)[:, order], gradient(after), "gradient")


def rows_are_independent(data: st.DataObject) -> None:
    """A row's results are the same by itself, and in any order of the rows."""
    problem = data.draw(problems(reductions=("none", "sum")))
    order = np.array(data.draw(st.permutations(range(problem.rows))))
    whole, mixed = problem.truth(), problem.with_rows(order).truth()
    found, single = gradient(whole), int(order[0])
    assert_overlap(found[order], gradient(mixed), "gradient of the rows in another order")
    alone = problem.with_rows(np.array([single])).truth()
    assert_overlap(found[[single]], gradient(alone), "gradient of a single row")
    if not whole.reduced:
        assert_overlap(output(whole)[order], output(mixed), "output of the rows in another order")
        assert_overlap(output(whole)[[single]], output(alone), "output of a single row")
    else:
        assert_overlap(output(whole), output(mixed), "sum of the rows in another order")


def gradients_of_a_row_add_up(data: st.DataObject) -> None:
    """To 0, or to the upstream gradient for a logsumexp; and the audit expects that sum."""
    problem = data.draw(problems(masked=data.draw(st.booleans())))
    truth = problem.truth()
    sums = gradient(truth).sum()
    expected = np.zeros((problem.rows, 1))
    if problem.function == "logsumexp":
        expected = problem.upstream
        # Floats of the parameters are exact numbers, their quotient is not: multiply out.
        sums = sums.times(problem.temperature)
        expected_sum = exact(expected).times(problem.logit_scale)
        assert_overlap(sums, expected_sum, "row sums of a logsumexp")
    else:
        assert_contains_zero(sums, "row sums")
    told = np.concatenate([truth.row_sums(block.block, None) for block in truth.blocks()])
    wanted = expected[:, 0] * problem.logit_scale / problem.temperature
    slack = 8.0 * np.finfo(np.float64).eps * np.abs(wanted)
    assert (np.abs(told - wanted) <= slack).all(), f"the audit expects {told}, the sums are {wanted}"


def gradients_are_linear_in_the_upstream(data: st.DataObject) -> None:
    """The gradient under a g + b h is a times that under g plus b times that under h."""
    problem = data.draw(problems())
    other = data.draw(arrays(problem.upstream.shape, 31)) / 8.0
    a, b = data.draw(st.tuples(*[st.sampled_from([-3.0, -1.0, 1.0, 2.0])] * 2))
    first, second = gradient(problem.truth()), gradient(problem.but(upstream=other).truth())
    both = gradient(problem.but(upstream=a * problem.upstream + b * other).truth())
    assert_overlap(first.times(a) + second.times(b), both, "gradient under a combination")


def scale_and_temperature_are_factors(data: st.DataObject) -> None:
    """A power of two as scale or temperature is one of the logits; equal ones cancel, whatever their value."""
    problem = data.draw(problems(scaled=False, sizes=(1, 4)))
    power = 2.0 ** data.draw(st.integers(-3, 3))
    scaled = problem.but(logits=problem.logits * power).truth()
    for parameters in ({"logit_scale": power}, {"temperature": 1.0 / power}):
        truth = problem.but(**parameters).truth()
        assert_overlap(output(scaled), output(truth), f"output with {parameters}")
        assert_overlap(gradient(scaled).times(power), gradient(truth), f"gradient with {parameters}")
    same = data.draw(st.floats(0.05, 20.0))
    plain, neutral = problem.truth(), problem.but(logit_scale=same, temperature=same).truth()
    assert_overlap(output(plain), output(neutral), "output with equal scale and temperature")
    assert_overlap(gradient(plain), gradient(neutral), "gradient with equal scale and temperature")


def masked_classes_are_no_classes(data: st.DataObject) -> None:
    """Masking classes is removing them."""
    problem = data.draw(problems(masked=True))
    truth, smaller = problem.truth(), problem.but(masked=()).with_classes(problem.active).truth()
    assert_overlap(output(truth), output(smaller), "output")
    assert_overlap(gradient(truth), gradient(smaller), "gradient")
    restored = truth.layout.restored(np.ones((problem.rows, len(problem.active))))
    assert (restored[:, list(problem.masked)] == 0.0).all(), "gradient of a masked class"


def minus_infinity_is_no_class(data: st.DataObject) -> None:
    """A logit of -inf is a class that is not there: p = 0, log p = -inf, gradient 0."""
    problem = data.draw(problems(soft=False, plain=True, masked=True, scaled=False))
    _is_no_class_at_minus_infinity(problem)


def minus_infinity_is_no_class_at_any_scale(data: st.DataObject) -> None:
    """The same, however small or large the other logits are when they reach the softmax."""
    problem = data.draw(problems(soft=False, plain=True, masked=True, scaled=False))
    if problem.dtype in ("float16", "bfloat16") or data.draw(st.booleans()):
        problem = problem.but(temperature=data.draw(st.sampled_from([1e-3, 0.1, 10.0, 1e3, 1e6])))
    else:
        # Both at once leave no digit of the logits in float64, and an enclosure without bounds.
        logits = problem.logits + data.draw(st.sampled_from([2.0**10, -(2.0**60), 2.0**90]))
        problem = problem.but(logits=logits.astype(formats.dtype(problem.dtype)).astype(np.float64))
    _is_no_class_at_minus_infinity(problem)


def _is_no_class_at_minus_infinity(problem: Problem) -> None:
    gone, kept = list(problem.masked), problem.active
    logits = problem.logits.copy()
    logits[:, gone] = -np.inf
    whole, smaller = problem.but(masked=(), logits=logits), problem.but(masked=()).with_classes(kept)
    if problem.function == "log_softmax":
        whole = whole.but(upstream=np.where(np.isin(np.arange(problem.classes), gone), 0.0, problem.upstream))
    truth, less = whole.truth(), smaller.truth()
    if problem.function in PER_CLASS:
        absent = 0.0 if problem.function == "softmax" else -np.inf
        found = np.concatenate([block.output.mid for block in truth.blocks()])
        assert (found[:, gone] == absent).all(), f"output at a logit of -inf: {found[:, gone]}"
        assert_overlap(output(truth, kept), output(less), "output")
    else:
        assert_overlap(output(truth), output(less), "output")
    found = gradient(truth)
    assert_overlap(found[:, kept], gradient(less), "gradient")
    assert_contains_zero(found[:, gone], "gradient at a logit of -inf")


def ignored_rows_are_exactly_nothing(data: st.DataObject) -> None:
    """No loss, no gradient, nothing in the denominator: not nearly, but exactly."""
    problem = data.draw(problems(("cross_entropy",), soft=False))
    labels = problem.labels.copy()
    labels[0] = IGNORE
    assume((labels != IGNORE).any())
    truth = problem.but(labels=labels).truth()
    found, ignored = gradient(truth), np.flatnonzero(labels == IGNORE)
    allowed = _tolerances(truth, _rows(problem)[0])
    assert (found.mid[ignored] == 0).all(), "gradient of an ignored row"
    assert (found.rad[ignored] <= EXACT).all(), "radius of an ignored row's gradient"
    assert not any(part[ignored].any() for part in allowed), "tolerance of an ignored row"
    counted = np.flatnonzero(labels != IGNORE)
    fewer = problem.but(labels=labels).with_rows(counted).truth()
    assert_overlap(found[counted], gradient(fewer), "gradient of the other rows")
    if truth.reduced:
        assert_overlap(output(truth), output(fewer), "loss")
        return
    losses = output(truth)
    assert (losses.mid[ignored] == 0).all(), "loss of an ignored row"
    assert (losses.rad[ignored] <= EXACT).all(), "radius of an ignored row's loss"


def layouts_change_nothing(data: st.DataObject) -> None:
    """Classes on any axis, or on two of them, in memory of any order."""
    problem = data.draw(problems(reductions=("none", "mean")))
    inputs, plain = problem.inputs(), problem.truth()
    dtype = inputs.logits.dtype
    dense = {"logits": problem.logits, "upstream": problem.upstream, "soft": problem.soft}
    arrange = data.draw(st.sampled_from(ARRANGEMENTS))

    def arranged(name: str, given: np.ndarray | None) -> np.ndarray | None:
        array = dense[name]
        if array is None or array.shape != problem.logits.shape or given is None:
            return given
        return arrange.array(held(array, dtype))

    changed = {
        "logits": arranged("logits", inputs.logits),
        "upstream": arranged("upstream", inputs.upstream),
        "targets": arranged("soft", inputs.targets) if problem.soft is not None else inputs.targets,
        "axis": arrange.axis,
    }
    if problem.function not in PER_CLASS:
        changed["upstream"] = arrange.per_row(inputs.upstream)
        if problem.labels is not None:
            changed["targets"] = arrange.per_row(inputs.targets)
    truth = Truth(replace(inputs, **changed))
    assert_overlap(output(plain), output(truth), f"output, {arrange.name}")
    assert_overlap(gradient(plain), gradient(truth), f"gradient, {arrange.name}")
    numbers = np.arange(problem.logits.size, dtype=np.float64).reshape(problem.logits.shape)
    assert (truth.layout.restored(numbers) == arrange.array(numbers)).all(), f"the way back, {arrange.name}"
    for row, column in np.ndindex(numbers.shape):
        assert arrange.array(numbers)[truth.layout.index(row, column)] == numbers[row, column]


class Arrangement:
    """One way to lay [rows, classes] out: `array` for arrays of that shape, `per_row` for those without classes."""

    def __init__(
        self,
        name: str,
        axis: tuple[int, ...],
        array: Callable[[np.ndarray], np.ndarray],
        per_row: Callable[[np.ndarray], np.ndarray] = lambda a: a,
    ) -> None:
        self.name, self.axis, self.array = name, axis, array
        self._per_row = per_row

    def per_row(self, array: np.ndarray) -> np.ndarray:
        """An array of one element a row; a single number for all rows stays what it is."""
        return self._per_row(array) if array.ndim else array


ARRANGEMENTS = (
    Arrangement("classes first", (0,), lambda a: np.ascontiguousarray(a.T)),
    Arrangement("classes first, a view", (0,), lambda a: a.T),
    Arrangement("Fortran order", (1,), np.asfortranarray),
    Arrangement("every other element", (1,), lambda a: np.repeat(a, 2, axis=1)[:, ::2]),
    Arrangement("in the middle", (1,), lambda a: a[:, :, None].copy(), lambda a: a[:, None]),
    Arrangement("two class axes", (1, 2), lambda a: a.reshape(len(a), 1, -1)),
    Arrangement("class axes around the rows", (0, 2), lambda a: np.ascontiguousarray(a.T)[:, :, None]),
    Arrangement("images", (1,), lambda a: a[:, :, None, None].copy(), lambda a: a[:, None, None]),
)


def smoothing_moves_mass(data: st.DataObject) -> None:
    """The smoothed loss is (1 - eps) of the plain one and eps of the mean loss over all classes."""
    problem = data.draw(problems(("cross_entropy",), reductions=("none",), plain=True, scaled=False))
    eps = data.draw(st.sampled_from([0.125, 0.25, 0.5, 1.0]))
    smoothed = problem.but(label_smoothing=eps).truth()
    one_hot = np.eye(problem.classes)
    each = [_with_soft(problem, np.tile(row, (problem.rows, 1))).truth() for row in one_hot]
    for part, name in ((output, "loss"), (gradient, "gradient")):
        spread = sum((part(truth) for truth in each[1:]), part(each[0]))
        plain = part(problem.truth())
        whole = plain.times((1.0 - eps) * problem.classes) + spread.times(eps)
        assert_overlap(whole, part(smoothed).times(problem.classes), f"{name} with label smoothing {eps}")


def labels_are_one_hot_probabilities(data: st.DataObject) -> None:
    """All mass at one class, told by its index or by probabilities."""
    problem = data.draw(problems(("cross_entropy",), reductions=("none", "mean", "sum"), soft=False, plain=True))
    truth = problem.truth()
    dense = _with_soft(problem, np.eye(problem.classes)[problem.labels]).truth()
    assert_overlap(output(truth), output(dense), "loss")
    assert_overlap(gradient(truth), gradient(dense), "gradient")


def _with_soft(problem: Problem, soft: np.ndarray) -> Problem:
    return problem.but(labels=None, soft=soft)


def jacobian_rows_make_every_gradient(data: st.DataObject) -> None:
    """sum_k g_k J_k is the gradient under g; the Jacobian of softmax is symmetric."""
    problem = data.draw(problems(reductions=("none",)))
    rows = gradients(problem.but(upstream=None).truth())
    upstream = problem.upstream
    parts = [row.times(upstream[:, [k]]) for k, row in enumerate(rows)]
    assert len(parts) == upstream.shape[1]
    assert_overlap(sum(parts[1:], parts[0]), gradient(problem.truth()), "gradient from the Jacobian")
    if problem.function == "softmax":
        for k, row in enumerate(rows):
            for j in range(k):
                assert_overlap(row[:, [j]], rows[j][:, [k]], f"Jacobian entries [{k}, {j}] and [{j}, {k}]")


def reductions_add_the_rows_up(data: st.DataObject) -> None:
    """sum is the sum of none; mean is that over the weights of the rows that count."""
    problem = data.draw(problems(("cross_entropy",), reductions=("none",)))
    total, plain = problem.but(reduction="sum", upstream=np.ones((1, 1))).truth(), problem.truth()
    assert_overlap(output(plain).sum(axis=0), output(total), "sum")
    ones = problem.but(upstream=np.ones((problem.rows, 1))).truth()
    assert_overlap(gradient(ones), gradient(total), "gradient of the sum")
    counts = np.ones(problem.rows)
    if problem.labels is not None:
        valid = problem.labels != IGNORE
        weight = np.ones(problem.classes) if problem.weight is None else problem.weight
        counts = np.where(valid, weight[np.where(valid, problem.labels, 0)], 0.0)
    assume(counts.sum() > 0.0)
    mean = problem.but(reduction="mean", upstream=np.ones((1, 1))).truth()
    assert_overlap(output(total), output(mean).times(counts.sum()), "mean")
    assert_overlap(gradient(total), gradient(mean).times(counts.sum()), "gradient of the mean")


def functions_agree(data: st.DataObject) -> None:
    """Probabilities add up to 1; x = log_softmax + logsumexp; the loss is -log_softmax at its label."""
    problem = data.draw(problems(("softmax",), scaled=False))
    rows = np.ones((problem.rows, 1))
    p = output(problem.truth())
    log_p = output(problem.but(function="log_softmax").truth())
    lse = problem.but(function="logsumexp", upstream=rows).truth()
    assert_overlap(p.sum(), exact(rows), "sum of the probabilities")
    own = output(lse)
    spread = Balls(np.repeat(own.mid, problem.classes, axis=1), np.repeat(own.rad, problem.classes, axis=1))
    assert_overlap(log_p + spread, exact(problem.logits), "log_softmax and logsumexp")
    assert_overlap(gradient(lse), p, "gradient of the logsumexp and the probabilities")
    labels = np.array(
        data.draw(st.lists(st.integers(0, problem.classes - 1), min_size=len(rows), max_size=len(rows)))
    )
    loss = problem.but(function="cross_entropy", labels=labels, upstream=rows).truth()
    at = (np.arange(len(rows)), labels)
    at_label = Balls(log_p.mid[at][:, None], log_p.rad[at][:, None])
    assert_contains_zero(output(loss) + at_label, "loss and log-probability of the label")
    one_hot = exact(np.eye(problem.classes)[labels])
    assert_overlap(gradient(loss), p - one_hot, "gradient p - y")


def enclosures_are_narrow(data: st.DataObject) -> None:
    """Beside a tolerance the radius of an enclosure is nothing, so that it decides no verdict."""
    problem = data.draw(problems())
    truth = problem.truth()
    row = _rows(problem)[0]
    bound, gradient_bound = _tolerances(truth, row)
    if not truth.reduced:
        share = widest(output(truth), bound)
        assert share <= NARROW, f"the output's radius is {share} of its tolerance"
    share = widest(gradient(truth), gradient_bound)
    assert share <= NARROW, f"the gradient's radius is {share} of its tolerance"


def lower_precision_is_allowed_more(data: st.DataObject) -> None:
    """No row of the ladder grants less than the same formulation at the declared precision."""
    problem = data.draw(problems(("softmax", "log_softmax", "cross_entropy", "logsumexp"), plain=True))
    truth = problem.truth()
    rows = _rows(problem)
    declared = {row.formulation: _tolerances(truth, row) for row in rows if not row.weaker}
    for row in rows:
        if problem.dtype == "float16" and row.profile.compute == "bfloat16":
            continue  # it has fewer digits, but smaller numbers
        for strict, loose in zip(declared[row.formulation], _tolerances(truth, row), strict=True):
            assert (strict <= loose).all(), f"{row.formulation} ({row.precision}) grants less than as declared"


def _rows(problem: Problem) -> tuple[ToleranceRow, ...]:
    profile = numpy_backend.BACKEND.profile(problem.function, "fused", problem.dtype)
    return ladder.rows(problem.function, "fused", profile)


def _tolerances(truth: Truth, row: ToleranceRow) -> tuple[np.ndarray, np.ndarray]:
    """Of the output before any reduction, and of the gradient."""
    tolerance = Tolerance(truth, row)
    blocks = [tolerance.block(block) for block in truth.blocks()]
    unit = truth.units[0]
    outputs = [np.broadcast_to(tolerance.output(b).values, b.truth.output.mid.shape) for b in blocks]
    allowed = [np.broadcast_to(tolerance.gradient(b, unit).values, b.truth.block.logits.shape) for b in blocks]
    return np.concatenate(outputs), np.concatenate(allowed)


LAWS = (
    shifts_change_nothing,
    classes_have_no_order,
    rows_are_independent,
    gradients_of_a_row_add_up,
    gradients_are_linear_in_the_upstream,
    scale_and_temperature_are_factors,
    masked_classes_are_no_classes,
    minus_infinity_is_no_class,
    minus_infinity_is_no_class_at_any_scale,
    ignored_rows_are_exactly_nothing,
    layouts_change_nothing,
    smoothing_moves_mass,
    labels_are_one_hot_probabilities,
    jacobian_rows_make_every_gradient,
    reductions_add_the_rows_up,
    functions_agree,
    enclosures_are_narrow,
    lower_precision_is_allowed_more,
)
