"""What a process has imported: frameworks live in workers, and who asks for little waits little."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

FRAMEWORKS = frozenset({"torch", "onnx", "onnxruntime", "mxnet", "tensorflow", "keras", "jax"})
HEAVY = FRAMEWORKS | {"numpy", "ml_dtypes", "flint", "pydantic", "yaml", "rich.console", "rich.table"}

SAY = "\nimport sys; sys.stderr.write('\\nloaded: ' + ' '.join(sorted(sys.modules)))\n"
HELP = "from gradaudit.cli.main import run\ntry:\n    run({arguments!r}, {{}})\nexcept SystemExit:\n    pass\n"
AUDIT = """
from gradaudit import pipeline
from gradaudit.specs import loading
cases = loading.load_text({spec!r}, "a.yaml")
report = pipeline.audit(cases, pipeline.Settings())
print(" ".join(m.key.backend for case in report.cases for m in case.measurements))
"""
THREE = """
version: 1
name: three backends
function: softmax
logits: {random: {distribution: normal, shape: [4, 5], seed: 3, generator: torch}}
upstream: per_output
dtypes: [float32, bfloat16]
"""
ONE = """
version: 1
name: one backend
function: softmax
logits: [0.1, 2.0]
upstream: ones
backends: [numpy]
"""


def loaded_by(code: str, *folders: Path) -> tuple[str, set[str]]:
    """What `code` prints in a new interpreter that finds `folders` first, and the modules that it has then."""
    paths = [*map(str, folders), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code + SAY],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, set(done.stderr.rpartition("loaded: ")[2].split())


def foreign(modules: Iterable[str]) -> set[str]:
    """The packages among `modules` that are not gradaudit, not of the standard library, not there from the start."""
    _, always = loaded_by("")
    names = {name.split(".")[0] for name in set(modules) - always}
    return names - set(sys.stdlib_module_names) - {"gradaudit"}


def test_importing_the_package_imports_nothing_else() -> None:
    _, modules = loaded_by("import gradaudit")
    assert "gradaudit" in modules
    assert not foreign(modules)


@pytest.mark.parametrize("line", ["import numpy", "from pydantic import BaseModel"])
def test_an_import_too_many_is_seen(tmp_path: Path, line: str) -> None:
    (tmp_path / "gradaudit").mkdir()
    (tmp_path / "gradaudit" / "__init__.py").write_text(f"{line}\n")
    _, modules = loaded_by("import gradaudit", tmp_path)
    assert line.split()[1] in foreign(modules)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]], ids=" ".join)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    said, modules = loaded_by(HELP.format(arguments=arguments))
    assert said
    assert "typer" in modules
    assert not modules & HEAVY


def test_help_on_a_command_imports_nothing_heavy_but_what_typer_needs() -> None:
    """Typer itself asks pydantic about the options of a command."""
    said, modules = loaded_by(HELP.format(arguments=["check", "--help"]))
    assert "--label-smoothing" in said
    assert modules & HEAVY <= {"pydantic"}
    assert "gradaudit.specs.models" not in modules


def test_a_heavy_import_on_the_way_to_help_is_seen() -> None:
    _, modules = loaded_by("import gradaudit.numerics.formats\n" + HELP.format(arguments=["--help"]))
    assert modules & HEAVY == {"numpy"}


def test_an_audit_leaves_the_frameworks_to_the_workers() -> None:
    said, modules = loaded_by(AUDIT.format(spec=THREE))
    assert said.split() == ["numpy", "torch", "onnxruntime"] * 2
    assert "gradaudit.reference.truth" in modules
    assert not {name.split(".")[0] for name in modules} & FRAMEWORKS


def test_a_framework_in_the_main_process_is_seen() -> None:
    """A measurement that imports a framework only when it is called, as no syntax tree could tell for sure."""
    careless = (
        "import gradaudit.measurement.evaluation as evaluation\n"
        "measure = evaluation.measure\n"
        "def careless(*arguments, **named):\n"
        "    __import__('on' + 'nx')\n"
        "    return measure(*arguments, **named)\n"
        "evaluation.measure = careless\n"
    )
    said, modules = loaded_by(careless + AUDIT.format(spec=ONE))
    assert said.split() == ["numpy"]
    assert {name.split(".")[0] for name in modules} & FRAMEWORKS == {"onnx"}
