"""The console script as a process: start-up, streams, and what a shell sees."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from gradaudit.reports.report_schema import report_schema
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


FIRES = ("--logits", "0, 20", "--function", "softmax", "--upstream", "per_output", "--backend", "numpy")
"""Saturated logits, which are warned of."""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 0),
        (("--fail-on", "warning"), 1),
        (("--fail-on", "warning", "--exit-zero"), 0),
        (("--fail-on", "warning", "--expect", "SAT201,SAT202,CAN103"), 0),
        (("--expect", "SAT203"), 1),
        (("--select", "CAN101", "--fail-on", "info"), 0),
    ],
)
def test_the_exit_status_of_a_real_audit(process, arguments, status):
    outcome = process("check", *FIRES, *arguments, "--output-format", "concise")
    assert outcome.status == status, outcome.err
    assert f"exit status {1 if '--exit-zero' in arguments else status}: " in outcome.err


def test_a_real_report_fits_the_schema(process, tmp_path):
    outcome = process("check", *FIRES, "--report", "json=r.json")
    assert outcome.status == 0
    report = json.loads((tmp_path / "r.json").read_text())
    jsonschema.validate(report, report_schema())
    assert {finding["code"] for finding in report["cases"][0]["findings"]} >= {"SAT201", "SAT202"}
    assert "SAT201 softmax-saturated" in outcome.out


def test_a_missing_backend_is_3_by_name_and_the_rest_is_audited(process, tmp_path):
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "torch.py").write_text("raise ImportError('no torch today')\n")
    arguments = (*FIRES[:-1], "numpy,torch", "--fail-on", "warning", "--output-format", "concise")
    outcome = process("check", *arguments, PYTHONPATH=str(tmp_path / "path"))
    assert outcome.status == 3, outcome.err
    (missing,) = [line for line in outcome.out.splitlines() if "RUN603" in line]
    assert "backend torch" in missing
    assert "no torch today" in missing
    assert "SAT201" in outcome.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ending_it_from_outside_leaves_no_folder_and_no_worker(tmp_path, number):
    """What CI does to a job that takes too long, and a terminal to its children when it closes."""
    arguments = ["--random", "normal,1024x4000,seed=1", "--function", "softmax", "--upstream", "random"]
    arguments += ["--backend", "numpy", "--scale", ",".join(str(i) for i in range(1, 40))]
    with subprocess.Popen(
        [SCRIPT, "check", *arguments],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        limit = time.monotonic() + 30.0
        while not list(tmp_path.glob("gradaudit-*/numpy-*")):
            assert time.monotonic() < limit, "no evaluation began"
            time.sleep(0.05)
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err.endswith("interrupted\n")
    assert list(tmp_path.iterdir()) == []


def interrupted(arguments: list[str], folder: Path, seconds: float) -> tuple[int, str, str]:
    """Status, standard output and standard error of a check that gets a Ctrl-C after so many seconds."""
    command = [SCRIPT, "check", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True) as running:
        time.sleep(seconds)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    return running.returncode, out, err


def test_ctrl_c_is_130_and_keeps_what_was_done(tmp_path):
    arguments = ["--random", "normal,1024x16000,seed=1", "--function", "softmax", "--upstream", "random"]
    arguments += ["--backend", "numpy", "--scale", "1,2,3,4,5,6,7,8,9", "--report", "json=r.json"]
    # On a busy machine a start takes its time: what is interrupted before the first evaluation has nothing to keep.
    for seconds in (2.0, 5.0, 12.0):
        status, out, err = interrupted(arguments, tmp_path, seconds)
        if status != 130 or out:
            break
    assert status == 130
    assert "interrupted; what was done until then: " in out
    assert err.endswith("interrupted\n")
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["exit_status"], report["interrupted"]) == (130, True)
    assert report["counts"]["evaluations"] < 9


def test_rules_as_json_is_ascii_and_parses(process):
    outcome = process("rules", "--output-format", "json")
    assert outcome.out.isascii()
    assert json.loads(outcome.out)


def test_a_link_is_followed_and_a_device_stays_one(process, tmp_path):
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    case = ["--logits", "0.1, 2", "--function", "softmax", "--backend", "numpy"]
    reports = ["--report", f"json={tmp_path / 'link.json'}", "--report", "json=/dev/null"]
    assert process("check", *case, *reports).status == 0
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "real.json").read_text().startswith("{")
    assert not Path("/dev/null").is_file()


def test_a_closed_standard_output_is_no_finding():
    done = subprocess.run(["sh", "-c", f"{SCRIPT} rules >&-"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
