"""Strata of losses beyond cross entropy: focal, poly, z-loss, softcap, divergences and margins, by every spelling."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import numpy as np

from gradaudit.backends import claimed
from gradaudit.functions import registry
from gradaudit.numerics import formats
from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.reference import admissible
from tests.soak.sound_case import SoundCase, Stratum
from tests.sound import cases, other_losses

CLASSES = (1, 2, 3, 5, 7, 11, 17, 64, 129, 1000, 4096)
MOST_ELEMENTS = 8_000


def strata() -> Iterator[Stratum]:
    """Every spelling at every dtype; reductions are drawn."""
    for function, spellings in other_losses.SPELLINGS.items():
        for spelling in spellings:
            for dtype in cases.DTYPES:
                name = " | ".join(("user", function, spelling.__name__, dtype, "drawn"))
                yield Stratum(name, lambda seed, f=function, s=spelling, d=dtype: _drawn(seed, f, s, d))  # type: ignore[misc]


def _drawn(seed: int, function: str, spelling: other_losses.Loss, dtype: str) -> SoundCase:
    generator = np.random.default_rng([seed, 7])
    n = int(generator.choice(CLASSES))
    rows = int(min(generator.integers(1, 16), max(1, MOST_ELEMENTS // n)))
    meaning = _meaning(generator, spelling.__name__, function, n, dtype)
    logits = _logits(generator, function, meaning, dtype, rows, n)
    targets = _targets(generator, function, dtype, rows, n)
    inputs = Inputs(
        FunctionCall(function, MappingProxyType(meaning)),
        dtype,
        1.0,
        (1,),
        logits,
        targets,
        _upstream(generator, spelling.__name__, meaning, logits),
        per_output=False,
        weight=None,
    )
    drawn = cases.Drawn(f"{spelling.__name__}; {meaning}"[:400], inputs, other_losses.build(spelling, meaning))
    subject = Subject(drawn.name, "torch", f"tests/sound/other_losses.py:{spelling.__name__}", live=drawn.loss)
    profile = claimed.profile_of(subject, dtype)
    return SoundCase(
        drawn.name,
        inputs,
        EvaluationKey(drawn.name, "torch", subject.formulation, dtype, 1.0),
        subject,
        profile,
        admissible.rows(inputs.function, dtype, profile),
        lambda: cases.evaluate(drawn),
    )


def _meaning(generator: np.random.Generator, spelling: str, function: str, n: int, dtype: str) -> dict[str, Any]:
    """Every parameter of the function: most as by default, its own drawn."""
    meaning = {each.name: each.default for each in registry.get(function).parameters}
    if "reduction" in meaning:
        meaning["reduction"] = str(generator.choice(cases.REDUCTIONS))
    own: dict[str, Any] = {
        "gamma": float(generator.choice([1.0, 1.5, 2.0, 5.0])),
        "epsilon": float(generator.choice([1.0, -0.5, 3.0])),
        "coefficient": float(generator.choice([1e-4, 0.01, 0.1])),
        "cap": float(generator.choice([5.0, 30.0, 50.0])),
        "margin": float(generator.choice([0.35, 0.2, 0.5])),
        "scale": float(generator.choice([16.0, 30.0, 64.0])),
        "kind": "angular" if spelling == "margin_of_angles" else "additive",
    }
    meaning |= {name: value for name, value in own.items() if name in meaning}
    if "alpha" in meaning and generator.random() < 0.5:
        alpha = generator.uniform(0.1, 1.0, n).astype(formats.dtype(dtype)).astype(np.float64)
        meaning["alpha"] = tuple(alpha.tolist())
    return meaning


def _logits(
    generator: np.random.Generator, function: str, meaning: dict[str, Any], dtype: str, rows: int, n: int
) -> np.ndarray:
    if function == "margin":
        return generator.uniform(-0.99, 0.99, (rows, n)).astype(formats.dtype(dtype))
    magnitude = 10.0 ** generator.uniform(-3, 6 if generator.random() < 0.5 else 1.5)
    values = generator.standard_normal((rows, n)) * magnitude
    if function != "softcap" and generator.random() < 0.4:
        values += generator.choice([-1.0, 1.0]) * 10.0 ** generator.uniform(0, 6)
    limit = formats.get(dtype).largest / 128.0
    if function == "z_loss":
        limit = np.sqrt(limit) / 8.0
    return np.clip(values, -limit, limit).astype(formats.dtype(dtype))


def _targets(generator: np.random.Generator, function: str, dtype: str, rows: int, n: int) -> np.ndarray | None:
    definition = registry.get(function)
    if not definition.takes_targets:
        return None
    if definition.targets == "probabilities":
        return generator.dirichlet(np.full(n, generator.choice([0.1, 1.0])), size=rows).astype(formats.dtype(dtype))
    labels = generator.integers(0, n, size=rows)
    if generator.random() < 0.3:
        labels[1::3] = other_losses.IGNORED
    return labels.astype(np.int64)


def _upstream(
    generator: np.random.Generator, spelling: str, meaning: dict[str, Any], logits: np.ndarray
) -> np.ndarray:
    shape = {"none": logits.shape[:1], "mean": (), "sum": ()}.get(meaning.get("reduction", ""), logits.shape)
    values = np.array(generator.standard_normal(shape) * generator.choice([1.0, 1.7, 30.0]))
    if spelling.startswith("focal"):
        # The gradient passes through gamma * log p * upstream before p makes it small again: float16 ends at 65504.
        steepest = meaning["gamma"] * (np.ptp(logits.astype(np.float64)) + np.log(logits.shape[1]))
        limit = formats.get(str(logits.dtype)).largest / (2.0 * max(steepest, 1.0))
        values = np.clip(values, -limit, limit)
    return values.astype(logits.dtype)
