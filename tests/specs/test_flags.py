"""Flags: the same cases as files, and messages that name the flag."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradaudit.errors import FlagError
from gradaudit.records.case import FileArray, InlineArray, RandomArray, Upstream
from gradaudit.specs.flag_table import FLAGS, FUNCTIONS
from gradaudit.specs.flags import case_from_flags, overrides_from_flags
from gradaudit.specs.models import CaseKeys
from tests.specs.conftest import CODES

BASE = {"function": "softmax", "logits": "0.1, 2"}


def key_value(name: str, text: str) -> object:
    """The plain value of the key that one flag sets."""
    from gradaudit.specs.nodes import plain

    (node,) = overrides_from_flags({name: text}).nodes.values()
    return plain(node)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("logits", "0.1, 2", [0.1, 2]),
        ("logits", "1,2;3,4", [[1, 2], [3, 4]]),
        ("logits", "[[0.1, 2]]", [[0.1, 2]]),
        ("logits", "[[[1, .inf]], [[1e-3, -.inf]]]", [[[1, np.inf]], [[1e-3, -np.inf]]]),
        ("logits", "inf, -inf, +.inf, 1e-3", [np.inf, -np.inf, np.inf, 1e-3]),
        ("logits", "@a.npy", {"file": "a.npy"}),
        ("logits", "dir/a.npz:key", {"file": "dir/a.npz:key"}),
        ("logits", "{random: {shape: [3]}}", {"random": {"shape": [3]}}),
        (
            "random",
            "normal,128x256,seed=42,scale=3",
            {"random": {"distribution": "normal", "shape": [128, 256], "seed": 42, "scale": 3}},
        ),
        ("random", "5,generator=torch", {"random": {"shape": [5], "generator": "torch"}}),
        ("random", "{shape: [2, 3]}", {"random": {"shape": [2, 3]}}),
        ("targets", "1", 1),
        ("targets", "1,0,2", [1, 0, 2]),
        ("targets", "0.5,0.5;1,0", [[0.5, 0.5], [1, 0]]),
        ("targets", "[[1], [0]]", [[1], [0]]),
        ("targets", "[1]", [1]),
        ("targets", "random", {"random": {}}),
        (
            "targets",
            "random,seed=1,ignored=5,kind=probabilities",
            {"random": {"seed": 1, "ignored": 5, "kind": "probabilities"}},
        ),
        ("targets", "@t.npy", {"file": "t.npy"}),
        ("upstream", "ones", "ones"),
        ("upstream", "per-output", "per_output"),
        ("upstream", "random", "random"),
        ("upstream", "random,seed=3", {"random": {"seed": 3}}),
        ("upstream", "1,-1", {"values": [1, -1]}),
        ("upstream", "[[1], [2]]", {"values": [[1], [2]]}),
        ("upstream", "{values: 2}", {"values": 2}),
        ("function", "{name: cross_entropy, reduction: sum}", {"name": "cross_entropy", "reduction": "sum"}),
        ("axis", "1,2", [1, 2]),
        ("axis", "-1", [-1]),
        ("scale", "1,10,1e2", [1, 10, 100.0]),
        ("dtype", "float32, bfloat16", ["float32", "bfloat16"]),
        ("expect", "SAT201,CAN101", ["SAT201", "CAN101"]),
        ("expect", "{code: BUG461, formulation: unfused}", [{"code": "BUG461", "formulation": "unfused"}]),
        ("autocast", "none", None),
        ("probes", "none", "none"),
        ("subject", "torch:losses.py:loss", [{"torch": "losses.py:loss"}]),
        ("subject", "numpy:mine.losses:Loss.of", [{"numpy": "mine.losses:Loss.of"}]),
        ("subject", "{torch: losses.py:loss, kwargs: {a: 2}}", [{"torch": "losses.py:loss", "kwargs": {"a": 2}}]),
        ("weight", "1,2.5", [1, 2.5]),
        ("masked_classes", "0,3", [0, 3]),
        ("ignore_index", "-1", -1),
        ("label_smoothing", "0.1", 0.1),
        ("formula", "logsumexp(z) - c * z[y]", "logsumexp(z) - c * z[y]"),
        ("constants", "{gamma: 2.0}", {"gamma": 2.0}),
    ],
)
def test_a_text_becomes_the_value_that_a_spec_would_hold(name: str, text: str, value: object) -> None:
    assert key_value(name, text) == value


def test_every_key_of_a_case_and_every_parameter_has_a_flag() -> None:
    from gradaudit.functions import registry

    parameters = {f"function.{each.name}" for name in registry.names() for each in registry.get(name).parameters}
    parameters |= {"function.formula", "function.constants"}
    # --ignore is the command line's own: it takes codes away from the report, whatever the spec says.
    assert {flag.key for flag in FLAGS} == (set(CaseKeys.model_fields) - {"ignore"}) | parameters


def test_the_flag_of_the_function_names_all_that_come_with_it() -> None:
    from gradaudit.functions import registry

    assert set(FUNCTIONS) == set(registry.names())


def test_flags_make_a_whole_case() -> None:
    case = case_from_flags(
        {
            "--function": "cross_entropy",
            "--random": "uniform,4x3x5,seed=42,scale=3,generator=torch",
            "--targets": "random,seed=1,ignored=5",
            "--axis": "1",
            "--upstream": "random,seed=3",
            "--scale": ["1,10", "100"],
            "--dtype": ["float32", "bfloat16"],
            "--backend": ["numpy,torch"],
            "--formulation": ["fused", "unfused"],
            "--expect": ["SAT201", "{code: BUG461, formulation: unfused}"],
            "--reduction": "none",
            "--weight": "1,2.5,0",
            "--name": "mine",
            "--device": None,
            "--probes": None,
        },
        known_codes=CODES,
    )
    assert (case.name, str(case.source)) == ("mine", "<command line>")
    assert case.logits == RandomArray("uniform", (4, 3, 5), 42, 3.0, "torch")
    assert case.targets == RandomArray("indices", (4, 5), 1, ignored=5)
    assert case.upstream == Upstream("values", RandomArray("normal", (4, 5), 3))
    assert (case.scale, case.dtypes, case.backends) == (
        (1.0, 10.0, 100.0),
        ("float32", "bfloat16"),
        ("numpy", "torch"),
    )
    assert case.backends_named
    assert case.formulations == ("fused", "unfused")
    assert [(each.code, each.formulation) for each in case.expect] == [("SAT201", None), ("BUG461", "unfused")]
    assert (case.function.parameters["reduction"], case.function.parameters["weight"]) == ("none", (1.0, 2.5, 0.0))


def test_the_first_example_of_the_readme() -> None:
    case = case_from_flags({"logits": "0.1, 2", "function": "softmax", "upstream": "ones", "backend": ["torch"]})
    assert isinstance(case.logits, InlineArray)
    assert case.logits.values.tolist() == [0.1, 2.0]
    assert (case.name, case.shape, case.backends) == ("softmax", (2,), ("torch",))


def test_files_of_flags_are_relative_to_the_current_folder(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(str(tmp_path))
    np.save("a.npy", np.zeros((2, 3), dtype=np.float16))
    case = case_from_flags({"function": "softmax", "logits": "a.npy"})
    assert case.logits == FileArray("./a.npy", (2, 3), "float16")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"logits": "1"},
            "--function is missing; name one, such as softmax or cross_entropy, or give a spec file",
        ),
        (
            {"function": "softmax"},
            "--logits is missing; give numbers (--logits '0.1, 2'), a file (--logits data.npy) or --random",
        ),
        ({**BASE, "random": "3"}, "--random and --logits both give the logits; keep one of them"),
        ({**BASE, "dtypes": "float32"}, "dtypes is no flag of a case; did you mean '--dtype'?"),
        (
            {**BASE, "logits": "0.1, x"},
            "--logits '0.1, x': 'x' is not a number; expected NUMBERS|FILE: '0.1, 2', '1,2; 3,4', "
            "'[[0.1, 2]]' or data.npy.",
        ),
        ({**BASE, "logits": "0.1,"}, "--logits '0.1,': a number is missing; expected NUMBERS|FILE: "),
        (
            {**BASE, "logits": "1e999"},
            "--logits '1e999': '1e999' lies beyond float64; infinity is written inf; expected ",
        ),
        ({**BASE, "logits": "1,2;3"}, "--logits '1,2;3': logits: ragged, a list of 1 where the first one has 2"),
        ({**BASE, "logits": "[1, 2"}, "--logits '[1, 2': character 6: not valid YAML: expected ',' or ']'"),
        ({**BASE, "logits": "[a: &x 1]"}, "--logits '[a: &x 1]': character 5: anchors (&x) are not read"),
        ({**BASE, "logits": "\x1b[2J"}, "--logits '\\x1b[2J': '\\x1b[2J' is not a number"),
        ({**BASE, "logits": "nope.npy"}, "--logits 'nope.npy': logits: there is no file './nope.npy'"),
        (
            {**BASE, "logits": "a.safetensors"},
            "--logits 'a.safetensors': logits: this version does not read .safetensors yet",
        ),
        (
            {**BASE, "dtype": ["fp32,float64"]},
            "--dtype 'fp32,float64': dtypes[0]: 'fp32' is not known; did you mean 'float32'?",
        ),
        (
            {**BASE, "dtype": [""]},
            "--dtype '': a word is empty; expected NAMES: float16, bfloat16, float32, float64.",
        ),
        (
            {**BASE, "backend": ["torhc"]},
            "--backend 'torhc': backends[0]: 'torhc' is not known; did you mean 'torch'?",
        ),
        (
            {**BASE, "function": "sofmax"},
            "--function 'sofmax': function: 'sofmax' is no function of this version; did you mean ",
        ),
        (
            {**BASE, "axis": "5"},
            "--axis '5': axis: 5 is out of range; logits [2] have the axes 0 to 0 (-1 is the last)",
        ),
        ({**BASE, "axis": "0.5"}, "--axis '0.5': axis[0]: 0.5 is not a whole number"),
        (
            {**BASE, "temperature": "-1"},
            "--temperature '-1': function.temperature: -1 is out of range; expected a number above 0",
        ),
        (
            {**BASE, "temperature": "hot"},
            "--temperature 'hot': 'hot' is not a number; expected NUMBER: The logits are divided",
        ),
        (
            {**BASE, "reduction": "mean"},
            "--reduction 'mean': unknown key 'reduction' of softmax; there are temperature, ",
        ),
        (
            {**BASE, "ignore_index": "1.5"},
            "--ignore-index '1.5': '1.5' is not a whole number; expected INT: Label whose rows ",
        ),
        ({**BASE, "scale": ["1,nan"]}, "--scale '1,nan': scale[1]: .nan is not a finite number"),
        ({**BASE, "expect": ["SAT210"]}, "--expect 'SAT210': expect: no rule has the code 'SAT210'; did you mean"),
        (
            {**BASE, "derivatives": "2"},
            "--derivatives '2': derivatives: only subjects written in torch, jax or tensorflow have a second order; "
            "add subjects:",
        ),
        ({**BASE, "device": "tpu"}, "--device 'tpu': device: this version does not audit on 'tpu' yet"),
        (
            {**BASE, "autocast": "bfloat16"},
            "--autocast 'bfloat16': autocast: only subjects written in torch run under it; add subjects:",
        ),
        (
            {**BASE, "probes": "ordinay"},
            "--probes 'ordinay': probes: 'ordinay' is not known; did you mean 'ordinary'?",
        ),
        (
            {**BASE, "subject": ["losses.py:loss"]},
            "--subject 'losses.py:loss': 'losses.py:loss' does not begin with torch",
        ),
        (
            {**BASE, "subject": ["mxnet:losses:loss"]},
            "--subject 'mxnet:losses:loss': unknown key 'mxnet' in subjects; there",
        ),
        ({**BASE, "upstream": "one"}, "--upstream 'one': upstream: 'one' is not known; did you mean 'ones'?"),
        (
            {**BASE, "upstream": "random,sed=3"},
            "--upstream 'random,sed=3': 'sed' is none of seed, generator; expected KIND",
        ),
        (
            {**BASE, "function": "cross_entropy"},
            "--function 'cross_entropy': targets are missing; cross_entropy needs class "
            "indices of shape one number or probabilities of shape [2]",
        ),
        (
            {**BASE, "function": "cross_entropy", "targets": "2"},
            "--targets '2': targets: there is no class 2; labels are 0 to 1",
        ),
        (
            {"function": "softmax", "random": "nromal,2x3"},
            "--random 'nromal,2x3': logits.random.distribution: 'nromal' is not known; did you mean 'normal'?",
        ),
        ({"function": "softmax", "random": "2xx3"}, "--random '2xx3': a number is missing; expected SPEC"),
        ({"function": "softmax", "random": "3,4"}, "--random '3,4': 'shape' stands twice; expected SPEC"),
        (
            {"function": "softmax", "random": "normal"},
            "--random 'normal': logits.random: a mapping (distribution) has no shape",
        ),
    ],
)
def test_a_malformed_flag_is_named_with_its_text(given: dict[str, str | list[str]], message: str) -> None:
    with pytest.raises(FlagError) as refused:
        case_from_flags(given, known_codes=CODES)
    assert str(refused.value).startswith(message)
    assert str(refused.value).isprintable()


@given(st.sampled_from(FLAGS), st.text(max_size=12))
@settings(max_examples=400, deadline=None)
def test_any_text_of_any_flag_makes_a_case_or_a_flag_error(flag: object, text: str) -> None:
    given_flags: dict[str, str] = {**BASE, flag.parameter: text}  # type: ignore[attr-defined]
    if flag.parameter == "random":  # type: ignore[attr-defined]
        given_flags.pop("logits")
    refused = refusal(given_flags)
    assert refused is None or all(line.isprintable() for line in str(refused).split("\n"))


def refusal(given_flags: dict[str, str]) -> FlagError | None:
    """The FlagError that reading ends with; any other exception goes through."""
    try:
        case_from_flags(given_flags)
    except FlagError as refused:
        return refused
    return None


def test_the_table_of_flags_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'yaml', 'pydantic', 'difflib', 'gradaudit.plugins'}"
    code = f"import sys, gradaudit.specs.flag_table, gradaudit.specs.peek; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
