"""One audit of three faults, saved once for all tests; each test gets a copy that is its own to spoil."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

LOSSES = """
import torch


def wrong(logits, targets):
    return torch.nn.functional.cross_entropy(torch.softmax(logits, 1), targets)


def crash(logits, targets):
    import os

    os.abort()
"""
MENDED = "torch.nn.functional.cross_entropy(logits, targets)"
FAULTY = "torch.nn.functional.cross_entropy(torch.softmax(logits, 1), targets)"

SPEC = """
version: 1
defaults:
  targets: {random: {}}
  function: {name: cross_entropy, reduction: mean}
cases:
  - name: 'an "awful" name: ''''''; CON/..\\\\é'
    logits: [[100, 0, -100]]
    targets: [2]
    backends: [torch]
    formulations: [fused, unfused]
  - name: losses
    logits: {random: {distribution: normal, shape: [4, 5]}}
    probes: []
    subjects:
      - torch: losses.py:wrong
      - torch: losses.py:crash
"""


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


def gradaudit(*arguments, folder, **environ):
    """One command line in a process of its own."""
    return ended([sys.executable, "-m", "gradaudit", *arguments], folder, **environ)


def ended(command, folder, **environ):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GRADAUDIT_")}
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**clean, **environ},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def audited(tmp_path_factory):
    """A folder with losses.py, the spec and failures/, and how the audit ended."""
    folder = tmp_path_factory.mktemp("audited")
    (folder / "losses.py").write_text(LOSSES)
    (folder / "all.gradaudit.yaml").write_text(SPEC, encoding="utf-8")
    asked = ("--save-failures", "failures", "--output-format", "concise", "--report", "json=report.json")
    outcome = gradaudit("check", *asked, folder=folder)
    return folder, outcome


@pytest.fixture
def project(audited, tmp_path):
    """The audited folder, copied: whatever a test does to it, the others see it as it was."""
    folder = tmp_path / "project"
    shutil.copytree(audited[0], folder)
    return folder


def of(folder: Path, word: str) -> Path:
    """The saved evaluation whose name holds `word`, relative to `folder`."""
    (found,) = [path for path in (folder / "failures").iterdir() if word in path.name]
    return found.relative_to(folder)
