"""`check --save-failures`, `replay` and `replay --as-script`, as a user runs them."""

import ast
import json
import shutil
import sys

import numpy as np
import pytest

from tests.replay.conftest import FAULTY, MENDED, ended, gradaudit, of

pytestmark = pytest.mark.slow


def script(project, word, name="shows.py"):
    """Written by gradaudit, run by a bare Python: with the framework, in isolated mode, without this package."""
    written = gradaudit("replay", str(of(project, word)), "--as-script", name, folder=project)
    assert written.status == 0, written.err
    text = (project / name).read_text(encoding="utf-8")
    modules = {
        alias.name.partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in ([ast.alias(node.module or "")] if isinstance(node, ast.ImportFrom) else node.names)
    }
    assert "gradaudit" not in modules
    return ended([sys.executable, "-I", name], project)


def test_what_fails_is_saved_and_what_does_not_is_not(audited):
    folder, outcome = audited
    assert outcome.status == 3
    saved = sorted(path.name for path in (folder / "failures").iterdir())
    assert [name.rpartition("-")[0] for name in saved] == [
        "an-awful-name-con-torch-unfused-float32-x1",
        "losses-crash-custom-float32-x1",
        "losses-wrong-custom-float32-x1",
    ]
    assert "saved 3 failing evaluations in failures (" in outcome.err
    size = sum(path.stat().st_size for path in (folder / "failures").rglob("*") if path.is_file())
    assert f"({size:,} bytes)" in outcome.err
    for name in saved:
        assert f"  gradaudit replay failures/{name}" in outcome.err.splitlines()
    for path in (folder / "failures").rglob("*.npy"):
        np.load(path, allow_pickle=False)


def test_the_report_names_where_each_finding_was_saved(audited):
    folder, _ = audited
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    findings = [finding for case in report["cases"] for finding in case["findings"]]
    saved = {finding["code"]: finding["replay"] for finding in findings if finding["replay"]}
    words = {"BUG461": "awful", "BUG455": "wrong", "RUN601": "crash"}
    assert {code: saved.get(code) for code in words} == {code: str(of(folder, word)) for code, word in words.items()}
    junit = gradaudit("render", "report.json", "--output-format", "junit", folder=folder)
    assert all(f"again: gradaudit replay {path}" in junit.out for path in saved.values())


@pytest.mark.parametrize(
    ("word", "status", "code"), [("awful", 1, "BUG461"), ("wrong", 1, "BUG455"), ("crash", 3, "RUN601")]
)
def test_a_replay_says_what_the_audit_said(audited, word, status, code):
    folder, first = audited
    again = gradaudit("replay", str(of(folder, word)), "--output-format", "concise", folder=folder)
    assert again.status == status
    (line,) = [line for line in first.out.splitlines() if code in line]
    assert line in again.out.splitlines()
    assert f"replay: {code} occurs again" in again.err
    assert "replay: the same versions: gradaudit " in again.err


def test_a_mended_loss_no_longer_fails_from_wherever_it_is_replayed(project, tmp_path):
    losses = project / "losses.py"
    losses.write_text(losses.read_text().replace(FAULTY, MENDED))
    document = project / of(project, "wrong") / "evaluation.json"
    assert json.loads(document.read_text())["working_directory"] != str(project)
    outcome = gradaudit("replay", str(of(project, "wrong")), folder=project)
    assert outcome.status == 0
    assert "replay: BUG455 does not occur again\nreplay: losses.py has been edited since\n" in outcome.err
    # From elsewhere the loss is the one that was audited, which is still wrong.
    outcome = gradaudit("replay", str(project / of(project, "wrong")), folder=tmp_path)
    assert outcome.status == 1
    assert "replay: BUG455 occurs again" in outcome.err
    assert "edited" not in outcome.err


def test_another_fault_in_its_place_is_named(project):
    losses = project / "losses.py"
    losses.write_text(losses.read_text().replace(FAULTY, f"-{MENDED}"))
    outcome = gradaudit("replay", str(of(project, "wrong")), "--output-format", "concise", folder=project)
    assert outcome.status == 1
    assert "replay: BUG455 does not occur again" in outcome.err
    assert "is found in its place" in outcome.err


def test_the_script_of_a_backends_fault_shows_it_with_torch_alone(project):
    done = script(project, "awful")
    assert (done.status, done.err) == (1, "")
    assert "loss[]: inf; exact 200" in done.out
    assert "gradient[0, 0]: nan; exact 1" in done.out
    assert "4 of 4 elements are wrong" in done.out
    text = (project / "shows.py").read_text(encoding="utf-8")
    assert "torch.softmax(z, 1).log()" in text
    # The same file with the fused function exits 0: it is the fault that it shows.
    fused = text.replace("(torch.softmax(z, 1).log())", "torch.log_softmax(z, 1)")
    assert fused != text
    (project / "fused.py").write_text(fused, encoding="utf-8")
    assert ended([sys.executable, "-I", "fused.py"], project).status == 0


def test_the_script_of_a_wrong_loss_exits_0_once_the_loss_is_mended(project):
    # The script names the file by its path: this project's, not the one that was audited.
    done = script(project, "wrong")
    assert (done.status, done.err) == (1, "")
    assert "WRONG" in done.out
    losses = project / "losses.py"
    losses.write_text(losses.read_text().replace(FAULTY, MENDED))
    done = ended([sys.executable, "-I", "shows.py"], project)
    assert (done.status, done.err) == (0, "")
    assert "0 of 21 elements are wrong" in done.out


