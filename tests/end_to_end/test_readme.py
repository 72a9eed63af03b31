"""What README.md shows is what the commands print, and what it lists is what there is."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

from gradaudit.reports.summary import EXIT_MEANINGS
from gradaudit.rules import registry
from gradaudit.specs.loading import load, load_text
from tests.end_to_end import pages
from tests.end_to_end.conftest import PROJECT, run
from tests.end_to_end.readme import README, Block, blocks, printed, recorded_on, running_on, without_numbers
from tests.end_to_end.test_docs import GIVEN, is_known

TEXT = README.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def same_machine(forum) -> bool:
    """Whether the output was recorded with these versions and on such a processor: then every digit counts."""
    _, report = forum
    return recorded_on(TEXT) == running_on(report)


@pytest.mark.parametrize("block", [*blocks(TEXT)], ids=lambda block: block.command)
def test_a_command_prints_what_the_readme_shows(block, same_machine):
    output = printed(block.command)
    if same_machine:
        assert output == block.output, "python -m tests.end_to_end.readme records the output anew"
    assert without_numbers(output) == without_numbers(block.output)


def test_blocks_are_found_and_numbers_are_told_from_words():
    text = "```console\n$ gradaudit rules\nCAN101\n\n```\ntext\n```console\n$ ls\nx\n```\n"
    assert list(blocks(text)) == [Block("gradaudit rules", "CAN101\n\n")]
    assert without_numbers("e/t 0.0609 1.41e3 0.88*\n───\nrow 3 lost") == "e/t # # # ─ row # lost"
    assert without_numbers("torch lost 1") != without_numbers("numpy lost 1")
    assert len(list(blocks(TEXT))) >= 5


def test_the_first_things_to_do_are_two_commands():
    (commands,) = re.findall(r"^## Two commands\n.*?^```\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    assert [line.split("#")[0].strip() for line in commands.splitlines()] == ["make check", "make test"]


def test_the_table_of_findings_is_the_registry():
    rows = re.findall(r"^\| ([A-Z]{3}\d{3}) \| (\w+) \| ([a-z0-9-]+) \| (.*) \|$", TEXT, re.MULTILINE)
    assert rows == [(rule.code, rule.severity, rule.name, rule.summary) for rule in registry.rules()]


def test_the_table_of_exit_statuses_is_complete():
    statuses = re.findall(r"^\| (\d+) \| .* \|$", TEXT, re.MULTILINE)
    assert [int(status) for status in statuses] == sorted(EXIT_MEANINGS)


def test_the_spec_of_the_readme_is_valid(tmp_path):
    (spec,) = re.findall(r"^## Your own logits\n.*?^```yaml\n(version: 1\n.*?)^```", TEXT, re.M | re.S)
    path = tmp_path / "loss.gradaudit.yaml"
    path.write_text(spec, encoding="utf-8")
    (case,) = load([str(path)])
    assert case.shape == (128, 256)
    assert len(case.dtypes) * len(case.scale) * len(case.backends) * len(case.formulations) == 36


FOR_CI = re.compile(r"^ *(- )?(uses|script):", re.MULTILINE)
"""What steps and jobs have: test_ci_files.py and the test of the steps read those."""
BESIDE = {**GIVEN, "subjects": [{"torch": "losses.py:smoothed_cross_entropy"}]}
"""What keys of a spec that stand alone are read beside."""


def test_no_block_escapes():
    """A block is a command that is recorded, the test that is run, a spec, for CI, or lines that are looked up."""
    found = pages.blocks(TEXT)
    assert {block.language for block in found} == {"", "console", "python", "yaml", "sh"}
    assert sum(block.language == "python" for block in found) == 1
    for block in found:
        if block.language == "yaml" and not FOR_CI.search(block.text):
            keys = yaml.safe_load(block.text)
            text = block.text if "version" in keys else yaml.safe_dump({"version": 1, **BESIDE, **keys})
            assert load_text(text, "README.md", str(PROJECT / "sample_configs")), block
        elif block.language == "console":
            assert block.commands
            assert block.text.startswith("$ gradaudit"), block
        elif block.language in ("", "sh"):
            assert [line for line in block.text.splitlines() if not is_known(line)] == []


def test_the_spec_of_ones_own_loss_is_the_sample():
    (spec,) = re.findall(r"^## Your own loss\n.*?^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    lines = (PROJECT / "sample_configs" / "custom_loss.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
    assert spec == "".join(line for line in lines if not line.startswith("#"))


def test_the_steps_for_ci_run_as_printed(tmp_path):
    (steps,) = re.findall(r"^## In CI\n.*?^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    runs = [step["run"] for step in yaml.safe_load(steps) if "run" in step]
    assert runs[0] == "pip install gradaudit"
    (spec,) = re.findall(r"^## Your own logits\n.*?^```yaml\n(version: 1\n.*?)^```", TEXT, re.M | re.S)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "loss.gradaudit.yaml").write_text(spec, encoding="utf-8")
    for command in runs[1:]:
        name, *arguments = shlex.split(command)
        assert name == "gradaudit"
        outcome = run(*arguments, cwd=tmp_path)
        assert outcome.status == 0, outcome.out + outcome.err
    assert json.loads((tmp_path / "gradaudit.json").read_text(encoding="utf-8"))["exit_status"] == 0


def test_the_test_for_pytest_passes_as_printed_and_fails_on_the_other_loss(tmp_path):
    (code,) = re.findall(r"^### From pytest\n.*?^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    shutil.copy(PROJECT / "sample_configs" / "losses.py", tmp_path)
    (tmp_path / "test_right.py").write_text(code, encoding="utf-8")
    wrong = code.replace("smoothed_cross_entropy", "SmoothedCrossEntropy")
    (tmp_path / "test_wrong.py").write_text(wrong, encoding="utf-8")
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "FAILED test_wrong.py" in done.stdout
    assert "error BUG402 mean-denominator" in done.stdout
