"""Interpreters by name: among the backends, by `python:`, and by --python."""

from __future__ import annotations

import jsonschema
import pytest

from gradaudit.errors import FlagError, SpecError
from gradaudit.records import backend_name
from gradaudit.records.case import Case
from gradaudit.specs.flags import case_from_flags, overrides_from_flags
from gradaudit.specs.loading import load_text
from gradaudit.specs.plan import plan
from gradaudit.specs.schema import json_schema

HEAD = "version: 1\nfunction: softmax\nlogits: [1, 2]\n"


def one(text: str, folder: str = "specs", **flags: object) -> Case:
    (case,) = load_text(HEAD + text, f"{folder}/a.yaml", folder, overrides_from_flags(flags))  # type: ignore[arg-type]
    return case


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("torch@/opt/a/bin/python", "torch@/opt/a/bin/python"),
        ("torch@envs/a/bin/python", "torch@specs/envs/a/bin/python"),
        ("torch@../a/bin/python", "torch@a/bin/python"),
        ("torch@python3.10", "torch@python3.10"),
    ],
)
def test_a_backend_may_name_its_interpreter(written: str, found: str) -> None:
    case = one(f"backends: [torch, '{written}']\n")
    assert case.backends == ("torch", found)
    planned = plan((case,))
    assert planned.backends == ("torch", found)
    assert [(key.subject, key.backend) for key in planned.inputs[0].keys] == [("torch", "torch"), (found, found)]


def test_home_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert one("backends: ['torch@~/a/bin/python']\n").backends == ("torch@/home/me/a/bin/python",)


def test_python_chooses_who_runs_a_backend_and_the_users_functions() -> None:
    case = one("backends: [torch, numpy]\npython: {torch: env/bin/python}\n")
    assert case.backends == ("torch", "numpy")
    assert plan((case,)).backends == ("torch@specs/env/bin/python", "numpy")
    assert case.worker("torch") == "torch@specs/env/bin/python"
    assert case.worker("torch@/other/python") == "torch@/other/python"
    case = one("subjects: [{torch: 'math:exp'}, {numpy: 'math:exp', name: b}]\npython: {torch: /a/python}\n")
    assert [subject.worker for subject in case.subjects] == ["torch@/a/python", "numpy"]


def test_flags_go_before_the_spec_and_are_relative_to_here() -> None:
    case = one("backends: [torch]\npython: {torch: env/bin/python}\n", python=["torch=./mine/python"])
    assert case.worker("torch") == "torch@./mine/python"
    case = one("backends: [torch]\n", backend=["torch,torch@./mine/python"])
    assert case.backends == ("torch", "torch@./mine/python")
    case = case_from_flags(
        {
            "function": "softmax",
            "logits": "1,2",
            "python": ["torch=/a/python,numpy=/b/python", "onnxruntime=/c/python"],
        }
    )
    assert dict(case.pythons) == {"torch": "/a/python", "numpy": "/b/python", "onnxruntime": "/c/python"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "backends: ['trch@/a/python']",
            "specs/a.yaml:4:12: backends[0]: 'trch' is not known; did you mean 'torch'?",
        ),
        ("backends: ['torch@']", "specs/a.yaml:4:12: backends: 'torch@' names no interpreter; expected such as "),
        ("python: {trch: /a/python}", "specs/a.yaml:4:10: python: there is no backend 'trch'; there are "),
        ("python: /a/python", "specs/a.yaml:4:9: python: "),
        ("python: {torch: 3}", "specs/a.yaml:4:17: python.torch: "),
        ("python: {torch: ''}", "specs/a.yaml:4:17: python.torch: "),
    ],
)
def test_what_names_nothing_is_refused_where_it_stands(text: str, message: str) -> None:
    with pytest.raises(SpecError) as raised:
        one(text + "\n")
    assert str(raised.value).startswith(message), str(raised.value)


@pytest.mark.parametrize("text", ["torch", "torch=", "=/a/python", "torch=/a,torch=/b"])
def test_a_flag_that_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(FlagError, match=r"--python '"):
        case_from_flags({"function": "softmax", "logits": "1,2", "python": [text]})


def test_an_expectation_of_the_framework_holds_for_every_interpreter() -> None:
    text = "backends: ['torch@/a/python']\nexpect: [{code: DIV301, backend: %s}]\n"
    for name in ("torch", "torch@/a/python"):
        assert one(text % f"'{name}'").expect[0].backend == name
    with pytest.raises(SpecError, match="no evaluation with backend 'numpy'"):
        one(text % "numpy")


def test_the_schema_knows_it() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    for backends, valid in (
        (["torch@/a/python"], True),
        ("numpy@x", True),
        (["trch@/a/python"], False),
        (["@x"], False),
    ):
        document = {"version": 1, "function": "softmax", "logits": [1, 2], "backends": backends}
        assert validator.is_valid(document) is valid, backends
    document = {"version": 1, "function": "softmax", "logits": [1, 2], "python": {"torch": "/a/python"}}
    assert validator.is_valid(document)


def test_names_are_taken_apart() -> None:
    name = "torch@/opt/a@b/python"
    assert (backend_name.plain(name), backend_name.interpreter(name)) == ("torch", "/opt/a@b/python")
    assert (backend_name.plain("torch"), backend_name.interpreter("torch")) == ("torch", None)
    assert backend_name.at("torch", None) == "torch"
    assert backend_name.at("torch@/a", "/b") == "torch@/a"
