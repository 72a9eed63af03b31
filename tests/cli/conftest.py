"""A command line in a folder of its own, in this process or in one of its own."""

import contextlib
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gradaudit import pipeline
from gradaudit.cli.main import run
from tests.reports import sample_report

SCRIPT = Path(sys.executable).parent / "gradaudit"
"""The console script of the environment that runs the tests."""


@dataclass
class Outcome:
    status: int
    out: str
    err: str


@dataclass
class Audits:
    """What audits were asked for, and what each of them returns or raises."""

    answer: object
    asked: list[object] = field(default_factory=list)
    warmed: list[str] = field(default_factory=list)


@dataclass
class Warmed:
    """A pool of workers that remembers which of them it was asked to start, and starts none."""

    names: list[str]

    def warm(self, names):
        self.names.extend(names)


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """`cli("check", ...)` in this process, in an empty folder, without settings from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in [name for name in os.environ if name.startswith("GRADAUDIT_")]:
        monkeypatch.delenv(name)

    def call(*arguments, environ=None):
        monkeypatch.setattr(sys, "argv", ["gradaudit", *arguments])
        status = run(arguments, environ or {})
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture
def process(tmp_path):
    """`process("check", ...)` as a user runs it: `python -m`-free, through the console script."""

    def call(*arguments, stdin="", **environ):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GRADAUDIT_")}
        done = subprocess.run(
            [SCRIPT, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env={**clean, **environ},
            timeout=120,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def audits(monkeypatch):
    """The (cases, settings) of every audit that was asked for; each is answered by the sample report."""
    audits = Audits(sample_report.sample_report())

    def audit(cases, settings, progress=None, pool=None):
        audits.asked.append((cases, settings))
        if isinstance(audits.answer, BaseException):
            raise audits.answer
        return audits.answer

    monkeypatch.setattr(pipeline, "audit", audit)
    monkeypatch.setattr(pipeline, "worker_pool", lambda _settings: contextlib.nullcontext(Warmed(audits.warmed)))
    return audits
