"""`gradaudit baseline`, `check --baseline` and `compare`: files, streams, exit statuses."""

import io
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from gradaudit.records.report import Shard
from gradaudit.regression import baseline_file
from gradaudit.reports import json_document
from tests.regression import audits as by_hand
from tests.regression.test_differences import FIRST, SECOND

FILE = "gradaudit-baseline.txt"
SPEC = "version: 1\nfunction: softmax\nlogits: [1, 2]\n"


@pytest.fixture(autouse=True)
def outside_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def saved(tmp_path):
    """Two saved reports: old.json, and new.json in which one evaluation tripled and one broke."""
    (tmp_path / "old.json").write_text(json_document.render(FIRST))
    (tmp_path / "new.json").write_text(json_document.render(SECOND))
    return tmp_path


def save(folder, report, name="other.json"):
    (folder / name).write_text(json_document.render(report))
    return name


def test_the_ratchet_from_saved_reports(cli, saved):
    first = cli("baseline", "update", "--from", "old.json")
    assert (first.status, first.out) == (0, f"recorded: 4 evaluations and 1 finding\n{FILE} is written\n")
    assert cli("baseline", "check", "--from", "old.json").status == 0
    fell = cli("baseline", "check", "--from", "new.json")
    assert fell.status == 1
    assert "\nworse: 2\n  specs/losses.yaml:2: two losses: breaks (torch) float32: shifted (declared)" in fell.out
    again = cli("baseline", "update", "--from", "new.json")
    assert again.status == 0
    assert "worse: specs/losses.yaml:2: two losses: worsens (torch) float32: gradient at most 0.125" in again.out
    assert again.out.endswith(f"{FILE} is written\n")
    assert cli("baseline", "check", "--from", "new.json").status == 0


def test_an_update_of_what_is_up_to_date_writes_nothing(cli, saved):
    cli("baseline", "update", "--from", "old.json")
    before = (saved / FILE).stat().st_mtime_ns
    assert cli("baseline", "update", "--from", "old.json").out == f"{FILE} is up to date\n"
    assert (saved / FILE).stat().st_mtime_ns == before


def test_check_never_writes(cli, saved):
    cli("baseline", "update", "--from", "old.json")
    before = (saved / FILE).read_bytes()
    cli("baseline", "check", "--from", "new.json")
    cli("baseline", "check", "--from", "old.json", "--output-format", "json")
    assert (saved / FILE).read_bytes() == before
    assert sorted(path.name for path in saved.iterdir()) == [FILE, "new.json", "old.json"]


@pytest.mark.parametrize("value", ["true", "1", "True", "yes"])
def test_under_ci_an_update_needs_force(cli, saved, monkeypatch, value):
    monkeypatch.setenv("CI", value)
    outcome = cli("baseline", "update", "--from", "old.json")
    assert (outcome.status, outcome.out) == (2, "")
    assert f"error: CI={value}: a baseline is written where people review it, not in CI; run" in outcome.err
    assert not (saved / FILE).exists()
    assert cli("baseline", "update", "--from", "old.json", "--force").status == 0
    assert cli("baseline", "check", "--from", "new.json").status == 1


@pytest.mark.parametrize("value", ["", "false", "0"])
def test_what_is_no_ci_is_none(cli, saved, monkeypatch, value):
    monkeypatch.setenv("CI", value)
    assert cli("baseline", "update", "--from", "old.json").status == 0


def test_what_could_not_be_audited_is_not_forgotten(cli, saved):
    cli("baseline", "update", "--from", "old.json")
    before = (saved / FILE).read_bytes()
    (case,) = FIRST.cases
    crashed = by_hand.report(
        *case.measurements[1:],
        failures=[by_hand.failed("steady")],
        findings=[*case.findings, by_hand.crashed("steady")],
        status=3,
    )
    name = save(saved, crashed)
    outcome = cli("baseline", "update", "--from", name)
    assert outcome.status == 3
    assert f"error: {FILE} is as it was, for not everything could be audited" in outcome.err
    assert "losses.py:7: two losses: RUN601 steady (torch) float32: so and so" in outcome.err
    assert cli("baseline", "check", "--from", name).status == 3
    assert cli("baseline", "update", "--from", name, "--force").status == 0
    assert (saved / FILE).read_bytes() == before


