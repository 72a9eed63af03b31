"""Slips of margin losses, divergences and losses of two terms, each beside the loss without it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gradaudit.backends import claimed
from gradaudit.functions import registry
from gradaudit.measurement.diagnosis import diagnose
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import NamedFault
from gradaudit.reference import admissible
from tests.measurement.faulty import SUBJECT, Loss, Shape, audited, inputs

torch: Any = pytest.importorskip("torch")

SHAPES = (Shape(None), Shape("length-3", classes=3), Shape("two-rows", rows=2))
T, A, B, EPS, S, M = 4.0, 0.01, 0.2, 2.0, 6.0, 0.35
Value = Callable[[Any, Any], Any]
"""Logits and targets as tensors -> the loss."""


def differentiated(value: Value) -> Loss:
    """A loss in torch's float64, with the gradient that its graph gives."""

    def loss(z: np.ndarray, y: np.ndarray, u: np.ndarray) -> tuple[float, np.ndarray]:
        logits = torch.tensor(z, dtype=torch.float64, requires_grad=True)
        result = value(logits, torch.tensor(y))
        result.backward()
        return float(result.detach()), logits.grad.numpy() * float(u)

    return loss


def soft(made: Inputs) -> Inputs:
    draws = np.random.default_rng(made.logits.shape[0])
    weights = draws.uniform(0.05, 1.0, made.logits.shape)
    return replace(made, targets=weights / weights.sum(axis=1, keepdims=True))


def cosines(made: Inputs) -> Inputs:
    return replace(made, logits=np.tanh(made.logits / 2.0))


def found(
    value: Value, name: str, change: Callable[[Inputs], Inputs] | None = None, **given: object
) -> Sequence[NamedFault]:
    call = FunctionCall(name, {each.name: each.default for each in registry.get(name).parameters} | given)
    made = [inputs(call, shape, None, scalar=True) for shape in SHAPES]
    entries = [audited(differentiated(value), each if change is None else change(each)) for each in made]
    rows = admissible.rows(call, "float64", claimed.profile_of(SUBJECT, "float64"))
    return diagnose("loss", "float64", entries, rows)


def ce(z: Any, y: Any, reduction: str = "mean") -> Any:
    return torch.nn.functional.cross_entropy(z, y, reduction=reduction)


def hot(z: Any, y: Any) -> Any:
    return torch.nn.functional.one_hot(y, z.shape[1]).to(z)


def entropy(z: Any) -> Any:
    log_p = torch.log_softmax(z, 1)
    return (log_p.exp() * log_p).sum(1)


def label_p(z: Any, y: Any) -> Any:
    return torch.softmax(z, 1).gather(1, y[:, None])[:, 0]


def lse(z: Any) -> Any:
    return torch.logsumexp(z, 1)


TERMS: dict[str, tuple[str, dict[str, object], Value, str, str]] = {
    "poly: p": (
        "poly",
        {"epsilon": EPS},
        lambda z, y: (ce(z, y, "none") + EPS * label_p(z, y)).mean(),
        "p of the",
        "",
    ),
    "poly: square": (
        "poly",
        {"epsilon": EPS},
        lambda z, y: (ce(z, y, "none") + EPS * (1 - label_p(z, y)) ** 2).mean(),
        "(1 - p)^2",
        "",
    ),
    "poly: sum": (
        "poly",
        {"epsilon": EPS},
        lambda z, y: ce(z, y) + EPS * (1 - label_p(z, y)).sum(),
        "added up over the rows",
        "",
    ),
    "poly: detached": (
        "poly",
        {"epsilon": EPS},
        lambda z, y: ce(z, y) + EPS * (1 - label_p(z, y)).detach().mean(),
        "cut off from the graph",
        "detached-path",
    ),
    "poly: missing": ("poly", {"epsilon": EPS}, ce, "epsilon is dropped", ""),
    "z: bits": (
        "z_loss",
        {"coefficient": A},
        lambda z, y: ce(z, y) + A * ((lse(z) / math.log(2)) ** 2).mean(),
        "bits",
        "",
    ),
    "z: detached": (
        "z_loss",
        {"coefficient": A},
        lambda z, y: ce(z, y) + A * (lse(z) ** 2).detach().mean(),
        "cut off from the graph",
        "detached-path",
    ),
    "z: slope": (
        "z_loss",
        {"coefficient": A},
        lambda z, y: ce(z, y) + A * ((lse(z) ** 2).detach() + 2 * (lse(z) - lse(z).detach())).mean(),
        "without the factor logsumexp(z)",
        "truncated-jacobian",
    ),
    "entropy: sum": (
        "cross_entropy",
        {"entropy_regularization": B},
        lambda z, y: ce(z, y) + B * entropy(z).sum(),
        "added up over the rows",
        "",
    ),
    "entropy: classes": (
        "cross_entropy",
        {"entropy_regularization": B},
        lambda z, y: ce(z, y) + B * entropy(z).mean() / z.shape[1],
        "averaged over the classes",
        "mean-over-classes",
    ),
    "entropy: log C": (
        "cross_entropy",
        {"entropy_regularization": B},
        lambda z, y: ce(z, y) + B * entropy(z).mean() / math.log(z.shape[1]),
        "divided by log C",
        "",
    ),
    "entropy: no p": (
        "cross_entropy",
        {"entropy_regularization": B},
        lambda z, y: ce(z, y) + B * torch.log_softmax(z, 1).sum(1).mean(),
        "without the factor p_j",
        "",
    ),
    "entropy: mixed": (
        "cross_entropy",
        {"entropy_regularization": B},
        lambda z, y: (1 - B) * ce(z, y) + B * entropy(z).mean(),
        "multiplied by 1 - entropy_regularization",
        "",
    ),
}


