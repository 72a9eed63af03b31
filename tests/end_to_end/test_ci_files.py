"""The files for CI: judged by the schemas of those who read them, and run step by step as they stand.

What is replaced: the installation, for what is installed here is what is tested; and steps that `uses:` names, which
are GitHub's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.end_to_end.conftest import PROJECT

BIN = Path(sys.executable).parent
SPEC = """\
version: 1
defaults: {logits: [[100.0, 0.0, -100.0]], targets: [2], function: cross_entropy, backends: [numpy]}
cases:
  - {name: sound}
  - {name: apart, formulations: [unfused]}
"""
EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
HOSTILE = 'a b\'; touch "$(echo owned)"; `touch owned`; $(touch owned) ${{ x }} .yaml'


def judged(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`check-jsonschema` without network."""
    environ = {**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "check_jsonschema", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ)


def by_schema(name: str, path: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("check_jsonschema", reason="a development dependency")
    return judged("--builtin-schema", f"vendor.{name}", path)


def action() -> dict:
    return yaml.safe_load((PROJECT / "action.yml").read_text(encoding="utf-8"))


def shell(script: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A step as GitHub runs it under `shell: bash`, with the present environment's programs."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GRADAUDIT_")}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={**clean, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **environ},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def run_action(folder: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str], str]:
    """The auditing step, with its environment made of the inputs: the process, the outputs and the summary."""
    described = action()
    given = {name: str(about["default"]) for name, about in described["inputs"].items()}
    assert set(inputs) <= {name.replace("-", "_") for name in given}
    given |= {name.replace("_", "-"): value for name, value in inputs.items()}
    step = described["runs"]["steps"][1]
    environ = {
        name: EXPRESSION.sub(lambda found: given[found[1].removeprefix("inputs.")], text)
        for name, text in step["env"].items()
    }
    files = {name: folder.parent / f"{folder.name}-{name}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    done = shell(step["run"], folder, **environ, **{name: str(path) for name, path in files.items()})
    texts = {name: path.read_text(encoding="utf-8") if path.exists() else "" for name, path in files.items()}
    outputs = dict(line.split("=", 1) for line in texts["GITHUB_OUTPUT"].splitlines())
    return done, outputs, texts["GITHUB_STEP_SUMMARY"]


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "a.gradaudit.yaml").write_text(SPEC, encoding="utf-8")
    return folder


def test_the_action_fits_githubs_schema(tmp_path):
    done = by_schema("github-actions", PROJECT / "action.yml")
    assert done.returncode == 0, done.stdout
    spoilt = tmp_path / "action.yml"
    spoilt.write_text((PROJECT / "action.yml").read_text(encoding="utf-8").replace("using: composite", "using: bash"))
    assert by_schema("github-actions", spoilt).returncode == 1


def test_no_input_of_the_action_is_part_of_a_script():
    steps = action()["runs"]["steps"]
    assert [step["shell"] for step in steps] == ["bash", "bash"]
    assert not [step["name"] for step in steps if "${{" in step["run"]]
    used = {EXPRESSION.fullmatch(text)[1] for step in steps for text in step["env"].values()}
    used |= {EXPRESSION.fullmatch(step["working-directory"])[1] for step in steps if "working-directory" in step}
    assert used == {f"inputs.{name}" for name in action()["inputs"]} | {"github.action_path"}


def test_the_action_audits_annotates_and_leaves_its_reports(project):
    done, outputs, summary = run_action(project)
    assert done.returncode == 1, done.stderr
    assert outputs["exit-status"] == "1"
    assert "::error " in done.stdout
    assert "BUG461" in summary
    assert json.loads(Path(outputs["report"]).read_text())["counts"]["cases"] == 2
    assert json.loads(Path(outputs["sarif"]).read_text())["version"] == "2.1.0"
    assert sorted(path.suffix for path in Path(outputs["reports"]).iterdir()) == [".html", ".json", ".md", ".sarif"]


def test_the_inputs_of_the_action_reach_the_audit(project):
    done, outputs, summary = run_action(
        project, paths="a.gradaudit.yaml\n", shard="1/2", annotations="false", summary="false", fail_on="warning",
        arguments="--ignore=SAT\n--seed=3\n", resume="kept", reports="out/deep",
    )  # fmt: skip
    report = json.loads(Path(outputs["report"]).read_text())
    assert (done.returncode, summary, "::error" in done.stdout) == (0, "", False)
    assert [case["name"] for case in report["cases"]] == ["sound"]
    assert (report["shard"]["of"], report["fail_on"], report["environment"]["seed"]) == (2, "warning", 3)
    assert (project / "kept" / "cases-1-of-2.jsonl").is_file()
    assert Path(outputs["report"]) == project / "out" / "deep" / "gradaudit.json"


@pytest.mark.slow
def test_hostile_inputs_of_the_action_are_names_of_files(project):
    shutil.copy(project / "a.gradaudit.yaml", project / HOSTILE)
    done, outputs, _ = run_action(project, paths=HOSTILE, reports="x; touch owned")
    assert done.returncode == 1, done.stderr
    report = json.loads(Path(outputs["report"]).read_text())
    assert {case["source"]["path"] for case in report["cases"]} == {HOSTILE}
    assert run_action(project, reports="a\nexit-status=0")[0].returncode == 2
    for name in ("paths", "arguments", "shard", "fail_on", "resume", "baseline"):
        run_action(project, **{name: "$(touch owned)"})
    assert not list(project.rglob("owned"))


def test_the_action_says_what_cannot_be_audited(project):
    done, outputs, _ = run_action(project, paths="missing.yaml")
    assert (done.returncode, outputs["exit-status"]) == (2, "2")
    assert not {"report", "sarif"} & set(outputs)
    assert "missing.yaml" in done.stderr


def test_the_action_installs_itself_unless_told_otherwise(tmp_path):
    """The installation as it stands, with a Python that says what it is asked for."""
    step = action()["runs"]["steps"][0]
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)

    def asked(requirement: str) -> subprocess.CompletedProcess[str]:
        environ = {"INPUT_PYTHON": str(fake), "INPUT_REQUIREMENT": requirement, "ACTION_FOLDER": str(tmp_path)}
        assert set(environ) == set(step["env"])
        return shell(step["run"], tmp_path, **environ)

    alone = asked("")
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "this action.yml stands alone; name what pip is to install" in alone.stderr
    assert asked("gradaudit==0.1").stdout.endswith("-- gradaudit==0.1\n")
    assert asked("none").stdout == ""
    (tmp_path / "pyproject.toml").touch()
    assert asked("").stdout.endswith(f"-- {tmp_path}\n")


def test_the_hooks_are_a_manifest_of_pre_commit(tmp_path):
    pre_commit = pytest.importorskip("pre_commit.clientlib", reason="a development dependency")
    manifest = {hook["id"]: hook for hook in pre_commit.load_manifest(str(PROJECT / ".pre-commit-hooks.yaml"))}
    assert sorted(manifest) == ["gradaudit-check", "gradaudit-validate"]
    assert manifest["gradaudit-check"]["stages"] == ["pre-push"]
    (tmp_path / "spoilt.yaml").write_text("- {id: a, name: a}\n")
    with pytest.raises(pre_commit.InvalidManifestError):
        pre_commit.load_manifest(str(tmp_path / "spoilt.yaml"))


@pytest.mark.slow
def test_the_hooks_run_as_pre_commit_runs_them(project):
    hooks = {hook["id"]: hook for hook in yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text())}
    assert re.search(hooks["gradaudit-validate"]["files"], "specs/a.gradaudit.yaml")
    assert not re.search(hooks["gradaudit-validate"]["files"], "other.yaml")
    done = shell(f"{hooks['gradaudit-validate']['entry']} a.gradaudit.yaml", project)
    assert (done.returncode, done.stdout) == (0, "a.gradaudit.yaml: 2 valid cases\n")
    (project / "a.gradaudit.yaml").write_text(SPEC.replace("logits", "logit"))
    assert shell(f"{hooks['gradaudit-validate']['entry']} a.gradaudit.yaml", project).returncode == 2
    (project / "a.gradaudit.yaml").write_text(SPEC)
    done = shell(hooks["gradaudit-check"]["entry"], project)
    assert done.returncode == 1
    assert "BUG461" in done.stdout
    for name in ("losses.py", "a.gradaudit.yaml", "loss.onnx", "logits.npy", "pyproject.toml", "src/pyproject.toml"):
        assert re.search(hooks["gradaudit-check"]["files"], name)


