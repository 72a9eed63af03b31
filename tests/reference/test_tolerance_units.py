"""Tolerance rows in units: every order of a kernel's operations lies within its row and comes near it, reductions
and final roundings are charged, ignored rows are due exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradaudit.numerics import formats
from gradaudit.numerics.arithmetic import of_profile
from gradaudit.numerics.ball import BallAlgebra
from gradaudit.records.profile import Profile
from gradaudit.reference import kernels
from gradaudit.reference.tolerance import Tolerance
from gradaudit.reference.truth import Truth
from tests.measurement.cases import truth
from tests.reference import plain_candidates
from tests.reference.plain_candidates import GRADIENTS, Adversary, Given, Rounding
from tests.reference.row_shares import (
    MACHINES,
    STEPS,
    U16,
    declared_row,
    gradient_shares,
    problem,
    profile,
    shares_of,
    worst_share,
)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("step", STEPS, ids="-".join)
def test_every_order_of_the_operations_lies_within_its_row(step: tuple[str, str, str, str], machine: str) -> None:
    assert worst_share(*step, machine) <= 1.0


@pytest.mark.parametrize("step", STEPS, ids="-".join)
def test_no_row_is_slack_beyond_use(step: tuple[str, str, str, str]) -> None:
    """Errors of the largest size in unhappy directions come to half of it at least."""
    assert worst_share(*step, "adversary") >= 0.5


@pytest.mark.parametrize("kernel", ["softmax_vjp", "log_softmax_vjp"])
def test_a_kernels_own_roundings_are_charged_to_the_last(kernel: str) -> None:
    """With exact probabilities nothing hides them."""
    generator = np.random.default_rng(39)
    p = generator.dirichlet(np.ones(2), 2000)
    g = generator.standard_normal((2000, 2))
    m = BallAlgebra(of_profile(profile("float16")))
    allowed = np.asarray(getattr(kernels, kernel)(m, m.exact(p), m.exact(g)).rad)
    exact = p * (g - (p * g).sum(axis=-1, keepdims=True))
    if kernel == "log_softmax_vjp":
        exact = g - p * g.sum(axis=-1, keepdims=True)
    compute = getattr(plain_candidates, kernel)
    worst = max(float((np.abs(compute(each, p, g) - exact) / allowed).max()) for each in MACHINES["adversary"])
    assert 0.85 <= worst <= 1.0


@pytest.mark.parametrize("step", list(STEPS)[::4], ids="-".join)
def test_an_error_of_two_tolerances_is_not_admitted(step: tuple[str, str, str, str]) -> None:
    quantity, function, name, _ = step
    found, _ = problem(function, seed=32, rows=20)
    row = declared_row(found.function.name, name, profile("float16"))
    tolerance = Tolerance(found, row)
    block = found.block_at(0)
    bounds = tolerance.block(block)
    bound = (tolerance.output(bounds) if quantity == "output" else tolerance.gradient(bounds, None)).values
    decided = np.isfinite(bound)
    exact = block.output if quantity == "output" else found.gradient(block, None)
    got = exact.mid + np.where(decided, 2.0 * bound, 0.0)
    assert (shares_of(found, row, quantity, got)[decided] > 1.9).all()
    assert decided.any()


def test_the_row_for_exp_of_a_difference_carries_the_offset() -> None:
    """p = exp(x - logsumexp) at an offset of 100: wrong by u * 100, which only its own row admits."""
    generator = np.random.default_rng(33)
    logits = (100.0 + generator.standard_normal((200, 3))).astype(np.float16)
    found = truth("logsumexp", logits, "float16")
    given = Given(logits.astype(np.float64), np.ones((200, 1)), logits)
    got = plain_candidates.exp_of_difference(Rounding("float16"), given)
    row = declared_row("logsumexp", "p = exp(x - logsumexp)", profile("float16"))
    assert row.common_offset
    assert gradient_shares(found, declared_row("logsumexp", "shifted", profile("float16")), got).max() > 5.0
    assert 1.0 / 3.0 <= gradient_shares(found, row, got).max() <= 1.0


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_long_sums_are_charged_by_their_height(dtype: str) -> None:
    """4,000 (or 200) equal terms of which every addition errs upwards; the sum's share is what it is about."""
    n, u = (4000, 2.0**-24) if dtype == "float32" else (200, U16)
    found = truth("logsumexp", np.full((3, n), 0.5), dtype)
    got = plain_candidates.OUTPUTS["logsumexp", "shifted"]["max + log s"](
        Adversary(u, 0.0, sign=1.0), Given(np.full((3, n), 0.5), np.ones((3, 1)), np.zeros((3, n)))
    )
    for height, lowest, highest in (("any", 0.2, 1.0), ("pairwise", 1.5, math.inf)):
        row = declared_row("logsumexp", "shifted", profile(dtype, height=height))
        assert lowest <= shares_of(found, row, "output", got).max() <= highest


