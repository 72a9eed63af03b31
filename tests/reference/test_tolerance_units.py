"""Tolerance rows in units: every order of a kernel's operations lies within its row and comes near it, reductions
and final roundings are charged, ignored rows are due exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gradaudit.numerics import formats
from gradaudit.records.profile import Profile
from gradaudit.reference import ladder
from gradaudit.reference.ladder import ToleranceRow
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth
from tests.measurement.cases import truth
from tests.reference import plain_candidates
from tests.reference.plain_candidates import GRADIENTS, Given

U16 = 2.0**-11
ORDERS = [
    (function, formulation, order, dtype)
    for (function, formulation), orders in GRADIENTS.items()
    for order in orders
    for dtype in ("float16", "float32")
]


def profile(dtype: str, **changes: object) -> Profile:
    """Everything in one format; exp as NumPy has it: within 3 ULP in float32, 1 in float16."""
    ulps = 1.0 if dtype == "float16" else 3.0
    return replace(Profile(dtype, dtype, dtype, dtype, ulps, 4.0), **changes)  # type: ignore[arg-type]


def last_declared(function: str, formulation: str, given: Profile) -> ToleranceRow:
    """The formulation's own row."""
    return [row for row in ladder.rows(function, formulation, given) if not row.weaker][-1]


def gradient_shares(found: Truth, row: ToleranceRow, got: np.ndarray) -> np.ndarray:
    """Errors of a gradient [rows, n] as shares of their tolerance."""
    tolerance, shares = Tolerance(found, row), []
    for block in found.blocks():
        exact, bound = found.gradient(block, None), tolerance.gradient(tolerance.block(block), None).values
        part = got[block.block.start : block.block.stop].astype(np.float64)
        low = 0.0 if exact.low is None else exact.low
        with np.errstate(invalid="ignore"):
            shares.append(np.where(np.isinf(bound), 0.0, np.abs((part - exact.mid) - low) / bound))
    return np.concatenate(shares)


def problem(function: str, dtype: str, seed: int, rows: int = 300, n: int = 4) -> tuple[Truth, Given]:
    """Rows of every spread and some of them saturated, random upstream and targets, with the arrays as they are."""
    generator, stored = np.random.default_rng(seed), formats.dtype(dtype)
    scale = generator.choice([0.3, 1.0, 3.0], (rows, 1))
    logits = (generator.standard_normal((rows, n)) * scale).astype(stored)
    wide = function in {"softmax", "log_softmax"}
    upstream = generator.standard_normal((rows, n if wide else 1)).astype(stored)
    targets = None
    mass = np.zeros_like(logits)
    if function == "cross_entropy":
        mass = generator.dirichlet(np.ones(n), rows).astype(stored)
        mass[::2] = np.eye(n, dtype=stored)[generator.integers(0, n, rows)][::2]
        targets = mass.astype(np.float64)
    found = truth(function, logits, dtype, targets=targets, upstream=upstream if wide else upstream[:, 0])
    return found, Given(logits, upstream, mass)


def worst_share(function: str, formulation: str, order: str, dtype: str) -> float:
    """The largest share of its row that one order of the operations takes, of 1,200 elements."""
    found, given = problem(function, dtype, seed=31)
    with np.errstate(all="ignore"):
        got = GRADIENTS[function, formulation][order](given)
    shares = gradient_shares(found, last_declared(function, formulation, profile(dtype)), got)
    # Where g / p overflows there is no number to judge.
    shares = shares[np.isfinite(shares)]
    assert shares.size > 1000
    return float(shares.max())


@pytest.mark.parametrize(("function", "formulation", "order", "dtype"), ORDERS)
def test_every_order_of_the_operations_lies_within_its_row(
    function: str, formulation: str, order: str, dtype: str
) -> None:
    """And comes to an eighth of it at least: no row is slack beyond use."""
    assert 1.0 / 8.0 <= worst_share(function, formulation, order, dtype) <= 1.0


