"""Sound code in every formulation is explained at a sound precision, and within its own formulation's row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.sound import cases, own_rows
from tests.sound.cases import Stratum

STRATA = tuple(cases.strata())
SEEDS = {"float16": 11, "bfloat16": 12, "float32": 13, "float64": 14}


def name(stratum: Stratum) -> str:
    return " | ".join((stratum.function, stratum.rows, stratum.dtype, stratum.reduction))


def unexplained(strata: tuple[Stratum, ...], seed: int) -> list[str]:
    wrong = []
    for stratum in strata:
        found = cases.verdict(cases.draw(seed, stratum))
        assert found.gradient is not None
        explained = found.explanation.explains and not found.explanation.weaker
        lost = found.output.non_finite + found.gradient.non_finite
        if not explained or lost:
            wrong.append(f"{name(stratum)}: {found.explanation}, {lost} not finite")
    return wrong


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.slow
def test_every_formulation_is_explained(dtype: str) -> None:
    strata = tuple(stratum for stratum in STRATA if stratum.dtype == dtype)
    assert len(strata) > 100
    assert not unexplained(strata, SEEDS[dtype])


@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_a_sample_of_formulations_is_explained(dtype: str) -> None:
    strata = tuple(stratum for stratum in STRATA if stratum.dtype == dtype)
    assert not unexplained(strata[3::11], SEEDS[dtype] + 100)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", cases.DTYPES)
def test_no_row_is_exceeded_by_its_own_formulation(dtype: str) -> None:
    strata = tuple(stratum for stratum in STRATA if stratum.dtype == dtype)
    found = [(own_rows.share(stratum, 21), stratum) for stratum in strata]
    shares = [(*share, name(stratum)) for share, stratum in found if share is not None]
    assert len({row for row, _, _ in shares}) > 12
    assert [entry for entry in shares if entry[1] > 1.0] == []
    assert max(share for _, share, _ in shares) > 0.1, "the rows are in use"


@pytest.mark.parametrize("rows", ["fused", "logsumexp", "saved probabilities", "fold", "online 64"])
@pytest.mark.parametrize("error", [1.0 - 1.5e-4, 1.0 + 2.0**-10])
def test_a_gradient_of_another_scale_is_not_explained(rows: str, error: float) -> None:
    """In float32, on ordinary logits and unless the loss is nearly 0."""
    for seed in range(5):
        drawn = cases.draw(seed, Stratum("cross_entropy", rows, "float32", "none"))
        rng = np.random.default_rng(seed)
        count = len(drawn.inputs.logits)
        logits = rng.standard_normal((count, 9)).astype(np.float32)
        call = drawn.inputs.function
        plain = {**call.parameters, "label_smoothing": 0.0, "temperature": 1.0, "logit_scale": 1.0}
        inputs = replace(
            drawn.inputs,
            function=replace(call, parameters=plain),
            logits=logits,
            targets=rng.integers(0, 9, count),
            upstream=np.ones(count, np.float32),
            weight=None,
        )
        loss = cases.losses.build(cases.Meaning("none"), cases.Style(rows))
        own = replace(drawn, inputs=inputs, loss=loss)
        right = cases.evaluate(own)
        assert cases.verdict(own, right).explanation.explains
        assert right.gradient is not None
        wrong = replace(right, gradient=(right.gradient * np.float32(error)).astype(np.float32))
        explanation = cases.verdict(own, wrong).explanation
        assert not explanation.explains or explanation.weaker


def test_the_same_seed_draws_the_same_case() -> None:
    for stratum in STRATA[::40]:
        first, second = cases.draw(5, stratum), cases.draw(5, stratum)
        assert first.name == second.name
        assert first.inputs.logits.tobytes() == second.inputs.logits.tobytes()
        assert cases.evaluate(first).output.tobytes() == cases.evaluate(second).output.tobytes()
        assert cases.draw(6, stratum).inputs.logits.tobytes() != first.inputs.logits.tobytes()