def test_a_chain_that_divides_by_p_has_no_bound_where_p_may_be_zero() -> None:
    found = truth("cross_entropy", [[0.0, -150.0], [0.0, -80.0]], targets=[1, 1])
    row = declared_row("cross_entropy", "unfused", profile("float32"))
    tolerance = Tolerance(found, row)
    bound = tolerance.gradient(tolerance.block(found.block_at(0)), None).values
    assert np.isinf(bound[0]).all()
    assert (bound[1] < 1e-4).all(), "p and 1 / p are as wrong as each other, and cancel"


def test_exponentials_that_overflow_have_no_bound() -> None:
    found = truth("softmax", [[89.0, 0.0], [88.0, 0.0]])
    row = declared_row("softmax", "unshifted", profile("float32"))
    tolerance = Tolerance(found, row)
    bound = tolerance.output(tolerance.block(found.block_at(0))).values
    assert np.isinf(bound[0]).all()
    assert (bound[1] < 1e-5).all()


# ------------------------------------------------------------------------------------------------- reductions


def losses_of(found: Truth, tolerance: Tolerance) -> tuple[float, float]:
    blocks = [(block, tolerance.output(tolerance.block(block)).values) for block in found.blocks()]
    return sum(float(np.abs(b.output.mid).sum()) for b, _ in blocks), sum(float(bound.sum()) for _, bound in blocks)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_reduced_losses_added_one_by_one_lie_within(reduction: str, weighted: bool, machine: str) -> None:
    generator = np.random.default_rng(34)
    upwards, downwards = (Adversary(U16, 2.0 * U16, sign=sign) for sign in (1.0, -1.0))
    m, other = (upwards, downwards) if machine == "adversary" else (Rounding("float16"),) * 2
    worst = 0.0
    for _ in range(30):
        logits = generator.standard_normal((12, 3)).astype(np.float16)
        labels = generator.integers(0, 3, 12)
        weight = generator.uniform(0.25, 2.0, 3).astype(np.float16) if weighted else np.ones(3, np.float16)
        options = {"targets": labels, "reduction": reduction, "weight": weight if weighted else None}
        found = truth("cross_entropy", logits, "float16", **options)
        own = weight[labels].astype(np.float64)[:, None]
        log_p = plain_candidates.log_probabilities(m, logits.astype(np.float64))
        losses = -np.take_along_axis(log_p, labels[:, None], axis=-1)
        got = plain_candidates.total(m, (m.r(own * losses) if weighted else losses).T)
        if reduction == "mean":
            got = m.r(got / plain_candidates.total(other, own.T))
        tolerance = Tolerance(found, declared_row("cross_entropy", "shifted", profile("float16")))
        bound = tolerance.reduced(*losses_of(found, tolerance))
        worst = max(worst, abs(float(got[0, 0]) - float(found.reduced_output().mid[0, 0])) / bound)
    assert worst <= 1.0
    assert machine != "adversary" or worst >= 0.25


def test_a_sum_of_more_rows_costs_more() -> None:
    """One tree over the rows: h u of the losses, h = N - 1 where the order is unknown."""
    bounds = []
    for rows in (2, 64):
        found = truth("cross_entropy", [[0.0, 0.0]] * rows, targets=[0] * rows, reduction="sum")
        tolerance = Tolerance(found, declared_row("cross_entropy", "shifted", profile("float32")))
        losses, allowed = losses_of(found, tolerance)
        bounds.append((tolerance.reduced(losses, allowed) - allowed) / losses * 2.0**24)
    assert bounds[0] == pytest.approx(1.0 + 1.0, rel=1e-3)
    assert bounds[1] == pytest.approx(63.0 + 1.0, rel=1e-3)


