"""`gradaudit check`: what reaches the pipeline, what is written where, and the exit status of every way to end."""

import inspect
import json
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gradaudit.cli.check import check
from gradaudit.errors import WorkerError
from gradaudit.reports.reproduce import OF_THE_RUN
from gradaudit.specs.flag_table import FLAGS
from gradaudit.workers.settings import WorkerSettings
from tests.reports import sample_report

SPEC = "version: 1\nfunction: softmax\nlogits: [1, 2]\n"
CASE = ("--logits", "0.1, 2", "--function", "softmax")


def answered(audits, **changes):
    audits.answer = replace(sample_report.sample_report(), **changes)


@pytest.mark.parametrize("status", [0, 1, 3, 130])
def test_the_exit_status_is_that_of_the_report(cli, audits, status):
    answered(audits, exit_status=status, interrupted=status == 130)
    assert cli("check", *CASE).status == status


def test_flags_reach_the_pipeline(cli, audits):
    cli(
        *("check", *CASE, "--dtype", "float16", "--timeout", "2.5", "--max-memory", "2GB", "--jobs", "2"),
        *("--startup-timeout", "9"),
        *("--seed", "7", "--select", "CAN,DIV301", "--select", "sat", "--ignore", "POW", "--fail-on", "info"),
    )
    ((case,), settings) = audits.asked[0]
    assert (case.function.name, case.shape, case.dtypes) == ("softmax", (2,), ("float16",))
    assert (settings.timeout, settings.max_memory, settings.jobs, settings.seed) == (2.5, 2 * 10**9, 2, 7)
    assert settings.startup_timeout == 9.0
    assert (settings.select, settings.ignore, settings.fail_on) == (("CAN", "DIV301", "sat"), ("POW",), "info")
    assert settings.command[:4] == ("gradaudit", "check", "--logits", "0.1, 2")


def test_a_proof_is_asked_of_the_pipeline_and_says_when_there_is_nothing_to_plant(cli, audits):
    answered(audits, cases=tuple(replace(case, exposures=()) for case in sample_report.sample_report().cases))
    outcome = cli("check", *CASE, "--prove")
    assert audits.asked[0][1].prove
    assert "--prove planted nothing" in outcome.err
    assert "--prove" not in cli("check", *CASE, "--prove", "--quiet").err
    assert "--prove" not in cli("check", *CASE).err
    assert not audits.asked[2][1].prove


def test_what_no_flag_names_has_its_default(cli, audits):
    cli("check", *CASE)
    _, settings = audits.asked[0]
    assert (settings.timeout, settings.max_memory, settings.jobs, settings.seed) == (60.0, None, None, 0)
    assert settings.startup_timeout == WorkerSettings().startup_timeout == 180.0
    assert (settings.select, settings.ignore, settings.fail_on) == ((), (), "error")


def test_flags_replace_keys_of_the_specs_that_paths_name(cli, audits, tmp_path):
    (tmp_path / "a.yaml").write_text(SPEC)
    cli("check", "a.yaml", "--dtype", "bfloat16")
    ((case,), _) = audits.asked[0]
    assert (case.source.path, case.dtypes) == ("a.yaml", ("bfloat16",))


def test_flags_win_over_the_environment_and_that_over_the_project_file(cli, audits, tmp_path, monkeypatch):
    (tmp_path / "pyproject.toml").write_text('[tool.gradaudit]\nseed = 1\njobs = 1\ntimeout = 1\nselect = ["SAT"]\n')
    monkeypatch.setenv("GRADAUDIT_SEED", "2")
    monkeypatch.setenv("GRADAUDIT_JOBS", "2")
    cli("check", *CASE, "--seed", "3")
    _, settings = audits.asked[0]
    assert (settings.seed, settings.jobs, settings.timeout, settings.select) == (3, 2, 1.0, ("SAT",))


def test_without_paths_and_flags_the_project_names_the_specs(cli, audits, tmp_path):
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "one.yaml").write_text(SPEC)
    (tmp_path / "two.gradaudit.yaml").write_text(SPEC)
    (tmp_path / "pyproject.toml").write_text('[tool.gradaudit]\nspecs = ["specs/*.yaml"]\n')
    cli("check")
    assert [case.source.path for case in audits.asked[0][0]] == [str(Path("specs/one.yaml"))]


