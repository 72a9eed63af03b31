"""A function against itself: right, wrong, noisy and pointed functions, told apart."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from gradaudit.measurement.audited import Audited
from gradaudit.measurement.self_consistency import audit_self
from gradaudit.records.case import SELF
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Breach, SelfConsistency
from gradaudit.records.subject import Subject
from gradaudit.workers import live

RANDOM = np.random.default_rng(0)
LOGITS = RANDOM.normal(size=(7, 11)) * 3.0
LABELS = np.array([3, 1, -100, 7, -100, 0, 5])


def audited(
    loss: Callable[..., Any],
    *,
    backend: str = "numpy",
    logits: np.ndarray = LOGITS,
    labels: np.ndarray | None = LABELS,
    dtype: str = "float32",
    upstream: object = 1.75,
) -> tuple[tuple[Breach, ...], SelfConsistency]:
    """What is said of a live function."""
    call = FunctionCall(SELF, MappingProxyType({"reduction": "mean", "ignore_index": -100, "output": "loss"}))
    fed = Inputs(call, dtype, 1.0, (1,), logits.astype(dtype), labels, np.asarray(upstream, dtype), False, None)
    subject = Subject(name="loss", backend=backend, target="", live=loss)
    result = live.evaluate(EvaluationKey("loss", backend, "custom", dtype, 1.0), fed, subject, experiments=True)
    assert isinstance(result, Evaluation)
    breaches, (said,) = audit_self([Audited(fed, None, result, None)])
    assert bool(breaches) == (said.verdict == "wrong")
    return breaches, said


def cross_entropy(factor: float = 1.0, element: float = 1.0) -> Callable[..., Any]:
    """A cross entropy in NumPy whose gradient may be off by a factor, all of it or at [3, 5]."""

    def loss(z: np.ndarray, y: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows, counted = np.arange(len(y)), y >= 0
        log_p = z - z.max(1, keepdims=True)
        log_p = log_p - np.log(np.exp(log_p).sum(1, keepdims=True))
        value = -(log_p[rows, np.maximum(y, 0)] * counted).sum() / counted.sum()
        gradient = np.exp(log_p)
        gradient[rows, np.maximum(y, 0)] -= 1.0
        gradient *= counted[:, None] / counted.sum() * upstream * factor
        gradient[3, min(5, z.shape[1] - 1)] *= element
        return np.asarray(value, z.dtype), gradient.astype(z.dtype)

    return loss


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_right_gradient_agrees(dtype: str) -> None:
    _, said = audited(cross_entropy(), dtype=dtype)
    assert said.verdict == "agrees"
    assert said.dtype == "float64"
    assert said.directions == 5
    assert said.mismatch <= said.error <= 1e-8


@pytest.mark.parametrize(
    ("factor", "name"),
    [
        (7.0, "7 x the right one (the number of rows)"),
        (5.0, "5 x the right one (the number of rows that count)"),
        (1.0 / 11.0, "0.0909091 x the right one (1 / the number of classes)"),
        (1.0 / 1.75, "0.571429 x the right one (1 / the upstream gradient)"),
        (-1.0, "-1 x the right one (the sign)"),
        (1.001, "1.001 x the right one"),
        (0.0, "it is 0 in all of them"),
    ],
)
def test_a_factor_is_named(factor: float, name: str) -> None:
    (breach,), said = audited(cross_entropy(factor))
    assert breach.fault == "forward-and-backward-disagree"
    assert breach.statement == said.statement
    assert name in said.statement


def test_one_wrong_element_is_found_and_placed() -> None:
    _, said = audited(cross_entropy(element=1.01))
    assert said.verdict == "wrong"
    assert "; at [3, 5] it is " in said.statement
    assert "x the right one" not in said.statement


def test_a_wrong_gradient_is_one_breach_however_many_inputs_show_it() -> None:
    (alone,), said = audited(cross_entropy(7.0))
    assert not alone.statement.endswith("show it")
    call = FunctionCall(SELF, MappingProxyType({"reduction": "mean", "ignore_index": -100, "output": "loss"}))
    subject = Subject(name="loss", backend="numpy", target="", live=cross_entropy(7.0))
    entries = []
    for probe in ("ones", None, "ordinary"):
        logits, upstream = LOGITS.astype("float32"), np.asarray(1.75, "float32")
        fed = Inputs(call, "float32", 1.0, (1,), logits, LABELS, upstream, False, None, probe=probe)
        key = EvaluationKey("loss", "numpy", "custom", "float32", 1.0, probe)
        result = live.evaluate(key, fed, subject, experiments=True)
        assert isinstance(result, Evaluation)
        entries.append(Audited(fed, None, result, None))
    (breach,), all_said = audit_self(entries)
    assert len(all_said) == 3
    assert breach.key.probe is None, "the case's own inputs speak first"
    assert breach.statement == f"{said.statement}; 3 of 3 evaluations show it"
    assert dict(breach.evidence)["wrong"] == 3


def test_minus_infinity_takes_no_part() -> None:
    logits = LOGITS.copy()
    logits[:, 10] = -np.inf
    _, said = audited(cross_entropy(), logits=logits)
    assert said.verdict == "agrees"


def test_a_saturated_loss_is_too_noisy_and_not_wrong() -> None:
    logits = np.array([[90.0, 0.0, 1.0], [0.0, 85.0, -3.0]])
    breaches, said = audited(
        cross_entropy(), logits=np.vstack([logits] * 4)[:7], labels=np.array([0, 1, 0, 1, 0, 1, 0])
    )
    assert not breaches
    assert said.verdict == "too_noisy"


def test_noise_is_told_from_a_wrong_gradient() -> None:
    def coarse(z: np.ndarray, y: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, gradient = cross_entropy()(np.round(z * 4.0) / 4.0, y, upstream)
        return value, gradient

    breaches, said = audited(coarse)
    assert not breaches
    assert said.verdict == "too_noisy"
    assert "cannot be told" in said.statement


@pytest.mark.parametrize(("slope", "verdict"), [(0.0, "kink"), (0.5, "kink"), (3.0, "wrong"), (-2.0, "wrong")])
def test_a_point_without_a_derivative_is_named(slope: float, verdict: str) -> None:
    def rectified(z: np.ndarray, y: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        gradient = np.zeros_like(z)
        gradient[0, 0] = slope * upstream
        return np.maximum(z[0, 0], 0.0), gradient

    _, said = audited(rectified, logits=np.zeros((1, 2)), labels=np.array([0]))
    assert said.verdict == verdict
    assert "without a derivative" in said.statement


def test_a_constant_is_right_with_a_gradient_of_nothing() -> None:
    def constant(z: np.ndarray, y: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(0.0, z.dtype), np.zeros_like(z)

    _, said = audited(constant)
    assert said.verdict == "agrees"
    assert "does not change along any direction" in said.statement


def test_a_value_that_is_no_number_is_not_compared() -> None:
    def spoilt(z: np.ndarray, y: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(np.nan, z.dtype), np.zeros_like(z)

    _, said = audited(spoilt)
    assert said.verdict == "not_tried"
    assert said.statement == "its gradient was not compared with its own values: the value is nan"


def test_torch_has_forward_mode_and_losses_of_every_row() -> None:
    torch = pytest.importorskip("torch")

    def loss(z: Any, y: Any) -> Any:
        return torch.nn.functional.cross_entropy(z, y, reduction="none")

    _, said = audited(loss, backend="torch", upstream=RANDOM.normal(size=7))
    assert said.verdict == "agrees"
    assert ", forward mode within " in said.statement
    assert "; the float32 gradient is within " in said.statement


def test_a_detached_weight_is_wrong_and_forward_mode_has_nothing_to_say() -> None:
    torch = pytest.importorskip("torch")

    def focal(z: Any, y: Any) -> Any:
        losses = torch.nn.functional.cross_entropy(z, y, reduction="none")
        return ((1.0 - torch.exp(-losses)).detach() ** 2 * losses).mean()

    _, said = audited(focal, backend="torch")
    assert said.verdict == "wrong"
    assert "; half the step makes what the gradient leaves unexplained of the change 2.0" in said.statement
    assert " times smaller, where a right gradient makes it 4 times smaller" in said.statement
    assert "x the right one" not in said.statement


def test_what_takes_no_float64_is_tried_in_its_own_dtype() -> None:
    torch = pytest.importorskip("torch")

    def narrow(z: Any, y: Any) -> Any:
        assert z.dtype == torch.float32, "float32 only"
        return torch.nn.functional.cross_entropy(z, y)

    _, said = audited(narrow, backend="torch")
    assert (said.verdict, said.dtype) == ("agrees", "float32")
    assert said.error > 1e-6


def order_statistics(weights: np.ndarray, element: float = 1.0, *, narrow: bool = False) -> Callable[..., Any]:
    """sum_k w_k z_(k) of every row, z_(k) its k-th smallest logit: linear between kinks that lie wherever two logits
    change places. One element of the gradient may be off by a factor."""

    def loss(z: np.ndarray, y: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if narrow and z.dtype == np.float64:
            raise TypeError("float32 at most")
        order = np.argsort(z, axis=1)
        gradient = np.empty_like(z)
        np.put_along_axis(gradient, order, np.broadcast_to(weights, z.shape).astype(z.dtype), axis=1)
        value = (gradient * z).sum()
        gradient[0, 0] *= element
        return np.asarray(value, z.dtype), gradient * upstream

    return loss


@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("seed", range(8))
def test_kinks_between_the_logits_accuse_nobody(seed: int, narrow: bool) -> None:
    random = np.random.default_rng(seed)
    rows, classes = random.integers(1, 9), random.integers(2, 9)
    logits = random.normal(size=(rows, classes)) * 10.0 ** random.uniform(-3.0, 4.0)
    weights = random.choice([np.eye(classes)[classes // 2], np.arange(classes, dtype=np.float64)])
    _, said = audited(
        order_statistics(weights, narrow=narrow), logits=logits, labels=np.zeros(rows, np.int64), upstream=1.0
    )
    assert said.verdict in ({"agrees", "too_noisy"} if narrow else {"agrees"}), said.statement


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("factor", [1.001, 1.01, 0.5])
def test_one_wrong_element_among_kinks_is_found(factor: float, scale: float) -> None:
    random = np.random.default_rng(3)
    logits = random.normal(size=(6, 5)) * scale
    loss = order_statistics(np.arange(1.0, 6.0), factor)
    _, said = audited(loss, logits=logits, labels=np.zeros(6, np.int64), upstream=1.0)
    assert said.verdict == "wrong", said.statement


def test_steps_that_rounding_swallows_say_nothing() -> None:
    def loss(z: np.ndarray, y: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if z.dtype == np.float64:
            raise TypeError("float32 at most")
        return np.asarray(np.float32(2.0**30)), np.ones_like(z)

    for logits in (LOGITS, LOGITS * 1e12):
        _, said = audited(loss, logits=logits)
        assert said.verdict != "agrees"
        assert "gradient is 0" not in said.statement


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "agrees"), (2.0, "wrong")])
def test_a_narrow_loss_of_large_logits_is_walked_in_steps_of_their_size(factor: float, verdict: str) -> None:
    def loss(z: np.ndarray, y: np.ndarray, upstream: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if z.dtype == np.float64:
            raise TypeError("float32 at most")
        norm = np.sqrt((z * z).sum())
        return np.asarray(norm, np.float32), (factor * z / norm * upstream).astype(np.float32)

    assert audited(loss, logits=LOGITS * 1e9, upstream=1.0)[1].verdict == verdict
