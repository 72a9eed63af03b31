"""The JSON Schema accepts what the loader accepts, and refuses what it refuses, as far as a schema can see."""

from __future__ import annotations

from typing import Any

import jsonschema
import pydantic
import pytest
import yaml

from gradaudit.errors import SpecError
from gradaudit.specs import array_models, models
from gradaudit.specs.loading import load_text
from gradaudit.specs.nodes import plain
from gradaudit.specs.reader import read
from gradaudit.specs.schema import DIALECT, json_schema
from tests.specs.conftest import CODES
from tests.specs.test_loading import FULL
from tests.specs.test_messages import MESSAGES

BASE: dict[str, Any] = {"version": 1, "function": "softmax", "logits": [[0.1, 2]]}
ENTROPY: dict[str, Any] = {"version": 1, "function": "cross_entropy", "logits": [[0.1, 2]], "targets": [1]}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    from gradaudit import plugins

    with pytest.MonkeyPatch.context() as patch:
        known = plugins.names
        patch.setattr(
            plugins, "names", lambda group: ("numpy", "onnxruntime", "torch") if "backends" in group else known(group)
        )
        schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


ACCEPTED = [
    BASE,
    ENTROPY,
    {**BASE, "logits": [1, float("inf"), float("nan")]},
    {**BASE, "logits": [[[1]], [[2]]], "axis": [0, 1]},
    {**BASE, "logits": {"random": {"shape": 3}}},
    {**BASE, "logits": {"grid": [{"start": 0, "stop": 1, "count": 2}, {"start": 0, "stop": 2, "count": 2}]}},
    {**BASE, "scale": 10, "dtypes": "float16", "backends": "torch", "formulations": "unshifted", "axis": -1},
    {**BASE, "upstream": {"values": 1}},
    {**BASE, "upstream": {"values": [[1, 2]]}},
    {**BASE, "upstream": "per_output"},
    {**BASE, "targets": None, "autocast": None, "probes": [], "derivatives": 1, "device": "cpu"},
    {**BASE, "subjects": {"torch": "os:getcwd"}, "derivatives": 2, "autocast": "bfloat16", "device": "cuda:1"},
    {
        **BASE,
        "subjects": [
            {"torch": "os:getcwd", "kwargs": {"a": {"tensor": [1, 2.5]}, "b": [1], "c": None}, "factory": True},
            {"numpy": "os:path.join", "name": "mine", "targets": "as_given", "profile": {"storage": "float16"}},
        ],
    },
    {**BASE, "expect": [], "ignore": ["CAN", "SAT201"]},
    {**ENTROPY, "function": {"name": "cross_entropy", "weight": None, "masked_classes": 0}},
    {**ENTROPY, "targets": 1},
    {**ENTROPY, "targets": [[0.5, 0.5]]},
    {**ENTROPY, "targets": {"random": {}}},
    {"version": 1, "defaults": {"function": "softmax", "targets": [0]}, "cases": [{"logits": [1], "targets": None}]},
    {"version": 1, "cases": [{"function": "softmax", "logits": [1]}, {"function": "logsumexp", "logits": [1]}]},
]

