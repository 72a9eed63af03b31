"""explain, rules, backends, validate, schema, --version, and help."""

import json
import sys
from pathlib import Path

import jsonschema
import pytest

from gradaudit import __version__, pipeline
from gradaudit.cli import explain
from gradaudit.functions import registry as functions
from gradaudit.records.evaluation import BackendState
from gradaudit.rules import registry

SPEC = "version: 1\nfunction: softmax\nlogits: [1, 2]\n"


def test_version(cli):
    assert cli("--version").out == f"gradaudit {__version__}\n"


def test_help_lists_every_command_with_a_whole_sentence(cli):
    out = cli("--help").out
    for name in ("check", "explain", "rules", "backends", "baseline", "compare", "validate", "schema"):
        (line,) = [line for line in out.splitlines() if line.startswith(f"  {name} ")]
        assert line.endswith("."), line
        assert not line.endswith("..."), line


def test_no_command_shows_the_help_and_exits_2(cli):
    outcome = cli()
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("Usage: gradaudit")


def test_an_unknown_command_is_2_with_a_suggestion(cli):
    outcome = cli("chek")
    assert outcome.status == 2
    assert outcome.err.startswith("error: No such command 'chek'. Did you mean 'check'")


@pytest.mark.parametrize("name", ["CAN101", "can101", "summed-outputs-cancel"])
def test_explain_by_code_or_name(cli, name):
    outcome = cli("explain", name)
    assert outcome.status == 0
    assert outcome.out.startswith("CAN101 summed-outputs-cancel (warning)\ncancellation: digits that cancelled\n")
    for title in ("What it flags", "The mathematics", "What fires it", "What does not", "What to do"):
        assert f"\n\n{title}\n  " in outcome.out


def test_every_rule_can_be_explained_within_the_page(cli):
    for code in registry.codes():
        outcome = cli("explain", code)
        assert outcome.status == 0
        assert outcome.out.startswith(f"{code} ")
        prose = outcome.out.split("The mathematics")[0]
        assert max(map(len, prose.splitlines())) <= 100


@pytest.mark.parametrize("width", [44, 60, 80, 100])
def test_formulas_are_folded_to_the_page_and_lose_nothing(width):
    for rule in registry.rules():
        told = explain.page(rule, width).split("\nThe mathematics\n")[1].split("\nSource\n")[0]
        assert max(map(len, told.splitlines())) <= width, rule.code
        formula = [line.strip() for line in rule.formula.strip().splitlines()]
        assert " ".join(told.split()).startswith(" ".join(" ".join(formula).split())), rule.code
        short = [line for line in formula if len(line) < width - 8]
        assert set(short) <= {line.strip() for line in told.splitlines()}, rule.code


@pytest.mark.parametrize("letters", ["SAT", "sat2"])
def test_explain_lists_a_family(cli, letters):
    outcome = cli("explain", letters)
    assert outcome.status == 0
    assert outcome.out.startswith("SAT saturation: where the function stops answering\n\n  SAT201 softmax-saturated")
    assert [line.split()[0] for line in outcome.out.splitlines() if line.startswith("  SAT")] == [
        code for code in registry.codes() if code.startswith("SAT")
    ]
    assert outcome.out.endswith("\n`gradaudit explain SAT201` tells all about the first of them.\n")


@pytest.mark.parametrize("name", functions.names())
def test_every_function_can_be_explained(cli, name):
    outcome = cli("explain", name)
    assert outcome.status == 0
    assert outcome.out.startswith(f"{name}\n")
    assert all(f"  {parameter.name} (" in outcome.out for parameter in functions.get(name).parameters)


@pytest.mark.parametrize("name", ["formula", "self", "Self"])
def test_what_stands_in_no_registry_can_be_explained(cli, name):
    outcome = cli("explain", name)
    assert outcome.status == 0
    assert outcome.out.startswith(f"{name.lower()}\n")
    for title in ("What is audited", "How", "An example", "What it finds fault with", "Limits"):
        assert f"\n\n{title}\n  " in outcome.out
    prose = outcome.out.split("An example")[0]
    assert max(map(len, prose.splitlines())) <= 100


def test_explain_shows_the_code_of_an_example(cli):
    out = cli("explain", "BUG402").out
    assert "\n  with losses.py beside it:\n\n    import torch.nn.functional as F\n" in out
    assert "\nWhat does not\n  with losses.py changed to:\n\n    import torch.nn.functional as F\n" in out


def test_explain_suggests(cli):
    outcome = cli("explain", "CAN110")
    assert (outcome.status, outcome.out) == (2, "")
    assert "did you mean CAN10" in outcome.err


def test_rules_lists_all(cli):
    out = cli("rules").out
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  ") and line[2:5].isupper()] == [
        *registry.codes()
    ]
    assert max(map(len, out.splitlines())) <= 100


def test_rules_as_json(cli):
    found = json.loads(cli("rules", "--output-format", "json").out)
    assert [rule["code"] for rule in found] == [*registry.codes()]
    assert set(found[0]) == {
        *("code", "name", "severity", "family", "summary", "why", "formula", "source", "advice"),
        *("fires", "fires_code", "silent", "silent_code"),
    }


@pytest.fixture
def states(monkeypatch):
    found = (
        BackendState("numpy", True, "2.4.6", "3.11.9", (("numpy", "2.4.6"),), 1, False),
        BackendState("mxnet", False, reason="no module named\n::error::mxnet", remedy="install it into Python 3.8"),
    )
    monkeypatch.setattr(pipeline, "backend_states", lambda _settings: found)
    return found


