"""The oracle against facts that do not come from it: torch, the decimal module, identities and known numbers."""

from __future__ import annotations

import ast
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from flint import arb, ctx, fmpq  # noqa: TID253 (the oracle's numbers are arb)

from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from tests.oracle import direct, families

COARSE = 2.0**-40


@pytest.fixture(autouse=True)
def working_precision():
    """What the tests themselves do with the oracle's values, they do in 256 bits."""
    with ctx.workprec(256):
        yield


def inputs(name, logits, *, axis=None, targets=None, upstream=None, weight=None, per_output=False, **parameters):
    logits = np.asarray(logits)
    if logits.dtype == np.float64 and "dtype" in parameters:
        logits = logits.astype(families.DTYPES[parameters.pop("dtype")])
    return Inputs(
        function=FunctionCall(name, MappingProxyType(parameters)),
        dtype=str(logits.dtype),
        scale=1.0,
        axis=(logits.ndim - 1,) if axis is None else axis,
        logits=logits,
        targets=None if targets is None else np.asarray(targets),
        upstream=None if upstream is None else np.asarray(upstream, dtype=logits.dtype),
        per_output=per_output,
        weight=None if weight is None else np.asarray(weight, dtype=logits.dtype),
    )


def assert_coarsely(exact, got):
    """Float64 arithmetic of well-scaled values agrees to 2^-40 of the largest one; NaN stands for None."""
    got = np.asarray(got, dtype=np.float64)
    assert exact.shape == got.shape
    finite = got[np.isfinite(got)]
    size = np.abs(finite).max() if finite.size else 0.0
    worst = direct.error(got, exact).max()
    assert worst <= COARSE * max(size, 2.0**-20), f"{worst} beside values of {size}"


def assert_equal_to(values, exact, bits=110):
    """Two arb values that are equal in theory overlap, and their difference is below 2^-bits of them."""
    for value, other in zip(np.ravel(values), np.ravel(exact), strict=True):
        difference = abs(value - other)
        assert value.overlaps(other)
        assert difference <= abs(other) * arb(2) ** -bits


# ---------------------------------------------------------------------------------------------- known numbers


def test_forum_numbers():
    """The MXNet forum's softmax of [0.1, 2] over axis 1: +-0.11318026 an output, and 0 for a head of ones."""
    logits = np.array([[[[0.1]], [[2.0]]]], dtype=np.float32)[0][np.newaxis]
    exact = direct.evaluate(inputs("softmax", logits, axis=(1,), per_output=True))
    output, jacobian = direct.nearest(exact["output"]), direct.nearest(exact["jacobian"])
    assert exact["jacobian"].shape == (2, 1, 2, 1, 1)
    ulp = 2.0**-23  # of what the forum's float32 printed
    assert np.abs(output.ravel() - [0.13010848, 0.8698916]).max() < ulp
    assert np.abs(jacobian.ravel() - np.array([1, -1, -1, 1]) * 0.11318026).max() < ulp / 8
    ones = direct.evaluate(inputs("softmax", logits, axis=(1,), upstream=np.ones_like(logits)))
    assert all(value == 0 and value.is_exact() for value in ones["gradient"].ravel())


@pytest.mark.parametrize(("logits", "top"), [([490.0, 495.0, 500.0], "0.993262"), ([4.9, 4.95, 5.0], "0.350132")])
def test_saturating_numbers(logits, top):
    exact = direct.evaluate(inputs("softmax", np.array([logits], dtype=np.float32)))
    assert f"{direct.nearest(exact['output']).max():.6f}" == top


def test_unstable_example_has_its_losses():
    """[100, 0, -100]: losses 0 (all but e^-100), 100 and 200."""
    exact = direct.evaluate(
        inputs("cross_entropy", np.array([[100.0, 0.0, -100.0]] * 3), targets=[0, 1, 2], reduction="none")
    )
    small, one, two = direct.nearest(exact["output"])
    assert f"{small:.6e}" == "3.720076e-44"
    assert (one, two) == (100.0, 200.0)
    assert f"{direct.nearest(exact['gradient'])[0, 0]:.6e}" == "-3.720076e-44"


# -------------------------------------------------------------------------------- sixty decimal digits, elsewhere