def test_the_format_of_sums_over_rows_counts() -> None:
    found = truth("cross_entropy", [[0.0, 1.0]] * 9, targets=[0] * 9, reduction="sum")
    for reduction, u in (("float32", 2.0**-24), ("float16", U16)):
        row = declared_row("cross_entropy", "shifted", profile("float32", reduction=reduction))
        tolerance = Tolerance(found, row)
        losses, allowed = losses_of(found, tolerance)
        assert tolerance.reduced(losses, allowed) - allowed >= 8.0 * u * losses


def test_a_count_of_rows_is_exact_while_the_format_can_count() -> None:
    """2,048 rows are counted in float16 without an error; one more may not be."""
    for rows, exact in ((2048, True), (2049, False)):
        found = truth("cross_entropy", np.zeros((rows, 2)), targets=[0] * rows, reduction="mean")
        given = profile("float32", reduction="float16")
        tolerance = Tolerance(found, declared_row("cross_entropy", "shifted", given))
        bound = tolerance.gradient(tolerance.block(found.block_at(0)), None).values
        assert np.isfinite(bound).all() == exact


def test_losses_without_a_bound_have_no_bound_together() -> None:
    found = truth("cross_entropy", [[0.0, 1.0]], targets=[0], reduction="mean")
    tolerance = Tolerance(found, declared_row("cross_entropy", "shifted", profile("float32")))
    assert tolerance.reduced(1.0, math.inf) == math.inf


# ------------------------------------------------------------------------------------ parameters and results


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("parameter", "value"), [("temperature", 0.7), ("logit_scale", 3.3)])
@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_scaled_logits_and_their_gradient_lie_within(
    function: str, parameter: str, value: float, machine: str
) -> None:
    """The parameter rounded, the logits multiplied or divided by it, and the gradient once more."""
    _, given = problem(function, seed=35)
    found = truth(function, given.x, "float16", upstream=given.g, **{parameter: value})
    row = declared_row(function, "shifted", profile("float16"))
    (kernel,) = GRADIENTS[function, "shifted"].values()
    worst = 0.0
    for m in MACHINES[machine]:
        k = m.r(np.full((1, 1), value))
        z = m.r(given.x / k if parameter == "temperature" else given.x * k)
        inner = kernel(m, Given(z, given.g, given.t))
        got = m.r(inner / k if parameter == "temperature" else inner * k)
        worst = max(worst, float(gradient_shares(found, row, got).max()))
    assert worst <= 1.0
    assert machine != "adversary" or worst >= 0.5


def test_a_narrower_result_is_rounded_once_more() -> None:
    """float32 inside, bfloat16 returned: half a unit of bfloat16, and hardly more."""
    generator = np.random.default_rng(36)
    logits = generator.standard_normal((200, 4)).astype(formats.dtype("bfloat16"))
    upstream = generator.standard_normal((200, 4)).astype(formats.dtype("bfloat16"))
    found = truth("softmax", logits, "bfloat16", upstream=upstream)
    (kernel,) = GRADIENTS["softmax", "shifted"].values()
    given = Given(logits.astype(np.float64), upstream.astype(np.float64), logits)
    got = Rounding("bfloat16").r(kernel(Rounding("float32"), given))
    row = declared_row("softmax", "shifted", profile("float32", result="bfloat16"))
    assert 0.9 <= gradient_shares(found, row, got).max() <= 1.0


def test_ignored_rows_are_due_exactly() -> None:
    for reduction in ("none", "sum"):
        found = truth("cross_entropy", [[0.0, 1.0], [5.0, 1.0]], targets=[-100, 1], reduction=reduction)
        tolerance = Tolerance(found, declared_row("cross_entropy", "shifted", profile("float32")))
        given = tolerance.block(found.block_at(0))
        for bound in (tolerance.output(given).values, tolerance.gradient(given, None).values):
            assert (bound[0] == 0.0).all()
            assert (bound[1] > 0.0).all()


def test_a_loss_that_is_picked_is_not_rounded_and_one_that_is_weighted_is() -> None:
    plain = truth("cross_entropy", [[0.0, 3.0]], targets=[0])
    heavy = truth("cross_entropy", [[0.0, 3.0]], targets=[0], weight=[0.75, 1.0])
    row = declared_row("cross_entropy", "shifted", profile("float32"))
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
    tolerance = Tolerance(found, declared_row("cross_entropy", "shifted", profile("float32")))
    block = found.block_at(0)
    allowed, exact = tolerance.gradient(tolerance.block(block), None), found.gradient(block, None)
    assert allowed.dwarfs(exact, 2.0**-4)
    assert not allowed.dwarfs(exact, 2.0**-40)
    assert (exact.rad <= 2.0**-4 * allowed.values).all()