def test_an_interrupted_audit_changes_nothing(cli, saved):
    name = save(saved, by_hand.report(interrupted=True, status=130))
    outcome = cli("baseline", "update", "--from", name, "--force")
    assert (outcome.status, outcome.err) == (130, f"{FILE} is as it was: the audit was interrupted\ninterrupted\n")
    assert not (saved / FILE).exists()


def test_part_of_an_audit_makes_no_baseline(cli, saved):
    name = save(saved, by_hand.report(by_hand.measured(), shard=Shard(1, 2, (0,), 2, "digest")))
    outcome = cli("baseline", "update", "--from", name, "--force")
    assert outcome.status == 2
    assert f"{FILE} is as it was: the report is part 1 of 2 of an audit; `gradaudit merge`" in outcome.err


def test_json(cli, saved):
    cli("baseline", "update", "--from", "old.json", "--file", "kept.txt")
    outcome = cli("baseline", "check", "--from", "new.json", "--file", "kept.txt", "--output-format", "json")
    document = json.loads(outcome.out)
    assert (outcome.status, document["exit_status"], document["baseline"]) == (1, 1, "kept.txt")
    assert "`gradaudit baseline update --file kept.txt`" in cli(
        "baseline", "check", "--from", "new.json", "--file", "kept.txt"
    ).out.replace("\n", " ")


def test_a_report_from_standard_input(cli, saved, monkeypatch):
    text = (saved / "old.json").read_bytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text), encoding="utf-8"))
    assert cli("baseline", "update", "--from", "-").status == 0


def test_an_audit_of_the_specs(cli, audits, tmp_path):
    (tmp_path / "a.gradaudit.yaml").write_text(SPEC)
    (tmp_path / "pyproject.toml").write_text("[tool.gradaudit]\nseed = 7\n")
    audits.answer = FIRST
    assert cli("baseline", "update").status == 0
    audits.answer = SECOND
    assert cli("baseline", "check", "a.gradaudit.yaml", "-q").status == 1
    assert [len(cases) for cases, _ in audits.asked] == [1, 1]
    assert {settings.seed for _, settings in audits.asked} == {7}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            None,
            f"the baseline '{FILE}' cannot be read: No such file or directory; `gradaudit baseline update`",
        ),
        (b"", f"{FILE}:1: no baseline of gradaudit: expected '# gradaudit baseline, version 1', not ''"),
        (b"\x00\xff", f"{FILE}:1: not UTF-8, so no baseline of gradaudit"),
        (
            b"# gradaudit baseline, version 9\n",
            f"{FILE}:1: a baseline of version 9, and this gradaudit reads version 1",
        ),
        (
            b"# gradaudit baseline, version 1\n<<<<<<< HEAD\n=======\n>>>>>>> other\n",
            f"{FILE}:2: an unresolved merge conflict: keep the lines of both sides, each thing once",
        ),
        (b"# gradaudit baseline, version 1\nversion of=a is=\x1b[31m\xff\n", f"{FILE}:2: not UTF-8"),
        (b"# gradaudit baseline, version 1\nerror \x1b[31m\n", f"{FILE}:2: unknown kind of line 'error'"),
    ],
)
def test_what_is_no_baseline_is_2_before_anything_is_audited(cli, audits, saved, content, message):
    if content is not None:
        (saved / FILE).write_bytes(content)
    (saved / "a.gradaudit.yaml").write_text(SPEC)
    commands = [("baseline", "check", "--from", "old.json"), ("check", "--baseline", FILE), ("baseline", "check")]
    if content is not None:
        commands.append(("baseline", "update", "--from", "old.json"))
    for command in commands:
        outcome = cli(*command)
        assert (outcome.status, outcome.out) == (2, ""), command
        assert outcome.err.startswith(f"error: {message}")
        assert "\x1b" not in outcome.err
    assert audits.asked == []
    if content is not None:
        assert (saved / FILE).read_bytes() == content


def test_a_wrong_request_is_2(cli, saved):
    cli("baseline", "update", "--from", "old.json")
    both = cli("baseline", "check", "a.yaml", "--from", "old.json")
    assert (both.status, both.err) == (
        2, "error: --from 'old.json' and 'a.yaml': name specs to audit, or a report, not both\n"
    )  # fmt: skip
    assert cli("baseline", "update", "--from", "none.json").status == 2
    assert cli("baseline", "check", "--from", FILE).status == 2
    assert cli("baseline").status == 2