DECIMAL_ROWS = [
    [0.5, -1.25, 3.0],
    [0.0, 150.0, 7.5, -2.25],
    [1e6, 1e6 + 0.0625, 1e6 - 3.0],
    [-740.0, 10.0],
    [0.1, 0.1, 0.1, 0.1, 0.1],
]


def decimal_of(value):
    """The midpoint of an arb as a Decimal (exact but for the context's precision)."""
    mantissa, exponent = value.mid().man_exp()
    return Decimal(int(mantissa)) * Decimal(2) ** int(exponent)


@pytest.mark.parametrize("logits", DECIMAL_ROWS)
def test_against_the_decimal_module(logits):
    """Sixty digits of everything, by Python's own decimal arithmetic at 800 digits."""
    n = len(logits)
    up = [1.5, -0.25, 3.0, 2.0, -7.0][:n]
    y = int(np.argmax(logits))
    vjp = direct.evaluate(inputs("softmax", [logits], upstream=[up]))
    logs = direct.evaluate(inputs("log_softmax", [logits], upstream=[up]))
    lse = direct.evaluate(inputs("logsumexp", [logits], upstream=[2.5]))
    loss = direct.evaluate(inputs("cross_entropy", [logits], targets=[y], upstream=0.75, label_smoothing=0.125))
    with localcontext() as context:
        context.prec = 800
        x, g = [Decimal(v) for v in logits], [Decimal(v) for v in up]
        e = [v.exp() for v in x]
        total = sum(e)
        p = [v / total for v in e]
        mean = sum(a * b for a, b in zip(p, g, strict=True))
        t = [Decimal("0.125") / n + (Decimal("0.875") if j == y else 0) for j in range(n)]
        facts = [
            (vjp["output"], p),
            (vjp["gradient"], [p[j] * (g[j] - mean) for j in range(n)]),
            (logs["output"], [v.ln() for v in p]),
            (logs["gradient"], [g[j] - p[j] * sum(g) for j in range(n)]),
            (lse["output"], [total.ln()]),
            (lse["gradient"], [p[j] * Decimal("2.5") for j in range(n)]),
            (loss["output"], [-sum(t[j] * p[j].ln() for j in range(n))]),
            (loss["gradient"], [(p[j] - t[j]) * Decimal("0.75") for j in range(n)]),
        ]
        for exact, expected in facts:
            for value, digits in zip(exact.ravel(), expected, strict=True):
                assert abs(decimal_of(value) - digits) <= abs(digits) * Decimal("1e-36") + Decimal("1e-700")


# ------------------------------------------------------------------------------------------------ torch, coarsely


def torch_gradient(forward, logits, upstream):
    import torch

    x = torch.tensor(np.asarray(logits), dtype=torch.float64, requires_grad=True)
    output = forward(torch, x)
    output.backward(torch.as_tensor(np.asarray(upstream), dtype=torch.float64).expand(output.shape))
    return output.detach().numpy(), x.grad.numpy()


