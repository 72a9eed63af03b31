"""The quick guess at backends: right for ordinary specs, and never an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradaudit.specs.peek import peek, peek_subjects

ALL = ("numpy", "torch", "onnxruntime")


@pytest.mark.parametrize(
    ("text", "backends"),
    [
        ("version: 1\n", ALL),
        ("backends: torch\n", ("torch",)),
        ("backends: [onnxruntime, 'numpy']\n", ("numpy", "onnxruntime")),
        ("backends: [torch,\n  numpy]\n", ("numpy", "torch")),
        ("backends:\n- torch\n- numpy # fast\ndtypes:\n- onnxruntime\n", ("numpy", "torch")),
        ("backends:\n  - torch\n", ("torch",)),
        ("{version: 1, backends: [torch]}", ("torch",)),
        ('{"backends": ["torch"]}', ("torch",)),
        ("cases:\n- backends: torch\n- backends: numpy\n", ("numpy", "torch")),
        ("backends: [jax]\n", ()),
        ("backends: [numpy, torch@/opt/onnxruntime/bin/python]\n", ("numpy",)),
        ("subjects:\n- torch: losses.py:f\n", ()),
        ("subjects:\n- torch: losses.py:f\nbackends: numpy\n", ("numpy",)),
        ("semantics: mxnet\nfunction: softmax\n", ("onnxruntime",)),
        ("semantics: mxnet\nbackends: [numpy]\n", ("numpy",)),
        ("defaults: {semantics: 'mxnet'}\n", ("onnxruntime",)),
    ],
)
def test_the_backends_of_a_text(text: str, backends: tuple[str, ...]) -> None:
    assert peek(["-"], text) == backends
    assert peek(["-"], text.encode()) == backends


def test_flags_win_and_nothing_means_all() -> None:
    assert peek(["-"], "backends: torch\n", ["numpy,onnxruntime"]) == ("numpy", "onnxruntime")
    assert peek([]) == ALL


def test_files_add_up_and_what_cannot_be_read_is_left_to_the_loader(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("backends: torch\n")
    (tmp_path / "b.yaml").write_text("backends: numpy\n")
    assert peek([tmp_path]) == ("numpy", "torch")
    assert peek([tmp_path / "absent.yaml"]) == ()
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe backends: onnxruntime")
    assert peek([tmp_path]) == ALL


@pytest.mark.parametrize(
    ("text", "frameworks"),
    [
        ("version: 1\nbackends: torch\n", ()),
        ("subjects:\n- torch: losses.py:f\n- numpy: ../a b/losses.py:f\n- torch: x:y\n", ("torch", "numpy")),
        ("subjects: [{'numpy': 'losses:f'}]\n", ("numpy",)),
    ],
)
def test_the_frameworks_of_subjects(text: str, frameworks: tuple[str, ...]) -> None:
    assert peek_subjects(["-"], text) == frameworks
    assert peek_subjects([], None, ["torch:losses.py:f"]) == ("torch",)
