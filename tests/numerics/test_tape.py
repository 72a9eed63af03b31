"""Derivatives by tape: against differences in 300-bit arithmetic, enclosed by balls, and of second order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from flint import arb  # noqa: TID253

from gradaudit.numerics import arb_algebra
from gradaudit.numerics import arithmetic as arithmetics
from gradaudit.numerics.arb_algebra import ArbAlgebra
from gradaudit.numerics.arithmetic import FLOAT64
from gradaudit.numerics.ball import BallAlgebra
from gradaudit.numerics.tape import Tape
from gradaudit.records.profile import Profile

LABELS = np.array([0, 3, 2])
MASK = np.array([[True], [False], [True]])
STEP = arb(2) ** -100

Expression = Callable[[Any, Any], Any]
EXPRESSIONS: dict[str, Expression] = {
    "sum": lambda m, z: m.sum(z * z),
    "difference, quotient": lambda m, z: (z - m.exact(2.0)) / (z * z + m.exact(1.0)),
    "mean": lambda m, z: m.mean(z) * m.mean(z),
    "exp": lambda m, z: m.exp(z),
    "log": lambda m, z: m.log(m.exact(1.0) + z * z),
    "log1p": lambda m, z: m.log1p(z * z),
    "expm1": lambda m, z: m.expm1(z),
    "expm1 slope": lambda m, z: m.expm1_slope(z),
    "tanh": lambda m, z: m.tanh(z),
    "tanh slope": lambda m, z: m.tanh_slope(z),
    "cos, sin": lambda m, z: m.cos(z) * m.sin(z),
    "sqrt": lambda m, z: m.sqrt(m.exact(1.0) + z * z),
    "power": lambda m, z: m.power(z, 3.0) + m.power(m.exp(z), 1.5) + m.power(z, 1.0) + m.power(z, 0.0),
    "reciprocal": lambda m, z: m.reciprocal(m.exact(1.0) + z * z),
    "logaddexp": lambda m, z: m.logaddexp(m.columns(z, 0, 1), m.columns(z, 1, 2)),
    "share": lambda m, z: m.share(m.columns(z, 0, 1), m.columns(z, 1, 2)),
    "maximum": lambda m, z: m.maximum(z) * m.maximum(z),
    "clip": lambda m, z: m.clip(z, -1.0, 0.5) * z,
    "clip above": lambda m, z: m.clip(z, None, 0.5) * z,
    "where": lambda m, z: m.where(MASK, z * z, m.exact(1.0)),
    "columns, placed": lambda m, z: m.placed(m.columns(z, 1, 3), 0, 4) * z,
    "take, replace": lambda m, z: m.replace(z * z, LABELS, m.take(z, LABELS) * m.take(z, LABELS) * m.sum(z)),
    "softmax": lambda m, z: m.softmax(z),
    "log_softmax": lambda m, z: m.log_softmax(z) * m.log_softmax(z),
    "log_softmax at": lambda m, z: m.log_softmax(z, LABELS) * m.sum(z),
    "logsumexp": lambda m, z: m.logsumexp(z) * m.logsumexp(z),
    "complement": lambda m, z: m.complement(z) * z,
    "complement at": lambda m, z: m.complement(z, LABELS) * m.sum(z),
    "others": lambda m, z: m.others(z * z) * z,
    "center": lambda m, z: m.center(z * z, z) * z,
    "vjp of softmax": lambda m, z: m.softmax_vjp(z, z * z),
    "vjp of log_softmax": lambda m, z: m.log_softmax_vjp(z, z * z),
    "vjp of log_softmax at": lambda m, z: m.log_softmax_vjp(z, m.take(z * z, LABELS), LABELS),
    "vjp of logsumexp": lambda m, z: m.logsumexp_vjp(z, m.sum(z * z)),
    "charged": lambda m, z: m.charged(z * z, 2),
}


@pytest.fixture(autouse=True)
def _precise() -> Iterator[None]:
    with arb_algebra.precision(300), np.errstate(all="ignore"):
        yield


def logits() -> np.ndarray:
    return np.random.default_rng(5).standard_normal((3, 4)) * np.array([[0.5], [2.0], [6.0]])


def gradient(m: Any, expression: Expression, z: Any) -> Any:
    """Of the outputs under a cotangent that differs from one to the next."""
    tape = Tape(m)
    variable = tape.variable(z)
    output = expression(tape, variable)
    shape = m.shape(output.value)
    return tape.gradient(output, m.exact(weights(shape)), variable)


def weights(shape: tuple[int, ...]) -> np.ndarray:
    return np.broadcast_to(np.cos(np.arange(shape[-1]) + 1.0), shape).copy()


def product(m: Any, expression: Expression, z: Any, direction: np.ndarray) -> Any:
    """The Hessian times a direction."""
    tape = Tape(m)
    variable = tape.variable(z)
    slope = gradient(tape, expression, variable)
    return tape.gradient(tape.sum(slope * tape.exact(direction)), m.exact(np.ones((len(direction), 1))), variable)


def differences(expression: Expression, z: np.ndarray) -> np.ndarray:
    m = ArbAlgebra()
    found = np.empty(z.shape, dtype=object)
    for index in np.ndindex(z.shape):
        ends = []
        for step in (STEP, -STEP):
            moved = z.copy()
            moved[index] = moved[index] + step
            output = expression(m, moved)
            ends.append((output * m.exact(weights(output.shape)))[index[0]].sum())
        found[index] = (ends[0] - ends[1]) / (2 * STEP)
    return found


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_the_gradient_is_the_limit_of_differences(name: str) -> None:
    m = ArbAlgebra()
    z = m.exact(logits())
    found = gradient(m, EXPRESSIONS[name], z)
    assert max(abs(error) for error in (found - differences(EXPRESSIONS[name], z)).ravel()) <= 1e-45


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_tape_over_a_tape_gives_the_second_order(name: str) -> None:
    m, direction = ArbAlgebra(), np.sin(np.arange(12.0)).reshape(3, 4)
    z = m.exact(logits())
    ends = [gradient(m, EXPRESSIONS[name], z + m.exact(direction) * step) for step in (STEP, -STEP)]
    due = (ends[0] - ends[1]) / (2 * STEP)
    found = product(m, EXPRESSIONS[name], z, direction)
    assert max(abs(error) for error in (found - due).ravel()) <= 1e-40


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_balls_enclose_values_and_both_derivatives(name: str) -> None:
    exact, balls = ArbAlgebra(), BallAlgebra(FLOAT64, encloses=True)
    values, direction = logits(), np.sin(np.arange(12.0)).reshape(3, 4)
    pairs = [
        (EXPRESSIONS[name](balls, balls.exact(values)), EXPRESSIONS[name](exact, exact.exact(values))),
        (
            gradient(balls, EXPRESSIONS[name], balls.exact(values)),
            gradient(exact, EXPRESSIONS[name], exact.exact(values)),
        ),
        (
            product(balls, EXPRESSIONS[name], balls.exact(values), direction),
            product(exact, EXPRESSIONS[name], exact.exact(values), direction),
        ),
    ]
    for ball, due in pairs:
        radius = np.broadcast_to(np.asarray(ball.rad), np.broadcast_shapes(due.shape, ball.mid.shape))
        error = np.broadcast_to(np.abs((due - exact.exact(ball.mid)).astype(np.float64)), radius.shape)
        assert np.all(error <= radius * (1.0 + 1e-9))
        assert np.all(radius <= 1e-11 * (1.0 + np.abs(ball.mid)))


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_charged_balls_are_as_wide_as_their_arithmetic(name: str) -> None:
    """In float32, gradients are off by some 2^-24 of the terms they are made of: neither 0 nor 1 % of them."""
    m = BallAlgebra(arithmetics.of_profile(Profile("float32", "float32", "float32", "float32")))
    found = gradient(m, EXPRESSIONS[name], m.exact(logits()))
    size = max(float(np.abs(found.mid).max()), 1.0)
    assert float(np.max(found.rad)) < 1e-2 * size
    if name not in ("charged",):
        assert float(np.max(found.rad)) > 1e-9


def test_a_constant_has_no_derivative() -> None:
    m = ArbAlgebra()
    tape = Tape(m)
    z = tape.variable(m.exact(logits()))
    output = tape.sum(tape.stop_gradient(z) * tape.exact(2.0))
    assert all(value.is_zero() for value in tape.gradient(output, m.exact(np.ones((3, 1))), z).ravel())
    other = tape.variable(m.exact(logits()))
    assert all(value.is_zero() for value in tape.gradient(tape.sum(other), m.exact(1.0), z).ravel())


def test_a_number_that_rows_share_is_refused() -> None:
    m = ArbAlgebra()
    tape = Tape(m)
    shared = tape.variable(m.exact(np.ones((1, 4))))
    output = tape.constant(m.exact(logits())) * shared
    with pytest.raises(ValueError, match="a number of shape \\(1, 4\\) that several rows share"):
        tape.gradient(output, m.exact(1.0), shared)


def test_ties_of_a_maximum_go_to_the_first_and_may_go_to_any() -> None:
    z = np.array([[1.0, 3.0, 3.0]])
    for m in (ArbAlgebra(), BallAlgebra(FLOAT64, encloses=True)):
        tape = Tape(m)
        variable = tape.variable(m.exact(z))
        found = tape.gradient(tape.maximum(variable), m.exact(np.ones((1, 1))), variable)
        values = found.mid if hasattr(found, "mid") else found.astype(np.float64)
        assert values.tolist() == [[0.0, 1.0, 0.0]]
    charged = BallAlgebra(arithmetics.of_profile(Profile("float32", "float32", "float32", "float32")))
    found = charged.maximum_vjp(charged.exact(z), charged.exact(np.ones((1, 1))))
    assert found.rad.tolist() == [[0.0, 1.0, 1.0]]