GENERATOR = np.random.default_rng(20261)
LOGITS = GENERATOR.standard_normal((7, 11)) * 3.0
LABELS = np.array([3, -100, 0, 10, 3, -100, 7])
SOFT = GENERATOR.dirichlet(np.ones(11), size=7)
WEIGHT = GENERATOR.uniform(0.25, 2.0, size=11)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("kind", ["index", "probabilities"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignore", [-100, 3])
def test_cross_entropy_against_torch(reduction, kind, weighted, smoothing, ignore):
    """Every combination, with temperature, logit scale and an upstream gradient on top."""
    import torch

    targets = np.where(LABELS == -100, ignore, LABELS) if kind == "index" else SOFT
    weight = WEIGHT if weighted else None
    upstream = np.random.default_rng(20262).standard_normal(7) if reduction == "none" else np.array(-1.75)

    def forward(torch, x):
        return torch.nn.functional.cross_entropy(
            x * 1.5 / 0.7,
            torch.tensor(targets),
            weight=None if weight is None else torch.tensor(weight),
            ignore_index=ignore if kind == "index" else -100,
            reduction=reduction,
            label_smoothing=smoothing,
        )

    output, gradient = torch_gradient(forward, LOGITS, upstream)
    exact = direct.evaluate(
        inputs(
            "cross_entropy",
            LOGITS,
            targets=targets,
            weight=weight,
            upstream=upstream,
            reduction=reduction,
            label_smoothing=smoothing,
            ignore_index=ignore,
            temperature=0.7,
            logit_scale=1.5,
        )
    )
    assert_coarsely(exact["output"], output)
    assert_coarsely(exact["gradient"], gradient)
    assert torch.__version__


FORWARDS = {
    "softmax": lambda torch, x, dim: torch.softmax(x, dim),
    "log_softmax": lambda torch, x, dim: torch.log_softmax(x, dim),
    "logsumexp": lambda torch, x, dim: torch.logsumexp(x, dim),
}


@pytest.mark.parametrize("name", FORWARDS)
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_activations_over_any_axis_against_torch(name, dim):
    logits = np.random.default_rng(20263).standard_normal((3, 4, 5)) * 4.0
    shape = logits.shape if name != "logsumexp" else tuple(size for k, size in enumerate(logits.shape) if k != dim)
    upstream = np.random.default_rng(20264).standard_normal(shape)
    output, gradient = torch_gradient(lambda torch, x: FORWARDS[name](torch, x / 1.75, dim), logits, upstream)
    exact = direct.evaluate(inputs(name, logits, axis=(dim,), upstream=upstream, temperature=1.75))
    assert_coarsely(exact["output"], output)
    assert_coarsely(exact["gradient"], gradient)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_jacobian_against_torch(name):
    import torch

    logits = np.random.default_rng(20265).standard_normal((3, 4, 2))
    x = torch.tensor(logits)
    full = torch.autograd.functional.jacobian(lambda v: FORWARDS[name](torch, v * 2.0, 1), x).numpy()
    expected = np.einsum("ikcjlc->kijlc", np.where(np.eye(2)[None, None, :, None, None, :] > 0, full, 0.0))
    expected = np.einsum("kiilc->kilc", expected)
    exact = direct.evaluate(inputs(name, logits, axis=(1,), per_output=True, logit_scale=2.0))
    assert_coarsely(exact["jacobian"], expected)


def test_two_class_axes_are_flattened_in_c_order():
    logits = np.random.default_rng(20266).standard_normal((2, 3, 4, 5))
    targets = np.array([[0, 11, 4, 7, 9], [1, 2, 3, 5, 6]])
    exact = direct.evaluate(inputs("cross_entropy", logits, axis=(1, 2), targets=targets, reduction="none"))

    def forward(torch, x):
        flat = x.permute(0, 3, 1, 2).reshape(10, 12)
        losses = torch.nn.functional.cross_entropy(flat, torch.tensor(targets).ravel(), reduction="none")
        return losses.reshape(2, 5)

    output, gradient = torch_gradient(forward, logits, 1.0)
    assert_coarsely(exact["output"], output)
    assert_coarsely(exact["gradient"], gradient)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "cross_entropy"])
@pytest.mark.parametrize("per_output", [False, True])
def test_masked_classes_are_as_if_absent(name, per_output):
    """The rest of the classes alone give the same values; the masked ones have probability and gradient 0."""
    masked, kept = [0, 4, 9], [1, 2, 3, 5, 6, 7, 8, 10]
    upstream = np.random.default_rng(20267).standard_normal((7, 11) if name in ("softmax", "log_softmax") else 7)
    reduced = upstream[:, kept] if upstream.ndim == 2 else upstream
    options = {"label_smoothing": 0.1, "reduction": "none"} if name == "cross_entropy" else {}
    small = direct.evaluate(
        inputs(
            name,
            LOGITS[:, kept],
            targets=SOFT[:, kept] if name == "cross_entropy" else None,
            weight=WEIGHT[kept] if name == "cross_entropy" else None,
            upstream=None if per_output else reduced,
            per_output=per_output,
            **options,
        )
    )
    whole = direct.evaluate(
        inputs(
            name,
            LOGITS,
            targets=SOFT if name == "cross_entropy" else None,
            weight=WEIGHT if name == "cross_entropy" else None,
            upstream=None if per_output else upstream,
            per_output=per_output,
            masked_classes=masked,
            **options,
        )
    )
    key = "jacobian" if per_output else "gradient"
    derivative = whole[key]
    assert all(value == 0 for value in derivative[..., masked].ravel())
    derivative = derivative[..., kept]
    if per_output and len(derivative) == 11:
        assert all(value == 0 for value in whole[key][masked].ravel())
        derivative = derivative[kept]
    assert_equal_to(derivative, small[key])
    if name in ("softmax", "log_softmax"):
        expected = 0.0 if name == "softmax" else -np.inf
        assert (direct.nearest(whole["output"][:, masked]) == expected).all()
        assert_equal_to(whole["output"][:, kept], small["output"])
    else:
        assert_equal_to(whole["output"], small["output"])