def test_without_a_project_the_specs_below_are_found(cli, audits, tmp_path):
    for folder in ("b/deep", "a", ".hidden", "venv", "node_modules"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "x.gradaudit.yaml").write_text(SPEC)
        (tmp_path / folder / "other.yaml").write_text("not: ours\n")
    (tmp_path / "venv" / "pyvenv.cfg").write_text("")
    cli("check")
    (tmp_path / "a" / "y.gradaudit.yml").write_text(SPEC)
    cli("check")
    found = [[case.source.path for case in cases] for cases, _ in audits.asked]
    assert found[0] == ["a/x.gradaudit.yaml", "b/deep/x.gradaudit.yaml"]
    assert found[1] == ["a/x.gradaudit.yaml", "a/y.gradaudit.yml", "b/deep/x.gradaudit.yaml"]


def test_full_is_the_default_and_fits_the_terminal(cli, audits):
    out = cli("check", *CASE).out
    assert out.startswith("── the forum's cancelling sum  specs/forum.yaml:3\n")
    assert max(map(len, out.splitlines())) <= 100
    assert "\x1b" not in out


def test_colour_on_demand(cli, audits):
    assert "\x1b[" in cli("check", *CASE, "--color", "always").out


def test_concise_closes_on_standard_error_unless_quiet(cli, audits):
    loud, quiet = (
        cli("check", *CASE, "--output-format", "concise"),
        cli("check", *CASE, "--output-format", "concise", "-q"),
    )
    assert loud.out == quiet.out
    assert loud.out.startswith("specs/forum.yaml:3: CAN101 ")
    assert "3 cases, 11 evaluations" in loud.err
    assert quiet.err == ""


def test_json_alone_stands_on_standard_output(cli, audits):
    outcome = cli("check", *CASE, "--output-format", "json")
    assert json.loads(outcome.out)["exit_status"] == outcome.status == 3


def test_reports_are_written_beside_what_is_shown(cli, audits, tmp_path):
    outcome = cli("check", *CASE, "--report", "json=r.json", "--report", "concise=r.txt", "--report", "full=f.txt")
    assert json.loads((tmp_path / "r.json").read_text())["schema_version"] == 1
    assert (tmp_path / "r.txt").read_text().startswith("specs/forum.yaml:3: CAN101 ")
    assert (tmp_path / "f.txt").read_text().startswith("── the forum's")
    assert outcome.out.startswith("── the forum's")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.txt", "r.json", "r.txt"]


def test_a_report_takes_the_place_of_the_file_and_its_permissions(cli, audits, tmp_path):
    (tmp_path / "r.json").write_text("old")
    (tmp_path / "r.json").chmod(0o640)
    cli("check", *CASE, "--report", "json=r.json")
    assert json.loads((tmp_path / "r.json").read_text())["schema_version"] == 1
    assert stat.S_IMODE((tmp_path / "r.json").stat().st_mode) == 0o640


def test_a_report_that_cannot_be_written_leaves_the_old_file_and_exits_3(cli, audits, tmp_path, monkeypatch):
    answered(audits, exit_status=1)
    (tmp_path / "r.json").write_text("old")

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    outcome = cli("check", *CASE, "--report", "json=r.json", "--report", "concise=r.txt")
    assert outcome.status == 3
    assert "error: the report 'r.json' cannot be written: No space left on device" in outcome.err
    assert "error: the report 'r.txt' cannot be written" in outcome.err
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
    assert (tmp_path / "r.json").read_text() == "old"


def test_exit_zero_forgives_findings_and_nothing_else(cli, audits):
    for status, expected in ((0, 0), (1, 0), (3, 3), (130, 130)):
        answered(audits, exit_status=status)
        assert cli("check", *CASE, "--exit-zero").status == expected


