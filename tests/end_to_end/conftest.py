"""The console script as a user runs it. Runs that several tests look at are made once in a session."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SCRIPT = Path(sys.executable).parent / "gradaudit"
"""The console script of the environment that runs the tests."""


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


def environment() -> dict[str, str]:
    """The environment of a user at home, outside CI, who has set nothing of gradaudit's and whose output is piped."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRADAUDIT_", "GITHUB_"))}
    for name in ("CI", "COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        kept.pop(name, None)
    return kept


def run(*arguments: str, cwd: Path, stdin: str = "") -> Outcome:
    """One command, its streams piped."""
    done = subprocess.run(
        [SCRIPT, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env=environment(),
        timeout=300,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def gradaudit(tmp_path) -> Run:
    """`gradaudit("check", ...)` in an empty folder."""
    return lambda *arguments, stdin="": run(*arguments, cwd=tmp_path, stdin=stdin)


@pytest.fixture(scope="session")
def forum(tmp_path_factory):
    """The command of the README, and its JSON report."""
    folder = tmp_path_factory.mktemp("forum")
    outcome = run(
        *("check", "--logits", "0.1, 2", "--function", "softmax", "--upstream", "per_output"),
        *("--report", "json=report.json"),
        cwd=folder,
    )
    return outcome, json.loads((folder / "report.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    """One audit of every sample, from the project's folder, and its JSON report."""
    path = tmp_path_factory.mktemp("samples") / "report.json"
    outcome = run("check", "sample_configs/", "--report", f"json={path}", cwd=PROJECT)
    return outcome, json.loads(path.read_text(encoding="utf-8"))