def test_the_script_of_a_loss_runs_where_the_loss_is_not(project, tmp_path):
    written = gradaudit("replay", str(of(project, "wrong")), "--as-script", "shows.py", folder=project)
    assert "wrote shows.py, with shows.losses.py beside it" in written.err
    shutil.copy(project / "shows.py", tmp_path)
    (project / "losses.py").unlink()
    # Whoever got the script alone is told what is missing, and that is no verdict.
    alone = ended([sys.executable, "-I", "shows.py"], tmp_path)
    assert (alone.status, alone.out) == (3, "this cannot run here without shows.losses.py\n")
    shutil.copy(project / "shows.losses.py", tmp_path)
    both = ended([sys.executable, "-I", "shows.py"], tmp_path)
    assert both.status == 1
    assert "21 of 21 elements are wrong" in both.out
    # Something else that goes wrong is not the fault.
    (tmp_path / "shows.losses.py").write_text("def wrong(logits, targets):\n    raise RuntimeError('another')\n")
    other = ended([sys.executable, "-I", "shows.py"], tmp_path)
    assert (other.status, other.out) == (3, "it raised, where numbers are expected: they cannot be compared\n")
    assert "RuntimeError: another" in other.err


def test_what_a_loss_imports_from_beside_it_is_named(project, tmp_path):
    losses = project / "losses.py"
    losses.write_text("import factors\n" + losses.read_text())
    (project / "factors.py").write_text("ONE = 1\n")
    written = gradaudit("replay", str(of(project, "crash")), "--as-script", "shows.py", folder=project)
    assert "the loss imports factors from beside it: whoever gets the script needs that, too" in written.err
    for name in ("shows.py", "shows.losses.py"):
        shutil.copy(project / name, tmp_path)
    losses.unlink()
    (project / "factors.py").unlink()
    alone = ended([sys.executable, "-I", "shows.py"], tmp_path)
    assert (alone.status, alone.out) == (3, "this cannot run here without factors\n")


def test_a_script_without_its_framework_gives_no_verdict(project, tmp_path):
    gradaudit("replay", str(of(project, "awful")), "--as-script", "shows.py", folder=project)
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')\n")
    shutil.copy(project / "shows.py", tmp_path)
    alone = ended([sys.executable, "shows.py"], tmp_path)
    assert (alone.status, alone.out) == (3, "this cannot run here: no torch here\n")


def test_a_folder_replays_all_that_is_in_it(project):
    outcome = gradaudit("replay", "failures", "--output-format", "concise", folder=project)
    assert outcome.status == 3
    for code, word in (("BUG461", "awful"), ("RUN601", "crash"), ("BUG455", "wrong")):
        lines = outcome.err.splitlines()
        assert lines[lines.index(f"replay: {of(project, word)}:") + 1] == f"replay: {code} occurs again"
        assert sum(code in line for line in outcome.out.splitlines()) == 1
    assert gradaudit("replay", *map(str, (of(project, "wrong"), of(project, "awful"))), folder=project).status == 1
    refused = gradaudit("replay", "failures", "--as-script", "shows.py", folder=project)
    assert refused.status == 2
    assert "a script shows one evaluation, and these are 3; name one of them: failures/an-awful-name" in refused.err


def test_the_script_of_a_crash_outlives_it(project):
    done = script(project, "crash")
    assert done.status == 1
    assert "the process ended with status -6" in done.out or "the process ended with status 3" in done.out


def test_a_script_needs_nothing_but_its_own_folder(project, tmp_path):
    written = gradaudit("replay", str(of(project, "awful")), "--as-script", "shows.py", folder=project)
    assert written.err == "wrote shows.py; it exits 1 where the fault shows and 0 where it does not\n"
    shutil.copy(project / "shows.py", tmp_path / "alone.py")
    shutil.rmtree(project / "failures")
    assert ended([sys.executable, "-I", "alone.py"], tmp_path).status == 1


def test_the_limit_is_said_when_it_is_reached(project):
    case = ("--logits", "100, 0, -100", "--function", "cross_entropy", "--targets", "2", "--formulation", "unfused")
    saving = ("--backend", "numpy", "--dtype", "float32,float64,float16", "--save-failures", "few")
    gradaudit("check", *case, *saving, folder=project)
    sizes = [sum(file.stat().st_size for file in path.iterdir()) for path in (project / "few").iterdir()]
    shutil.rmtree(project / "few")
    limit = max(sizes) + min(sizes) - 1
    outcome = gradaudit("check", *case, *saving, "--save-limit", str(limit), folder=project)
    assert len(sizes) == 2
    assert f"not saved: 1 failing evaluation of 2; few would get more than {limit:,} bytes" in outcome.err
    assert sum(path.stat().st_size for path in (project / "few").rglob("*.*")) <= limit


def test_the_project_file_names_the_folder_and_a_file_in_its_place_is_exit_3(project):
    (project / "pyproject.toml").write_text('[tool.gradaudit]\nsave-failures = "all.gradaudit.yaml"\n')
    case = ("--logits", "100, 0, -100", "--function", "cross_entropy", "--targets", "2", "--formulation", "unfused")
    outcome = gradaudit("check", *case, "--backend", "numpy", folder=project)
    assert outcome.status == 3
    assert "error: the failing evaluation cannot be saved in 'all.gradaudit.yaml/cross-entropy-" in outcome.err