REFUSED = [
    {},
    {"version": 1},
    {**BASE, "version": 2},
    {**BASE, "version": "1"},
    {**BASE, "zzz": 1},
    {**BASE, "cases": [BASE]},
    {**BASE, "function": "sofmax"},
    {**BASE, "function": {"name": "softmax", "reduction": "mean"}},
    {**BASE, "function": {"name": "softmax", "temperature": 0}},
    {**BASE, "function": {"name": "softmax", "temperature": "1"}},
    {**BASE, "logits": 3},
    {**BASE, "logits": []},
    {**BASE, "logits": [[]]},
    {**BASE, "logits": ["1"]},
    {**BASE, "logits": [True]},
    {**BASE, "logits": {"random": {}}},
    {**BASE, "logits": {"random": {"shape": [0]}}},
    {**BASE, "logits": {"random": {"shape": [1]}, "file": "a.npy"}},
    {**BASE, "logits": {"grid": [{"start": 0, "stop": 1, "count": 2}]}},
    {**BASE, "targets": [0]},
    {key: value for key, value in ENTROPY.items() if key != "targets"},
    {**ENTROPY, "targets": None},
    {**ENTROPY, "targets": "one"},
    {**BASE, "axis": []},
    {**BASE, "axis": "last"},
    {**BASE, "upstream": "one"},
    {**BASE, "upstream": [1, 2]},
    {**BASE, "scale": []},
    {**BASE, "scale": [1, 1]},
    {**BASE, "dtypes": "fp32"},
    {**BASE, "dtypes": ["float32", "float32"]},
    {**BASE, "backends": []},
    {**BASE, "backends": ["jaxx"]},
    {**BASE, "formulations": "unfused"},
    {**BASE, "formulations": ["fused", "unfused"]},
    {**BASE, "derivatives": 3},
    {**BASE, "device": "cuda:x"},
    {**BASE, "autocast": "float32"},
    {**BASE, "probes": "standrd"},
    {**BASE, "probes": ["ordinary", "ordinary"]},
    {**BASE, "subjects": []},
    {**BASE, "subjects": ["os:getcwd"]},
    {**BASE, "subjects": [{"name": "neither"}]},
    {**BASE, "subjects": [{"torch": "os:getcwd", "numpy": "os:getcwd"}]},
    {**BASE, "subjects": [{"torch": "os:getcwd", "profile": {"compute": "float8"}}]},
    {**BASE, "subjects": [{"torch": "os:getcwd", "input": "odds"}]},
    {**BASE, "expect": "SAT21"},
    {**BASE, "expect": [{"dtype": "float32"}]},
    {**BASE, "name": ""},
    {"version": 1, "cases": []},
    {"version": 1, "defaults": {"function": "softmax"}},
    {"version": 1, "defaults": {"function": "softmax"}, "cases": [{}]},
    {"version": 1, "defaults": {"logits": [1]}, "cases": [{"function": "softmax"}, {}]},
    {"version": 1, "defaults": {"zzz": 1}, "cases": [{"function": "softmax", "logits": [1]}]},
]


def test_the_schema_names_its_dialect(validator: jsonschema.Draft202012Validator) -> None:
    assert validator.schema["$schema"] == DIALECT  # type: ignore[index]
    assert validator.schema["else"]["properties"]["scale"]["description"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("model", "definition"),
    [
        (models.CaseKeys, "Case"),
        (models.SubjectKeys, None),
        (models.ClaimedProfile, None),
        (models.ExpectedFinding, None),
        (array_models.RandomLogits, None),
        (array_models.RandomTargets, None),
        (array_models.RandomUpstream, None),
        (array_models.FileValues, None),
        (array_models.GridAxis, None),
    ],
)
def test_the_schema_has_every_key_of_the_models_and_no_other(
    validator: jsonschema.Draft202012Validator, model: type[pydantic.BaseModel], definition: str | None
) -> None:
    """Key by key; what a key may hold is held against the loader below."""
    keys = {field.alias or name for name, field in model.model_fields.items()}
    definitions = validator.schema["$defs"]
    found = [part for name, part in definitions.items() if name.startswith(definition or model.__name__)]
    assert found, sorted(definitions)
    for part in found:
        assert set(part["properties"]) == keys
        assert part["additionalProperties"] is False
    if definition == "Case":
        assert set(validator.schema["else"]["properties"]) == {"version", *keys}


@pytest.mark.parametrize("spec", ACCEPTED, ids=str)
def test_what_the_loader_accepts_the_schema_accepts(
    spec: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    validator.validate(spec)
    assert load_text(yaml.safe_dump(spec), "spec.yaml", known_codes=CODES)


def test_the_full_spec_is_accepted(validator: jsonschema.Draft202012Validator) -> None:
    validator.validate(plain(read("version: 1\n" + FULL, "spec.yaml")))


@pytest.mark.parametrize("spec", REFUSED, ids=str)
def test_what_the_schema_refuses_the_loader_refuses(
    spec: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    assert not validator.is_valid(spec)
    with pytest.raises(SpecError):
        load_text(yaml.safe_dump(spec), "spec.yaml", known_codes=CODES)


BEYOND_A_SCHEMA = (
    "out of range; logits",
    "names axis",
    "there is no class",
    "masked",
    "does not fit",
    "no probability",
    "whole numbers",
    "ragged",
    "stands where",
    "weights for",
    "no rule has",
    "makes no evaluation",
    "is called",
    "cannot be both",
    "than the",
    "only class indices",
    "names a label",
    "no class to draw",
    "finite number",
    "spoils",
    "control characters",
)
"""What rests on several values together, on files or rules, or on numbers that JSON does not have."""


@pytest.mark.parametrize(("text", "lines"), MESSAGES, ids=range(len(MESSAGES)))
def test_the_schema_refuses_what_a_schema_can_see(
    text: str, lines: list[str], validator: jsonschema.Draft202012Validator
) -> None:
    seen = [line for line in lines if not any(words in line for words in BEYOND_A_SCHEMA)]
    assert validator.is_valid(plain(read(text, "spec.yaml"))) is not bool(seen)
