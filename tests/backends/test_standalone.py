"""The files that run in other people's interpreters: what they may import, and which Python they are written in."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from gradaudit.backends.interface import STANDALONE

FILES = sorted(STANDALONE.glob("*.py"))

OLDEST = (3, 8)

ALLOWED: dict[str, set[str]] = {
    "worker.py": {"numpy"},
    "import_effects.py": set(),
    "jax_adapter.py": {"numpy", "jax", "jaxlib", "ml_dtypes"},
    "jax_subjects.py": {"numpy", "jax"},
    "jax_experiments.py": {"numpy", "jax"},
    "jax_calls.py": {"jax"},
    "numpy_adapter.py": {"numpy", "ml_dtypes"},
    "torch_adapter.py": {"torch"},
    "onnxruntime_adapter.py": {"numpy", "onnx", "onnxruntime"},
    "onnx_graphs.py": {"numpy", "onnx"},
    "onnx_calls.py": {"onnx"},
    "onnx_experiments.py": {"numpy"},
    "onnx_files.py": {"onnx"},
    "onnx_models.py": {"numpy", "onnx", "onnx_ad"},
    "onnx_sessions.py": {"numpy", "onnxruntime"},
    "onnx_signature.py": set(),
    "onnx_subjects.py": {"numpy", "onnx_ad"},
    "mxnet_adapter.py": {"numpy", "mxnet"},
    "mxnet_graphs.py": {"numpy"},
    "mxnet_losses.py": {"numpy", "mxnet"},
    "mxnet_semantics.py": {"numpy", "mxnet"},
    "tensorflow_adapter.py": {"numpy", "tensorflow"},
    "tensorflow_calls.py": {"tensorflow", "keras"},
    "tensorflow_experiments.py": {"numpy", "tensorflow"},
    "tensorflow_functions.py": {"tensorflow"},
    "tensorflow_subjects.py": {"numpy", "tensorflow"},
    "keras_losses.py": {"numpy", "ml_dtypes", "keras", "tensorflow", "torch", "jax"},
    "keras_jax_adapter.py": set(),
    "keras_tensorflow_adapter.py": set(),
    "keras_torch_adapter.py": set(),
    "user_code.py": {"numpy"},
    "process_state.py": set(),
    "torch_subjects.py": {"numpy", "torch"},
    "torch_calls.py": {"torch"},
    "torch_compiled.py": {"torch"},
    "torch_runs.py": {"torch"},
    "torch_experiments.py": {"torch"},
    "numpy_subjects.py": {"numpy", "ml_dtypes"},
    "numpy_runs.py": {"numpy"},
    "formula_recorder.py": {"numpy"},
    "self_consistency.py": {"numpy", "torch"},
}


def imported(tree: ast.AST) -> set[str]:
    """The packages that are imported anywhere in the tree."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "there is no package to be relative to"
            names.add(str(node.module).partition(".")[0])
    return names


def violations(source: str, allowed: set[str]) -> list[str]:
    """What is wrong with a standalone file."""
    try:
        tree = ast.parse(source, feature_version=OLDEST)
    except SyntaxError as error:
        return [f"not Python {OLDEST[0]}.{OLDEST[1]}: {error.msg}"]
    strangers = imported(tree) - allowed - set(sys.stdlib_module_names)
    found = [f"imports {name}" for name in sorted(strangers)]
    if "pickle" in imported(tree):
        found.append("imports pickle")
    heavy = imported(ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], []))
    found += [f"imports {name} before it is asked to" for name in sorted(heavy & allowed)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("numpy.load", "numpy.save"):
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if keywords.get("allow_pickle") != "False":
                found.append(f"line {node.lineno}: {ast.unparse(node.func)} may pickle")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_standalone_files_need_nothing(path: Path) -> None:
    assert violations(path.read_text("utf-8"), ALLOWED[path.name]) == []


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("match x:\n    case 1: pass\n", "not Python 3.8"),
        ("def f():\n    import gradaudit\n", "imports gradaudit"),
        ("def f():\n    from gradaudit.records import case\n", "imports gradaudit"),
        ("import pickle\n", "imports pickle"),
        ("import numpy\n", "imports numpy before it is asked to"),
        ("def f(numpy):\n    numpy.load('x.npy')\n", "line 2: numpy.load may pickle"),
    ],
)
def test_the_rules_can_be_broken(source: str, complaint: str) -> None:
    assert any(text.startswith(complaint) for text in violations(source, {"numpy"}))


def test_the_folder_of_the_worker_is_not_on_the_path_of_imports(tmp_path: Path) -> None:
    """A file beside the worker must not stand in for a module that a framework imports."""
    (tmp_path / "worker.py").write_bytes((STANDALONE / "worker.py").read_bytes())
    (tmp_path / "json.py").write_text("raise ImportError('the wrong json')\n")
    run = subprocess.run(
        [sys.executable, tmp_path / "worker.py"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
