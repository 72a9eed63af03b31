"""What backends declare: names, dtypes, profiles; and that they come by the door that a stranger's come by."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from gradaudit.backends import registry
from gradaudit.backends.interface import GROUP, Backend
from gradaudit.errors import FlagError
from gradaudit.numerics import formats
from gradaudit.numerics.arithmetic import HEIGHTS
from tests.backends.test_functions import PAIRS

OURS = ("jax", "numpy", "onnxruntime", "torch")


@pytest.mark.parametrize("name", OURS)
def test_our_backends_are_registered_like_anyone_s(name: str) -> None:
    assert name in registry.names()
    assert name in {entry.name for entry in entry_points(group=GROUP)}
    backend = registry.get(name)
    assert isinstance(backend, Backend)
    assert backend.name == name
    assert backend.adapter.is_file()
    assert backend.packages[0] == name
    assert backend.remedy.startswith("pip install")


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(FlagError) as caught:
        registry.get("touch")
    assert str(caught.value).startswith("no backend is called 'touch'; there are ")
    assert str(caught.value).endswith("; did you mean 'torch'?")


def test_declaring_imports_no_framework() -> None:
    code = (
        "import sys; from gradaudit.backends import registry;"
        f"[registry.get(name) for name in {OURS!r}];"
        "print({'torch', 'onnx', 'onnxruntime', 'jax'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "none"


@pytest.mark.parametrize("dtype", formats.FORMATS)
@pytest.mark.parametrize(("function", "formulation"), PAIRS)
@pytest.mark.parametrize("name", OURS)
def test_profiles_are_complete_and_no_wider_than_is_possible(
    name: str, function: str, formulation: str, dtype: str
) -> None:
    profile = registry.get(name).profile(function, formulation, dtype)
    known = set(formats.FORMATS)
    assert {profile.compute, profile.accumulate, profile.storage, profile.statistics} <= known
    assert profile.height in HEIGHTS
    assert profile.probabilities in ("quotient", "exp_log", "exp_lse", "quotient_rule", "expanded")
    u = {key: form.unit_roundoff for key, form in formats.FORMATS.items()}
    # Nothing is promised beyond float32 for 16-bit types, and beyond the dtype itself for the others.
    best = "float32" if dtype in ("float16", "bfloat16") else dtype
    inside = (profile.compute, profile.accumulate, profile.statistics, profile.storage)
    assert all(u[best] <= u[part] <= u[dtype] for part in inside)
    assert profile.result in (None, dtype)
    assert dtype == (profile.result or profile.storage)


def test_a_label_for_padding_goes_without_saying_where_pytorchs_convention_is_followed() -> None:
    known = {name for name in registry.names() if registry.get(name).padding is not None}
    assert known == {"numpy", "torch"}
    assert {registry.get(name).padding for name in known} == {-100}