@pytest.mark.parametrize(("function", "formulation", "order", "dtype"), ORDERS[::3])
def test_an_error_of_two_tolerances_is_not_admitted(function: str, formulation: str, order: str, dtype: str) -> None:
    found, _ = problem(function, dtype, seed=32, rows=20)
    row = last_declared(function, formulation, profile(dtype))
    tolerance = Tolerance(found, row)
    block = found.block_at(0)
    bound = tolerance.gradient(tolerance.block(block), None).values
    decided = np.isfinite(bound)
    got = found.gradient(block, None).mid + np.where(decided, 2.0 * bound, 0.0)
    assert (gradient_shares(found, row, got)[decided] > 1.9).all()
    assert decided.any()


def test_the_row_for_exp_of_a_difference_carries_the_offset() -> None:
    """p = exp(x - logsumexp) at an offset of 1,000: wrong by u * 1,000, which only its own row admits."""
    generator = np.random.default_rng(33)
    logits = (1000.0 + generator.standard_normal((200, 3))).astype(np.float32)
    found = truth("logsumexp", logits)
    lse = logits.max(axis=-1, keepdims=True) + np.log(plain_candidates.shifted(logits)[2])
    got = np.exp(logits - lse)
    rows = ladder.rows("logsumexp", "fused", profile("float32", probabilities="exp_lse"))
    assert rows[1].common_offset
    assert gradient_shares(found, rows[0], got).max() > 5.0
    assert 1.0 / 6.0 <= gradient_shares(found, rows[1], got).max() <= 1.0


def test_a_chain_that_divides_by_p_has_no_bound_where_p_may_be_zero() -> None:
    found = truth("cross_entropy", [[0.0, -150.0], [0.0, -80.0]], targets=[1, 1])
    row = last_declared("cross_entropy", "unfused", profile("float32"))
    tolerance = Tolerance(found, row)
    bound = tolerance.gradient(tolerance.block(found.block_at(0)), None).values
    assert np.isinf(bound[0]).all()
    assert (bound[1] < 1e-4).all(), "p and 1 / p are as wrong as each other, and cancel"


def test_exponentials_that_overflow_have_no_bound() -> None:
    found = truth("softmax", [[89.0, 0.0], [88.0, 0.0]])
    row = last_declared("softmax", "unshifted", profile("float32"))
    tolerance = Tolerance(found, row)
    bound = tolerance.output(tolerance.block(found.block_at(0))).values
    assert np.isinf(bound[0]).all()
    assert (bound[1] < 1e-5).all()


# ------------------------------------------------------------------------------------------------- reductions


def losses_of(found: Truth, tolerance: Tolerance) -> tuple[float, float]:
    blocks = [(block, tolerance.output(tolerance.block(block)).values) for block in found.blocks()]
    return sum(float(np.abs(b.output.mid).sum()) for b, _ in blocks), sum(float(bound.sum()) for _, bound in blocks)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_reduced_losses_added_one_by_one_lie_within(reduction: str, weighted: bool, dtype: str) -> None:
    generator, stored = np.random.default_rng(34), formats.dtype(dtype)
    worst = 0.0
    for _ in range(60):
        logits = generator.standard_normal((12, 3)).astype(stored)
        labels = generator.integers(0, 3, 12)
        weight = generator.uniform(0.25, 2.0, 3).astype(stored) if weighted else np.ones(3, stored)
        found = truth(
            "cross_entropy", logits, dtype, targets=labels, reduction=reduction, weight=weight if weighted else None
        )
        own = weight[labels][:, None]
        losses = -own * np.take_along_axis(plain_candidates.log_probabilities(logits), labels[:, None], axis=-1)
        got = plain_candidates.total(losses.T)
        if reduction == "mean":
            got = got / plain_candidates.total(own.T)
        tolerance = Tolerance(found, last_declared("cross_entropy", "fused", profile(dtype)))
        bound = tolerance.reduced(*losses_of(found, tolerance))
        worst = max(worst, abs(float(got[0, 0]) - float(found.reduced_output().mid[0, 0])) / bound)
    assert 0.05 <= worst <= 1.0


