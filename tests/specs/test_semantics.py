"""`semantics: mxnet`: MXNet's operators by their own names, and what is said of those that do not fit."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from gradaudit.errors import SpecError
from gradaudit.records.case import Case
from gradaudit.specs.loading import load_text
from gradaudit.specs.nodes import plain
from gradaudit.specs.reader import read
from gradaudit.specs.schema import json_schema

HEAD = "version: 1\nsemantics: mxnet\n"
LOGITS = "logits: [[0.5, 2, 0], [1, 2, 3]]\n"
CUBE = "logits: {random: {shape: [2, 3, 4], seed: 1}}\n"


def spec(text: str, logits: str = LOGITS) -> str:
    return HEAD + logits + text


def case(text: str, logits: str = LOGITS) -> Case:
    (found,) = load_text(spec(text, logits), "spec.yaml")
    return found


@pytest.fixture(scope="module")
def validator() -> Any:
    return jsonschema.Draft202012Validator(json_schema())


ACCEPTED = [
    ("function: softmax\n", LOGITS),
    ("function: {name: softmax, temperature: 2, use_length: true, length: [3, 1]}\n", LOGITS),
    ("function: softmin\nupstream: per_output\n", LOGITS),
    ("function: log_softmax\nformulations: [fused, as_mxnet]\n", LOGITS),
    ("function: SoftmaxOutput\ntargets: [0, 2]\n", LOGITS),
    ("function: {name: SoftmaxOutput, use_ignore: true, ignore_label: -1}\ntargets: [-1, 2]\n", LOGITS),
    ("function: {name: SoftmaxOutput, preserve_shape: true}\ntargets: {random: {seed: 1}}\n", CUBE),
    ("function: {name: SoftmaxOutput, multi_output: true}\ntargets: {random: {kind: probabilities}}\n", CUBE),
    ("function: softmax_cross_entropy\ntargets: [0, 2]\nupstream: {values: [3]}\n", LOGITS),
    ("function: {name: SoftmaxCrossEntropyLoss, weight: 0.5}\ntargets: [0, 2]\nupstream: {values: [1, 2]}\n", LOGITS),
    ("function: {name: SoftmaxCrossEntropyLoss, sparse_label: false}\ntargets: [[1, 0, 0], [0, 0.5, 0.5]]\n", LOGITS),
    ("function: {name: SoftmaxCrossEntropyLoss, batch_axis: 1}\naxis: 0\ntargets: {random: {}}\n", CUBE),
]


@pytest.mark.parametrize(("text", "logits"), ACCEPTED)
def test_what_is_read_the_schema_accepts(text: str, logits: str, validator: Any) -> None:
    assert case(text, logits).function.name.startswith("mxnet.")
    assert validator.is_valid(plain(read(spec(text, logits), "spec.yaml")))


def test_onnxruntime_evaluates_them_unless_somebody_is_named() -> None:
    assert case("function: softmax\n").backends == ("onnxruntime",)
    assert case("function: softmax\nbackends: [numpy, onnxruntime]\n").backends == ("numpy", "onnxruntime")


def test_every_parameter_has_mxnets_own_default() -> None:
    assert dict(case("function: SoftmaxOutput\ntargets: [0, 1]\n").function.parameters) == {
        "grad_scale": 1.0,
        "ignore_label": -1,
        "multi_output": False,
        "use_ignore": False,
        "preserve_shape": False,
        "normalization": "null",
        "out_grad": False,
        "smooth_alpha": 0.0,
    }
    assert case("function: softmax\n").function.parameters["temperature"] is None
    assert case("function: {name: softmax, temperature: 1}\n").function.parameters["temperature"] == 1.0


def test_softmax_outputs_options_choose_the_axis() -> None:
    multi = "function: {name: SoftmaxOutput, multi_output: true}\ntargets: {random: {}}\n"
    kept = "function: {name: SoftmaxOutput, preserve_shape: true}\ntargets: {random: {}}\n"
    assert case(multi, CUBE).axis == (1,)
    assert case(kept, CUBE).axis == (2,)
    assert case(multi + "axis: -2\n", CUBE).axis == (1,)


def test_defaults_lend_their_semantics_to_every_case(validator: Any) -> None:
    text = (
        "version: 1\ndefaults: {semantics: mxnet, logits: [[0.5, 2]]}\ncases:\n- {name: a, function: softmin}\n"
        "- {name: b, function: log_softmax, formulations: as_mxnet}\n"
    )
    assert [each.function.name for each in load_text(text, "spec.yaml")] == ["mxnet.softmin", "mxnet.log_softmax"]
    assert validator.is_valid(plain(read(text, "spec.yaml")))


REFUSED = [
    ("function: {name: softmax, use_length: true}\n", "4:39: function.use_length: true, but no length is given; add"),
    ("function: {name: softmax, length: [1, 2]}\n", "4:35: function.length: it counts only with use_length: true"),
    (
        "function: {name: softmax, use_length: true, length: [3, 0]}\n",
        "4:53: function.length: 0 for row 1: that leaves no class; expected 1 to 3",
    ),
    (
        "function: {name: softmax, use_length: true, length: [4, 1]}\n",
        "4:53: function.length: 4 for row 0: MXNet then reads the next row; expected 1 to 3",
    ),
    ("function: {name: softmax, use_length: true, length: [3]}\n", "4:53: function.length: 1 lengths for 2 rows"),
    ("function: {name: softmax, temprature: 2}\n", "4:27: unknown key 'temprature' of softmax; did you mean 'temper"),
    ("function: {name: softmax, axis: 1}\n", "4:27: unknown key 'axis' of softmax; it is a key of the case"),
    ("function: softmaxoutput\n", "4:11: function: 'softmaxoutput' is no function of semantics: mxnet; did you mean"),
    (
        "function: {name: SoftmaxOutput, normalization: all}\n",
        "4:48: function.normalization: 'all' is not known; exp",
    ),
    ("function: SoftmaxOutput\n", "targets are missing; mxnet.SoftmaxOutput needs class indices of shape [2] or"),
    ("function: SoftmaxOutput\ntargets: [0, 1]\naxis: 0\n", "6:7: axis: the options of mxnet.SoftmaxOutput put its"),
    (
        "function: {name: SoftmaxOutput, use_ignore: 1}\ntargets: [0, 1]\n",
        "4:45: function.use_ignore: 1 is not true or false",
    ),
    (
        "function: {name: SoftmaxOutput, smooth_alpha: 0.1}\ntargets: [[1, 0, 0], [0, 1, 0.5]]\n",
        "4:47: function.smooth_alpha: MXNet passes it over where the labels are probabilities; remove it",
    ),
    ("function: SoftmaxOutput\ntargets: [-1, 1]\n", "there is no class -1; labels are 0 to 2"),
    ("function: softmax_cross_entropy\ntargets: [[1, 0, 0], [0, 1, 0]]\n", "needs class indices, one a row, and th"),
    (
        "function: {name: SoftmaxCrossEntropyLoss, sparse_label: false}\ntargets: [0, 1]\n",
        "4:57: function.sparse_label: false takes probabilities, and the targets are indices; change one of them",
    ),
    (
        "function: {name: SoftmaxCrossEntropyLoss, batch_axis: -1}\ntargets: [0, 1]\n",
        "4:55: function.batch_axis: axis -1 is that of the classes",
    ),
    ("function: {name: SoftmaxCrossEntropyLoss, batch_axis: 2}\ntargets: [0, 1]\n", "2 is out of range; the logits"),
    ("function: softmax\nprobes: standard\n", "5:9: probes: there are none of mxnet.softmax; remove them"),
    (
        "function: softmin\nsubjects: [{torch: losses.py:f}]\n",
        "subjects: mxnet.softmin is what backends are asked for; hold functions of your own against",
    ),
    (
        "function: softmax\nformulations: [as_mxnet]\n",
        "formulations: mxnet.softmax has no formulation 'as_mxnet'; it",
    ),
    ("function: softmax\naxis: [0, 1]\n", "axis: MXNet's operators have one class axis, and these are 2"),
    ("function: self\n", "4:11: function: 'self' is no function of semantics: mxnet"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_does_not_fit_is_explained_where_it_stands(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_text(spec(text), "spec.yaml")
    assert message in str(caught.value)


def test_logits_of_three_axes_need_an_option() -> None:
    with pytest.raises(SpecError, match="logits of 3 axes need multi_output: true") as caught:
        case("function: SoftmaxOutput\ntargets: {random: {}}\n", CUBE)
    assert "preserve_shape: true" in str(caught.value)


def test_an_operator_without_its_semantics_is_told_what_to_add(validator: Any) -> None:
    text = "version: 1\nfunction: SoftmaxOutput\ntargets: [0, 1]\n" + LOGITS
    with pytest.raises(SpecError) as caught:
        load_text(text, "spec.yaml")
    assert str(caught.value) == (
        "spec.yaml:2:11: function: 'SoftmaxOutput' is no function of gradaudit's own; add semantics: mxnet"
    )
    assert not validator.is_valid(plain(read(text, "spec.yaml")))


def test_unknown_semantics_are_refused(validator: Any) -> None:
    text = "version: 1\nsemantics: mxnt\nfunction: softmax\n" + LOGITS
    with pytest.raises(SpecError, match="2:12: semantics: 'mxnt' is not known; did you mean 'mxnet'"):
        load_text(text, "spec.yaml")
    assert not validator.is_valid(plain(read(text, "spec.yaml")))


@pytest.mark.parametrize(
    "text",
    [
        "function: cross_entropy\ntargets: [0, 1]\n",
        "function: {name: softmax, logit_scale: 2}\n",
        "function: softmax\nformulations: unshifted\n",
        "function: SoftmaxOutput\n",
    ],
)
def test_the_schema_knows_the_operators(text: str, validator: Any) -> None:
    assert not validator.is_valid(plain(read(spec(text), "spec.yaml")))
