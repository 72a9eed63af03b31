"""Specs as items of pytest: what is collected, how they fail, and what the plugin costs who has none."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gradaudit import pipeline
from gradaudit.regression import baseline_file
from gradaudit.regression.baseline import of_report
from gradaudit.specs.loading import load

pytest_plugins = ["pytester"]

PASSES = """
version: 1
name: a sound softmax
function: softmax
logits: [0.1, 2.0]
upstream: per_output
backends: [numpy]
"""
TWO = """
version: 1
defaults: {function: softmax, backends: [numpy], upstream: per_output}
cases:
  - name: shifted
    logits: [490.0, 500.0]
  - name: unshifted
    logits: [490.0, 500.0]
    formulations: [unshifted]
"""
UNMET = PASSES + "expect: [BUG463]\n"
CANCELLED = PASSES.replace("per_output", "ones")
SUBJECT = """
version: 1
name: a loss of one's own
function: cross_entropy
logits: {random: {shape: [3, 4], seed: 1}}
targets: [0, 1, 2]
subjects:
  - numpy: LOSS
probes: none
"""


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Whatever an audit imports is there before: pytester takes modules away again, which NumPy does not bear."""
    from gradaudit import pipeline
    from gradaudit.cli import project_file, run_settings  # noqa: F401
    from gradaudit.rules import registry
    from gradaudit.specs.loading import load_text
    from gradaudit.testing.verdict import failure

    report = pipeline.audit(load_text(TWO, "a.gradaudit.yaml"), pipeline.Settings())
    assert failure(report) is not None
    assert registry.rules()


@pytest.fixture
def spec(pytester, monkeypatch):
    """`spec(text, name="a")` writes a.gradaudit.yaml into an empty project."""
    for name in ("SELECT", "IGNORE", "FAIL_ON", "BASELINE", "TIMEOUT", "MAX_MEMORY", "SEED"):
        monkeypatch.delenv(f"GRADAUDIT_{name}", raising=False)

    def write(text, name="a"):
        path = pytester.path / f"{name}.gradaudit.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def lines_of_the_cli(path):
    """The lines that `gradaudit check` prints of the spec, at the width of failures."""
    done = subprocess.run(
        [Path(sys.executable).parent / "gradaudit", "check", path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "100"},
    )
    return done.stdout.splitlines()


def test_every_case_is_an_item_that_names_it(pytester, spec):
    spec(TWO)
    result = pytester.runpytest_inprocess("--collect-only", "-q")
    result.stdout.fnmatch_lines(["a.gradaudit.yaml::shifted", "a.gradaudit.yaml::unshifted"])
    (pytester.path / "a.gradaudit.yaml").rename(pytester.path / "b.gradaudit.yml")
    result = pytester.runpytest_inprocess("--collect-only", "-q")
    result.stdout.fnmatch_lines(["b.gradaudit.yml::shifted", "b.gradaudit.yml::unshifted"])


def test_other_files_are_left_alone(pytester):
    (pytester.path / "a.yaml").write_text("not: ours\n", encoding="utf-8")
    assert pytester.runpytest_inprocess("-q").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_a_finding_fails_its_item_alone_with_the_text_of_the_cli(pytester, spec):
    path = spec(TWO)
    result = pytester.runpytest_inprocess("-q")
    result.assert_outcomes(passed=1, failed=1)
    told = [line.rstrip() for line in result.outlines]
    first = told.index(next(line for line in told if line.startswith("── unshifted")))
    last = told.index(next(line for line in told if line.startswith("1 case")))
    printed = lines_of_the_cli(path)
    assert "  error BUG463 missing-max-shift" in told[first:last]
    assert [line for line in told[first:last] if line not in printed] == []


def test_what_the_baseline_holds_fails_no_item(pytester, spec):
    """As `gradaudit check` does, cases of one name in two files told apart."""
    spec(TWO)
    spec(TWO.replace("  - name: shifted\n    logits: [490.0, 500.0]\n", ""), name="b")
    reports = pipeline.audit(load(["a.gradaudit.yaml", "b.gradaudit.yaml"]), pipeline.Settings())
    kept = of_report(reports)
    (pytester.path / "known.txt").write_text(baseline_file.text(kept), encoding="utf-8")
    pytester.makepyprojecttoml('[tool.gradaudit]\nbaseline = "known.txt"\n')
    pytester.runpytest_inprocess("-q").assert_outcomes(passed=3)
    findings = {name: was for name, was in kept.findings.items() if name.case != "unshifted (2)"}
    (pytester.path / "less.txt").write_text(baseline_file.text(replace(kept, findings=findings)), encoding="utf-8")
    result = pytester.runpytest_inprocess("-q", "--gradaudit-baseline=less.txt")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["── unshifted*b.gradaudit.yaml*", "*error BUG463 missing-max-shift (new)", "new: 1"])
    pytester.makepyprojecttoml('[tool.gradaudit]\nbaseline = "gone.txt"\n')
    result = pytester.runpytest_inprocess("-q")
    assert "baseline: the baseline 'gone.txt' cannot be read" in result.stdout.str() + result.stderr.str()


def test_an_expectation_that_is_not_met_fails(pytester, spec):
    spec(UNMET)
    result = pytester.runpytest_inprocess("-q")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*expected, not found BUG463, asked for at a.gradaudit.yaml:8*"])


