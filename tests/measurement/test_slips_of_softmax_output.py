"""Slips of SoftmaxOutput, planted into the exact gradient: each is named as what it is, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from gradaudit.backends import registry as backends
from gradaudit.functions import registry
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.diagnosis import slips_of_softmax_output
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import NamedFault
from gradaudit.reference.truth import Truth

NAME = "mxnet.SoftmaxOutput"
LABELS = np.array([2, 0, 3, 1, 1, 4, 0])
IGNORED = 1


def asked(**options: object) -> Inputs:
    rng = np.random.default_rng(11)
    own = {each.name: each.default for each in registry.get(NAME).parameters} | options
    logits, head = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(7, 5)).astype(np.float32)
    return Inputs(FunctionCall(NAME, MappingProxyType(own)), "float32", 1.0, (1,), logits, LABELS, head, False, None)


def answer(given: Inputs) -> Evaluation:
    """What a sound implementation returns for other options or another head gradient."""
    truth = Truth(registry.translated(given))
    block = truth.block_at(0)
    key = EvaluationKey("onnxruntime", "onnxruntime", "fused", "float32", 1.0)
    output, gradient = (each.mid.astype(np.float32) for each in (block.output, truth.gradient(block, None)))
    return Evaluation(key, output, gradient, None, 0.0)


def found(given: Inputs, answered: Evaluation) -> tuple[NamedFault, ...]:
    own = registry.translated(given)
    profile = backends.get("onnxruntime").profile(NAME, "fused", "float32")
    return slips_of_softmax_output([Audited(own, Truth(own), answered, None)], profile)


SLIPS = [
    ({"out_grad": True}, {"out_grad": False}, "upstream-gradient", "left out in spite of out_grad"),
    ({}, {"out_grad": True}, "upstream-gradient", "multiplied by the head gradient, without out_grad"),
    ({"grad_scale": 0.3}, {"grad_scale": -0.3}, "sign-flipped", "opposite sign"),
    ({"grad_scale": 0.3}, {}, "reduction-factor", "grad_scale is left out"),
    ({}, {"normalization": "batch"}, "reduction-factor", "divided by 7, the number of rows"),
    ({"normalization": "batch"}, {}, "reduction-factor", "divided by 1"),
    (
        {"normalization": "valid", "ignore_label": IGNORED},
        {"normalization": "batch"},
        "reduction-factor",
        "where normalization: valid divides by 5",
    ),
    ({"use_ignore": True, "ignore_label": IGNORED}, {}, "ignored-rows-leak", "have a gradient"),
    ({"smooth_alpha": 0.2}, {}, "smoothing-convention", "left out"),
    ({"smooth_alpha": 0.2}, {"smooth_alpha": 0.16}, "smoothing-convention", "all 5 classes, as PyTorch"),
]


@pytest.mark.parametrize(("options", "slipped", "fault", "words"), SLIPS, ids=str)
def test_a_slip_is_named(options: dict[str, object], slipped: dict[str, object], fault: str, words: str) -> None:
    (named,) = found(asked(**options), answer(asked(**slipped)))
    assert named.fault == fault
    assert words in named.statement


def test_mxnets_out_grad_is_named() -> None:
    given = asked(out_grad=True)
    output = answer(given).output
    (named,) = found(given, answer(replace(given, upstream=output)))
    assert named.fault == "upstream-gradient"
    assert named.statement == (
        "out_grad multiplies the gradient by the output of the forward, not by the head gradient"
    )


def test_what_is_no_slip_of_an_option_is_not_named() -> None:
    given = asked()
    right = answer(given)
    assert right.gradient is not None
    assert found(given, replace(right, gradient=np.asarray(right.gradient * np.float32(1.01)))) == ()


def test_one_evaluation_that_does_not_fit_refutes_a_slip() -> None:
    given, own = asked(), registry.translated(asked())
    profile = backends.get("onnxruntime").profile(NAME, "fused", "float32")
    slipped = answer(asked(normalization="batch"))
    assert slipped.gradient is not None
    other = replace(slipped, gradient=np.asarray(slipped.gradient * 3))
    both = [Audited(own, Truth(own), each, None) for each in (slipped, other)]
    assert slips_of_softmax_output(both[:1], profile)
    assert slips_of_softmax_output(both, profile) == ()
    assert given.targets is LABELS
