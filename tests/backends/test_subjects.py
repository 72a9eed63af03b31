"""How users' functions are called: every convention, by the values that come back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.backends import registry
from gradaudit.backends.claimed import profile_of
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.workers.pool import Pool
from tests.backends.conftest import rounded_to

FOLDER = Path(__file__).parent / "subjects"
LOGITS = np.random.default_rng(5).normal(size=(7, 11))
LABELS = np.asarray([0, 3, 10, 2, 2, 7, 5])
WEIGHT = [1.0 + 0.25 * k for k in range(11)]


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers.WorkerSettings()) as pool:
        yield pool


def inputs(dtype: str = "float64", **changes: object) -> Inputs:
    made = Inputs(
        function=FunctionCall("cross_entropy", {"reduction": "mean", "ignore_index": -100}),
        dtype=dtype,
        scale=1.0,
        axis=(1,),
        logits=rounded_to(LOGITS, dtype),
        targets=LABELS,
        upstream=rounded_to(np.asarray(1.5), dtype),
        per_output=False,
        weight=None,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def attempt(pool: Pool, target: str, given: Inputs, **fields: object) -> Evaluation | EvaluationFailure:
    backend = "numpy" if target.startswith("arrays") else "torch"
    subject = Subject(target, backend, target, base_directory=str(FOLDER), **fields)  # type: ignore[arg-type]
    key = EvaluationKey(target, backend, "custom", given.dtype, 1.0)
    return pool.submit(key, given, subject).result()


def ask(pool: Pool, target: str, given: Inputs, **fields: object) -> Evaluation:
    result = attempt(pool, target, given, **fields)
    assert isinstance(result, Evaluation), f"{result.message}\n{result.detail}"
    assert result.notes["unusable"] == ""
    assert result.notes["mutated"] == []
    return result


def expected(
    smoothing: float = 0.0, weight: list[float] | None = None, scale: float = 1.0
) -> tuple[float, np.ndarray]:
    """Loss and gradient under the upstream gradient 1.5, in float64."""
    z = LOGITS * scale
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    mass = np.full(z.shape, smoothing / 11)
    mass[np.arange(7), LABELS] += 1.0 - smoothing
    w = np.ones(11) if weight is None else np.asarray(weight)
    mass, den = mass * w, w[LABELS].sum()
    return -(mass * log_p).sum() / den, 1.5 * scale * (np.exp(log_p) * mass.sum(1, keepdims=True) - mass) / den


def assert_close(result: Evaluation, due: tuple[float, np.ndarray]) -> None:
    assert result.gradient is not None
    assert np.abs(np.asarray(result.output, np.float64) - due[0]).max() < 1e-13
    assert np.abs(result.gradient.astype(np.float64) - due[1]).max() < 1e-13


SMOOTHED = {"smoothing": 0.1, "weight": {"tensor": WEIGHT}}

CONVENTIONS: dict[str, tuple[str, dict[str, Any], tuple[float, np.ndarray]]] = {
    "a function": ("losses.py:plain", {}, expected()),
    "a function with arguments bound": ("losses.py:smoothed", {"kwargs": SMOOTHED}, expected(0.1, WEIGHT)),
    "a factory": ("losses.py:make", {"kwargs": {"smoothing": 0.2}, "factory": True}, expected(0.2)),
    "a module": ("losses.py:Smoothed", {"kwargs": SMOOTHED}, expected(0.1, WEIGHT)),
    "a module without arguments": ("losses.py:Smoothed", {}, expected()),
    "a class of callables": ("losses.py:Callable", {"kwargs": {"smoothing": 0.3}}, expected(0.3)),
    "an attribute of an attribute": ("losses.py:Callable.Inner.loss", {}, expected()),
    "an autograd function": ("losses.py:Tempered", {}, expected()),
    "one with arguments": ("losses.py:Tempered", {"kwargs": {"temperature": 2.0}}, expected(scale=0.5)),
    "one-hot targets": ("losses.py:of_one_hot", {"targets": "one_hot"}, expected()),
    "of an installed module": ("torch.nn.functional:cross_entropy", {}, expected()),
    "of a module beside the spec": ("losses:plain", {}, expected()),
    "numpy": ("arrays.py:loss", {"kwargs": {"smoothing": 0.1}}, expected(0.1)),
    "numpy, one-hot targets": ("arrays.py:of_one_hot", {"targets": "one_hot"}, expected()),
}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_convention(pool: Pool, convention: str) -> None:
    target, fields, due = CONVENTIONS[convention]
    assert_close(ask(pool, target, inputs(), **fields), due)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("target", ["losses.py:Smoothed", "arrays.py:loss"])
def test_dtypes_go_in_and_come_out(pool: Pool, target: str, dtype: str) -> None:
    result = ask(pool, target, inputs(dtype))
    assert result.gradient is not None
    assert (result.output.dtype.name, result.gradient.dtype.name) == (dtype, dtype)
    assert abs(float(result.output) - expected()[0]) < 0.05


def test_ignored_rows_have_no_mass_anywhere(pool: Pool) -> None:
    labels = np.where(np.arange(7) % 3 == 0, -100, LABELS)
    due = ask(pool, "losses.py:plain", inputs(targets=labels))
    for target in ("losses.py:of_one_hot", "arrays.py:of_one_hot"):
        result = ask(pool, target, inputs(targets=labels), targets="one_hot")
        assert result.gradient is not None
        assert due.gradient is not None
        assert np.abs(result.gradient - due.gradient).max() < 1e-13
        assert (result.gradient[0] == 0).all()
        refused = attempt(pool, target, inputs(targets=np.full(7, 11)), targets="one_hot")
        assert isinstance(refused, EvaluationFailure)
        assert refused.kind == "unsupported"
        assert "no one-hot row of 11 classes stands for the label 11" in refused.message


def test_any_rank_and_every_kind_of_output(pool: Pool) -> None:
    deep = np.random.default_rng(1).normal(size=(3, 5, 4))
    labels = np.arange(12).reshape(3, 4) % 5
    result = ask(pool, "losses.py:per_pixel", inputs(logits=deep, targets=labels))
    assert result.gradient is not None
    assert result.gradient.shape == (3, 5, 4)
    rows = ask(pool, "losses.py:rows", inputs(upstream=np.arange(7.0)))
    assert rows.gradient is not None
    assert (rows.gradient[0] == 0).all()
    assert np.abs(rows.gradient[2] / 2 - expected()[1][2] * 7 / 1.5).max() < 1e-13


@pytest.mark.parametrize("target", ["losses.py:softmax", "arrays.py:softmax"])
def test_a_jacobian_is_one_backward_for_each_output(pool: Pool, target: str) -> None:
    call = FunctionCall("softmax", {})
    given = inputs(function=call, targets=None, upstream=None, per_output=True, logits=LOGITS[:2, :3])
    result = ask(pool, target, given)
    assert result.jacobian is not None
    p = np.exp(LOGITS[:2, :3]) / np.exp(LOGITS[:2, :3]).sum(1, keepdims=True)
    for k in range(3):
        due = p[:, [k]] * (np.eye(3)[k] - p)
        assert np.abs(result.jacobian[k] - due).max() < 1e-15
    given = inputs(upstream=None, per_output=True)
    loss = ask(pool, "losses.py:plain", given)
    assert loss.jacobian is not None
    assert np.abs(loss.jacobian[0] - expected()[1] / 1.5).max() < 1e-13


def test_the_memory_is_laid_out_as_asked(pool: Pool) -> None:
    for layout, strides in (("contiguous", 1101.0), ("transposed", 107.0), ("strided", 2202.0)):
        result = ask(pool, "losses.py:layout_of_the_logits", inputs(layout=layout))
        assert float(result.output) == strides, layout
    softmax = inputs(function=FunctionCall("softmax", {}), targets=None, upstream=np.ones((7, 11)))
    for layout, strides in (("contiguous", 1101.0), ("strided", 2202.0), ("expanded", 0.0)):
        result = ask(pool, "losses.py:stride_of_the_upstream_gradient", replace(softmax, upstream_layout=layout))
        assert result.gradient is not None
        assert (result.gradient == strides).all(), layout
    for own, upstream, strides in (("transposed", "contiguous", 107.0), ("strided", "expanded", 2.0)):
        result = ask(pool, "arrays.py:strides", replace(softmax, layout=own, upstream_layout=upstream))
        assert result.gradient is not None
        assert (result.gradient == strides).all(), own


def test_an_upstream_gradient_that_varies_is_expanded_along_what_it_does_not_vary_along(pool: Pool) -> None:
    upstream = np.repeat(np.arange(7.0)[:, None], 11, axis=1)
    given = inputs(function=FunctionCall("softmax", {}), targets=None, upstream=upstream, upstream_layout="expanded")
    result = ask(pool, "losses.py:stride_of_the_upstream_gradient", given)
    assert result.gradient is not None
    assert (result.gradient == 1100.0).all(), (
        "a step of one row of memory from row to row, and none from class to class"
    )


def test_autocast_rounds_what_it_rounds(pool: Pool) -> None:
    plain = ask(pool, "losses.py:by_matmul", inputs("float32"))
    rounded = ask(pool, "losses.py:by_matmul", inputs("float32"), autocast="bfloat16")
    assert plain.output != rounded.output
    assert abs(float(plain.output) - float(rounded.output)) < 0.05


def test_probabilities_are_what_the_host_makes_of_the_logits(pool: Pool) -> None:
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    result = ask(pool, "losses.py:of_probabilities", inputs(logits=p, reading="probabilities"), input="probabilities")
    assert abs(float(result.output) - expected()[0]) < 1e-13


def test_every_array_that_is_written_to_is_named(pool: Pool) -> None:
    result = attempt(pool, "arrays.py:writes", inputs())
    assert isinstance(result, Evaluation)
    assert result.notes["mutated"] == ["call: targets", "call: upstream gradient"]


def test_a_device_that_is_not_there_is_missing(pool: Pool) -> None:
    for target, message in (
        ("losses.py:plain", "has no device 'mps'"),
        ("arrays.py:loss", "numpy does not compute on 'mps'; it knows cpu"),
    ):
        result = attempt(pool, target, inputs(), device="mps")
        assert isinstance(result, EvaluationFailure)
        assert result.kind == "missing"
        assert message in result.message


def test_arguments_that_nothing_takes(pool: Pool) -> None:
    result = attempt(pool, "losses.py:Tempered", inputs(), kwargs={"temprature": 2.0})
    assert isinstance(result, EvaluationFailure)
    assert result.message.endswith("has no argument 'temprature'; it has logits, targets, factor, temperature")
    result = attempt(pool, "losses.py:Smoothed", inputs(), kwargs={"smoth": 2.0})
    assert isinstance(result, EvaluationFailure)
    assert "Smoothed cannot be constructed with the keyword arguments smoth" in result.message


def test_backends_that_run_no_functions_say_so(pool: Pool) -> None:
    from gradaudit.errors import FlagError

    with pytest.raises(FlagError, match="the backend 'mxnet' runs no functions of your own"):
        pool.subject_process("mxnet")
    assert registry.get("torch").subjects is not None


def test_what_is_claimed_replaces_what_is_assumed() -> None:
    subject = Subject("f", "torch", "f.py:f")
    sixteen = profile_of(subject, "bfloat16")
    assert (sixteen.compute, sixteen.accumulate, sixteen.storage) == ("bfloat16", "float32", "bfloat16")
    assert (sixteen.reduction, sixteen.exp_ulp) == ("bfloat16", 1.0)
    assert profile_of(subject, "float32").compute == "float32"
    claimed = replace(subject, profile={"compute": "float32", "accumulate": "bfloat16", "storage": "float16"})
    own = profile_of(claimed, "bfloat16")
    assert (own.compute, own.accumulate, own.reduction, own.storage) == ("float32", "bfloat16", "bfloat16", "float16")
    assert (own.statistics, own.exp_ulp) == ("float32", 4.0)


PACKAGED = """
from .parts.rows import softmax
from ..outer import BASE