def test_index_labels_with_masked_classes_keep_their_numbers():
    masked = direct.evaluate(
        inputs("cross_entropy", LOGITS, targets=[1, 2, 3, 5, 6, 7, 8], masked_classes=[0, 4], reduction="none")
    )
    small = direct.evaluate(
        inputs("cross_entropy", np.delete(LOGITS, [0, 4], axis=1), targets=[0, 1, 2, 3, 4, 5, 6], reduction="none")
    )
    assert_equal_to(masked["output"], small["output"])
    with pytest.raises(ValueError, match="label 4"):
        direct.evaluate(inputs("cross_entropy", LOGITS[:1], targets=[4], masked_classes=[0, 4]))


# ----------------------------------------------------------------------------------------------------- identities


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", families.DTYPES)
def test_row_sums_and_accuracy_over_all_families(name, dtype):
    """Probabilities sum to 1, every gradient row to its exact sum, and every value has 120 bits or is exact."""
    for family, logits in families.families(dtype, 3, 4, seed=5):
        up = families.upstream(logits.shape, dtype, seed=6)
        exact = direct.evaluate(inputs(name, logits, upstream=up))
        for values in exact.values():
            for value in values.ravel():
                assert value.is_exact() or value.rel_accuracy_bits() >= 120, (family, value)
        for p_row, g_row in zip(exact["output"], exact["gradient"], strict=True):
            if name == "softmax":
                assert (sum(p_row) - 1).contains(0), family
            assert sum(g_row).contains(0), family


@pytest.mark.parametrize("dtype", families.DTYPES)
def test_loss_gradients_sum_to_zero_over_all_families(dtype):
    for family, logits in families.families(dtype, 10, 3, seed=7):
        targets = families.labels(logits, seed=8)
        exact = direct.evaluate(inputs("cross_entropy", logits, targets=targets, label_smoothing=0.1))
        for row in exact["gradient"]:
            assert sum(row).contains(0), family
        assert exact["output"].shape == ()
        assert exact["output"].item() > 0


def test_common_shift_changes_nothing_but_logsumexp():
    logits = np.random.default_rng(20268).integers(-4096, 4096, size=(4, 6)) / 256.0
    up = np.random.default_rng(20269).standard_normal((4, 6))
    for name, shift in product(("softmax", "log_softmax"), (1024.0, -65536.0)):
        near = direct.evaluate(inputs(name, logits, upstream=up))
        far = direct.evaluate(inputs(name, logits + shift, upstream=up))
        assert_equal_to(far["output"], near["output"])
        assert_equal_to(far["gradient"], near["gradient"])
    near, far = (direct.evaluate(inputs("logsumexp", logits + shift)) for shift in (0.0, 1024.0))
    assert_equal_to(far["output"], near["output"] + arb(1024))


def test_softmax_jacobian_is_symmetric_and_contracts_to_the_product():
    logits, up = LOGITS[:2, :5], np.random.default_rng(20270).standard_normal((2, 5))
    jacobian = direct.evaluate(inputs("softmax", logits, per_output=True))["jacobian"]
    product_ = direct.evaluate(inputs("softmax", logits, upstream=up))["gradient"]
    for row in range(2):
        for j in range(5):
            assert_equal_to(jacobian[:, row, j], jacobian[j, row, :])
            contracted = sum((arb(up[row, k]) * jacobian[k, row, j] for k in range(5)), arb(0))
            assert_equal_to([contracted], [product_[row, j]], bits=90)


def test_mean_is_the_sum_over_the_valid_weight():
    options = {"targets": LABELS, "weight": WEIGHT, "label_smoothing": 0.3}
    mean = direct.evaluate(inputs("cross_entropy", LOGITS, reduction="mean", **options))
    total = direct.evaluate(inputs("cross_entropy", LOGITS, reduction="sum", **options))
    den = sum((arb(float(WEIGHT[y])) for y in LABELS if y >= 0), arb(0))
    assert_equal_to(mean["output"] * den, total["output"])
    for ours, theirs in zip(mean["gradient"].ravel(), total["gradient"].ravel(), strict=True):
        assert (ours * den).overlaps(theirs)


