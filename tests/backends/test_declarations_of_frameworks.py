"""What TensorFlow's and Keras's backends declare, and what is said where they are missing; no framework is needed."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from gradaudit import workers
from gradaudit.backends import claimed, registry
from gradaudit.backends.interface import GROUP
from gradaudit.numerics import formats
from gradaudit.records.subject import Subject
from gradaudit.reference import ladder
from tests.backends.test_functions import PAIRS

KERAS = ("keras-jax", "keras-tensorflow", "keras-torch")
NAMES = ("tensorflow", *KERAS)
EXECUTIONS = {
    "tensorflow": ("eager", "graph", "compiled"),
    "keras-tensorflow": ("eager", "graph", "compiled"),
    "keras-torch": ("eager",),
    "keras-jax": ("eager", "compiled"),
}


@pytest.mark.parametrize("name", NAMES)
def test_they_are_registered_like_anyone_s(name: str) -> None:
    assert name in {entry.name for entry in entry_points(group=GROUP)}
    backend = registry.get(name)
    assert backend.name == name
    assert backend.adapter.is_file()
    assert backend.executions == EXECUTIONS[name]
    assert backend.remedy.startswith("pip install ")


def test_declaring_imports_no_framework() -> None:
    code = (
        f"import sys; from gradaudit.backends import registry; [registry.get(name) for name in {NAMES!r}];"
        "print({'tensorflow', 'keras', 'jax', 'torch'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "none"


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_framework_is_told_with_the_command_that_gets_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interpreter in which the import fails stands for one that has not the framework."""
    for module in ("tensorflow", "keras", "jax", "jaxlib"):
        (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError({f'No module named {module!r}'!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with workers.start(registry.get(name), workers.WorkerSettings(), tmp_path) as process:
        state = process.state()
    assert not state.available
    assert state.reason.startswith("ModuleNotFoundError: No module named ")
    assert state.remedy == registry.get(name).remedy


@pytest.mark.parametrize("dtype", formats.FORMATS)
@pytest.mark.parametrize(("function", "formulation"), PAIRS)
def test_nothing_is_promised_beyond_float32_for_16_bits(function: str, formulation: str, dtype: str) -> None:
    u = {key: form.unit_roundoff for key, form in formats.FORMATS.items()}
    best = "float32" if dtype in ("float16", "bfloat16") else dtype
    for execution in ("eager", "graph", "compiled"):
        profile = registry.get("tensorflow").declared(function, formulation, dtype, execution=execution)
        inside = (profile.compute, profile.accumulate, profile.statistics, profile.storage)
        assert all(u[best] <= u[part] <= u[dtype] for part in inside)
        # The units of XLA and of Eigen flush what is subnormal; float16 is converted and keeps its own.
        assert profile.flushes == (dtype != "float16")
        assert profile.height == ("any" if execution == "compiled" else "lanes")


def test_a_graph_is_held_to_what_eager_operations_are() -> None:
    declared = registry.get("tensorflow").declared
    for function, formulation in PAIRS:
        assert declared(function, formulation, "float16", execution="graph") == declared(
            function, formulation, "float16"
        )
    assert declared("softmax", "fused", "float16").accumulate == "float16"
    assert declared("softmax", "fused", "float16", execution="compiled").accumulate == "float32"


@pytest.mark.parametrize("name", KERAS)
def test_what_keras_alone_has_is_held_to_rows_that_exist(name: str) -> None:
    backend = registry.get(name)
    assert set(backend.formulations) == {"from_probabilities", "from_activation", "softmax_as_logits"}
    for formulation, own in backend.formulations.items():
        assert own.functions == ("cross_entropy",)
        for dtype in backend.dtypes:
            profile = backend.declared("cross_entropy", formulation, dtype)
            rows = ladder.rows("cross_entropy", backend.held_to(formulation), profile)
            assert rows[0].formulation == "shifted"
            assert not rows[0].weaker
    renormalised = ladder.rows("cross_entropy", backend.held_to("from_probabilities"), profile)
    assert "renormalised" in {row.formulation for row in renormalised}
    # TensorFlow's Keras alone remembers the logits behind its own softmax.
    assert (backend.held_to("from_activation") == "fused") == (name == "keras-tensorflow")


def test_what_a_function_of_tensorflow_is_held_to() -> None:
    subject = Subject("loss", "tensorflow", "losses.py:loss")
    half = claimed.profile_of(subject, "float16")
    assert (half.accumulate, half.height, half.flushes) == ("float16", "lanes", False)
    single = claimed.profile_of(subject, "float32")
    assert (single.accumulate, single.height, single.flushes) == ("float32", "any", True)
    stricter = Subject("loss", "tensorflow", "losses.py:loss", profile={"accumulate": "float32"})
    assert claimed.profile_of(stricter, "float16").accumulate == "float32"
