"""Environments of their own: made of what an index has, used from then on, removed; never half of one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gradaudit import workers
from gradaudit.backends.interface import Backend, Recipe
from gradaudit.errors import AuditError, FlagError
from gradaudit.workers import environment, installation, isolated, pythons
from gradaudit.workers.settings import WorkerSettings
from tests.workers import wheels
from tests.workers.conftest import backend

NOBODY = 2**22 - 3
"""A number above those that Linux gives to processes by default."""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip is told of by its own settings, and a data folder of its own."""
    folder = tmp_path / "index"
    wheels.make(folder, "numpy", "1.99")
    wheels.make(folder, "boxed", "3.1", ("numpy", "something_that_nobody_has"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("GRADAUDIT_PYTHON_BOXED", raising=False)
    return folder


def boxed(*recipes: Recipe) -> Backend:
    """The backend of the framework in the index."""
    default = Recipe(("numpy",), without_dependencies=("boxed==3.1",))
    return replace(backend("boxed"), packages=("boxed",), recipes=recipes or (default,))


def nothing_in(folder: Path) -> bool:
    return not folder.exists() or not list(folder.iterdir())


@pytest.mark.slow
def test_an_environment_is_made_used_and_removed(index: Path, tmp_path: Path) -> None:
    told: list[str] = []
    done = installation.install(boxed(), told.append)
    assert done.folder == tmp_path / "data" / "gradaudit" / "environments" / "boxed"
    assert (done.state.version, done.already) == ("3.1", False)
    assert told[0].startswith("boxed: making an environment of Python 3.")
    assert "boxed: installing numpy by pip" in told
    assert "boxed: installing boxed==3.1 without what it asks for, by pip" in told
    assert any(line.startswith("  Successfully installed boxed-3.1") for line in told)
    assert [path.name for path in done.folder.parent.iterdir()] == ["boxed"]

    python = environment.interpreter("boxed", WorkerSettings())
    assert python == str(isolated.python_below(done.folder))
    with workers.start(boxed(), WorkerSettings(), tmp_path) as process:
        state = process.state()
    assert state.available
    assert dict(state.details) == {"interpreter": python, "prefix": str(done.folder)}

    again = installation.install(boxed(), told.append)
    assert (again.already, again.state.version) == (True, "3.1")
    assert installation.remove("boxed", told.append) == done.folder
    assert nothing_in(done.folder.parent)
    assert environment.interpreter("boxed", WorkerSettings()) == sys.executable
    assert installation.remove("boxed", told.append) is None


def test_what_names_an_interpreter_goes_before_the_environment(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = isolated.folder_of("boxed")
    isolated.python_below(folder).parent.mkdir(parents=True)
    isolated.python_below(folder).symlink_to(sys.executable)
    isolated.forget()
    assert environment.interpreter("boxed", WorkerSettings()) == sys.executable  # it has no stamp
    (folder / isolated.STAMP).write_text("{}")
    isolated.forget()
    assert environment.interpreter("boxed", WorkerSettings()) == str(isolated.python_below(folder))
    monkeypatch.setenv("GRADAUDIT_PYTHON_BOXED", "/variable/python")
    assert environment.interpreter("boxed", WorkerSettings()) == "/variable/python"
    assert environment.interpreter("boxed", WorkerSettings(python="/given/python")) == "/given/python"
    assert environment.interpreter("boxed@/named/python", WorkerSettings(python="/given")) == "/named/python"
    assert environment.interpreter(f"boxed@{folder}", WorkerSettings()) == str(isolated.python_below(folder))
    isolated.forget()


def test_what_the_index_lacks_is_said_and_nothing_stays(index: Path) -> None:
    with pytest.raises(AuditError, match=r"boxed could not be installed; nothing was kept") as raised:
        installation.install(boxed(Recipe(("numpy", "boxed==4.0"))), lambda _: None)
    message = str(raised.value)
    assert "No matching distribution found for boxed==4.0" in message
    assert "PIP_INDEX_URL" in message
    assert "GRADAUDIT_PYTHON_BOXED" in message
    assert nothing_in(isolated.folder_of("boxed").parent)


@pytest.mark.slow
def test_without_a_network_the_last_words_of_pip_are_shown(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(AuditError, match=r"(?s)ended with status 1 and said:.*No matching distribution found"):
        installation.install(boxed(), lambda _: None)
    assert nothing_in(isolated.folder_of("boxed").parent)


@pytest.mark.slow
def test_a_framework_that_does_not_start_is_not_kept(index: Path) -> None:
    wheels.make(index, "boxed", "3.2", code="refuse = True\n")
    with pytest.raises(AuditError, match=r"boxed was installed, but does not start: ImportError: boxed cannot be"):
        installation.install(boxed(Recipe(("numpy", "boxed==3.2"))), lambda _: None)
    assert nothing_in(isolated.folder_of("boxed").parent)


@pytest.mark.parametrize(
    "at",
    ["making", *(pytest.param(word, marks=pytest.mark.slow) for word in ("Processing", "Installing", "starting"))],
)
def test_an_interruption_leaves_nothing(index: Path, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    from gradaudit.workers import installers

    monkeypatch.setattr(installers, "TOLD", (*installers.TOLD, "Processing"))

    def say(text: str) -> None:
        if at in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        installation.install(boxed(), say)
    assert nothing_in(isolated.folder_of("boxed").parent)


@pytest.mark.slow
def test_a_failure_spares_the_environment_that_is_there(index: Path) -> None:
    folder = isolated.folder_of("boxed")
    isolated.python_below(folder).parent.mkdir(parents=True)
    isolated.python_below(folder).symlink_to(sys.executable)
    (folder / isolated.STAMP).write_text("{}")
    isolated.forget()
    with pytest.raises(AuditError, match="could not be installed"):
        installation.install(boxed(Recipe(("boxed==4.0",))), lambda _: None, again=True)
    assert (folder / isolated.STAMP).read_text() == "{}"
    told: list[str] = []
    # It holds no framework, so it is built anew without being asked to.
    assert installation.install(boxed(), told.append).state.version == "3.1"
    assert told[0] == (
        f"the environment in {folder} does not work any more (ModuleNotFoundError: No module named 'boxed' "
        f"(in {isolated.python_below(folder)})): building it anew"
    )


def test_what_cannot_take_its_place_leaves_the_former_one(tmp_path: Path) -> None:
    folder = tmp_path / "boxed"
    folder.mkdir()
    (folder / isolated.STAMP).write_text("{}")
    with pytest.raises(FileNotFoundError):
        installation._put_in_place(tmp_path / "never built", folder)
    assert [path.name for path in tmp_path.iterdir()] == ["boxed"]
    assert (folder / isolated.STAMP).read_text() == "{}"


def test_nothing_is_sent_to_a_process_where_signal_0_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "kill", lambda *_: pytest.fail("Ctrl-C was sent"))
    assert not installation._at_work(Path(f"boxed.unfinished-{NOBODY}"))


def test_what_a_killed_installation_left_is_cleared(index: Path) -> None:
    folder = isolated.folder_of("boxed")
    dead = folder.with_name(f"boxed.unfinished-{NOBODY}")
    alive = folder.with_name(f"boxed.unfinished-{os.getppid()}")
    for each in (dead, alive):
        (each / "bin").mkdir(parents=True)
    told: list[str] = []
    assert installation.remove("boxed", told.append) == folder
    assert told == [f"boxed: removing {dead}, which an interrupted installation left"]
    assert not dead.exists()
    assert alive.exists()


def test_a_recipe_is_for_pythons_that_the_machine_has(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AuditError, match=r"boxed needs Python 2\.6 to 2\.7 or 3\.98 to 3\.99, and there is none on"):
        installation.install(
            boxed(Recipe((), oldest=(2, 6), newest=(2, 7)), Recipe((), oldest=(3, 98))), lambda _: None
        )


def test_other_pythons_are_looked_for_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, answer in ((8, "exit 127"), (9, "echo python 3 9")):
        python = tmp_path / f"python3.{version}"
        python.write_text(f"#!/bin/sh\n{answer}\n")
        python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert pythons.suitable((3, 8), (3, 9)) == (str(tmp_path / "python3.9"), (3, 9))
    assert pythons.suitable((3, 8), (3, 8)) is None
    assert pythons.suitable((3, 8), (3, 99)) == (sys.executable, tuple(sys.version_info[:2]))


def test_a_backend_without_recipes_is_made_of_its_remedy() -> None:
    plain = backend("boxed")
    assert installation.recipes_of(plain) == (Recipe(("boxed", "numpy", "ml-dtypes"), oldest=(3, 10)),)
    (extra,) = installation.recipes_of(replace(plain, remedy="pip install 'gradaudit[tensorflow]'"))
    names = [each.partition(">=")[0] for each in extra.requirements]
    assert names == ["keras", "tensorflow-cpu", "tensorflow", "numpy", "ml-dtypes"]
    assert not any("extra" in each for each in extra.requirements)
    assert extra.requirements[1].partition("; ")[2] in (
        "platform_machine == 'x86_64' and sys_platform == 'linux'",
        "(platform_machine == 'x86_64' and sys_platform == 'linux')",
        'platform_machine == "x86_64" and sys_platform == "linux"',
        '(platform_machine == "x86_64" and sys_platform == "linux")',
    )
    with pytest.raises(FlagError, match="boxed has no environment of its own; to get it: ask its author"):
        installation.install(replace(plain, remedy="ask its author"), lambda _: None)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="POSIX only")
def test_an_installer_does_not_outlive_an_interruption(tmp_path: Path) -> None:
    from gradaudit.workers import installers

    note = tmp_path / "pid"
    script = (
        f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid()));"
        "print('Collecting', flush=True); time.sleep(60)"
    )

    def say(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        installers.run("boxed", [sys.executable, "-c", script], say)
    assert subprocess.run(["kill", "-0", note.read_text()], capture_output=True, check=False).returncode