@pytest.mark.parametrize("name", TERMS)
def test_a_slip_of_a_second_term(name: str) -> None:
    function, parameters, value, words, fault = TERMS[name]
    (said,) = found(value, function, None, **parameters)
    assert (said.fault, words in said.statement) == (fault or "reduction-factor", True), said.statement
    assert not said.alternatives


def test_losses_of_two_terms_without_a_slip() -> None:
    assert not found(lambda z, y: ce(z, y) + EPS * (1 - label_p(z, y)).mean(), "poly", epsilon=EPS)
    assert not found(lambda z, y: ce(z, y) + A * (lse(z) ** 2).mean(), "z_loss", coefficient=A)
    assert not found(lambda z, y: ce(z, y) + B * entropy(z).mean(), "cross_entropy", entropy_regularization=B)


def test_a_slip_of_the_likelihood_beside_a_second_term_keeps_the_term() -> None:
    def value(z: Any, y: Any) -> Any:
        return (lse(z).detach() - z.gather(1, y[:, None])[:, 0] + A * lse(z) ** 2).mean()

    (said,) = found(value, "z_loss", coefficient=A)
    assert said.fault == "detached-path"
    assert "logsumexp is cut off" in said.statement


def divergence(log_p: Any, q: Any) -> Any:
    return torch.nn.functional.kl_div(log_p, q, reduction="batchmean")


DIVERGENCES: dict[str, tuple[Value, str, str]] = {
    "p": (lambda z, q: divergence(torch.softmax(z / T, 1), q), "softmax-applied-twice", "gets p where"),
    "z": (lambda z, q: divergence(z / T, q), "softmax-applied-twice", "gets the logits"),
    "outside": (lambda z, q: divergence(torch.log_softmax(z, 1) / T, q), "logit-transform-factor", "not the logits"),
    "tempered": (
        lambda z, q: divergence(torch.log_softmax(z / T, 1), torch.softmax(q.log() / T, 1)),
        "logit-transform-factor",
        "q^(1 / 4)",
    ),
    "reversed": (
        lambda z, q: divergence(q.log(), torch.softmax(z / T, 1)),
        "undiagnosed",
        "KL(p || t), not KL(t || p)",
    ),
}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_a_slip_of_a_divergence(name: str) -> None:
    value, fault, words = DIVERGENCES[name]
    (said,) = found(value, "kl_divergence", soft, temperature=T)
    assert said.fault == fault
    assert words in said.statement


def test_a_divergence_without_a_slip() -> None:
    right = found(lambda z, q: divergence(torch.log_softmax(z / T, 1), q), "kl_divergence", soft, temperature=T)
    assert not right


def turned(c: Any, margin: float) -> Any:
    return torch.cos(torch.acos(c) + margin)


def at_label(c: Any, y: Any, moved: Any) -> Any:
    return torch.where(hot(c, y).bool(), moved, c)


MARGINS: dict[str, tuple[str, Value, str, str]] = {
    "numerator": (
        "additive",
        lambda c, y: (lse(S * c) - S * (c.gather(1, y[:, None])[:, 0] - M)).mean(),
        "partition-local-normaliser",
        "in the numerator only",
    ),
    "after the scale": (
        "additive",
        lambda c, y: ce(S * c - M * hot(c, y), y),
        "logit-transform-factor",
        "from the scaled logit",
    ),
    "factor": (
        "additive",
        lambda c, y: ce(S * at_label(c, y, c * (1 - M)), y),
        "logit-transform-factor",
        "multiplied by 1 - m",
    ),
    "degrees": (
        "angular",
        lambda c, y: ce(S * at_label(c, y, turned(c, math.radians(M))), y),
        "logit-transform-factor",
        "in degrees",
    ),
    "every class": ("angular", lambda c, y: ce(S * turned(c, M), y), "logit-transform-factor", "of every class"),
    "easy": (
        "angular",
        lambda c, y: ce(S * at_label(c, y, torch.where(c > 0, turned(c, M), c)), y),
        "logit-transform-factor",
        "easy margin",
    ),
    "sine": (
        "angular",
        lambda c, y: ce(S * at_label(c, y, c * math.cos(M) - (1 - c * c).sqrt().detach() * math.sin(M)), y),
        "detached-path",
        "the label's slope is cos m",
    ),
    "margin": (
        "angular",
        lambda c, y: ce(S * at_label(c, y, c + (turned(c, M) - c).detach()), y),
        "detached-path",
        "the label's slope is 1",
    ),
}


@pytest.mark.parametrize("name", MARGINS)
def test_a_slip_of_a_margin(name: str) -> None:
    kind, value, fault, words = MARGINS[name]
    (said,) = found(value, "margin", cosines, kind=kind, margin=M, scale=S)
    assert said.fault == fault
    assert words in said.statement


def test_margins_without_a_slip() -> None:
    parameters: dict[str, object] = {"margin": M, "scale": S}
    assert not found(lambda c, y: ce(S * (c - M * hot(c, y)), y), "margin", cosines, kind="additive", **parameters)
    assert not found(
        lambda c, y: ce(S * at_label(c, y, turned(c, M)), y), "margin", cosines, kind="angular", **parameters
    )
