"""Every enclosure contains the exact value that the oracle finds by another road (tests/oracle)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from gradaudit.records.inputs import Inputs
from tests.oracle import families
from tests.reference.against_oracle import Pair, decided_pairs
from tests.reference.cases import PLAIN, VARIED, Variant, cases, inputs_of

SHOWN = 5
"""Misses that a failure shows."""


def misses(found: Iterable[tuple[str, Variant, Inputs]]) -> tuple[int, list[str]]:
    """How many elements were compared, and what is to be said of those that the enclosure misses."""
    elements, missed = 0, []
    for family, variant, inputs in found:
        try:
            pairs = decided_pairs(inputs)
        except RuntimeWarning as warning:
            missed.append(f"{inputs.dtype} {family}, {variant.name}, logits {inputs.logits.shape}: {warning}")
            continue
        for pair in pairs:
            inside = pair.contained
            elements += inside.size
            missed += [described(family, variant, inputs, pair, tuple(index)) for index in np.argwhere(~inside)]
    return elements, missed


def described(family: str, variant: Variant, inputs: Inputs, pair: Pair, index: tuple[int, ...]) -> str:
    return (
        f"{inputs.dtype} {family}, {variant.name}, {pair.quantity} of logits {inputs.logits.shape} at row, class "
        f"{tuple(map(int, index))}: {pair.exact[index]} outside {pair.mid[index]!r} + {pair.low[index]!r} "
        f"+- {pair.rad[index]!r}"
    )


def assert_none_missed(found: Iterable[tuple[str, Variant, Inputs]], at_least: int) -> None:
    elements, missed = misses(found)
    assert not missed, f"{len(missed)} of {elements} elements missed:\n" + "\n".join(missed[:SHOWN])
    assert elements >= at_least


@pytest.mark.parametrize("dtype", families.DTYPES)
def test_sample_of_every_family_and_function(dtype: str) -> None:
    assert_none_missed(cases(dtype, (3, 10), elements=24, varied=2, seed=11), at_least=15_000)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", families.DTYPES)
def test_every_family_size_function_and_parameter(dtype: str) -> None:
    """At least 500,000 elements of each of the four dtypes: 2,000,000 in a run."""
    small, large = families.SIZES[:-1], families.SIZES[-1:]
    found = chain(
        cases(dtype, small, elements=80, varied=5, seed=12),
        # 1,000 classes a row are the plain functions' alone: what parameters change shows in 257 as well.
        cases(dtype, large, elements=80, varied=0, seed=12),
    )
    assert_none_missed(found, at_least=500_000)


@pytest.mark.parametrize("variant", [*PLAIN, *VARIED], ids=lambda variant: variant.name)
@pytest.mark.parametrize("dtype", ["bfloat16", "float64"])
def test_vanished_logits(variant: Variant, dtype: str) -> None:
    """-inf logits beside finite ones, targets with and without mass there: the table's rows are the limits."""
    found = []
    for family, logits in families.families(dtype, 10, 12, seed=13):
        if family in ("normal_5", "gap_60", "equal"):
            vanished = logits.copy()
            for row in range(1, len(vanished)):
                vanished[row, np.arange(row % 5) * 2] = -np.inf
            found.append((family, variant, inputs_of(variant, vanished, dtype, seed=14)))
    assert_none_missed(found, at_least=3)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(
    "parameters", [{"temperature": 0.7}, {"logit_scale": 14.3}, {"logit_scale": 2.5, "temperature": 3.0}]
)
def test_two_classes_with_scaled_logits(dtype: str, parameters: dict[str, float]) -> None:
    """Both the loss of the winner and its logit carry the rounding of the scaling: [27.171875, 22.515625] / 0.7."""
    generator = np.random.default_rng(19)
    offset, gap = generator.uniform(-30.0, 30.0, size=400), generator.uniform(0.0, 40.0, size=400)
    logits = np.stack([offset, offset - gap], axis=1)
    logits[0] = [27.171875, 22.515625]
    logits = logits.astype(families.DTYPES[dtype])
    variants = [Variant(f"log_softmax {parameters}", "log_softmax", parameters)]
    variants.append(Variant(f"loss {parameters}", "cross_entropy", {"reduction": "none", **parameters}, "labels"))
    found = [("two classes", variant, inputs_of(variant, logits, dtype, seed=20)) for variant in variants]
    assert_none_missed(found, at_least=2_800)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mean_over_no_rows_is_undefined(dtype: str) -> None:
    """The loss is NaN; the gradient is left open, whatever stands there."""
    from gradaudit.reference.truth import Truth

    _, logits = next(iter(families.families(dtype, 4, 6, seed=15)))
    mean = next(variant for variant in VARIED if variant.name == "cross_entropy ignored")
    inputs = inputs_of(mean, logits, dtype, seed=16)
    inputs = replace(inputs, targets=np.full_like(inputs.targets, -100))
    truth = Truth(inputs)
    assert np.isnan(truth.reduced_output().mid).all()
    for block in truth.blocks():
        left_open = truth.gradient(block, None).open
        assert left_open is not None
        assert left_open.all()


@pytest.mark.parametrize("dtype", families.DTYPES)
@pytest.mark.parametrize("variant", PLAIN, ids=lambda variant: variant.name)
def test_an_enclosure_that_lies_is_caught(dtype: str, variant: Variant) -> None:
    """A value two radii off, in a single element of any quantity, is missed."""
    logits = dict(families.families(dtype, 10, 4, seed=17))["normal_5"]
    for pair in decided_pairs(inputs_of(variant, logits, dtype, seed=18)):
        assert pair.contained.all()
        low = pair.low.copy()
        low.flat[-1] += 2.0 * (pair.rad.flat[-1] + np.spacing(abs(low.flat[-1])))
        moved = replace(pair, low=low).contained
        assert not moved.flat[-1]
        assert moved.sum() == moved.size - 1