@pytest.mark.slow
def test_the_workflow_that_init_writes_fits_githubs_schema_and_runs(project):
    (project / "a.gradaudit.yaml").unlink()
    (project / "losses.py").write_text(
        "import numpy as np\n\n\ndef cross_entropy(logits, targets, upstream):\n"
        "    rows = np.arange(len(logits))\n    z = logits - logits.max(1, keepdims=True)\n"
        "    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)\n"
        "    loss = (np.log(np.exp(z).sum(1)) - z[rows, targets]).mean()\n"
        "    p[rows, targets] -= 1\n    return loss, p * upstream\n"
    )
    assert shell("gradaudit init losses.py:cross_entropy", project).returncode == 0
    path = project / ".github" / "workflows" / "gradaudit.yml"
    done = by_schema("github-workflows", path)
    assert done.returncode == 0, done.stdout
    steps = yaml.safe_load(path.read_text())["jobs"]["gradients"]["steps"]
    runs = [step["run"] for step in steps if "run" in step]
    assert runs[0].startswith("python -m pip install ")
    (audit,) = runs[1:]
    summary = project.parent / "summary.md"
    done = shell(audit, project, GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 1, done.stderr
    assert "BUG401" in done.stdout
    assert "BUG401" in summary.read_text(encoding="utf-8")
    page, report = sorted(
        (project / path for path in steps[-1]["with"]["path"].split()), key=lambda path: path.suffix
    )
    assert steps[-1]["if"] == "always()"
    assert json.loads(report.read_text())["exit_status"] == 1
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.slow
def test_the_gitlab_snippet_of_the_readme_fits_gitlabs_schema_and_runs(project):
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```yaml\n(gradients:\n.*?)^```", text, re.MULTILINE | re.DOTALL)
    path = project / ".gitlab-ci.yml"
    path.write_text(snippet, encoding="utf-8")
    done = by_schema("gitlab-ci", path)
    assert done.returncode == 0, done.stdout
    job = yaml.safe_load(snippet)["gradients"]
    assert job["script"][0] == "pip install gradaudit"
    (project / "specs").mkdir()
    (project / "a.gradaudit.yaml").rename(project / "specs" / "a.yaml")
    statuses = []
    for index in range(1, job["parallel"] + 1):
        environ = {"CI_NODE_INDEX": str(index), "CI_NODE_TOTAL": str(job["parallel"])}
        statuses.append(shell(job["script"][1], project, **environ).returncode)
        assert all((project / name).is_file() for name in job["artifacts"]["reports"].values())
    assert statuses == [0, 1]
    kept = sorted(project.glob(job["artifacts"]["paths"][0]))
    assert len(kept) == 2
    done = shell("gradaudit merge gradaudit-*.json --output-format concise", project)
    assert done.returncode == 1
    assert "BUG461" in done.stdout


def test_the_action_is_used_in_the_readme_as_it_is(tmp_path):
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(
        r"^```yaml\n(- uses: \./\.github/actions/gradaudit.*?)^```", text, re.MULTILINE | re.DOTALL
    )
    audit, upload = yaml.safe_load(snippet)
    assert set(audit["with"]) <= set(action()["inputs"])
    path = EXPRESSION.fullmatch(upload["with"]["path"])[1]
    assert path.removeprefix(f"steps.{audit['id']}.outputs.") in action()["outputs"]
    strategy = {"matrix": {"shard": [1, 2, 3, 4]}}
    job = {"runs-on": "ubuntu-latest", "strategy": strategy, "steps": [audit, upload]}
    (tmp_path / "workflow.yml").write_text(yaml.safe_dump({"on": ["push"], "jobs": {"gradients": job}}))
    done = by_schema("github-workflows", tmp_path / "workflow.yml")
    assert done.returncode == 0, done.stdout


def workflows_of_the_page() -> dict[str, dict]:
    """The workflows of docs/ci.md by the names of their files."""
    text = (PROJECT / "docs" / "ci.md").read_text(encoding="utf-8")
    found = re.findall(r"^:caption: \.github/workflows/(\S+)\n\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return {name: yaml.safe_load(content) for name, content in found}


@pytest.mark.parametrize("name", sorted(workflows_of_the_page()))
def test_the_workflows_of_the_page_on_ci_fit_githubs_schema(tmp_path, name):
    workflow = workflows_of_the_page()[name]
    # YAML 1.1 reads `on` as true.
    workflow["on"] = workflow.pop(True)
    (tmp_path / name).write_text(yaml.safe_dump(workflow))
    done = by_schema("github-workflows", tmp_path / name)
    assert done.returncode == 0, done.stdout
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if "upload-artifact" in step.get("uses", ""):
                assert step["if"] == "always()"
            if step.get("uses") == "./.github/actions/gradaudit":
                assert set(step["with"]) <= set(action()["inputs"])


@pytest.mark.slow
def test_the_shards_of_the_page_on_ci_make_a_whole(project):
    """Both jobs, step by step as printed, but for what others' actions do."""
    (project / "specs").mkdir()
    (project / "a.gradaudit.yaml").rename(project / "specs" / "a.yaml")
    jobs = workflows_of_the_page()["shards.yml"]["jobs"]
    for index in jobs["shard"]["strategy"]["matrix"]["shard"]:
        (audit,) = (step for step in jobs["shard"]["steps"] if "check" in step.get("run", ""))
        environ = {name: EXPRESSION.sub(str(index), text) for name, text in audit["env"].items()}
        done = shell(audit["run"], project, **environ)
        # The second one has an error, which the job that puts them together has to tell.
        assert (done.returncode, "BUG461 error" in done.stdout) == (0, index == 2), done.stderr
    (cache,) = (step for step in jobs["shard"]["steps"] if "cache" in step.get("uses", ""))
    assert len(list((project / cache["with"]["path"]).glob("*.jsonl"))) == 2
    (merge,) = (step["run"] for step in jobs["whole"]["steps"] if "merge" in step.get("run", ""))
    done = shell(merge, project, GITHUB_STEP_SUMMARY=str(project / "summary.md"))
    assert done.returncode == 1, done.stderr
    assert "::error " in done.stdout
    assert "BUG461" in (project / "summary.md").read_text(encoding="utf-8")