# -------------------------------------------------------------------------------------- zeros, special and extreme


def test_zeros_are_decided_not_approximated():
    equal = direct.evaluate(inputs("cross_entropy", [[0.3, 0.3, 0.3]], targets=[[0.1, 0.1, 0.1]]))
    assert all(value.is_exact() and value == 0 for value in equal["gradient"].ravel())
    ones = direct.evaluate(inputs("softmax", LOGITS, upstream=np.full_like(LOGITS, -0.7)))
    assert all(value.is_exact() and value == 0 for value in ones["gradient"].ravel())
    halves = direct.evaluate(inputs("softmax", [[0.7, 0.7]]))["output"].ravel()
    assert all(value.is_exact() and value == 0.5 for value in halves)
    lone = direct.evaluate(inputs("log_softmax", [[5.5]], upstream=[[2.0]]))
    assert lone["output"].item() == 0
    assert lone["gradient"].item() == 0
    assert direct.evaluate(inputs("logsumexp", [[0.0]]))["output"].item() == 0


def test_a_zero_that_gathers_over_equal_logits():
    """g_j - c is 0 where the deviations of each distinct logit cancel: g = [0, -1, 1], x = [a, b, b]."""
    exact = direct.evaluate(inputs("softmax", [[2.5, 0.1, 0.1]], upstream=[[0.0, -1.0, 1.0]]))["gradient"].ravel()
    assert exact[0].is_exact()
    assert exact[0] == 0
    assert exact[1] < 0 < exact[2]


def test_vanished_logits_take_no_part():
    logits = np.array([[1.0, -np.inf, 3.0]])
    for name in ("softmax", "logsumexp"):
        up = np.array([[0.5, 9.0, -1.0]]) if name == "softmax" else np.array([0.5])
        with_it = direct.evaluate(inputs(name, logits, upstream=up))
        without = direct.evaluate(
            inputs(name, logits[:, [0, 2]], upstream=up[:, [0, 2]] if name == "softmax" else up)
        )
        assert with_it["gradient"][0, 1] == 0
        assert_equal_to(with_it["gradient"][:, [0, 2]], without["gradient"])
    soft = direct.evaluate(inputs("log_softmax", logits, upstream=np.ones((1, 3))))
    assert direct.nearest(soft["output"])[0, 1] == -np.inf
    output, gradient = torch_gradient(lambda torch, x: torch.log_softmax(x, 1), logits, np.ones((1, 3)))
    assert direct.error(output, soft["output"]).max() < COARSE
    assert_coarsely(soft["gradient"], gradient)


def test_loss_at_a_vanished_logit_is_infinite_and_its_gradient_is_not():
    logits = np.array([[1.0, -np.inf, 3.0], [1.0, 2.0, 3.0]])
    exact = direct.evaluate(inputs("cross_entropy", logits, targets=[1, 0], reduction="sum"))
    output, gradient = torch_gradient(
        lambda torch, x: torch.nn.functional.cross_entropy(x, torch.tensor([1, 0]), reduction="sum"), logits, 1.0
    )
    assert direct.nearest(exact["output"]) == output == np.inf
    assert_coarsely(exact["gradient"], gradient)


def test_mean_over_no_valid_row_is_undefined():
    options = {"targets": [-100] * 7, "upstream": 1.0}
    mean = direct.evaluate(inputs("cross_entropy", LOGITS, reduction="mean", **options))
    assert mean["output"].item() is None
    assert mean["gradient"].shape == LOGITS.shape
    assert set(mean["gradient"].ravel()) == {None}
    total = direct.evaluate(inputs("cross_entropy", LOGITS, reduction="sum", **options))
    assert total["output"].item() == 0
    assert all(value == 0 for value in total["gradient"].ravel())
    weightless = direct.evaluate(inputs("cross_entropy", LOGITS[:1], targets=[2], weight=np.eye(11)[3]))
    assert weightless["output"].item() is None


