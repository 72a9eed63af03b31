"""What a user is told of a malformed spec: place, value, what was expected, the nearest choice, in full."""

# ruff: noqa: E501 - a message is easiest to read in one piece

from __future__ import annotations

import pytest

from gradaudit.errors import SpecError
from gradaudit.specs import probes
from gradaudit.specs.loading import load_text
from gradaudit.specs.wording import did_you_mean, one_of
from tests.specs.conftest import CODES

SOFTMAX = "version: 1\nfunction: softmax\nlogits: [[0.1, 2]]\n"
ENTROPY = "version: 1\nlogits: [[0.1, 2], [3, 4]]\n"

OF_LOSSES = {
    *("ignored-rows", "micro-batches", "mass", "zero-masses", "masked-logit", "all-ignored", "zero-weights"),
    *("label-too-large", "label-negative"),
    *(f"gap-{name}-winner" for name in ("moderate", "far", "rounding", "overflow", "underflow")),
}
"""Probes that a softmax does not have."""

MESSAGES = [
    # the frame
    ("- 1\n", ["1:1: this is a list of 1, not a spec; a spec is a mapping that begins with version: 1"]),
    (
        "jobs: {}\non: push\n",
        [
            "1:1: this is a mapping (jobs, on), not a spec: none of its keys is one of ours; a spec has version: 1, "
            "function: and logits:"
        ],
    ),
    (SOFTMAX.replace("1", "2", 1), ["1:10: version: 2 is not known; this gradaudit reads version: 1"]),
    ("function: softmax\nlogits: [1]\n", ["1:1: version is missing; begin the spec with version: 1"]),
    ("version: 1\nlogits: [1]\n", ["1:1: function is missing; add function: softmax"]),
    (
        "version: 1\nfunction: softmax\n",
        ["1:1: logits is missing; add logits: [[0.1, 2]], or {random: {shape: [128, 256]}}"],
    ),
    (
        SOFTMAX + "cases: []\n",
        [
            "2:1: function: stands beside cases:; move it into defaults: or into a case",
            "3:1: logits: stands beside cases:; move it into defaults: or into a case",
            "4:8: cases: an empty list is not a list of cases; begin each with '- '",
        ],
    ),
    (
        "version: 1\ndefaults: {function: softmax}\n",
        ["1:1: cases are missing beside defaults:; add cases: and a list"],
    ),
    ("version: 1\ncases:\n- 3\n", ["3:3: cases[0]: 3 is not a mapping of keys"]),
    (
        "version: 1\ncases:\n- {}\n",
        [
            "3:3: function is missing; add function: softmax",
            "3:3: logits is missing; add logits: [[0.1, 2]], or {random: {shape: [128, 256]}}",
        ],
    ),
    (
        "version: 1\ndefaults: {function: softmax, logits: [1]}\ncases:\n- name: a\n- name: b\n- name: a\n",
        ["6:9: name: a case on line 4 is called 'a' too"],
    ),
    # keys
    (SOFTMAX + "logit: 3\n", ["4:1: unknown key 'logit'; did you mean 'logits'?"]),
    (SOFTMAX + "dim: 1\n", ["4:1: unknown key 'dim'; did you mean 'axis'?"]),
    (
        SOFTMAX + "zzz: 1\n",
        [
            "4:1: unknown key 'zzz'; there are name, semantics, function, logits, targets, axis, upstream, derivatives, "
            "device, autocast, scale, dtypes, backends, python, formulations, execution, subjects, probes, expect, ignore"
        ],
    ),
    (
        SOFTMAX + "reduction: mean\n",
        ["4:1: unknown key 'reduction'; it is a parameter of the function: function: {name: ..., reduction: ...}"],
    ),
    (
        SOFTMAX + '"\\e[31m": 1\n',
        [
            "4:1: unknown key '\\x1b[31m'; there are name, semantics, function, logits, targets, axis, upstream, "
            "derivatives, device, autocast, scale, dtypes, backends, python, formulations, execution, subjects, probes, "
            "expect, ignore"
        ],
    ),
    (SOFTMAX + "name:\n", ["4:6: name: the value is empty; give one, or remove the key"]),
    (SOFTMAX + "name: 3\n", ["4:7: name: 3 is not a text"]),
    (SOFTMAX + 'name: "\\e[31mred"\n', ["4:7: name: '\\x1b[31mred' holds control characters; use printable ones"]),
    # functions
    (
        "version: 1\nfunction: sofmax\nlogits: [1]\n",
        ["2:11: function: 'sofmax' is no function of this version; did you mean 'softmax'?"],
    ),
    (
        "version: 1\nfunction: {name: crossentropy}\nlogits: [1]\n",
        ["2:18: function: 'crossentropy' is no function of this version; did you mean 'cross_entropy'?"],
    ),
    (
        "version: 1\nfunction: {reduction: mean}\nlogits: [1]\n",
        [
            "2:11: function: a mapping (reduction) has no name; add name: cross_entropy, or another of cross_entropy, "
            "focal, kl_divergence, log_softmax, logsumexp, margin, poly, softcap, softmax, z_loss, formula or self"
        ],
    ),
    (
        "version: 1\nfunction: {name: softmax, temprature: 2}\nlogits: [1]\n",
        ["2:27: unknown key 'temprature' of softmax; did you mean 'temperature'?"],
    ),
    (
        "version: 1\nfunction: {name: softmax, temperature: -1, logit_scale: 0}\nlogits: [1]\n",
        [
            "2:40: function.temperature: -1 is out of range; expected a number above 0",
            "2:57: function.logit_scale: 0 is out of range; expected a number above 0",
        ],
    ),
    (
        "version: 1\nfunction: {name: softmax, temperature: .nan}\nlogits: [1]\n",
        ["2:40: function.temperature: .nan is not a finite number"],
    ),
    (
        "version: 1\nfunction: {name: softmax, temperature: '2'}\nlogits: [1]\n",
        ["2:40: function.temperature: '2' is not a number; write 2 without quotes"],
    ),
    (
        ENTROPY + "targets: [0, 1]\nfunction: {name: cross_entropy, reduction: avg, label_smoothing: 1.5}\n",
        [
            "4:44: function.reduction: 'avg' is not known; expected none, mean or sum",
            "4:66: function.label_smoothing: 1.5 is out of range; expected at most 1",
        ],
    ),
    (
        ENTROPY + "targets: [0, 1]\nfunction: {name: cross_entropy, weight: [1, -2]}\n",
        ["4:45: function.weight[1]: -2 is out of range; expected at least 0"],
    ),
    (
        ENTROPY + "targets: [0, 1]\nfunction: {name: cross_entropy, weight: [1, 2, 3]}\n",
        ["4:41: function.weight: 3 weights for 2 classes (axis [1] of logits [2, 2]); give one for each class"],
    ),
    (
        ENTROPY + "function: {name: softmax, masked_classes: [0, 0, 5]}\n",
        [
            "3:47: function.masked_classes: class 0 stands twice",
            "3:50: function.masked_classes: there is no class 5; logits [2, 2] have the classes 0 to 1 along axis [1]",
        ],
    ),
    (
        ENTROPY + "function: {name: softmax, masked_classes: [1, 0]}\n",
        ["3:43: function.masked_classes: all 2 classes are masked; leave at least one"],
    ),
    # logits
    (
        "version: 1\nfunction: softmax\nlogits: []\n",
        ["3:9: logits: an empty list; nothing can be audited without rows and classes"],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: [[1, 2], []]\n",
        ["3:18: logits: an empty list; nothing can be audited without rows and classes"],
    ),
    (
        "version: 1\nfunction: softmax\nlogits:\n- [1, 2]\n- [3]\n- [4, x]\n- 5\n- [[1], inf]\n",
        [
            "5:3: logits: ragged, a list of 1 where the first one has 2; pad the rows, or use -.inf for classes that take "
            "no part",
            "6:7: logits: 'x' is not a number",
            "7:3: logits: 5 stands where a list of 2 is expected, as before it",
            "8:4: logits: a list of 1 stands where a number is expected, as before it",
            "8:9: logits: 'inf' is not a number; write .inf",
        ],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: [true, null, {}]\n",
        [
            "3:10: logits: true is not a number",
            "3:16: logits: an empty value is not a number",
            "3:22: logits: an empty mapping is not a number",
        ],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: 0.5\n",
        [
            "3:9: logits: 0.5 is none of nested lists of numbers, {random: ...}, {file: NAME.npy} or {grid: [...]}; one "
            "logit is a list of one, [0.5]"
        ],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: '0.1, 2'\n",
        [
            "3:9: logits: '0.1, 2' is none of nested lists of numbers, {random: ...}, {file: NAME.npy} or {grid: [...]}; "
            "lists stand in brackets: [0.1, 2]"
        ],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: data.npy\n",
        [
            "3:9: logits: 'data.npy' is none of nested lists of numbers, {random: ...}, {file: NAME.npy} or {grid: [...]}; "
            "for a file write {file: data.npy}"
        ],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: {randon: {shape: [2]}}\n",
        ["3:10: unknown key 'randon' in logits; did you mean 'random'?"],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: {random: {shape: [2]}, file: x.npy}\n",
        ["3:32: logits.file stands beside random; keep one of them"],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: {random: {shap: [2]}}\n",
        ["3:19: unknown key 'shap' in random; did you mean 'shape'?"],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: {random: {seed: 1}}\n",
        ["3:18: logits.random: a mapping (seed) has no shape; add shape: [128, 256]"],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: {random: {shape: [2, 0], seed: -1, distribution: gaussian}}\n",
        [
            "3:30: logits.random.shape[1]: 0 is out of range; expected at least 1",
            "3:40: logits.random.seed: -1 is out of range; expected at least 0",
            "3:58: logits.random.distribution: 'gaussian' is not known; did you mean 'normal'?",
        ],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: {random: {shape: 2.5, scale: .inf}}\n",
        [
            "3:26: logits.random.shape: 2.5 is not a whole number",
            "3:38: logits.random.scale: .inf is not a finite number",
        ],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: {grid: [{start: 0, stop: 1, count: 1}]}\n",
        ["3:16: logits.grid: a list of 1 is too short; the least number of entries is 2"],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: {grid: [{start: 0, stop: 1, count: 1}, {start: 0, stp: 1, count: 2}]}\n",
        ["3:59: unknown key 'stp' in grid; did you mean 'stop'?"],
    ),
    (
        "version: 1\nfunction: softmax\nlogits: {grid: [{start: 0, stop: 1, count: 1}, {start: 0, stop: 1, count: 2}]}\n",
        ["3:44: logits.grid[0].count: one point cannot be both 0 and 1; use count: 2 or more"],
    ),
    # axis
    (SOFTMAX + "axis: 2\n", ["4:7: axis: 2 is out of range; logits [1, 2] have the axes 0 to 1 (-1 is the last)"]),
    (SOFTMAX + "axis: [0, -2]\n", ["4:11: axis: -2 names axis 0 again; name each class axis once"]),
    (SOFTMAX + "axis: last\n", ["4:7: axis: 'last' is not a whole number, or a list of them"]),
    # targets
    (SOFTMAX + "targets: [0]\n", ["4:1: targets: softmax takes no targets; remove them, or name cross_entropy"]),
    (
        ENTROPY + "function: cross_entropy\n",
        [
            "1:1: targets are missing; cross_entropy needs class indices of shape [2] or probabilities of shape [2, 2], or "
            "{random: {seed: 1}}"
        ],
    ),
    (
        ENTROPY + "function: cross_entropy\ntargets: [0, 2]\n",
        ["4:14: targets: there is no class 2; labels are 0 to 1, or -100 for a row to ignore"],
    ),
    (
        ENTROPY + "function: {name: cross_entropy, masked_classes: [1]}\ntargets: [0, 1]\n",
        ["4:14: targets: class 1 is masked (masked_classes), so no row can have it as its label"],
    ),
    (
        ENTROPY + "function: {name: cross_entropy, masked_classes: [1]}\ntargets: [[1, 0], [0.5, 0.5]]\n",
        ["4:25: targets: a masked class (masked_classes) has the probability 0.5; write 0"],
    ),
    (
        ENTROPY + "function: cross_entropy\ntargets: [0, 1, 1]\n",
        [
            "4:10: targets: shape [3] does not fit logits [2, 2] with class axis [1]; expected class indices of shape [2] or "
            "probabilities of shape [2, 2]"
        ],
    ),
    (
        ENTROPY + "function: cross_entropy\ntargets: [0.5, 1]\n",
        ["4:10: targets: shape [2] is that of class indices, which are whole numbers"],
    ),
    (
        ENTROPY + "function: cross_entropy\ntargets: [[0.5, 0.5], [-0.5, .nan]]\n",
        [
            "4:24: targets: -0.5 is no probability; expected 0 to 1",
            "4:30: targets: .nan is no probability; expected 0 to 1",
        ],
    ),
    (
        ENTROPY + "function: cross_entropy\ntargets: one\n",
        [
            "4:10: targets: 'one' is none of a class index, a list of them, lists of probabilities, {random: ...} or {file: "
            "NAME.npy}; lists stand in brackets: [0.1, 2]"
        ],
    ),
    (
        ENTROPY + "function: cross_entropy\ntargets: {random: {ignored: 3}}\n",
        ["4:29: targets.random.ignored: 3 is more than the 2 rows there are"],
    ),
    (
        ENTROPY + "function: cross_entropy\ntargets: {random: {ignored: 1, kind: probabilities}}\n",
        ["4:29: targets.random.ignored: only class indices can be ignored; use kind: indices"],
    ),
    (
        ENTROPY + "function: {name: cross_entropy, ignore_index: 0}\ntargets: [[0.5, 0.5], [1, 0]]\n",
        ["3:47: function.ignore_index: 0 names a label, and the targets are probabilities; remove it"],
    ),
    (
        ENTROPY + "function: {name: cross_entropy, ignore_index: 0, masked_classes: 1}\ntargets: {random: {}}\n",
        ["4:19: targets.random: masked_classes and ignore_index leave no class to draw"],
    ),
    # upstream
    (SOFTMAX + "upstream: one\n", ["4:11: upstream: 'one' is not known; did you mean 'ones'?"]),
    (SOFTMAX + "upstream: jacobian\n", ["4:11: upstream: 'jacobian' is not known; did you mean 'per_output'?"]),
    (
        SOFTMAX + "upstream: [1, 2]\n",
        ["4:11: upstream: a list of 2 is none of ones, random, per_output, {values: ...} or {random: {seed: ...}}"],
    ),
    (
        SOFTMAX + "upstream: {values: [1, 2, 3]}\n",
        [
            "4:20: upstream.values: shape [3] does not fit the output of softmax, [1, 2]; give that shape, or one that "
            "broadcasts to it"
        ],
    ),
    (
        SOFTMAX + "upstream: {values: [1, .inf]}\n",
        ["4:24: upstream.values: .inf spoils every gradient; expected finite numbers"],
    ),
    # the matrix
    (
        SOFTMAX + "scale: [1, .nan, big]\n",
        ["4:12: scale[1]: .nan is not a finite number", "4:18: scale[2]: 'big' is not a number"],
    ),
    (SOFTMAX + "scale: [1, 10, 1.0]\n", ["4:16: scale: 1 stands twice; name each once"]),
    (
        SOFTMAX + "scale: []\n",
        ["4:8: scale: an empty list names nothing; name at least one, or leave the key out: 1 then"],
    ),
    (
        SOFTMAX + "backends: []\n",
        [
            "4:11: backends: an empty list names nothing; name at least one, or leave the key out: numpy, torch, "
            "onnxruntime then, and none beside subjects"
        ],
    ),
    (SOFTMAX + "dtypes: fp32\n", ["4:9: dtypes: 'fp32' is not known; did you mean 'float32'?"]),
    (
        SOFTMAX + "dtypes: [float32, int8]\n",
        ["4:19: dtypes[1]: 'int8' is not known; expected float16, bfloat16, float32 or float64"],
    ),
    (SOFTMAX + "backends: [numpy, pytorch]\n", ["4:19: backends[1]: 'pytorch' is not known; did you mean 'torch'?"]),
    (
        SOFTMAX + "formulations: [unfused]\n",
        [
            "4:16: formulations: softmax has no formulation 'unfused'; it has fused, log_softmax or unshifted; did you "
            "mean 'fused'?"
        ],
    ),
    (
        SOFTMAX + "formulations: fussed\n",
        [
            "4:15: formulations: softmax has no formulation 'fussed'; it has fused, log_softmax or unshifted; did you "
            "mean 'fused'?"
        ],
    ),
    # expectations
    (
        SOFTMAX + "expect: SAT21\n",
        ["4:9: expect: 'SAT21' is no code; codes are three letters and three digits, such as SAT201"],
    ),
    (
        SOFTMAX + "expect: [CAN101, BUG416]\nignore: [CAM]\n",
        [
            "4:18: expect: no rule has the code 'BUG416'; did you mean 'BUG461'? (`gradaudit rules` lists them)",
            "5:10: ignore: no rule has the code 'CAM' (`gradaudit rules` lists them)",
        ],
    ),
    (
        SOFTMAX + "expect: [{code: CAN101, backend: jax, dtype: float64, scale: 10, formulation: unshifted}]\n",
        [
            "4:34: expect: this case makes no evaluation with backend 'jax'; backends: numpy, torch or onnxruntime",
            "4:46: expect: this case makes no evaluation with dtype 'float64'; dtypes: float32",
            "4:62: expect: this case makes no evaluation with scale 10; scale: 1",
            "4:79: expect: this case makes no evaluation with formulation 'unshifted'; formulations: fused",
        ],
    ),
    (SOFTMAX + "expect: [{cod: CAN101}]\n", ["4:11: unknown key 'cod' in expect; did you mean 'code'?"]),
    (
        SOFTMAX + "probes: [ordinary, gap-far-losr]\n",
        ["4:20: probes[1]: 'gap-far-losr' is not known; did you mean 'gap-far-loser'?"],
    ),
    (SOFTMAX + "probes: [ones, ones]\n", ["4:16: probes: 'ones' stands twice; name each once"]),
    (SOFTMAX + "probes: [ones, none]\n", ["4:16: probes: none stands beside others; keep one of them"]),
    (
        SOFTMAX + "probes: [ones, mass]\n",
        [
            "4:16: probes: 'mass' (target masses that add up to 2) does not fit this function, its targets, classes "
            f"and axis; expected {one_of(name for name in probes.KNOWN if name not in OF_LOSSES)}"
        ],
    ),
    # what comes later
    (
        SOFTMAX + "derivatives: 3\ndevice: tpuu\nautocast: int8\nprobes: [standrd]\n",
        [
            "4:14: derivatives: 3 is not known; expected 1 or 2",
            "5:9: device: 'tpuu' is no device; there are cpu, mps, cuda and cuda:NUMBER",
            "6:11: autocast: 'int8' is not known; expected bfloat16 or float16",
            "7:10: probes[0]: 'standrd' is not known; did you mean 'standard'?",
        ],
    ),
    (
        SOFTMAX + "device: xpu\n",
        [
            "4:9: device: this version does not audit on 'xpu' yet; there are cpu, cuda and mps",
        ],
    ),
    (
        "version: 1\nfunction: {name: focal, gamma: 2}\nlogits: {file: x.safetensors}\n",
        [
            "3:16: logits: this version does not read .safetensors yet; save the array as .npy",
        ],
    ),
]


