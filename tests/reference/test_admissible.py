"""The rows of users' code: their order, what each of them admits, and what none of them lets pass."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from gradaudit.functions import registry
from gradaudit.numerics import formats
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.profile import Profile
from gradaudit.reference import admissible
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth

DTYPES = ("float16", "bfloat16", "float32", "float64")


def profile(dtype: str) -> Profile:
    sixteen = dtype in ("float16", "bfloat16")
    accumulate = "float32" if sixteen else dtype
    return Profile(dtype, accumulate, dtype, dtype, 4.0, 4.0, reduction=dtype)


def call(function: str, **parameters: object) -> FunctionCall:
    own = {each.name: each.default for each in registry.get(function).parameters}
    return FunctionCall(function, MappingProxyType({**own, **parameters}))


def rows(function: str, dtype: str, **parameters: object) -> tuple[ToleranceRow, ...]:
    return admissible.rows(call(function, **parameters), dtype, profile(dtype))


def inputs(logits: np.ndarray, labels: np.ndarray, dtype: str = "float32") -> Inputs:
    stored = logits.astype(formats.dtype(dtype))
    ones = np.ones(len(logits), stored.dtype)
    function = call("cross_entropy", reduction="none")
    return Inputs(function, dtype, 1.0, (1,), stored, labels, ones, per_output=False, weight=None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", registry.names())
def test_rows_have_names_of_their_own_and_stand_in_order(function: str, dtype: str) -> None:
    found = rows(function, dtype)
    assert len({(row.formulation, row.precision) for row in found}) == len(found)
    assert not found[0].looser
    assert not found[0].weaker
    weaker = [row.weaker for row in found]
    assert weaker == sorted(weaker), "a precision that is too low comes last"
    sound = [row for row in found if not row.weaker]
    looser = [row.looser for row in sound]
    assert looser == sorted(looser), "what loses no digits comes first, at every precision"
    hides = [row.primitives is not None and row.primitives.hides_tail for row in sound]
    assert hides == sorted(hides), "what hides small probabilities comes last"
    assert all(row.looser or not row.common_offset for row in found)
    assert sound[-1].profile == profile(dtype), "the declared precision is the last that is sound"


def test_sixteen_bits_are_first_held_to_one_rounding() -> None:
    precisions = list(dict.fromkeys(row.precision for row in rows("cross_entropy", "bfloat16") if not row.weaker))
    assert precisions == [
        "rounded once",
        "rounded once, row statistics in bfloat16",
        "declared, row statistics in float32",
        "declared, rows added up in float32",
        "declared",
    ]
    assert {row.precision for row in rows("cross_entropy", "float32") if not row.weaker} == {"declared"}


def tolerances(case: Inputs, row: ToleranceRow) -> tuple[np.ndarray, np.ndarray]:
    """Of the losses [rows, 1] and of the gradient [rows, n]."""
    tolerance = Tolerance(Truth(case), row)
    (block,) = [tolerance.block(each) for each in tolerance.truth.blocks()]
    return tolerance.output(block).values, tolerance.gradient(block, None).values


def exact_gradient(case: Inputs) -> np.ndarray:
    truth = Truth(case)
    (block,) = truth.blocks()
    return np.abs(truth.gradient(block, None).mid)


@pytest.mark.parametrize("classes", [5, 11, 1000])
@pytest.mark.parametrize(("deviation", "offset"), [(1.0, 0.0), (1.0, 1e3), (3.0, 0.0), (10.0, 0.0), (10.0, 1e3)])
def test_no_row_lets_a_scale_error_of_15e_5_pass(classes: int, deviation: float, offset: float) -> None:
    """docs/numerics.md, "Teeth": a gradient 1.5e-4 too large is beyond every row in a typical row of logits."""
    generator = np.random.default_rng(classes)
    case = inputs(deviation * generator.standard_normal((40, classes)) + offset, generator.integers(0, classes, 40))
    size = exact_gradient(case)
    smallest = [
        (tolerances(case, row)[1] / size).min(axis=1) for row in rows("cross_entropy", "float32") if not row.weaker
    ]
    assert len(smallest) > 10
    caught = np.max(smallest, axis=0)
    assert np.median(caught) < 1.5e-4


def row_named(name: str, dtype: str = "float32") -> ToleranceRow:
    return next(row for row in rows("cross_entropy", dtype) if row.formulation == name)


SHIFTS = {
    "maximum not detached": lambda z: z == z.max(axis=1, keepdims=True),
    "first logit taken away": lambda z: np.arange(z.shape[1])[None] == 0,
    "online, maxima not detached": lambda z: z >= np.maximum.accumulate(z, axis=1),
}


@pytest.mark.parametrize("name", SHIFTS)
def test_an_attached_shift_widens_only_where_its_derivative_leads(name: str) -> None:
    generator = np.random.default_rng(3)
    logits = 40.0 * generator.standard_normal((20, 30))
    case = inputs(logits, np.full(20, 29))
    own, plain = tolerances(case, row_named(name))[1], tolerances(case, row_named("shifted"))[1]
    leads = np.broadcast_to(SHIFTS[name](case.logits.astype(np.float64)), own.shape)
    small = exact_gradient(case) < 1e-12
    # At a target that has won, p - 1 loses its digits whatever the shift.
    small[:, 29] = False
    assert (leads & small).any() or name == "maximum not detached"
    assert (own[leads & small] > 1e-8).all()
    assert (own[~leads & small] < 1e-15).all()
    assert (plain[small] < 1e-15).all()


def test_a_mean_that_is_not_detached_hides_small_probabilities_and_says_so() -> None:
    logits = np.array([[0.0, -60.0, -70.0, 2.0]])
    case = inputs(logits, np.array([0]))
    row = row_named("mean taken away")
    assert row.looser
    assert row.primitives is not None
    assert row.primitives.hides_tail
    assert (tolerances(case, row)[1] > 1e-8).all()
    assert (tolerances(case, row_named("shifted"))[1][0, 1:3] < 1e-30).all()


def test_merges_underflow_at_the_smallest_normal_number() -> None:
    case = inputs(np.array([[0.0, -95.0]]), np.array([0]))
    merged, plain = (tolerances(case, row_named(name))[1][0, 1] for name in ("two parts merged", "shifted"))
    # Row b of the admissible formulations: 1 / (1 + exp(D)) is 0 once exp(D) overflows.
    assert merged > 2.0**-126
    assert plain < 2.0**-126 / 100


def test_a_common_offset_costs_what_a_logsumexp_rounds_away() -> None:
    logits = np.array([[0.25, -1.5, 0.5]]) + 2.0**20
    case = inputs(logits, np.array([1]))
    offset, plain = (tolerances(case, row_named(name))[0][0, 0] for name in ("logsumexp", "shifted"))
    assert offset > 2.0**20 * 2.0**-24
    assert plain < 1e-5


def test_differences_to_the_target_add_up_the_others_at_the_target() -> None:
    """The target's element is a sum of n terms, where p - 1 is one difference."""
    logits = np.random.default_rng(1).standard_normal((1, 1000))
    case = inputs(logits, np.array([7]))
    relative, plain = (tolerances(case, row_named(name))[1][0, 7] for name in (admissible.RELATIVE, "shifted"))
    assert relative > 10.0 * plain
    assert relative < 1e-3