@pytest.mark.parametrize(
    ("logits", "message"), [([[np.nan, 0.0]], "NaN"), ([[np.inf, 0.0]], "NaN and"), ([[-np.inf, -np.inf]], "finite")]
)
def test_logits_without_a_value_are_refused(logits, message):
    with pytest.raises(ValueError, match=message):
        direct.evaluate(inputs("softmax", logits))


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match="label 11"):
        direct.evaluate(inputs("cross_entropy", LOGITS[:1], targets=[11]))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_the_most_negative_logit(dtype):
    """[0, -max], label 0: the loss and its gradient are e^-max, found by their logarithms."""
    most = -float(families.ml_dtypes.finfo(families.DTYPES[dtype]).max)
    logits = np.array([[0.0, most]]).astype(families.DTYPES[dtype])
    exact = direct.evaluate(inputs("cross_entropy", logits, targets=[0], reduction="none"))
    with ctx.workprec(2048):
        assert exact["output"].item().log().overlaps(arb(most))
        assert (-exact["gradient"][0, 0]).log().overlaps(arb(most))
        assert exact["gradient"][0, 1].log().overlaps(arb(most))
    assert exact["output"].item().rel_accuracy_bits() >= 120


def test_single_row_shapes():
    row = np.array([0.1, 2.0, -1.0])
    for targets in (1, [1]):
        exact = direct.evaluate(inputs("cross_entropy", row, targets=targets, reduction="none"))
        assert exact["output"].shape == ()
        assert exact["gradient"].shape == (3,)
    assert direct.evaluate(inputs("logsumexp", row))["output"].shape == ()
    assert direct.evaluate(inputs("softmax", row, per_output=True))["jacobian"].shape == (3, 3)
    assert direct.evaluate(inputs("logsumexp", row[np.newaxis], per_output=True))["jacobian"].shape == (1, 1, 3)


# --------------------------------------------------------------------------------------------- the two comparisons


def test_contains_is_exact_at_the_ends():
    ulp = 2.0**-53
    for sign in (-1, 1):
        end = arb(1) + sign * arb(2) ** -53
        assert direct.contains(1.0, 0.0, ulp, end)
        assert direct.contains(1.0, sign * ulp, 0.0, end)
        assert not direct.contains(1.0, 0.0, ulp, end + sign * arb(2) ** -200)
        assert not direct.contains(1.0, -sign * ulp, ulp, end)
    huge = np.array([1e308, 1e308])
    with ctx.workprec(4096):
        exact = np.array([arb(1e308) + arb(5e-324), arb(1e308) + arb(1e-323)], dtype=object)
    assert direct.contains(huge, 0.0, 5e-324, exact).tolist() == [True, False]


def test_contains_of_special_values():
    third = arb(fmpq(1, 3))
    assert direct.contains(0.0, 0.0, np.inf, third)
    assert not direct.contains(np.nan, 0.0, 1.0, third)
    assert not direct.contains(0.0, 0.0, np.nan, third)
    assert not direct.contains(np.inf, 0.0, 1.0, third)
    assert not direct.contains(1 / 3, 0.0, -1.0, third)
    assert direct.contains(np.nan, 0.0, 0.0, np.array(None))
    assert not direct.contains(0.0, 0.0, 1.0, np.array(None))
    assert direct.contains(-np.inf, 0.0, 0.0, arb("-inf"))
    assert not direct.contains(np.inf, 0.0, 0.0, arb("-inf"))


def test_error_is_rounded_up():
    got = np.array([1.0, 1 / 3, 0.3, 5e-324, 1.0])
    exact = np.array([arb(1) + arb(2) ** -80, arb(fmpq(1, 3)), arb(fmpq(3, 10)), arb(0), arb(1)], dtype=object)
    true = [Fraction(1, 2**80), abs(Fraction(1 / 3) - Fraction(1, 3)), abs(Fraction(0.3) - Fraction(3, 10))]
    true += [Fraction(5e-324), Fraction(0)]
    for found, fact in zip(direct.error(got, exact).tolist(), true, strict=True):
        assert Fraction(found) >= fact
        assert Fraction(found) <= fact * (1 + Fraction(1, 2**49))