@pytest.mark.parametrize(("text", "lines"), MESSAGES, ids=range(len(MESSAGES)))
def test_a_malformed_spec_is_explained_line_by_line(text: str, lines: list[str]) -> None:
    with pytest.raises(SpecError) as refused:
        load_text(text, "spec.yaml", known_codes=CODES)
    assert str(refused.value).split("\n") == [f"spec.yaml:{line}" for line in lines]
    assert str(refused.value).startswith(f"{refused.value.location}: ")


def test_a_long_list_of_problems_is_cut() -> None:
    cases = "".join(f"- {{function: sofmax, logits: [{number}]}}\n" for number in range(25))
    with pytest.raises(SpecError) as refused:
        load_text(f"version: 1\ncases:\n{cases}", "spec.yaml")
    lines = str(refused.value).split("\n")
    assert len(lines) == 21
    assert lines[-1] == "... and 5 more"


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(SpecError) as refused:
        load_text(SOFTMAX + f"upstream: {'x' * 100_000}\n", "spec.yaml")
    assert len(str(refused.value)) < 200


def test_a_mistake_in_the_defaults_is_said_once_even_where_every_case_overrides_it() -> None:
    text = "version: 1\ndefaults: {function: softmax, logits: [1], scale: big}\ncases:\n- {scale: 1}\n- {scale: 2}\n"
    with pytest.raises(SpecError) as refused:
        load_text(text, "spec.yaml")
    assert str(refused.value) == "spec.yaml:2:51: scale: 'big' is not a number, or a list of them"


def test_a_word_that_several_choices_begin_with_means_any_of_them() -> None:
    backends = ("jax", "keras-jax", "keras-torch", "torch")
    assert did_you_mean("keras", backends) == "; did you mean 'keras-jax' or 'keras-torch'?"
    assert did_you_mean("keras-torch", backends) == "; did you mean 'keras-torch'?"
    assert "; did you mean 'gap-" in did_you_mean("gap", [f"gap-{n}" for n in range(9)])
