"""Where files stand in their repository: paths as CI systems count them, whatever was typed and wherever."""

import json
from dataclasses import replace

import pytest

from gradaudit.cli import checkout
from gradaudit.records.baseline import AgainstBaseline
from gradaudit.records.location import Location
from tests.regression import audits as by_hand


@pytest.fixture(autouse=True)
def outside_ci(monkeypatch):
    for name in checkout.CI_FOLDERS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / "sub" / "specs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "repo" / "sub")
    return tmp_path / "repo"


def files(*paths):
    report = by_hand.report(findings=[replace(by_hand.finding(), location=Location(path, 3)) for path in paths])
    (case,) = report.cases
    return checkout.files(replace(report, cases=(replace(case, case=replace(case.case, source=Location(paths[0]))),)))


def test_paths_count_from_the_root_of_the_repository(repository):
    typed = str(repository / "sub" / "specs" / "a.yaml")
    assert files("specs/a.yaml", typed, "../b.py", "./c.py") == {
        "../b.py": "b.py",
        "./c.py": "sub/c.py",
        typed: "sub/specs/a.yaml",
        "specs/a.yaml": "sub/specs/a.yaml",
    }


def test_what_is_as_it_should_be_is_not_listed(repository, monkeypatch):
    monkeypatch.chdir(repository)
    assert files("specs/a.yaml", "./b.py", "<command line>", "<standard input>") == {}


def test_the_checkout_that_the_system_names_is_the_root_where_no_git_is(tmp_path, monkeypatch):
    (tmp_path / "work" / "specs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "specs")
    assert files("a.yaml") == {}
    for name in checkout.CI_FOLDERS:
        with monkeypatch.context() as patch:
            patch.setenv(name, str(tmp_path / "work"))
            assert files("a.yaml", str(tmp_path / "b.py")) == {"a.yaml": "specs/a.yaml"}
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "elsewhere"))
    typed = str(tmp_path / "work" / "specs" / "a.yaml")
    assert files(typed) == {typed: "a.yaml"}, "from the working directory"


def test_a_file_of_another_repository_counts_from_that_ones_root(repository, tmp_path):
    (tmp_path / "other" / ".git").mkdir(parents=True)
    typed = str(tmp_path / "other" / "a.yaml")
    assert files(typed, "../../other/b.py", "/nowhere/c.py") == {typed: "a.yaml", "../../other/b.py": "b.py"}


def test_a_folder_that_is_reached_by_a_link(repository, tmp_path):
    (tmp_path / "link").symlink_to(repository, target_is_directory=True)
    typed = str(tmp_path / "link" / "sub" / "a.yaml")
    assert files(typed) == {typed: "sub/a.yaml"}


@pytest.mark.parametrize("path", ["x" * 10_000, "a\0b", "\ud800", "a\n::error::b", "//server/share"])
def test_what_is_no_path_is_left_as_it_is(repository, path):
    assert files(path) in ({}, {path: f"sub/{path}"})


def test_the_baseline_is_a_file_of_the_repository_too(repository):
    report = by_hand.report()
    kept = AgainstBaseline("known.txt", (), 0, (), 0)
    assert checkout.files(replace(report, baseline=kept)) == {
        "known.txt": "sub/known.txt",
        "specs/losses.yaml": "sub/specs/losses.yaml",
    }


def test_annotations_land_where_check_was_given_an_absolute_path(cli, audits, repository, monkeypatch):
    typed = str(repository / "sub" / "losses.py")
    finding = replace(by_hand.finding(), location=Location(typed, 7))
    audits.answer = by_hand.report(by_hand.measured(), findings=[finding], status=1)
    (repository / "a.gradaudit.yaml").write_text("version: 1\nfunction: softmax\nlogits: [1, 2]\n")
    monkeypatch.chdir(repository)
    arguments = ("check", "a.gradaudit.yaml", "-q", "--report", "gitlab=q.json", "--report", "json=r.json")
    outcome = cli(*arguments, "--output-format", "github")
    assert outcome.out.startswith("::error file=sub/losses.py,line=7,")
    (issue,) = json.loads((repository / "q.json").read_text())
    assert issue["location"]["path"] == "sub/losses.py"
    saved = json.loads((repository / "r.json").read_text())
    assert saved["files"] == {typed: "sub/losses.py"}
    assert saved["cases"][0]["findings"][0]["location"]["path"] == typed
    monkeypatch.chdir("/")
    assert cli("render", str(repository / "r.json"), "--output-format", "github").out == outcome.out