def test_a_baseline_that_cannot_be_written_is_3(cli, saved):
    outcome = cli("baseline", "update", "--from", "old.json", "--file", "no/such/folder.txt")
    assert (outcome.status, outcome.out) == (3, "")
    assert "error: the baseline 'no/such/folder.txt' cannot be written" in outcome.err


def test_hostile_names_do_no_harm(cli, saved):
    hostile = by_hand.report(
        by_hand.measured('a" b=c\n<<<<<<< ours\x1b[31m\u202e'), name="::error::x\n# y\n=======\n" + "z" * 10_000
    )
    name = save(saved, hostile)
    for command in (
        ("baseline", "update", "--from", name),
        ("baseline", "check", "--from", "old.json"),
        ("compare", name, "old.json", name),
    ):
        outcome = cli(*command)
        assert outcome.status in {0, 1}
        assert all(line.isprintable() and not line.startswith("::") for line in outcome.out.splitlines())
    (line,) = [line for line in (saved / FILE).read_text().splitlines() if line.startswith("evaluation")]
    assert "\x1b" not in line
    assert cli("baseline", "check", "--from", name).status == 0


def test_help_says_when_an_audit_is_worse(cli):
    for command in (("baseline", "--help"), ("baseline", "check", "--help"), ("baseline", "update", "--help")):
        text = " ".join(cli(*command).out.split())
        assert "an error that less than doubled never is worse, and one that trebled always is" in text


# --------------------------------------------------------------------------------------------------- check --baseline


@pytest.fixture
def kept(cli, saved):
    """A baseline of the first report, and a spec to audit."""
    cli("baseline", "update", "--from", "old.json")
    (saved / "a.gradaudit.yaml").write_text(SPEC)
    return saved


def test_check_holds_its_report_against_the_baseline(cli, audits, kept):
    audits.answer = SECOND
    outcome = cli("check", "--baseline", FILE, "-q")
    assert outcome.status == 1
    page, _, told = outcome.out.partition(f"\nagainst {FILE}:\n")
    assert "BUG401" in page
    *changes, closing = cli("baseline", "check", "--from", "new.json").out.splitlines()
    shown, _, summary = told.partition("\n1 case, ")
    assert shown.split() == " ".join(changes).split(), "the same words, folded to the width of the page"
    assert f"against {FILE}: {closing}" in " ".join(summary.split())
    audits.answer = FIRST
    assert cli("check", "--baseline", FILE, "-q").status == 0


def test_what_the_baseline_holds_fails_no_more(cli, audits, kept):
    audits.answer = SECOND
    assert cli("check", "-q").status == 1
    cli("baseline", "update", "--from", "new.json")
    assert cli("check", "--baseline", FILE, "-q").status == 0


def test_other_formats_keep_standard_output_to_themselves(cli, audits, kept):
    audits.answer = SECOND
    outcome = cli("check", "--baseline", FILE, "-q", "--output-format", "json")
    assert (outcome.status, json.loads(outcome.out)["exit_status"]) == (1, 1)
    assert outcome.err.startswith(f"against {FILE}:\nnew: 1\n")
    audits.answer = FIRST
    assert cli("check", "--baseline", FILE, "-q", "--output-format", "json").err == ""


def test_exit_zero_and_interruption(cli, audits, kept):
    audits.answer = SECOND
    assert cli("check", "--baseline", FILE, "-q", "--exit-zero").status == 0
    audits.answer = by_hand.report(interrupted=True, status=130)
    assert cli("check", "--baseline", FILE, "-q").status == 130


# ------------------------------------------------------------------------------------------------------------ compare


def test_compare_two_reports(cli, saved):
    outcome = cli("compare", "old.json", "new.json")
    assert outcome.status == 1
    assert outcome.out.startswith("from old.json to new.json\n\nnew: 1\n")
    assert "gradient 0.1 -> 0.3 of the tolerance (3 times), absolute error 1e-7 -> 3e-7" in outcome.out
    assert cli("compare", "old.json", "old.json").status == 0


