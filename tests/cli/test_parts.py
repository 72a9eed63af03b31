"""Flags and settings for audits in parts, and `gradaudit merge`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from gradaudit.records.report import Shard
from gradaudit.reports import json_document
from tests.reports import sample_report

CASE = ("--logits", "0.1, 2", "--function", "softmax")
SPEC = """\
version: 1
defaults: {function: softmax, logits: [1, 2], backends: [numpy]}
cases: [{name: a}, {name: b}, {name: c}]
"""


@pytest.fixture
def shards(tmp_path):
    """The sample report in two parts, as files."""
    whole = sample_report.sample_report()
    parts = (whole.cases[::2], whole.cases[1::2])
    paths = []
    for index, cases in enumerate(parts):
        positions = tuple(range(index, len(whole.cases), 2))
        part = replace(whole, cases=cases, shard=Shard(index + 1, 2, positions, len(whole.cases), "plan"))
        path = tmp_path / f"{index + 1}.json"
        path.write_text(json_document.render(part), encoding="utf-8")
        paths.append(path.name)
    return paths


def test_flags_reach_the_pipeline(cli, audits):
    cli("check", *CASE, "--fail-fast", "--shard", "2/3", "--resume", "kept")
    settings = audits.asked[0][1]
    assert (settings.fail_fast, settings.shard, settings.resume) == (True, (2, 3), Path("kept"))
    cli("check", *CASE)
    settings = audits.asked[1][1]
    assert (settings.fail_fast, settings.shard, settings.resume) == (False, None, None)


def test_flags_win_over_the_environment_and_that_over_the_project_file(cli, audits, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text("[tool.gradaudit]\nfail-fast = true\nmax-findings = 2\n")
    outcome = cli("check", *CASE)
    assert audits.asked[-1][1].fail_fast
    assert "of which the worst 2 are listed" in outcome.out.replace("\n", " ")
    cli("check", *CASE, "--no-fail-fast", "--max-findings", "1")
    assert (audits.asked[-1][1].fail_fast, audits.asked[-1][1].max_findings) == (False, 1)
    monkeypatch.setenv("GRADAUDIT_FAIL_FAST", "0")
    monkeypatch.setenv("GRADAUDIT_MAX_FINDINGS", "3")
    monkeypatch.setenv("GRADAUDIT_SHARD", "1/4")
    cli("check", *CASE)
    settings = audits.asked[-1][1]
    assert (settings.fail_fast, settings.max_findings, settings.shard) == (False, 3, (1, 4))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('fail-fast = "yes"', "fail-fast = 'yes': expected true or false"),
        ("max-findings = true", "max-findings = True: expected a whole number"),
        ("max-findings = -1", "[tool.gradaudit] max-findings -1: expected 0 or more"),
        ("fail_fast = true", "unknown key 'fail_fast'; did you mean fail-fast?"),
    ],
)
def test_a_wrong_setting_is_named(cli, audits, tmp_path, table, message):
    (tmp_path / "pyproject.toml").write_text(f"[tool.gradaudit]\n{table}\n")
    outcome = cli("check", *CASE)
    assert (outcome.status, audits.asked) == (2, [])
    assert message in outcome.err


@pytest.mark.parametrize("flags", [("--shard", "4/3"), ("--shard", ""), ("--max-findings", "-1")])
def test_a_wrong_flag_is_refused(cli, audits, flags):
    outcome = cli("check", *CASE, *flags)
    assert (outcome.status, audits.asked) == (2, [])
    assert f"error: {flags[0]}" in outcome.err


def test_an_interruption_says_how_to_go_on(cli, audits):
    audits.answer = replace(sample_report.sample_report(), exit_status=130, interrupted=True)
    assert "finished cases are kept in kept; the same command goes on" in cli("check", *CASE, "--resume", "kept").err
    assert "goes on" not in cli("check", *CASE).err
    assert "goes on" not in cli("check", *CASE, "--resume", "kept", "-q").err


def test_the_plan_of_a_shard_is_shown(cli, tmp_path):
    (tmp_path / "a.yaml").write_text(SPEC)
    lines = cli("check", "a.yaml", "--dry-run", "--shard", "1/2").out.splitlines()
    assert [line[0] for line in lines if "softmax" in line] == ["a", "c"]
    assert cli("check", "a.yaml", "--dry-run", "--shard", "4/4").out.startswith("0 evaluations of 0 cases")


def test_a_merged_report_goes_where_reports_go(cli, shards, tmp_path):
    whole = sample_report.sample_report()
    outcome = cli("merge", *reversed(shards), "--report", "json=whole.json", "--report", "html=whole.html")
    assert (outcome.status, outcome.out) == (whole.exit_status, "")
    assert f"; exit status {whole.exit_status}: " in outcome.err
    document = json.loads((tmp_path / "whole.json").read_text())
    assert [case["name"] for case in document["cases"]] == [case.case.name for case in whole.cases]
    assert (document["shard"], document["command"][:2]) == (None, ["gradaudit", "merge"])
    assert (tmp_path / "whole.html").is_file()
    concise = cli("merge", *shards, "--output-format", "concise").out
    assert concise == cli("render", "whole.json", "--output-format", "concise").out
    page = cli("merge", *shards)
    assert page.out.startswith("── the forum's cancelling sum")
    assert page.err == ""


def test_reports_that_are_read_are_not_written(cli, shards):
    outcome = cli("merge", *shards, "--report", f"json={shards[1]}")
    assert outcome.status == 2
    assert "that is a report which is read" in outcome.err


def test_an_incomplete_set_of_shards_is_no_whole(cli, shards, tmp_path):
    for paths, message in (
        (shards[:1], "of 2 shards 2/2 is missing"),
        ([shards[0], shards[0]], "it is shard 1/2, and so is 1.json"),
        ([*shards, "gone.json"], "the report 'gone.json' cannot be read"),
    ):
        outcome = cli("merge", *paths, "--report", "json=whole.json")
        assert outcome.status == 2
        assert message in outcome.err
    assert not (tmp_path / "whole.json").exists()