def test_a_sum_of_more_rows_costs_more() -> None:
    """One tree over the rows: h u of the losses, h = N - 1 where the order is unknown."""
    bounds = []
    for rows in (2, 64):
        found = truth("cross_entropy", [[0.0, 0.0]] * rows, targets=[0] * rows, reduction="sum")
        tolerance = Tolerance(found, last_declared("cross_entropy", "fused", profile("float32")))
        losses, allowed = losses_of(found, tolerance)
        bounds.append((tolerance.reduced(losses, allowed) - allowed) / losses * 2.0**24)
    assert bounds[0] == pytest.approx(1.0 + 1.0, rel=1e-3)
    assert bounds[1] == pytest.approx(63.0 + 1.0, rel=1e-3)


def test_the_format_of_sums_over_rows_counts() -> None:
    found = truth("cross_entropy", [[0.0, 1.0]] * 9, targets=[0] * 9, reduction="sum")
    for reduction, u in (("float32", 2.0**-24), ("float16", U16)):
        row = last_declared("cross_entropy", "fused", profile("float32", reduction=reduction))
        tolerance = Tolerance(found, row)
        losses, allowed = losses_of(found, tolerance)
        assert tolerance.reduced(losses, allowed) - allowed >= 8.0 * u * losses


def test_a_count_of_rows_is_exact_while_the_format_can_count() -> None:
    """2,048 rows are counted in float16 without an error; one more may not be."""
    for rows, exact in ((2048, True), (2049, False)):
        found = truth("cross_entropy", np.zeros((rows, 2)), targets=[0] * rows, reduction="mean")
        given = profile("float32", reduction="float16")
        tolerance = Tolerance(found, last_declared("cross_entropy", "fused", given))
        bound = tolerance.gradient(tolerance.block(found.block_at(0)), None).values
        assert np.isfinite(bound).all() == exact


def test_losses_without_a_bound_have_no_bound_together() -> None:
    found = truth("cross_entropy", [[0.0, 1.0]], targets=[0], reduction="mean")
    tolerance = Tolerance(found, last_declared("cross_entropy", "fused", profile("float32")))
    assert tolerance.reduced(1.0, math.inf) == math.inf


# ------------------------------------------------------------------------------------ parameters and results


@pytest.mark.parametrize(("parameter", "value"), [("temperature", 0.7), ("logit_scale", 3.3)])
@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_scaled_logits_and_their_gradient_lie_within(function: str, parameter: str, value: float) -> None:
    generator = np.random.default_rng(35)
    logits = generator.standard_normal((300, 3)).astype(np.float32) * np.float32(4.0)
    upstream = generator.standard_normal((300, 3)).astype(np.float32)
    found = truth(function, logits, upstream=upstream, **{parameter: value})
    k = np.float32(value)
    apply: Callable[[np.ndarray], np.ndarray] = (lambda a: a / k) if parameter == "temperature" else (lambda a: a * k)
    kernel = GRADIENTS[function, "fused"]["p (g - c)" if function == "softmax" else "g - p S"]
    got = apply(kernel(Given(apply(logits), upstream, upstream)))
    shares = gradient_shares(found, last_declared(function, "fused", profile("float32")), got)
    assert 1.0 / 6.0 <= shares.max() <= 1.0


def test_a_narrower_result_is_rounded_once_more() -> None:
    """float32 inside, bfloat16 returned: half a unit of bfloat16, and hardly more."""
    generator = np.random.default_rng(36)
    logits = generator.standard_normal((200, 4)).astype(formats.dtype("bfloat16"))
    upstream = generator.standard_normal((200, 4)).astype(formats.dtype("bfloat16"))
    found = truth("softmax", logits, "bfloat16", upstream=upstream)
    kernel = GRADIENTS["softmax", "fused"]["p (g - c)"]
    wide = kernel(Given(logits.astype(np.float32), upstream.astype(np.float32), logits))
    row = last_declared("softmax", "fused", profile("float32", result="bfloat16"))
    shares = gradient_shares(found, row, wide.astype(logits.dtype))
    assert 0.9 <= shares.max() <= 1.0