# -------------------------------------------------------------------------------------------------- underflow


def test_a_product_that_underflows_before_it_is_scaled_up() -> None:
    """Loss scaling in float16: w p loses half a subnormal number, and the upstream gradient 1,000 makes it 500."""
    m, weight = Rounding("float16"), float(np.float16(0.03))
    logits = np.stack([np.zeros(400), -np.linspace(9.0, 17.0, 400)], axis=1).astype(np.float16)
    found = truth("cross_entropy", logits, "float16", targets=[0] * 400, weight=[weight, 1.0], upstream=1000.0)
    p = plain_candidates.probabilities(m, logits.astype(np.float64))
    got = m.r(m.r(m.r(weight * p) - np.array([[weight, 0.0]])) * 1000.0)
    shares = gradient_shares(found, declared_row("cross_entropy", "shifted", profile("float16")), got)
    assert 1.0 / 3.0 <= shares.max() <= 1.0


@pytest.mark.parametrize("logit", [-np.inf, -1e4, -150.0])
def test_an_unshifted_exponential_that_vanishes_harms_no_other_class(logit: float) -> None:
    found = truth("softmax", [[1.0, 2.0, logit]])
    tolerance = Tolerance(found, declared_row("softmax", "unshifted", profile("float32")))
    assert (tolerance.output(tolerance.block(found.block_at(0))).values < 1e-5).all()


@pytest.mark.parametrize("mean", [3.4, 3.9])
def test_a_sum_that_is_divided_twice_underflows(mean: float) -> None:
    """1,000 classes about 3.4: p / s is below the smallest float16 number, and the gradient loses its sum."""
    logits = (mean + 0.3 * np.random.default_rng(38).standard_normal((6, 1000))).astype(np.float16)
    ones = np.ones((6, 1000))
    found = truth("softmax", logits, "float16", upstream=ones)
    got = plain_candidates.unshifted_vjp_through_the_sum(
        Rounding("float16"), Given(logits.astype(np.float64), ones, ones)
    )
    kernels = profile("float16", accumulate="float32", statistics="float16")
    assert gradient_shares(found, declared_row("softmax", "shifted", kernels), got).max() > 1.0
    assert gradient_shares(found, declared_row("softmax", "unshifted", kernels), got).max() <= 1.0


def test_products_that_are_stored_before_they_are_added_up() -> None:
    """A graph of float16 tensors whose operators compute in float32: R(p g) counts once for every class."""
    store, generator = Rounding("float16").r, np.random.default_rng(1)
    logits = (0.3 * generator.standard_normal((60_000, 3))).astype(np.float16)
    p = store(plain_candidates.probabilities(Rounding("float32"), logits.astype(np.float64)))
    g = generator.standard_normal((60_000, 3))
    g[:, 2] = 0.0
    g[:, 0] = -g[:, 1] * p[:, 1] / p[:, 0]
    g = store(g)
    found = truth("softmax", logits, "float16", upstream=g)
    products = store(p * g)
    got = store(p * store(g - store(products.sum(axis=-1, keepdims=True))))
    kernel = Profile("float32", "float32", "float16", "float32", 3.0, 4.0)
    assert 0.5 <= gradient_shares(found, declared_row("softmax", "shifted", kernel), got).max() <= 1.0


@pytest.mark.parametrize("dtype", ["float64", "float16"])
def test_flushing_does_not_move_the_largest_number(dtype: str) -> None:
    """exp overflows at log(largest number), whatever becomes of subnormal results."""
    form = formats.get(dtype)
    top = math.log(form.largest)
    bounds = []
    for flushes in (False, True):
        found = truth("softmax", [[top - 2.0, 0.0], [top + 2.0, 0.0]], dtype)
        tolerance = Tolerance(found, declared_row("softmax", "unshifted", profile(dtype, flushes=flushes)))
        bounds.append(np.isfinite(tolerance.output(tolerance.block(found.block_at(0))).values).tolist())
    assert bounds[0] == bounds[1] == [[True, True], [False, False]]
