"""What is assumed of exp, log and log1p: NumPy's, which the enclosures rest on, and in the subnormal range.

docs/numerics.md, "Contracts of exp and log": |computed - exact| <= e |exact| + eta / 2. Sampled, not proved.
"""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, ctx  # noqa: TID253

from gradaudit.backends import numpy as numpy_backend
from gradaudit.numerics import elementary, formats
from gradaudit.numerics.arithmetic import FLOAT64, of_profile


def excess(function: str, x: np.ndarray, y: np.ndarray, relative: float, eta: float) -> float:
    """The largest error in units of what the contract allows."""
    worst = 0.0
    with ctx.workprec(160):
        for argument, value in zip(x.tolist(), y.tolist(), strict=True):
            exact = getattr(arb(argument), function)()
            allowed = abs(exact) * relative + arb(eta) / 2
            worst = max(worst, float(abs(arb(value) - exact) / allowed))
    return worst


@pytest.mark.parametrize(
    ("function", "lowest", "highest"),
    [("exp", -745.2, 0.0), ("exp", -1e-6, 0.0), ("log1p", 0.0, 1.0), ("log1p", 1e-12, 1e5), ("log1p", 0.0, 1e-300)],
)
def test_float64_functions_behind_the_enclosures(function: str, lowest: float, highest: float) -> None:
    x = np.random.default_rng(1).uniform(lowest, highest, 3000)
    relative = FLOAT64.e if function == "exp" else FLOAT64.l
    assert excess(function, x, getattr(np, function)(x), relative, FLOAT64.eta) <= 1.0


@pytest.mark.parametrize(
    ("function", "lowest", "highest"),
    [
        *[(name, -1e-3, 1e-3) for name in ("tanh", "expm1", "sin")],
        *[(name, -4.0, 4.0) for name in ("tanh", "expm1", "cos", "sin")],
        *[(name, -700.0, 700.0) for name in ("tanh", "expm1")],
    ],
)
def test_the_elementary_functions_of_formulas(function: str, lowest: float, highest: float) -> None:
    x = np.random.default_rng(3).uniform(lowest, highest, 2000)
    assert excess(function, x, getattr(np, function)(x), FLOAT64.library, FLOAT64.eta) <= 1.0


def test_the_slope_of_tanh_is_enclosed_where_it_vanishes() -> None:
    x = np.random.default_rng(5).uniform(345.0, 374.0, 3000)
    radius = x * 2.0**-52
    value, bound = elementary.tanh_slope(x, radius, FLOAT64)
    with ctx.workprec(160):
        for argument, moved, middle, error in zip(
            x.tolist(), radius.tolist(), value.tolist(), bound.tolist(), strict=True
        ):
            for end in (arb(argument) - arb(moved), arb(argument) + arb(moved)):
                assert abs(arb(middle) - end.sech() ** 2) <= arb(error)


@pytest.mark.parametrize("exponent", [0.5, 1.5, 2.0, 3.0, -1.0, -2.5])
def test_powers_of_formulas(exponent: float) -> None:
    x = 10.0 ** -np.random.default_rng(4).uniform(0.0, 30.0, 2000)
    worst = 0.0
    with ctx.workprec(160):
        for argument, value in zip(x.tolist(), np.power(x, exponent).tolist(), strict=True):
            exact = arb(argument) ** arb(exponent)
            worst = max(worst, float(abs(arb(value) - exact) / (exact * FLOAT64.library)))
    assert worst <= 1.0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_numpy_backends_exp_and_log(dtype: str) -> None:
    a = of_profile(numpy_backend.profile("softmax", "fused", dtype))
    form, numbers = formats.get(dtype), np.random.default_rng(2)
    deepest = float(np.log(form.smallest_subnormal)) - 2.0
    x = np.concatenate([numbers.uniform(deepest, 0.0, 2000), numbers.uniform(-1.0, 0.0, 500)])
    x = x.astype(formats.dtype(dtype))
    with np.errstate(under="ignore"):
        assert excess("exp", x, np.exp(x), a.e, a.eta) <= 1.0
    s = np.concatenate([numbers.uniform(1.0, 2.0, 1500), numbers.uniform(1.0, 6e4, 500)])
    # The sum is kept in float32 for 16-bit types, and its logarithm is rounded by what follows.
    s = s.astype(np.float32 if dtype == "float16" else dtype)
    assert excess("log", s, np.log(s), max(a.l, a.l_statistics), 0.0) <= 1.0


def test_every_subnormal_exponential_of_float32() -> None:
    """All two million logits whose exponential is subnormal: NumPy may be off by 1.5 units there, not only half."""
    bits = np.arange(np.float32(-87.33).view(np.uint32), np.float32(-103.98).view(np.uint32) + 1, dtype=np.uint32)
    x = bits.view(np.float32)
    exact = np.exp(x.astype(np.float64))
    eta, e = 2.0**-149, of_profile(numpy_backend.profile("softmax", "fused", "float32")).e
    with np.errstate(under="ignore"):
        error = np.abs(np.exp(x).astype(np.float64) - exact)
    assert (error <= e * exact + 0.5 * eta * (1.0 + 1e-6)).all()
    assert error.max() > 0.4 * eta