def activation(logits, upstream):
    p = softmax(logits) * BASE
    return p, p * (upstream - (p * upstream).sum(axis=1, keepdims=True))
"""
ROWS = """
import numpy as np


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
"""


def packaged(pool: Pool, folder: Path) -> Evaluation | EvaluationFailure:
    given = inputs(function=FunctionCall("softmax", {}), targets=None, upstream=np.ones(LOGITS.shape))
    subject = Subject("f", "numpy", "src/acme/deep/losses.py:activation", base_directory=str(folder))
    return pool.submit(EvaluationKey("f", "numpy", "custom", "float64", 1.0), given, subject).result()


def test_a_file_of_a_package_imports_what_stands_beside_it(pool: Pool, tmp_path: Path) -> None:
    deep = tmp_path / "src" / "acme" / "deep"
    (deep / "parts").mkdir(parents=True)
    (deep / "losses.py").write_text(PACKAGED, encoding="utf-8")
    (deep / "parts" / "rows.py").write_text(ROWS, encoding="utf-8")
    (deep.parent / "outer.py").write_text("BASE = 1.0\n", encoding="utf-8")
    refused = packaged(pool, tmp_path)
    assert isinstance(refused, EvaluationFailure)
    assert "it is in no package: there is no __init__.py beside it" in refused.message
    for folder in (deep.parent, deep, deep / "parts"):
        (folder / "__init__.py").touch()
    result = packaged(pool, tmp_path)
    assert isinstance(result, Evaluation), result.message
    np.testing.assert_allclose(result.output.sum(axis=1), 1.0, rtol=1e-12)