def test_compare_shows_the_trend_of_more(cli, saved):
    outcome = cli("compare", "old.json", "new.json", "old.json")
    assert outcome.status == 0
    assert "error / tolerance over 3 reports:\n" in outcome.out
    assert "steady: two losses: worsens (torch) float32: gradient 0.1 -> 0.3 -> 0.1" in outcome.out
    document = json.loads(cli("compare", "old.json", "new.json", "old.json", "--output-format", "json").out)
    assert document["reports"] == ["old.json", "new.json", "old.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument"),
        (("old.json",), "'old.json': a report is compared with another one; name two or more, the oldest first"),
        (("-", "-"), "- stands twice; standard input holds one report"),
        (("old.json", "none.json"), "the report 'none.json' cannot be read"),
        (("old.json", "new.json", "--output-format", "html"), "'html' is not one of 'full', 'json'"),
    ],
)
def test_what_cannot_be_compared_is_2(cli, saved, arguments, message):
    outcome = cli("compare", *arguments)
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err


def test_the_file_reads_back_by_the_library(cli, saved):
    cli("baseline", "update", "--from", "old.json")
    assert len(baseline_file.read((saved / FILE).read_text()).evaluations) == 4


def test_the_commands_of_the_readme_are_there(cli, audits, saved):
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^## Regression\n.*?^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (saved / "a.gradaudit.yaml").write_text(SPEC)
    audits.answer = FIRST
    statuses = []
    for line in block.splitlines():
        name, *arguments = shlex.split(line, comments=True)
        assert name == "gradaudit"
        statuses.append(cli(*arguments).status)
    assert statuses == [0, 0, 1, 1]


# -------------------------------------------------------------------------------------------------- settings


def project(folder, text):
    (folder / "pyproject.toml").write_text(f"[tool.gradaudit]\n{text}\n")


def test_the_project_names_the_baseline(cli, audits, kept, monkeypatch):
    """Its path counts from the project file, wherever the commands are run."""
    (kept / "ci").mkdir()
    (kept / FILE).rename(kept / "ci" / "known.txt")
    project(kept, 'baseline = "ci/known.txt"')
    audits.answer = SECOND
    assert "\nagainst ci/known.txt:\n" in cli("check", "-q").out
    below = kept / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    outcome = cli("check", "../a.gradaudit.yaml", "-q")
    assert outcome.status == 1
    assert "\nagainst ../ci/known.txt:\n" in outcome.out
    assert cli("baseline", "update", "--from", "../new.json").out.endswith("../ci/known.txt is written\n")
    assert cli("baseline", "check", "--from", "../new.json").status == 0
    assert cli("check", "../a.gradaudit.yaml", "-q").status == 0
    assert not (below / FILE).exists()


def test_flags_win_over_the_environment_and_that_over_the_project(cli, audits, kept, monkeypatch):
    audits.answer = SECOND
    project(kept, 'baseline = "gone.txt"')
    assert "\nagainst gradaudit-baseline.txt:\n" in cli("check", "--baseline", FILE, "-q").out
    monkeypatch.setenv("GRADAUDIT_BASELINE", FILE)
    assert "\nagainst gradaudit-baseline.txt:\n" in cli("check", "-q").out
    monkeypatch.delenv("GRADAUDIT_BASELINE")
    outcome = cli("check", "--no-baseline", "-q")
    assert outcome.status == 1
    assert "against" not in outcome.out
    both = cli("check", "--no-baseline", "--baseline", FILE)
    assert (both.status, both.out) == (2, "")
    assert "error: --no-baseline and --baseline 'gradaudit-baseline.txt': give one of them" in both.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("baseline = true", "pyproject.toml: [tool.gradaudit] baseline = True: expected a file, for example"),
        ('baseline = ""', "pyproject.toml: [tool.gradaudit] baseline = '': expected a file, for example"),
        ('base-line = "x"', "[tool.gradaudit] has an unknown key 'base-line'; did you mean baseline?"),
        (
            'baseline = "gone.txt"',
            "pyproject.toml: [tool.gradaudit] baseline: the baseline 'gone.txt' cannot be read: No such file or "
            "directory; `gradaudit baseline update` writes one",
        ),
        ('baseline = "."', "pyproject.toml: [tool.gradaudit] baseline: the baseline '.' cannot be read: Is a dir"),
    ],
)
def test_a_baseline_that_the_project_names_wrongly_is_2_before_anything_is_audited(cli, audits, kept, text, message):
    project(kept, text)
    outcome = cli("check", "-q")
    assert (outcome.status, outcome.out, audits.asked) == (2, "", [])
    assert message in outcome.err