def test_an_interrupted_audit_shows_what_was_done(cli, audits, tmp_path):
    answered(audits, exit_status=130, interrupted=True)
    outcome = cli("check", *CASE, "-q", "--output-format", "concise", "--report", "json=r.json")
    assert outcome.status == 130
    assert outcome.out.startswith("specs/forum.yaml:3: CAN101 ")
    assert "interrupted; what was done until then: 3 cases, 11 evaluations" in outcome.err
    assert json.loads((tmp_path / "r.json").read_text())["interrupted"] is True


def test_an_interruption_before_there_is_a_report(cli, audits):
    audits.answer = KeyboardInterrupt()
    outcome = cli("check", *CASE)
    assert (outcome.status, outcome.out, outcome.err) == (130, "", "interrupted\n")


def test_an_internal_error_is_3_and_short(cli, audits):
    audits.answer = ZeroDivisionError("\x1b[31mdivision")
    outcome = cli("check", *CASE)
    assert (outcome.status, outcome.out) == (3, "")
    assert outcome.err.startswith("internal error: ZeroDivisionError: \\x1b[31mdivision\n")
    assert "Traceback" not in outcome.err
    assert "Traceback" in cli("check", *CASE, "-v").err
    assert "Traceback" in cli("check", *CASE, environ={"GRADAUDIT_TRACEBACK": "1"}).err


@pytest.mark.parametrize("error", [MemoryError(), RecursionError(), BrokenPipeError(32, "a worker"), SystemExit(1)])
def test_no_error_of_ours_ends_in_1(cli, audits, error):
    audits.answer = error
    outcome = cli("check", *CASE)
    assert outcome.status == 3
    assert outcome.err.startswith("internal error: ")


def test_errors_on_purpose_have_the_status_of_their_branch(cli, audits):
    audits.answer = WorkerError("the worker of torch\nsaid ::error::")
    outcome = cli("check", *CASE)
    assert (outcome.status, outcome.err) == (3, "error: the worker of torch\nsaid ::error::\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--output-format", "ful"), "--output-format 'ful': no such format; did you mean full?"),
        (("--report", "jsn=x"), "--report 'jsn': no such format; did you mean json?"),
        (("--report", "json"), "--report 'json': expected FORMAT=PATH, for example json=report.json"),
        (("--report", "json=no/such/r.json"), "there is no folder 'no/such'; make it first"),
        (("--report", "json=."), "'.' is a folder; name a file in it"),
        (("--report", "json=r", "--report", "full=./r"), "two reports go to the same file"),
        (("--select", "CANN"), "--select 'CANN': no rule's code begins with it; did you mean CAN"),
        (("--ignore", "ZZZ"), "--ignore 'ZZZ': no rule's code begins with it"),
        (("--fail-on", "eror"), "'eror' is not one of 'error', 'warning', 'info'"),
        (("--timeout", "0"), "--timeout 0: expected a number of seconds above 0"),
        (("--startup-timeout", "-3"), "--startup-timeout -3: expected a number of seconds above 0"),
        (("--timeout", "nan"), "--timeout nan: expected a number of seconds above 0"),
        (("--max-memory", "2XB"), "--max-memory '2XB': not a size; give bytes, or a number with a unit such as 2GB"),
        (("--max-memory", "0"), "--max-memory '0': at least one byte is needed"),
        (("--jobs", "0"), "--jobs 0: expected 1 or more"),
        (("--seed", "-1"), "--seed -1: expected 0 or more"),
        (("--logit", "3"), "No such option: --logit (Possible options: --logit-scale, --logits)"),
        (("--color", "mauve"), "'mauve' is not one of 'auto', 'always', 'never'"),
        (("no.yaml",), "there is no file 'no.yaml'"),
    ],
)
def test_a_wrong_request_is_2_before_any_work(cli, audits, arguments, message):
    outcome = cli("check", *CASE, *arguments)
    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.err.startswith("error: ")
    assert (outcome.out, audits.asked) == ("", [])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("sedd = 1", "[tool.gradaudit] has an unknown key 'sedd'; did you mean seed?"),
        ("max_memory = '2GB'", "unknown key 'max_memory'; did you mean max-memory?"),
        ("seed = true", "[tool.gradaudit] seed = True: expected a whole number"),
        ("specs = 'a.yaml'", "[tool.gradaudit] specs = 'a.yaml': expected a list of files"),
        ("specs = ['a/*.yaml']", "[tool.gradaudit] specs: nothing matches 'a/*.yaml'"),
        ("fail-on = 'never'", "pyproject.toml: [tool.gradaudit] fail-on 'never': expected error, warning, info"),
        ("timeout = -1", "pyproject.toml: [tool.gradaudit] timeout -1: expected a number of seconds above 0"),
        ("startup-timeout = 'x'", "[tool.gradaudit] startup-timeout = 'x': expected a number of seconds"),
        ("startup-timeout = 0", "pyproject.toml: [tool.gradaudit] startup-timeout 0: expected a number of seconds"),
        ("select = ['CANN']", "pyproject.toml: [tool.gradaudit] select 'CANN': no rule's code begins with it"),
        ("output-format = 'ful'", "pyproject.toml: [tool.gradaudit] output-format 'ful': no such format"),
        ("seed = ", "pyproject.toml: cannot be read as TOML"),
    ],
)
def test_a_wrong_project_file_is_2(cli, audits, tmp_path, table, message):
    (tmp_path / "pyproject.toml").write_text(f"[tool.gradaudit]\n{table}\n")
    outcome = cli("check")
    assert (outcome.status, outcome.out) == (2, "")
    assert message in outcome.err


