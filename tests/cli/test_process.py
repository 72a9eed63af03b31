"""The console script as a process: start-up, streams, and what a shell sees."""

import json
import os
import subprocess
import sys

import pytest

from tests.cli.conftest import SCRIPT

LIGHT = (
    "import sys; from gradaudit.cli.main import run\n"
    "try:\n    run({arguments!r}, {{}})\nexcept SystemExit:\n    pass\n"
    "sys.stderr.write(' '.join(sorted(sys.modules)))"
)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments):
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(arguments=arguments)], capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    assert "gradaudit.cli.check" in loaded
    heavy = {"numpy", "pydantic", "yaml", "rich.console", "rich.table", "torch", "onnx", "onnxruntime", "flint"}
    assert not loaded & heavy


def test_validating_starts_no_framework_and_no_process(tmp_path):
    spec = tmp_path / "a.yaml"
    spec.write_text("version: 1\nfunction: softmax\nlogits: [1, 2]\n")
    done = subprocess.run(
        [sys.executable, "-c", LIGHT.format(arguments=["validate", str(spec)])],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.split())
    assert done.stdout.endswith(": 1 valid case\n")
    assert not loaded & {"torch", "onnx", "onnxruntime", "flint", "gradaudit.workers", "gradaudit.pipeline"}


def test_a_wrong_request_is_2_on_standard_error(process):
    outcome = process("check", "--logits", "0.1, 2", "--function", "sofmax")
    assert (outcome.status, outcome.out) == (2, "")
    assert "softmax" in outcome.err


def test_a_spec_from_standard_input(process):
    outcome = process("validate", "-", stdin="version: 1\nfunction: softmax\nlogits: [1, 2]\n")
    assert (outcome.status, outcome.out) == (0, "-: 1 valid case\n")


def test_output_is_utf_8_in_any_locale(process):
    outcome = process(
        *("check", "--logits", "1, 2", "--function", "softmax", "--name", "Größe", "--dry-run"),
        PYTHONIOENCODING="ascii",
        LC_ALL="C",
    )
    assert outcome.status == 0
    assert outcome.out.startswith("Größe (<command line>)")


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([SCRIPT, "schema"], stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_rules_as_json_is_ascii_and_parses(process):
    outcome = process("rules", "--output-format", "json")
    assert outcome.out.isascii()
    assert json.loads(outcome.out)