def test_backends_says_what_is_there_and_how_to_get_what_is_not(cli, states, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/here/python")
    outcome = cli("backends")
    assert outcome.status == 0
    assert outcome.out == (
        "numpy  2.4.6\n"
        "       Python 3.11.9, 1 thread, keeps subnormal numbers\n"
        "       runs in /here/python\n"
        "mxnet  missing: no module named\\n::error::mxnet\n"
        "       to get it: install it into Python 3.8\n"
    )


def test_backends_as_json(cli, states):
    found = json.loads(cli("backends", "--output-format", "json").out)
    assert [(state["name"], state["available"], state["versions"]) for state in found] == [
        ("numpy", True, {"numpy": "2.4.6"}),
        ("mxnet", False, {}),
    ]


def test_backends_says_which_python_has_one(cli, monkeypatch):
    details = (("interpreter", str(Path.home() / "mx" / "python")),)
    found = BackendState("mxnet", True, "1.9.1", "3.8.1", (("mxnet", "1.9.1"),), 1, False, details=details)
    monkeypatch.setattr(pipeline, "backend_states", lambda _settings: (found,))
    assert cli("backends").out.endswith("       runs in ~/mx/python\n")
    (document,) = json.loads(cli("backends", "--output-format", "json").out)
    assert (document["interpreter"], document["details"]) == (details[0][1], {})


def test_installing_says_what_is_installed_and_where(cli, monkeypatch, tmp_path):
    from gradaudit.workers import installation

    def installed(backend, say, *, again):
        say(f"{backend.name}: making an environment")
        state = BackendState(backend.name, True, "1.9.1", "3.8.1")
        return installation.Installed(tmp_path / "mxnet", state, already=not again)

    monkeypatch.setattr(installation, "install", installed)
    monkeypatch.delenv("GRADAUDIT_PYTHON_MXNET", raising=False)
    outcome = cli("backends", "install", "mxnet")
    assert outcome.out == f"mxnet 1.9.1 is installed already (Python 3.8.1): {tmp_path}/mxnet\n"
    assert (outcome.status, outcome.err) == (0, "mxnet: making an environment\n")
    monkeypatch.setenv("GRADAUDIT_PYTHON_MXNET", "/my/python")
    outcome = cli("backends", "install", "--again", "mxnet")
    assert outcome.out == f"mxnet 1.9.1 is installed (Python 3.8.1): {tmp_path}/mxnet\n"
    assert outcome.err.endswith("GRADAUDIT_PYTHON_MXNET is set and goes before it\n")
    assert cli("backends", "install", "-q", "mxnet").err == ""


@pytest.mark.parametrize("command", ["install", "remove"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mxnt", "error: no backend is called 'mxnt'; there are "),
        ("torch@/usr/bin/python3", "error: 'torch@/usr/bin/python3' names an interpreter of your own; give the "),
    ],
)
def test_only_backends_are_installed_and_removed(cli, command, name, said):
    outcome = cli("backends", command, name)
    assert outcome.status == 2
    assert outcome.err.startswith(said)


def test_removing_what_is_not_there_says_where_it_was_looked_for(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    outcome = cli("backends", "remove", "mxnet")
    assert outcome.status == 0
    assert outcome.out == f"there is no environment of mxnet: nothing in {tmp_path}/gradaudit/environments/mxnet\n"


def test_validate_reads_every_path(cli, tmp_path):
    (tmp_path / "good.yaml").write_text(SPEC)
    (tmp_path / "bad.yaml").write_text(SPEC.replace("softmax", "sofmax"))
    (tmp_path / "worse.yaml").write_text("version: [\n")
    outcome = cli("validate", "good.yaml", "bad.yaml", "worse.yaml", "other.txt")
    assert outcome.status == 2
    assert outcome.out == "good.yaml: 1 valid case\n"
    assert [line.split(": ")[:2] for line in outcome.err.splitlines()] == [
        ["error", "bad.yaml:2:11"],
        ["error", "worse.yaml:2:1"],
        ["error", "there is no file 'other.txt'"],
    ]


def test_validate_imports_nothing_of_the_user_s(process, tmp_path):
    """Neither a subject's file, nor a module by name, nor a formula; a check of the same spec imports all."""
    touch = "from pathlib import Path\nPath(__file__ + '.imported').touch()\n"
    (tmp_path / "losses.py").write_text(touch + "def loss(logits, upstream):\n    return logits, upstream\n")
    (tmp_path / "modules.py").write_text(touch + "def loss(logits, upstream):\n    return logits, upstream\n")
    (tmp_path / "formulas.py").write_text(touch + "def value(z, m):\n    return m.softmax(z)\n")
    (tmp_path / "spec.yaml").write_text(
        "version: 1\nfunction: {formula: formulas.py:value}\nlogits: [[1, 2]]\nprobes: none\n"
        "subjects: [{numpy: losses.py:loss}, {numpy: modules:loss, name: other}]\n"
    )
    assert process("validate", "spec.yaml").out == "spec.yaml: 1 valid case\n"
    assert not list(tmp_path.glob("*.imported"))
    assert process("check", "spec.yaml").status == 1
    assert {path.name for path in tmp_path.glob("*.imported")} == {
        *("formulas.py.imported", "losses.py.imported", "modules.py.imported")
    }


def test_validate_without_paths_finds_what_check_would(cli, tmp_path):
    (tmp_path / "a.gradaudit.yaml").write_text(SPEC)
    outcome = cli("validate")
    assert (outcome.status, outcome.out) == (0, "a.gradaudit.yaml: 1 valid case\n")


@pytest.mark.parametrize("of", ["spec", "report"])
def test_schemas_are_schemas(cli, of):
    document = json.loads(cli("schema", of).out)
    jsonschema.Draft202012Validator.check_schema(document)
    assert document["title"] == f"gradaudit {of}"


def test_the_schema_of_specs_is_the_default(cli):
    assert cli("schema").out == cli("schema", "spec").out
