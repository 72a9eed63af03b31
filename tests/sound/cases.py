"""Random sound cases: what a user's right code returns for random inputs, and which row explains it.

`draw(seed, stratum)` and `verdict(...)` are all that a long run needs; equal seeds give equal cases.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from gradaudit.measurement.evaluation import measure
from gradaudit.numerics import formats
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Measurement
from gradaudit.records.profile import Profile
from gradaudit.reference import admissible
from gradaudit.reference.formulations.formulated import MOST_MERGED, MOST_STORED
from gradaudit.reference.truth import Truth
from tests.sound import losses
from tests.sound.activations import ACTIVATIONS
from tests.sound.losses import Meaning, Style

DTYPES = ("float16", "bfloat16", "float32", "float64")
REDUCTIONS = ("mean", "sum", "none")
TORCH = {name: getattr(torch, name) for name in DTYPES}
CLASSES = (1, 2, 3, 5, 7, 10, 11, 17, 64, 100, 129, 257, 1000, 1024, 4096)
MOST_SMOOTHED = 700
"""Log-probabilities that can be added up in float16, as torch does over classes and rows before it divides."""


@dataclass(frozen=True)
class Stratum:
    """What a case is drawn of: `rows` is one of `losses.ROWS` or of `ACTIVATIONS`."""

    function: str
    rows: str
    dtype: str
    reduction: str = "none"


def strata() -> Iterator[Stratum]:
    """Every stratum."""
    for dtype in DTYPES:
        for name, function in ACTIVATIONS:
            yield Stratum(function, name, dtype)
        for rows in losses.ROWS:
            for reduction in REDUCTIONS:
                yield Stratum("cross_entropy", rows, dtype, reduction)


@dataclass(frozen=True, eq=False)
class Drawn:
    """A case: `loss` gets logits and targets (None for activations); `style` is how its `meaning` is spelled."""

    name: str
    inputs: Inputs
    loss: losses.Loss
    style: Style | None = None
    meaning: Meaning | None = None


def draw(seed: int, stratum: Stratum) -> Drawn:
    """A random case of the stratum."""
    key = zlib.crc32("|".join((stratum.function, stratum.rows, stratum.dtype, stratum.reduction)).encode())
    generator = np.random.default_rng([seed, key])
    n = int(generator.choice(CLASSES))
    n = min(n, _most_classes(stratum))
    rows = int(min(generator.choice([*range(1, 20), 40, 200]), max(1, 20_000 // n)))
    if stratum.function != "cross_entropy":
        return _activation(generator, stratum, rows, n)
    meaning = _meaning(generator, stratum, n)
    if stratum.dtype == "float16" and rows * n > MOST_SMOOTHED:
        meaning = replace(meaning, label_smoothing=0.0)
    style = _style(generator, stratum)
    logits = _logits(generator, stratum.dtype, rows, n, _headroom(meaning, rows, n))
    targets = _targets(generator, stratum.dtype, logits, meaning)
    parameters = {
        "temperature": meaning.temperature,
        "logit_scale": meaning.logit_scale,
        "masked_classes": (),
        "reduction": meaning.reduction,
        "label_smoothing": meaning.label_smoothing,
        "ignore_index": losses.IGNORED,
    }
    weight = None if meaning.weight is None else np.array(meaning.weight).astype(logits.dtype)
    inputs = _inputs(stratum, parameters, logits, targets, _upstream(generator, stratum, rows), weight)
    return Drawn(f"{style.name}; {meaning}"[:400], inputs, losses.build(meaning, style), style, meaning)


def _most_classes(stratum: Stratum) -> int:
    """What is quick to compute, and adds up no more numbers one by one in 16 bits than is sound."""
    u, rows = formats.get(stratum.dtype).unit_roundoff, stratum.rows
    if "fold" in rows:
        return min(257, 1 + int(MOST_MERGED / u))
    if "tree" in rows:
        return min(257, 2 ** min(9, int(MOST_MERGED / u)))
    if "online 3" in rows:
        return min(257, 3 * int(MOST_STORED / u))
    return min(4096, 64 * int(MOST_STORED / u)) if "online 64" in rows else 4096


def _activation(generator: np.random.Generator, stratum: Stratum, rows: int, n: int) -> Drawn:
    logits = _logits(generator, stratum.dtype, rows, n, 1.0)
    parameters = {"temperature": 1.0, "logit_scale": 1.0, "masked_classes": ()}
    shape = (rows,) if stratum.function == "logsumexp" else (rows, n)
    upstream = generator.standard_normal(shape) * 10.0 ** generator.uniform(-2, 2) + generator.choice([0.0, 0.0, 5.0])
    # A backward adds the upstream gradients of a row up before probabilities make the sum small, an online one also
    # multiplies it by the sum of a chunk; float16 ends at 65504.
    terms = n * n if stratum.rows.startswith("online") else n
    limit = formats.get(stratum.dtype).largest / (2.0 * terms)
    upstream = np.clip(upstream, -limit, limit)
    call = ACTIVATIONS[stratum.rows, stratum.function]
    inputs = _inputs(stratum, parameters, logits, None, upstream.astype(logits.dtype), None)
    return Drawn(stratum.rows, inputs, lambda x, _: call(x))


def _inputs(
    stratum: Stratum,
    parameters: dict[str, object],
    logits: np.ndarray,
    targets: np.ndarray | None,
    upstream: np.ndarray,
    weight: np.ndarray | None,
) -> Inputs:
    call = FunctionCall(stratum.function, MappingProxyType(parameters))
    return Inputs(call, stratum.dtype, 1.0, (1,), logits, targets, upstream, per_output=False, weight=weight)


def _meaning(generator: np.random.Generator, stratum: Stratum, n: int) -> Meaning:
    soft = stratum.rows not in losses.LABELS_ONLY and bool(generator.random() < 0.2)
    smoothing = 0.0
    if stratum.rows not in losses.LABELS_ONLY and generator.random() < 0.35:
        smoothing = float(generator.choice([0.1, 0.05, 0.3]))
    weight = None
    if generator.random() < 0.3:
        drawn = generator.uniform(0.1, 3.0, size=n).astype(formats.dtype(stratum.dtype))
        weight = tuple(drawn.astype(np.float64).tolist())
    return Meaning(
        reduction=stratum.reduction,
        label_smoothing=smoothing,
        weight=weight,
        temperature=float(generator.choice([1.0, 1.0, 1.0, 2.0, 0.7, 3.0])),
        logit_scale=float(generator.choice([1.0, 1.0, 1.0, 2.5, 14.3])),
        ignored=not soft and bool(generator.random() < 0.3),
        soft=soft,
    )


def _style(generator: np.random.Generator, stratum: Stratum) -> Style:
    def one(options: tuple[str, ...]) -> str:
        # 16-bit matrix products of some processors are added up in 16 bits.
        left = [each for each in options if stratum.dtype not in ("float16", "bfloat16") or each not in _PRODUCTS]
        return str(generator.choice(left))

    return Style(
        stratum.rows,
        one(losses.PICKS),
        one(losses.SMOOTHINGS),
        one(losses.WEIGHTINGS),
        one(losses.IGNORINGS),
        one(losses.AVERAGINGS),
        one(losses.SCALINGS),
    )


_PRODUCTS = ("einsum", "matmul")


def _headroom(meaning: Meaning, rows: int, n: int) -> float:
    """By how much what is formed on the way may exceed the logits: nobody avoids an overflow there."""
    factor = max(1.0, meaning.logit_scale) / min(1.0, meaning.temperature)
    # Smoothed losses are added up over the classes, and all over the rows, before they are divided.
    factor *= n if meaning.label_smoothing else 1
    factor *= rows if meaning.reduction != "none" else 1
    return factor * (4.0 if meaning.weight is not None else 1.0)


def _logits(generator: np.random.Generator, dtype: str, rows: int, n: int, factor: float) -> np.ndarray:
    magnitude = 10.0 ** generator.uniform(-3, 6)
    if generator.random() < 0.5:
        magnitude = 10.0 ** generator.uniform(-1, 1.5)
    kind = generator.integers(0, 5)
    values = generator.standard_normal((rows, n))
    if kind == 1:
        values = generator.uniform(-1.0, 1.0, (rows, n))
    elif kind == 2:
        values = np.where(generator.random((rows, n)) < 0.3, 1.0, 0.0) + 0.01 * values
    elif kind == 3:
        values = np.round(values)
    logits = values * magnitude
    if generator.random() < 0.4:
        logits += generator.choice([-1.0, 1.0]) * 10.0 ** generator.uniform(0, 6)
    limit = formats.get(dtype).largest / 8.0 / factor
    return np.clip(logits, -limit, limit).astype(formats.dtype(dtype))


def _targets(generator: np.random.Generator, dtype: str, logits: np.ndarray, meaning: Meaning) -> np.ndarray:
    rows, n = logits.shape
    if meaning.soft:
        q = generator.dirichlet(np.full(n, generator.choice([0.1, 1.0])), size=rows)
        return q.astype(formats.dtype(dtype))
    labels = generator.integers(0, n, size=rows)
    winners = generator.random(rows) < 0.5
    labels[winners] = logits.astype(np.float64).argmax(axis=1)[winners]
    if meaning.ignored:
        labels[1::3] = losses.IGNORED
    return labels.astype(np.int64)


def _upstream(generator: np.random.Generator, stratum: Stratum, rows: int) -> np.ndarray:
    shape = (rows,) if stratum.reduction == "none" else ()
    values = np.array(generator.standard_normal(shape) * generator.choice([1.0, 1.7, 30.0]))
    if generator.random() < 0.3:
        values = np.ones(shape)
    return values.astype(formats.dtype(stratum.dtype))


def tensor(array: np.ndarray) -> Tensor:
    """The array as a tensor of its dtype."""
    if array.dtype == formats.dtype("bfloat16"):
        return torch.from_numpy(np.ascontiguousarray(array).view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(np.array(array))


def array(values: Tensor) -> np.ndarray:
    """The tensor as an array of its dtype."""
    values = values.detach().contiguous()
    if values.dtype == torch.bfloat16:
        return values.view(torch.int16).numpy().view(formats.dtype("bfloat16"))
    return values.numpy()


def evaluate(drawn: Drawn) -> Evaluation:
    """What the case's code returns."""
    inputs = drawn.inputs
    logits = tensor(inputs.logits).requires_grad_()
    targets = None if inputs.targets is None else tensor(inputs.targets)
    output = drawn.loss(logits, targets)
    assert inputs.upstream is not None
    (gradient,) = torch.autograd.grad(output, logits, tensor(inputs.upstream).reshape(output.shape))
    key = EvaluationKey(drawn.name, "torch", "custom", inputs.dtype, 1.0)
    return Evaluation(key, array(output), array(gradient), None, 0.0)


def profile(dtype: str) -> Profile:
    """What a subject is held to that claims nothing."""
    sixteen = dtype in ("float16", "bfloat16")
    ulp = 1.0 if sixteen else 4.0
    accumulate = "float32" if sixteen else dtype
    return Profile(dtype, accumulate, dtype, dtype, ulp, ulp, "any", "quotient", reduction=dtype)


def verdict(drawn: Drawn, evaluation: Evaluation | None = None) -> Measurement:
    """The measurement of the case under the rows of user code; sound code is explained by one that is not weaker."""
    inputs = drawn.inputs
    rows = admissible.rows(inputs.function, inputs.dtype, profile(inputs.dtype))
    truth = Truth(inputs)
    return measure(truth, evaluation or evaluate(drawn), profile(inputs.dtype), "values", rows)
