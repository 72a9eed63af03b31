"""`gradaudit check` over the three backends, as a user runs it: what is shown, and how it ends."""

import json
import os
import signal
import subprocess
import time

import jsonschema
import pytest

from gradaudit.reports.report_schema import report_schema
from tests.end_to_end.conftest import SCRIPT, environment

BACKENDS = ("numpy", "torch", "onnxruntime")
SUM_OF_ALL = ("--logits", "0.1, 2", "--function", "softmax", "--upstream", "ones")

SPEC = """\
version: 1
name: the answer is zero
function: softmax
logits: [0.1, 2.0]
upstream: ones
"""

ABORTS = "import os\nos.abort()\n"
"""A torch that takes its process down with it."""


def test_the_jacobian_and_the_cancelled_sum_of_three_backends(forum):
    outcome, _ = forum
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    rows = [line for line in lines if line.split()[:1] in (["[0]"], ["[1]"])]
    magnitudes = [cell.lstrip("-").rstrip("*") for line in rows for cell in line.split() if "0.11318" in cell]
    assert magnitudes == ["0.11318"] * 4 * (1 + len(BACKENDS))
    sums = [line for line in lines if line.split()[:1] == ["sum"]]
    assert sums, outcome.out
    assert "sum            0         0    0" in sums[0]  # the exact ones
    assert all(name in outcome.out for name in BACKENDS)
    assert outcome.err == ""


def test_the_json_report_fits_its_schema_and_holds_the_numbers(forum):
    _, report = forum
    jsonschema.validate(report, report_schema())
    assert report["exit_status"] == 0
    (case,) = report["cases"]
    for evaluation in case["evaluations"]:
        got = evaluation["values"]["jacobian"]["got"]
        assert [round(value, 5) for value in got] == [0.11318, -0.11318, -0.11318, 0.11318]
    assert tuple(evaluation["backend"] for evaluation in case["evaluations"]) == BACKENDS


def test_piped_output_holds_no_escape_sequences_and_keeps_to_80_columns(forum, samples):
    for outcome, _ in (forum, samples):
        assert "\x1b" not in outcome.out
        assert max(map(len, outcome.out.splitlines())) <= 80


def test_the_sum_of_all_outputs_is_found_out(gradaudit):
    outcome = gradaudit("check", *SUM_OF_ALL, "--output-format", "concise", "--fail-on", "warning")
    assert outcome.status == 1
    assert [line.split(": ")[1].split()[0] for line in outcome.out.splitlines()] == ["CAN101", "POW701"]
    assert outcome.err.startswith("1 case, 3 evaluations, 2 warnings; exit status 1: ")


def test_a_spec_from_standard_input_with_a_name_that_looks_like_markup(gradaudit):
    outcome = gradaudit("check", "-", stdin=SPEC.replace("the answer is zero", '"[bold red]zero[/foo]"'))
    assert outcome.status == 0
    assert outcome.out.startswith("── [bold red]zero[/foo]  <stdin>:1\n")
    assert "warning CAN101 summed-outputs-cancel" in outcome.out


def test_a_name_that_commands_the_terminal_is_refused_in_plain_characters(gradaudit):
    outcome = gradaudit("check", "-", stdin=SPEC.replace("the answer is zero", '"\\e]0;owned\\a"'))
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: <stdin>:2:7: name: '\\x1b]0;owned\\x07' holds control characters")
    assert outcome.err.rstrip("\n").isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SPEC + "upsteam: ones\n", ":6:1: unknown key 'upsteam'; did you mean 'upstream'?"),
        (SPEC.replace("softmax", "sofmax"), ":3:11: function: 'sofmax' is no function of this version; did you mean"),
        (SPEC.replace("[0.1, 2.0]", "[0.1, two]"), ":4:15: logits"),
        (SPEC.replace("[0.1, 2.0]", "[0.1, 2.0"), ":5:"),
        (SPEC + "name: twice\n", ":6:1: "),
        (SPEC.replace("ones", "&a ones"), ":5:"),
    ],
    ids=["unknown key", "unknown function", "no number", "open bracket", "duplicate key", "anchor"],
)
def test_a_wrong_spec_is_2_with_its_place_and_no_traceback(gradaudit, tmp_path, text, message):
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")
    outcome = gradaudit("validate", "wrong.yaml")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: wrong.yaml{message}")
    assert "Traceback" not in outcome.err


def test_a_framework_that_dies_is_3_by_name_and_the_rest_is_audited(gradaudit, tmp_path, monkeypatch):
    fake = tmp_path / "fake"
    fake.mkdir()
    (fake / "torch.py").write_text(ABORTS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(fake))
    outcome = gradaudit("check", *SUM_OF_ALL, "--output-format", "concise")
    assert outcome.status == 3, outcome.err
    crashed, *others = outcome.out.splitlines()
    assert "RUN601 error: torch fused float32: " in crashed
    assert "SIGABRT" in crashed
    assert [line.split(": ")[1].split()[0] for line in others] == ["CAN101", "POW701"]


def test_a_dry_run_starts_nothing(gradaudit, tmp_path, monkeypatch):
    fake = tmp_path / "fake"
    fake.mkdir()
    for name in ("torch", "onnxruntime"):
        (fake / f"{name}.py").write_text(f"open({str(tmp_path / 'started')!r}, 'w')\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(fake))
    outcome = gradaudit("check", "--random", "normal,1000x1000", "--function", "softmax", "--dry-run")
    assert outcome.status == 0
    assert outcome.out.endswith("3 evaluations of 1 case; nothing was started\n")
    assert not (tmp_path / "started").exists()


def test_ctrl_c_is_130_and_leaves_no_process_behind(tmp_path):
    arguments = ["--random", "normal,2048x8192,seed=1", "--function", "softmax", "--upstream", "random"]
    arguments += ["--scale", "1,2,3,4,5,6,7,8,9", "--report", "json=report.json", "--output-format", "concise"]
    with subprocess.Popen(
        [SCRIPT, "check", *arguments],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as running:
        time.sleep(2.5)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "interrupted"
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["interrupted"] is True
    with pytest.raises(ProcessLookupError):
        os.killpg(running.pid, 0)