def test_a_subject_that_cannot_be_run_fails_and_says_why(pytester, spec):
    pytester.makepyfile(mine="def loss(logits, targets, upstream):\n    raise KeyError('no such head')\n")
    spec(SUBJECT.replace("LOSS", "mine.py:loss"))
    result = pytester.runpytest_inprocess("-q")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*RUN605*", "*mine.py:2 in loss: KeyError: 'no such head'*"])


def test_a_malformed_spec_is_an_error_of_the_collection(pytester, spec):
    spec(PASSES.replace("softmax\n", "sofmax\n"))
    result = pytester.runpytest_inprocess("-q")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*a.gradaudit.yaml:4:11: *did you mean 'softmax'?*"])


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ((), True),
        (("--gradaudit-fail-on", "warning"), False),
        (("--gradaudit-fail-on", "warning", "--gradaudit-ignore", "CAN", "--gradaudit-ignore=POW"), True),
        (("--gradaudit-fail-on", "warning", "--gradaudit-select", "DIV,BUG"), True),
    ],
    ids=["none", "fail on warnings", "but ignore them", "or select others"],
)
def test_options_are_those_of_the_cli(pytester, spec, options, passed):
    spec(CANCELLED)
    pytester.runpytest_inprocess("-q", *options).assert_outcomes(passed=passed, failed=not passed)


def test_the_environment_goes_before_the_project_file_and_options_before_both(pytester, spec, monkeypatch):
    spec(CANCELLED)
    pytester.makepyprojecttoml('[tool.gradaudit]\nfail-on = "warning"\n')
    pytester.runpytest_inprocess("-q").assert_outcomes(failed=1)
    monkeypatch.setenv("GRADAUDIT_FAIL_ON", "error")
    pytester.runpytest_inprocess("-q").assert_outcomes(passed=1)
    pytester.runpytest_inprocess("-q", "--gradaudit-fail-on=warning").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--gradaudit-fail-on=eror", "--gradaudit-fail-on 'eror': expected error, warning, info"),
        ("--gradaudit-select=XYZ", "--gradaudit-select 'XYZ': no rule's code begins with it"),
        ("--gradaudit-timeout=0", "--gradaudit-timeout 0: expected a number of seconds above 0"),
        ("--gradaudit-max-memory=much", "--gradaudit-max-memory 'much': not a size"),
        ("--gradaudit-seed=-1", "--gradaudit-seed -1: expected 0 or more"),
    ],
)
def test_a_wrong_option_is_an_error_of_usage(pytester, spec, option, message):
    spec(PASSES)
    result = pytester.runpytest_inprocess(option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()


def test_a_number_in_the_environment_that_is_none_is_an_error_of_usage(pytester, spec, monkeypatch):
    spec(PASSES)
    monkeypatch.setenv("GRADAUDIT_TIMEOUT", "soon")
    result = pytester.runpytest_inprocess("-q")
    assert "GRADAUDIT_TIMEOUT='soon': expected a number" in result.stdout.str() + result.stderr.str()
    assert result.ret != pytest.ExitCode.OK


@pytest.mark.parametrize("how", ["option", "ini"])
def test_the_plugin_can_be_disabled(pytester, spec, how):
    spec(UNMET)
    if how == "ini":
        pytester.makeini("[pytest]\ngradaudit_disable = true\n")
    result = pytester.runpytest_inprocess("-q", *(["--gradaudit-disable"] if how == "option" else []))
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_cases_carry_a_marker_that_strict_projects_know(pytester, spec):
    spec(PASSES)
    pytester.makepyfile("def test_other(): pass")
    pytester.runpytest_inprocess("-q", "--strict-markers", "-m", "gradaudit").assert_outcomes(passed=1, deselected=1)
    assert "gradaudit: a case of a *.gradaudit.yaml file" in pytester.runpytest_inprocess("--markers").stdout.str()


def test_one_pool_serves_the_whole_session_and_is_ended(pytester, spec, monkeypatch):
    from gradaudit import pipeline
    from gradaudit.workers.pool import Pool

    pools, ended = [], []
    start = pipeline.worker_pool

    class Watched(Pool):
        def __exit__(self, *exception):
            ended.append(self)
            super().__exit__(*exception)

    def counted(settings):
        pool = start(settings)
        pool.__class__ = Watched
        pools.append(pool)
        return pool

    monkeypatch.setattr(pipeline, "worker_pool", counted)
    spec(TWO)
    spec(PASSES, "b")
    pytester.runpytest_inprocess("-q").assert_outcomes(passed=2, failed=1)
    assert len(pools) == 1
    assert ended == pools


def test_processes_of_their_own_share_nothing(pytester, spec):
    """As pytest-xdist runs them: each process collects all items and runs some."""
    spec(TWO)
    spec(PASSES, "b")
    arguments = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    processes = [
        subprocess.Popen([*arguments, item], cwd=pytester.path, stdout=subprocess.PIPE, text=True)
        for item in ("a.gradaudit.yaml::shifted", "b.gradaudit.yaml")
    ]
    for process in processes:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
        assert "1 passed" in out


def test_loading_the_plugin_imports_no_framework(pytester):
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_there():
            assert "gradaudit.pytest_plugin" in sys.modules
            heavy = {"torch", "onnx", "onnxruntime", "jax", "numpy", "pydantic", "flint", "yaml", "rich.console"}
            assert not heavy & set(sys.modules)
        """
    )
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=1)