def test_soft_targets_have_no_difference_to_the_target() -> None:
    logits = np.random.default_rng(1).standard_normal((3, 5))
    case = inputs(logits, np.zeros(3, dtype=np.int64))
    soft = replace(case, targets=np.full((3, 5), 0.2, np.float32))
    relative, plain = (tolerances(soft, row_named(name)) for name in (admissible.RELATIVE, "shifted"))
    assert np.array_equal(relative[1], plain[1])
    assert np.array_equal(relative[0], plain[0])


@pytest.mark.parametrize("function", ["focal", "poly", "z_loss", "softcap"])
def test_spellings_are_tried_over_the_primitives_of_every_kind(function: str) -> None:
    found = rows(function, "float32")
    names = {row.formulation.split("; ")[0] for row in found}
    assert {"shifted", "logsumexp", "maximum not detached", "classes merged one by one"} <= names
    spelled = {row.formulation for row in found if row.formulation.startswith("shifted")}
    assert len(spelled) >= len(registry.get(function).spellings) > 1


def test_float64_is_judged_as_tightly_as_its_format_allows() -> None:
    logits = np.random.default_rng(5).standard_normal((4, 8))
    narrow = inputs(logits.astype(np.float32), np.arange(4))
    wide = inputs(narrow.logits.astype(np.float64), np.arange(4), "float64")
    first = tolerances(narrow, rows("cross_entropy", "float32")[0])
    second = tolerances(wide, rows("cross_entropy", "float64")[0])
    for a, b in zip(first, second, strict=True):
        assert np.all(b < a * 2.0**-28)
        assert np.all(b > a * 2.0**-30)