def test_ignored_rows_are_due_exactly() -> None:
    for reduction in ("none", "sum"):
        found = truth("cross_entropy", [[0.0, 1.0], [5.0, 1.0]], targets=[-100, 1], reduction=reduction)
        tolerance = Tolerance(found, last_declared("cross_entropy", "fused", profile("float32")))
        given = tolerance.block(found.block_at(0))
        for bound in (tolerance.output(given).values, tolerance.gradient(given, None).values):
            assert (bound[0] == 0.0).all()
            assert (bound[1] > 0.0).all()


def test_a_loss_that_is_picked_is_not_rounded_and_one_that_is_weighted_is() -> None:
    plain = truth("cross_entropy", [[0.0, 3.0]], targets=[0])
    heavy = truth("cross_entropy", [[0.0, 3.0]], targets=[0], weight=[0.75, 1.0])
    row = last_declared("cross_entropy", "fused", profile("float32"))
    bounds = []
    for found in (plain, heavy):
        tolerance = Tolerance(found, row)
        block = found.block_at(0)
        bounds.append(float(tolerance.output(tolerance.block(block)).values[0, 0]))
    loss = float(plain.block_at(0).output.mid[0, 0])
    assert bounds[1] == pytest.approx(0.75 * (bounds[0] * (1.0 + 2.0**-24) + 2.0**-24 * loss), rel=1e-6)


def test_an_allowance_is_known_to_dwarf_the_enclosure() -> None:
    """Labels, exact logits: five numbers a row tell that float64's radii are 2^-29 of float32's tolerances."""
    found = truth("cross_entropy", np.random.default_rng(37).standard_normal((5, 4)), targets=[0, 1, 2, 3, 0])
    tolerance = Tolerance(found, last_declared("cross_entropy", "fused", profile("float32")))
    block = found.block_at(0)
    allowed, exact = tolerance.gradient(tolerance.block(block), None), found.gradient(block, None)
    assert allowed.dwarfs(exact, 2.0**-4)
    assert not allowed.dwarfs(exact, 2.0**-40)
    assert (exact.rad <= 2.0**-4 * allowed.values).all()


# ----------------------------------------------------------------- sound, and beyond its row: what is still to derive


def test_a_product_that_underflows_before_it_is_scaled_up() -> None:
    """Loss scaling in float16: w p loses half a subnormal number, and the upstream gradient 1,000 makes it 500."""
    weight, upstream = np.float16(0.03), np.float16(1000.0)
    logits = np.stack([np.zeros(400), -np.linspace(9.0, 17.0, 400)], axis=1).astype(np.float16)
    found = truth(
        *("cross_entropy", logits, "float16"), targets=[0] * 400, weight=[weight, 1.0], upstream=float(upstream)
    )
    got = (weight * plain_candidates.probabilities(logits) - np.array([[weight, 0.0]], np.float16)) * upstream
    assert gradient_shares(found, last_declared("cross_entropy", "fused", profile("float16")), got).max() <= 1.0


@pytest.mark.parametrize("logit", [-np.inf, -1e4, -150.0])
def test_an_unshifted_exponential_that_vanishes_harms_no_other_class(logit: float) -> None:
    found = truth("softmax", [[1.0, 2.0, logit]])
    tolerance = Tolerance(found, last_declared("softmax", "unshifted", profile("float32")))
    assert (tolerance.output(tolerance.block(found.block_at(0))).values < 1e-5).all()


def test_products_that_are_stored_before_they_are_added_up() -> None:
    """A graph of float16 tensors whose operators compute in float32: R(p g) counts once for every class."""

    def stored(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float16).astype(np.float32)

    generator = np.random.default_rng(1)
    logits = (0.3 * generator.standard_normal((60_000, 3))).astype(np.float16)
    p = stored(plain_candidates.probabilities(logits.astype(np.float32)))
    g = generator.standard_normal((60_000, 3))
    g[:, 2] = 0.0
    g[:, 0] = -g[:, 1] * p[:, 1] / p[:, 0]
    g = stored(g)
    c = stored(plain_candidates.total(stored(p * g)))
    found = truth("softmax", logits, "float16", upstream=g)
    kernel = Profile("float32", "float32", "float16", "float32", 3.0, 4.0)
    got = stored(p * stored(g - c))
    assert gradient_shares(found, last_declared("softmax", "fused", kernel), got).max() <= 1.0