def test_nothing_to_audit_says_what_to_do(cli, audits):
    outcome = cli("check")
    assert outcome.status == 2
    assert 'gradaudit check --logits "0.1, 2" --function softmax' in outcome.err


def test_a_dry_run_starts_nothing(cli, audits):
    outcome = cli("check", *CASE, "--name", "::error::x", "--dry-run")
    assert (outcome.status, outcome.err, audits.asked) == (0, "", [])
    assert outcome.out.startswith("\\::error::x (<command line>): softmax, logits [2], 3 evaluations")
    assert "numpy fused float32" in outcome.out


def test_messages_of_specs_carry_their_place(cli, audits, tmp_path):
    (tmp_path / "a.yaml").write_text("version: 1\nfuncton: softmax\nlogits: [1, 2]\n")
    outcome = cli("check", "a.yaml")
    assert outcome.status == 2
    assert outcome.err.startswith("error: a.yaml:2:1: ")
    assert "function" in outcome.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--backend", "numpy,torch@/no/such"), "--backend 'numpy,torch@/no/such': there is no '/no/such'; expected"),
        (("--python", "torch=no-such-python"), "--python 'torch=no-such-python': there is no 'no-such-python'; exp"),
    ],
)
def test_an_interpreter_that_is_not_there_is_a_wrong_flag(cli, audits, flags, message):
    outcome = cli("check", "--logits", "0.1, 2", "--function", "softmax", *flags)
    assert (outcome.status, audits.asked) == (2, [])
    assert outcome.err.startswith(f"error: {message}")


def test_an_interpreter_that_is_there_is_asked(cli, audits, tmp_path):
    (tmp_path / "environment").mkdir()
    for path in (sys.executable, "environment", Path(sys.executable).name):
        assert cli("check", "--logits", "0.1, 2", "--function", "softmax", "--python", f"torch={path}").status == 3
    assert len(audits.asked) == 3


def test_reports_know_which_flags_leave_the_specs_alone():
    """Else the command that is to show a finding again would not."""
    parameters = inspect.signature(check).parameters.values()
    own = {f"--{each.name.replace('_', '-')}" for each in parameters if each.name != "paths"}
    named = {name for each in parameters for name in each.annotation.__metadata__[0].param_decls or ()}
    spec = {flag.name for flag in FLAGS}
    others = {"--semantics", "--dry-run", "-q", "-v", "--no-fail-fast"}
    assert own - spec - {"--semantics", "--dry-run"} | {"-q", "-v", "--no-fail-fast"} == OF_THE_RUN
    assert {part for name in named for part in name.split("/")} - spec <= OF_THE_RUN | others
