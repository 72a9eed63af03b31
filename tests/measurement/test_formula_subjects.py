"""Losses in torch against the formulas that they implement: sound ones pass by any steps, planted faults do not."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gradaudit.functions.formula import PARAMETERS
from gradaudit.measurement.subjects import audited
from gradaudit.records.case import FORMULA
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Measurement
from gradaudit.records.subject import Subject
from gradaudit.reference.truth import Truth
from gradaudit.specs.formula import parse
from gradaudit.workers import live

torch = pytest.importorskip("torch")
F: Any = torch.nn.functional

DTYPES = {"float32": np.dtype("float32"), "float64": np.dtype("float64"), "bfloat16": np.dtype(ml_dtypes.bfloat16)}


def log_p(z: Any, y: Any) -> Any:
    return F.log_softmax(z, 1).gather(1, y[:, None])[:, 0]


def by_lse(z: Any, y: Any) -> Any:
    return z.logsumexp(1) - z.gather(1, y[:, None])[:, 0]


FORMULAS: dict[str, tuple[str, dict[str, object], tuple[Callable[..., Any], ...]]] = {
    "cross entropy, unfused in the text": (
        "-take(log(softmax(z)), y)",
        {},
        (lambda z, y: F.cross_entropy(z, y, reduction="none"), by_lse, lambda z, y: -log_p(z, y)),
    ),
    "smoothing": (
        "(1 - eps) * (logsumexp(z) - take(z, y)) + eps * (logsumexp(z) - mean(z))",
        {"eps": 0.1},
        (
            lambda z, y: F.cross_entropy(z, y, reduction="none", label_smoothing=0.1),
            lambda z, y: -0.9 * log_p(z, y) - 0.1 * F.log_softmax(z, 1).mean(1),
        ),
    ),
    "focal": (
        "-(1 - take(softmax(z), y)) ** gamma * log(take(softmax(z), y))",
        {"gamma": 2.0},
        (
            lambda z, y: -((1 - log_p(z, y).exp()) ** 2) * log_p(z, y),
            lambda z, y: (1 - torch.exp(-by_lse(z, y))) ** 2 * by_lse(z, y),
            lambda z, y: -(torch.expm1(log_p(z, y)) ** 2) * log_p(z, y),
        ),
    ),
    "z-loss": (
        "logsumexp(z) - take(z, y) + a * logsumexp(z) ** 2",
        {"a": 1e-4},
        (lambda z, y: F.cross_entropy(z, y, reduction="none") + 1e-4 * z.logsumexp(1) ** 2,),
    ),
    "poly": (
        "-take(log_softmax(z), y) + 1 - take(softmax(z), y)",
        {},
        (lambda z, y: -log_p(z, y) + (1 - z.softmax(1).gather(1, y[:, None])[:, 0]),),
    ),
    "softcap": (
        "logsumexp(c * tanh(z / c)) - take(c * tanh(z / c), y)",
        {"c": 30.0},
        (lambda z, y: F.cross_entropy(30 * torch.tanh(z / 30), y, reduction="none"),),
    ),
}


def measured(name: str, loss: Callable[..., Any], z: np.ndarray, y: np.ndarray, dtype: str) -> Measurement:
    """A live loss, one number per row, against its formula."""
    text, constants, _ = FORMULAS[name]
    given = {parameter.name: parameter.default for parameter in PARAMETERS} | {"reduction": "none", "formula": text}
    call = FunctionCall(FORMULA, MappingProxyType(given), parse(text, constants))
    upstream = np.random.default_rng(1).normal(size=len(z)).astype(DTYPES[dtype])
    inputs = Inputs(call, dtype, 1.0, (1,), z.astype(DTYPES[dtype]), y, upstream, False, None)
    subject = Subject(name="loss", backend="torch", target="", live=loss)
    result = live.evaluate(EvaluationKey("loss", "torch", "custom", dtype, 1.0), inputs, subject)
    assert isinstance(result, Evaluation), result
    found = audited(inputs, Truth(inputs), subject, result, "values").measurement
    assert found is not None
    return found


SOUND = [(name, index) for name, (_, _, losses) in FORMULAS.items() for index in range(len(losses))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "index"), SOUND)
def test_sound_losses_pass(name: str, index: int, dtype: str) -> None:
    random = np.random.default_rng(7)
    for spread, offset in ((1e-3, 0.0), (2.0, 0.0), (40.0, 0.0), (2.0, 100.0)):
        z, y = random.normal(size=(4, 9)) * spread + offset, random.integers(0, 9, 4)
        explanation = measured(name, FORMULAS[name][2][index], z, y, dtype).explanation
        assert explanation.explains, (spread, offset)
        assert not explanation.weaker, (spread, offset)


class Scaled(torch.autograd.Function):  # type: ignore[misc, name-defined]
    """The logits, with a gradient that is off by a factor."""

    @staticmethod
    def forward(ctx: Any, z: Any, factor: float) -> Any:
        ctx.factor = factor
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, upstream: Any) -> Any:
        return upstream * ctx.factor, None


FAULTS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "a gradient seven times too large": lambda loss: lambda z, y: loss(Scaled.apply(z, 7.0), y),
    "a sign": lambda loss: lambda z, y: loss(Scaled.apply(z, -1.0), y),
    "a temperature": lambda loss: lambda z, y: loss(z / 2.0, y),
    "softmax twice": lambda loss: lambda z, y: loss(z.softmax(1), y),
    "labels of the next row": lambda loss: lambda z, y: loss(z, y.roll(1)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", FORMULAS)
def test_planted_faults_do_not(name: str, fault: str, dtype: str) -> None:
    random = np.random.default_rng(11)
    z, y = random.normal(size=(4, 9)) * 2.0, np.arange(4)
    found = measured(name, FAULTS[fault](FORMULAS[name][2][0]), z, y, dtype)
    assert not found.explanation.explains or found.explanation.weaker