def test_the_first_update_writes_where_the_project_says(cli, saved):
    project(saved, 'baseline = "known.txt"')
    assert cli("baseline", "update", "--from", "old.json").out.endswith("known.txt is written\n")


def test_baseline_audits_as_check_does(cli, audits, kept, monkeypatch):
    project(kept, "timeout = 5\njobs = 1")
    monkeypatch.setenv("GRADAUDIT_SEED", "7")
    for command in (("baseline", "update"), ("baseline", "check"), ("check", "--baseline", FILE)):
        flags = ("--select", "BUG,DIV", "--ignore", "BUG4", "--fail-on", "warning", "--timeout", "3", "-q")
        cli(*command, *flags, "--startup-timeout", "9", "--max-memory", "1GB")
        settings = audits.asked[-1][1]
        assert (settings.select, settings.ignore, settings.fail_on) == (("BUG", "DIV"), ("BUG4",), "warning")
        assert (settings.timeout, settings.startup_timeout, settings.max_memory) == (3.0, 9.0, 10**9)
        assert (settings.jobs, settings.seed) == (1, 7)
    wrong = cli("baseline", "check", "--select", "XYZ", "-q")
    assert wrong.status == 2
    assert "--select" in wrong.err


# ------------------------------------------------------------------------------------- the report is the same


FORMATS = ("json", "junit", "sarif", "github", "gitlab", "markdown", "csv", "html", "concise", "full")


@pytest.mark.parametrize("second", [False, True])
def test_every_format_and_every_saved_report_agree_with_the_exit_status(cli, audits, kept, second):
    audits.answer = SECOND if second else FIRST
    reports = [part for name in FORMATS for part in ("--report", f"{name}={name}.out")]
    outcome = cli("check", "--baseline", FILE, "-q", *reports)
    assert outcome.status == int(second)
    assert json.loads((kept / "json.out").read_text())["exit_status"] == outcome.status
    assert f'"exitCode": {outcome.status},' in (kept / "sarif.out").read_text()
    assert ("::error" in (kept / "github.out").read_text()) == second
    assert ("<failure" in (kept / "junit.out").read_text()) == second
    for name in ("github", "markdown", "html", "full"):
        assert f"exit status {outcome.status}: " in " ".join((kept / f"{name}.out").read_text().split())
    for name in FORMATS:
        assert cli("render", "json.out", "--output-format", name).out == (
            (kept / f"{name}.out").read_text() if name != "full" else cli("render", "json.out").out
        )


def test_what_a_line_wise_format_leaves_out_goes_to_standard_error(cli, audits, kept):
    audits.answer = SECOND
    outcome = cli("check", "--baseline", FILE, "--output-format", "concise")
    assert "BUG401 error: breaks (torch) float32: so and so (new)\n" in outcome.out
    assert "WORSE error: two losses: worsens (torch)" in outcome.out
    assert "resolved: 1\n  two losses: improves (torch) float32: CAN103 warning\n" in outcome.err
    assert outcome.err.rstrip().endswith("exit status 1: the audit falls short of the baseline")


def test_a_warning_about_execution_is_kept_like_any_other(cli, audits, saved):
    """What could not be audited is no warning; a warning of that family is a finding as others are."""
    warned = by_hand.report(
        by_hand.measured(), findings=[by_hand.finding("RUN607", "import-changed-process", "warning")]
    )
    save(saved, warned)
    cli("baseline", "update", "--from", "other.json")
    (saved / "a.gradaudit.yaml").write_text(SPEC)
    audits.answer = replace(warned, fail_on="warning", exit_status=1)
    assert cli("check", "--baseline", FILE, "-q").status == 0
    save(saved, by_hand.report(by_hand.measured()))
    cli("baseline", "update", "--from", "other.json")
    outcome = cli("check", "--baseline", FILE, "-q", "--report", "junit=junit.xml")
    assert outcome.status == 1
    assert "RUN607" in (saved / "junit.xml").read_text()