def test_errors_of_many_arrays_are_those_of_balls():
    """What float64 tells of a split is what a ball tells, a few roundings up: neighbours, equals, and far away."""
    generator = np.random.default_rng(31)
    sizes = 10.0 ** generator.uniform(-320, 307, size=600) * generator.choice([-1.0, 1.0], size=600)
    thirds = [arb(size) * (1 + arb(2) ** -70) if i % 2 else arb(size) / 3 for i, size in enumerate(sizes)]
    exact = np.array([*thirds, arb(0), arb(-3e38).exp(), arb("inf"), None, arb(1, 1e-60), arb(7)], dtype=object)
    split = direct.Split.of(exact)
    assert 0.7 < split.sure.mean() < 1.0
    near = split.high
    steps = (near, np.nextafter(near, np.inf), np.nextafter(near, 0.0), near * 1.25, near * -0.5, near + 1.0)
    with np.errstate(all="ignore"):
        singles = [near.astype(np.float32).astype(np.float64), np.full_like(near, np.inf), np.zeros_like(near)]
    for got in (*steps, *singles):
        found = direct.error(got, split)
        for value, g, error in zip(exact.tolist(), got.tolist(), found.tolist(), strict=True):
            with ctx.workprec(direct.BITS):
                ball = direct._error(g, value)
            assert ball * (1 - 2.0**-51) <= error <= ball * (1 + 2.0**-49), (value, g)


def test_error_of_special_values():
    assert direct.error(np.nan, arb(1)) == np.inf
    assert direct.error(np.inf, arb(1)) == np.inf
    assert direct.error(np.inf, arb("inf")) == 0.0
    assert direct.error(-np.inf, arb("inf")) == np.inf
    assert direct.error(np.nan, np.array(None)) == 0.0
    assert direct.error(0.0, np.array(None)) == np.inf
    assert direct.error(0.0, arb(-3e38).exp()) == 5e-324


# ------------------------------------------------------------------------------------------------------- families


@pytest.mark.parametrize("dtype", families.DTYPES)
def test_families_are_deterministic_finite_and_in_the_dtype(dtype):
    first, second = (list(families.families(dtype, 10, 6, seed=3)) for _ in range(2))
    assert [name for name, _ in first] == list(families.family_names(dtype))
    for (name, one), (_, two) in zip(first, second, strict=True):
        assert one.dtype == families.DTYPES[dtype]
        assert one.shape == (6, 10)
        assert one.tobytes() == two.tobytes(), name
        assert np.isfinite(one.astype(np.float64)).all()
    other = list(families.families(dtype, 10, 6, seed=4))
    assert any(one.tobytes() != two.tobytes() for (_, one), (_, two) in zip(first, other, strict=True))


@pytest.mark.parametrize("dtype", families.DTYPES)
def test_families_reach_the_regimes_they_are_named_for(dtype):
    found = {name: x.astype(np.float64) for name, x in families.families(dtype, 64, 8, seed=1)}
    info = families.ml_dtypes.finfo(families.DTYPES[dtype])
    p = np.exp(found["subnormal_probabilities"] - found["subnormal_probabilities"].max(axis=1, keepdims=True))
    assert ((p < float(info.smallest_normal)) & (p > float(info.smallest_subnormal) / 2)).sum() > 50
    logits = found["subnormal_logits"]
    assert np.abs(logits).max() < float(info.smallest_normal)
    assert (logits != 0).mean() > 0.9
    assert np.abs(np.log(np.exp(found["lse_zero"]).sum(axis=1))).max() < 16 * float(info.eps)
    assert (found["lowest"] == -float(info.max)).sum() == 8
    assert (np.ptp(found["equal"], axis=1) == 0).all()
    tops = np.sort(found["gap_60"], axis=1)
    assert (np.abs(tops[::2, -1] - tops[::2, -2] - 60.0) == 0).all()


def test_companions_of_families():
    logits = dict(families.families("float32", 64, 30, 0))["normal_1"]
    y = families.labels(logits, seed=1)
    assert (y[::2] == logits.argmax(axis=1)[::2]).all()
    assert (y[1::2] != logits.argmax(axis=1)[1::2]).sum() > 10
    q = families.probabilities(logits, "float32", seed=1)
    assert np.abs(q.astype(np.float64).sum(axis=1) - 1).max() < 1e-5
    w = families.weights(64, "float32", seed=1)
    assert (w == 0).sum() == 1
    assert families.upstream((3, 4), "bfloat16", 0).dtype == families.DTYPES["bfloat16"]


# --------------------------------------------------------------------------------------------------- independence


@pytest.mark.parametrize("module", ["direct.py", "families.py"])
def test_the_oracle_shares_nothing_with_the_package_but_records(module):
    tree = ast.parse((Path(__file__).parent / module).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name for name in imported if name.startswith("gradaudit")} <= {"gradaudit.records.inputs"}
