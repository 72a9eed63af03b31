"""ONNX files as subjects: their values and gradients, how they are matched with a case, and which are refused."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.measurement.subjects import audited
from gradaudit.records.evaluation import Evaluation, EvaluationFailure, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.reference.truth import Truth
from gradaudit.workers.pool import Pool
from tests.backends.onnx_models import endless, model, node, of_operator, saved, training

LOGITS = np.random.default_rng(5).normal(size=(7, 11)) * 2.0
LABELS = np.asarray([0, 3, 10, 2, 2, 7, 5])
WEIGHT = np.asarray([1.0 + 0.25 * k for k in range(11)])
CALL = FunctionCall("cross_entropy", MappingProxyType({"reduction": "mean", "ignore_index": -100}))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers.WorkerSettings(timeout=5.0)) as pool:
        pool.states([], [Subject("loss", "onnxruntime", "")])
        yield pool


def inputs(dtype: str = "float32", **changes: object) -> Inputs:
    given = Inputs(CALL, dtype, 1.0, (1,), LOGITS.astype(dtype), LABELS, np.asarray(1.5, dtype), False, None)
    return replace(given, **changes)  # type: ignore[arg-type]


def attempt(pool: Pool, path: Path, given: Inputs, **graph: object) -> Evaluation | EvaluationFailure:
    keys = {"targets": graph.pop("targets")} if isinstance(graph.get("targets"), str) else {}
    subject = Subject(
        *(path.name, "onnxruntime", path.name),
        base_directory=str(path.parent),
        graph=MappingProxyType(graph),
        **keys,  # type: ignore[arg-type]
    )
    key = EvaluationKey(path.name, "onnxruntime", "custom", given.dtype, 1.0)
    return pool.submit(key, given, subject, experiments=bool(graph.get("experiments"))).result()


def ask(pool: Pool, path: Path, given: Inputs, **graph: object) -> Evaluation:
    result = attempt(pool, path, given, **graph)
    assert isinstance(result, Evaluation), f"{result.message}\n{result.detail}"
    return result


def refusal(pool: Pool, path: Path, given: Inputs, **graph: object) -> EvaluationFailure:
    result = attempt(pool, path, given, **graph)
    assert isinstance(result, EvaluationFailure), result.output
    return result


def exact(
    reduction: str, weight: np.ndarray | None, ignore_index: int | None, upstream: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Loss and gradient in float64 by the closed form, written down once more."""
    counts = np.asarray(ignore_index != LABELS)
    w = np.where(counts, np.ones(7) if weight is None else weight[LABELS], 0.0)
    z = LOGITS - LOGITS.max(1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    losses = -w * log_p[np.arange(7), LABELS]
    residual = w[:, None] * (np.exp(log_p) - np.eye(11)[LABELS])
    if reduction == "none":
        return losses, residual * upstream[:, None]
    den = w.sum() if reduction == "mean" else 1.0
    return losses.sum() / den, residual * upstream / den


OPERATORS = ("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss")
COMBINATIONS = list(itertools.product(OPERATORS, ("mean", "sum", "none"), (False, True), (None, 2)))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("operator", "reduction", "weighted", "ignore_index"), COMBINATIONS)
def test_every_loss_of_onnx_is_explained_and_equals_the_closed_form(
    pool: Pool, tmp_path: Path, operator: str, reduction: str, weighted: bool, ignore_index: int | None, dtype: str
) -> None:
    path = saved(of_operator(operator, reduction, weighted, ignore_index, dtype), tmp_path)
    parameters: dict[str, Any] = {
        "reduction": reduction,
        "ignore_index": -100 if ignore_index is None else ignore_index,
    }
    if weighted:
        parameters["weight"] = tuple(WEIGHT)
    upstream = np.linspace(0.5, 2.0, 7) if reduction == "none" else np.asarray(1.5)
    given = inputs(
        dtype,
        function=FunctionCall("cross_entropy", MappingProxyType(parameters)),
        upstream=upstream.astype(dtype),
        weight=WEIGHT.astype(dtype) if weighted else None,
    )
    result = ask(pool, path, given)
    entry = audited(given, Truth(given), Subject(path.name, "onnxruntime", path.name), result, "values")
    assert entry.measurement is not None
    assert entry.measurement.explanation.explains
    loss, gradient = exact(reduction, WEIGHT if weighted else None, ignore_index, upstream.astype(dtype))
    assert result.gradient is not None
    slack = 64 * np.finfo(dtype).eps
    assert np.abs(result.output - loss).max() < slack * np.abs(loss).max()
    assert np.abs(result.gradient - gradient).max() < slack * np.abs(gradient).max()
    assert result.notes["gradient_by"].startswith("onnx-ad ")  # type: ignore[attr-defined]


def test_a_jacobian_is_one_run_with_a_cotangent_for_every_output(pool: Pool, tmp_path: Path) -> None:
    made = model(
        [node("Softmax", ["a"], "b", axis=1)], {"a": ("float64", ["N", "C"])}, {"b": ("float64", ["N", "C"])}
    )
    given = inputs("float64", function=FunctionCall("softmax"), targets=None, upstream=None, per_output=True)
    result = ask(pool, saved(made, tmp_path), given)
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    due = np.stack([p * ((np.arange(11) == k) - p[:, k : k + 1]) for k in range(11)])
    assert result.jacobian is not None
    assert np.abs(result.jacobian - due).max() < 1e-15


def test_an_old_softmax_flattens_and_is_converted_before_it_is_differentiated(pool: Pool, tmp_path: Path) -> None:
    nodes = [node("Softmax", ["x"], "p", axis=1), node("Log", ["p"], "l")]
    made = model(nodes, {"x": ("float64", ["N", "C"])}, {"l": ("float64", ["N", "C"])}, opset=11)
    upstream = np.random.default_rng(1).normal(size=(7, 11))
    given = inputs("float64", function=FunctionCall("log_softmax"), targets=None, upstream=upstream)
    result = ask(pool, saved(made, tmp_path), given)
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
    assert np.abs(result.gradient - (upstream - p * upstream.sum(1, keepdims=True))).max() < 1e-14


def test_float16_files_are_evaluated_in_float16(pool: Pool, tmp_path: Path) -> None:
    path = saved(of_operator(OPERATORS[1], "mean", False, None, "float16", "int32"), tmp_path)
    result = ask(pool, path, inputs("float16"))
    loss, gradient = exact("mean", None, None, np.asarray(1.5))
    assert result.output.dtype == result.gradient.dtype == np.float16  # type: ignore[union-attr]
    assert abs(result.output - loss) < 4e-3 * loss
    assert np.abs(result.gradient - gradient).max() < 4e-3 * np.abs(gradient).max()


def test_a_logarithm_is_differentiated_by_a_quotient(pool: Pool, tmp_path: Path) -> None:
    """1 / p overflows at subnormal p, where g / p is a number."""
    nodes = [node("Softmax", ["x"], "p", axis=1), node("Log", ["p"], "l")]
    made = model(nodes, {"x": ("float32", ["N", "C"])}, {"l": ("float32", ["N", "C"])})
    logits, upstream = np.asarray([[0.0, -89.0]], np.float32), np.asarray([[0.0, 0.25]], np.float32)
    given = inputs(function=FunctionCall("log_softmax"), targets=None, logits=logits, upstream=upstream)
    gradient = ask(pool, saved(made, tmp_path), given).gradient
    assert gradient is not None
    assert np.abs(gradient - [[-0.25, 0.25]]).max() < 1e-6


def test_a_file_with_its_own_gradient_is_asked_for_it(pool: Pool, tmp_path: Path) -> None:
    loss, gradient = exact("mean", None, None, np.asarray(1.5))
    for number, (made, graph) in enumerate(
        (
            (training(), {}),
            (training(gradient="output_7"), {"gradient": "output_7"}),
            (training("sign", gradient="output_7"), {"gradient": "none"}),
        )
    ):
        result = ask(pool, saved(made, tmp_path, f"{number}.onnx"), inputs(), **graph)
        assert abs(result.output - loss) < 1e-6
        assert np.abs(result.gradient - gradient).max() < 1e-6
        own = graph.get("gradient") != "none"
        assert str(result.notes["gradient_by"]).startswith("its own output" if own else "onnx-ad")
        assert bool(result.notes["written_by_hand"]) == own


def test_a_file_that_is_written_anew_is_read_anew(pool: Pool, tmp_path: Path) -> None:
    first = ask(pool, saved(training(), tmp_path), inputs()).gradient
    second = ask(pool, saved(training("sign"), tmp_path), inputs()).gradient
    assert first is not None
    assert second is not None
    assert (first == -second).all()


def test_a_number_of_shape_1_is_a_number(pool: Pool, tmp_path: Path) -> None:
    nodes = [node("NegativeLogLikelihoodLoss", ["l", "y"], "number"), node("LogSoftmax", ["x"], "l", axis=1)][::-1]
    nodes.append(node("Reshape", ["number", "one"], "loss"))
    values = {"x": ("float32", ["N", "C"]), "y": ("int64", ["N"])}
    made = model(nodes, values, {"loss": ("float32", [1])}, constants={"one": np.array([1])})
    result = ask(pool, saved(made, tmp_path), inputs())
    assert result.output.shape == ()
    assert np.abs(result.gradient - exact("mean", None, None, np.asarray(1.5))[1]).max() < 1e-6


def two_of_a_kind(names: str, inside: str = "Add") -> Any:
    """A softmax of one input after another one was added; both take the logits."""
    first, second = names.split()
    nodes = [node(inside, [first, second], "sum"), node("Softmax", ["sum"], "p", axis=1)]
    values = {name: ("float32", ["N", "C"]) for name in (first, second)}
    return model(nodes, values, {"p": ("float32", ["N", "C"])})


FIXED = model([node("Softmax", ["x"], "p")], {"x": ("float32", [4, 11])}, {"p": ("float32", [4, 11])})
MISMATCHES: dict[str, tuple[Any, dict[str, object], str]] = {
    "fixed": (
        *(FIXED, {}),
        r"its inputs are x: float32 \[4, 11\]; the case offers logits: float32 \[7, 11\]; "
        "nothing takes the logits: x is fixed to 4 along axis 0 and they have 7",
    ),
    "dtype": (
        *(of_operator(OPERATORS[0], "mean", False, None, "float64"), {}),
        r"it computes in float64 \(x\), and the case is of float32; write dtypes: \[float64\]",
    ),
    "no labels": (
        *(of_operator(OPERATORS[0], "mean", False, None), {}),
        r"its inputs are x: float32 \[N, C\], y: int64 \[N\]; the case offers .*; nothing is offered for y;.*",
    ),
    "alike": (
        *(two_of_a_kind("a b"), {}),
        r"its inputs a and b all take the case's logits: float32 \[7, 11\]; say which one by inputs: \{logits: a\}",
    ),
    "one left": (
        *(two_of_a_kind("x b"), {}),
        r".*; nothing is offered for b; say what is what by inputs: \{weight: b\}, or change the case",
    ),
    "no such input": (
        *(two_of_a_kind("a b"), {"inputs": {"logits": "z"}}),
        r"it has no input 'z' \(inputs: logits: z\); its inputs are a: float32 \[N, C\], b: float32 \[N, C\]",
    ),
    "no such output": (
        *(two_of_a_kind("a b"), {"inputs": {"logits": "a", "upstream": "b"}, "output": "q"}),
        r"it has no output 'q' \(output: q\); its outputs are p: float32 \[N, C\]",
    ),
    "nothing to take": (
        *(two_of_a_kind("a b"), {"inputs": {"weight": "a"}}),
        "inputs: weight: a, but the case has no weight",
    ),
}


@pytest.mark.parametrize("what", MISMATCHES)
def test_what_does_not_fit_is_told_with_what_there_is(pool: Pool, tmp_path: Path, what: str) -> None:
    made, graph, message = MISMATCHES[what]
    given = inputs(function=FunctionCall("softmax"), targets=None, upstream=np.ones((7, 11), np.float32))
    if what == "dtype":
        given = inputs()
    failed = refusal(pool, saved(made, tmp_path), given, **graph)
    assert failed.kind == "raised"
    assert re.fullmatch(f"loss.onnx: {message}", failed.message), failed.message


def test_an_output_that_may_be_the_gradient_has_to_be_declared(pool: Pool, tmp_path: Path) -> None:
    failed = refusal(pool, saved(training(gradient="output_7"), tmp_path), inputs())
    assert "output_7: float32 [N, C] has the shape of the logits" in failed.message
    assert "write gradient: output_7 if it is one, or gradient: none" in failed.message


def test_class_indices_become_one_hot_rows_where_the_file_wants_them(pool: Pool, tmp_path: Path) -> None:
    nodes = [
        node("LogSoftmax", ["x"], "l", axis=1),
        node("Mul", ["l", "targets"], "products"),
        node("ReduceSum", ["products", "axis"], "sums", keepdims=0),
        node("ReduceMean", ["sums"], "mean", keepdims=0),
        node("Neg", ["mean"], "loss"),
    ]
    values = {"x": ("float32", ["N", "C"]), "targets": ("float32", ["N", "C"])}
    path = saved(model(nodes, values, {"loss": ("float32", [])}, constants={"axis": np.array([1])}), tmp_path)
    assert "class indices become one-hot rows by targets: one_hot" in refusal(pool, path, inputs()).message
    result = ask(pool, path, inputs(), targets="one_hot")
    assert np.abs(result.gradient - exact("mean", None, None, np.asarray(1.5))[1]).max() < 1e-6


LARGE = np.ones(11, np.float32)


def added(constant: np.ndarray = LARGE) -> Any:
    """A softmax after a constant was added."""
    nodes = [node("Add", ["x", "c"], "sum"), node("Softmax", ["sum"], "p", axis=1)]
    values = {"x": ("float32", ["N", "C"])}
    return model(nodes, values, {"p": ("float32", ["N", "C"])}, constants={"c": constant})


def hostile(folder: Path) -> dict[str, tuple[Path, dict[str, object], str]]:
    """Files that nobody should run, how they are asked for, and what is said of them."""
    (folder / "empty.onnx").write_bytes(b"")
    (folder / "text.onnx").write_text("version: 1\nlogits: [1, 2]\n", encoding="utf-8")
    whole = saved(added(), folder, "whole.onnx").read_bytes()
    (folder / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    os.mkfifo(folder / "pipe.onnx")
    saved(added(), folder, "external.onnx", "weights.bin")
    beside = folder / "models"
    beside.mkdir()
    outside = saved(added(), beside, "outside.onnx", "weights.bin")
    outside.write_bytes(outside.read_bytes().replace(b"weights.bin", b"../weig.bin"))
    linked = saved(added(), beside, "linked.onnx", "linked.bin")
    (beside / "linked.bin").unlink()
    (beside / "linked.bin").symlink_to(folder / "weights.bin")
    second = saved(added(), beside, "second.onnx", "second.bin")
    os.link(beside / "second.bin", beside / "other.bin")
    custom = model(
        [node("Secret", ["x"], "p", domain="org.example")],
        *({"x": ("float32", ["N", "C"])}, {"p": ("float32", ["N", "C"])}),
        domains=["org.example"],
    )
    unknown = model([node("Softmaximum", ["x"], "p")], {"x": ("float32", ["N"])}, {"p": ("float32", ["N"])})
    lacking = model([node("Erf", ["x"], "p")], {"x": ("float64", ["N", "C"])}, {"p": ("float64", ["N", "C"])})
    apart = model(
        [node("Shape", ["x"], "s"), node("RandomNormal", [], "p", shape=[7, 11])],
        *({"x": ("float32", ["N", "C"])}, {"p": ("float32", [7, 11]), "s": ("int64", [2])}),
    )
    yes: dict[str, object] = {"external_data": True}
    return {
        "missing": (folder / "mising.onnx", {}, r"there is no file mising.onnx in .*"),
        "empty": (folder / "empty.onnx", {}, "empty.onnx: it is empty"),
        "text": (folder / "text.onnx", {}, r"text.onnx: it is no ONNX model.*"),
        "cut": (folder / "cut.onnx", {}, r"cut.onnx: it is no ONNX model, or a damaged one: .*"),
        "pipe": (folder / "pipe.onnx", {}, "pipe.onnx: it is no regular file"),
        "external": (
            folder / "external.onnx",
            {},
            r"external.onnx: it keeps 1 tensors in another file .*",
        ),
        "outside": (outside, yes, "outside.onnx: its external data '../weig.bin' does not lie below .*"),
        "linked": (linked, yes, "linked.onnx: its external data 'linked.bin' is reached by a link"),
        "second": (second, yes, "second.onnx: its external data 'second.bin' is no regular file with one name"),
        "custom": (
            *(saved(custom, folder, "custom.onnx"), {}),
            "custom.onnx: its operator Secret of the domain 'org.example' needs a custom-operator library, .*",
        ),
        "unknown": (
            saved(unknown, folder, "unknown.onnx"),
            {},
            "unknown.onnx: the checker of onnx .* refuses it: .*",
        ),
        "lacking": (
            *(saved(lacking, folder, "lacking.onnx"), {}),
            "lacking.onnx: ONNX Runtime .* cannot run it: .*Could not find an implementation for Erf.*",
        ),
        "apart": (
            *(saved(apart, folder, "apart.onnx"), {"output": "p"}),
            "apart.onnx: its output p does not depend on x",
        ),
    }


HOSTILE = (
    *("missing", "empty", "text", "cut", "pipe", "external", "outside", "linked", "second", "custom", "unknown"),
    *("lacking", "apart"),
)


@pytest.fixture(scope="module")
def hostile_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, dict[str, object], str]]:
    return hostile(tmp_path_factory.mktemp("hostile"))


@pytest.mark.parametrize("what", HOSTILE)
def test_a_file_that_cannot_be_run_or_should_not_be_is_told_in_a_sentence(
    pool: Pool, hostile_files: dict[str, tuple[Path, dict[str, object], str]], what: str
) -> None:
    path, graph, message = hostile_files[what]
    dtype = "float64" if what == "lacking" else "float32"
    ones = np.ones((7, 11), dtype)
    given = inputs(dtype, function=FunctionCall("softmax"), targets=None, upstream=ones)
    failed = refusal(pool, path, given, **graph)
    assert failed.kind == "raised"
    assert re.fullmatch(message, failed.message), failed.message


def test_external_data_is_read_where_that_was_asked_for(pool: Pool, tmp_path: Path) -> None:
    path = saved(added(np.linspace(-1, 1, 11, dtype=np.float32)), tmp_path, "loss.onnx", "weights.bin")
    given = inputs(function=FunctionCall("softmax"), targets=None, upstream=np.ones((7, 11), np.float32))
    result = ask(pool, path, given, external_data=True)
    shifted = np.exp(LOGITS + np.linspace(-1, 1, 11))
    assert np.abs(result.output - shifted / shifted.sum(1, keepdims=True)).max() < 1e-6


@pytest.mark.slow
def test_a_loop_without_an_end_is_stopped_and_the_worker_lives_on(pool: Pool, tmp_path: Path) -> None:
    given = inputs(function=FunctionCall("logsumexp"), targets=None, upstream=np.ones(7, np.float32))
    failed = refusal(pool, saved(endless(), tmp_path), given)
    assert re.fullmatch(
        "loss.onnx: it was stopped after 4 s between two of its nodes: a Loop that does not end\\?", failed.message
    )


def with_own_gradient(reduction: str, upstream: bool) -> Any:
    """Row losses or their sum with p - y as an output, times an upstream gradient that is fed, or of ones."""
    shape: list[object] = ["N"] if reduction == "none" else []
    values: dict[str, Any] = {"x": ("float32", ["N", "C"]), "y": ("int64", ["N"])}
    nodes = [
        node("LogSoftmax", ["x"], "log_p", axis=1),
        node("NegativeLogLikelihoodLoss", ["log_p", "y"], "loss", reduction=reduction),
        node("Exp", ["log_p"], "p"),
        node("OneHot", ["y", "eleven", "values"], "mass", axis=1),
        node("Sub", ["p", "mass"], "residual" if upstream else "grad"),
    ]
    constants = {"eleven": np.array(11), "values": np.array([0, 1], np.float32), "last": np.array([-1])}
    if upstream:
        values["grad_output"] = ("float32", shape)
        nodes += [node("Unsqueeze", ["grad_output", "last"], "head"), node("Mul", ["head", "residual"], "grad")]
    outputs = {"loss": ("float32", shape), "grad": ("float32", ["N", "C"])}
    return model(nodes, values, outputs, constants=constants)


@pytest.mark.parametrize("reduction", ["none", "sum"])
@pytest.mark.parametrize("upstream", [True, False])
def test_an_upstream_gradient_is_fed_or_multiplied_with(
    pool: Pool, tmp_path: Path, reduction: str, upstream: bool
) -> None:
    call = FunctionCall("cross_entropy", MappingProxyType({"reduction": reduction, "ignore_index": -100}))
    head = np.linspace(0.5, 2.0, 7) if reduction == "none" else np.asarray(1.5)
    path = saved(with_own_gradient(reduction, upstream), tmp_path)
    result = ask(pool, path, inputs(function=call, upstream=head.astype(np.float32)))
    loss, gradient = exact(reduction, None, None, head)
    assert np.abs(result.output - loss).max() < 1e-5
    assert np.abs(result.gradient - gradient).max() < 1e-6
    rows = ask(pool, path, inputs(function=call, upstream=None, per_output=True))
    assert rows.jacobian is not None
    assert np.abs(rows.jacobian - exact(reduction, None, None, np.ones_like(head))[1]).max() < 1e-6


def test_a_gradient_of_summed_outputs_is_not_taken_for_that_of_each(pool: Pool, tmp_path: Path) -> None:
    nodes = [node("Softmax", ["x"], "output", axis=1), node("Sub", ["output", "output"], "grad")]
    outputs = {"output": ("float32", ["N", "C"]), "grad": ("float32", ["N", "C"])}
    path = saved(model(nodes, {"x": ("float32", ["N", "C"])}, outputs), tmp_path)
    given = inputs(function=FunctionCall("softmax"), targets=None, upstream=np.ones((7, 11), np.float32))
    assert (ask(pool, path, given).gradient == 0).all()
    failed = refusal(pool, path, replace(given, upstream=LOGITS.astype(np.float32)))
    assert failed.kind == "unsupported"
    assert "grad is the gradient for an upstream gradient of ones" in failed.message


def test_a_function_of_the_model_is_no_custom_operator(pool: Pool, tmp_path: Path) -> None:
    from onnx import helper

    opset = helper.make_opsetid("", 18)
    inner = [node("LogSoftmax", ["a"], "l", axis=1), node("NegativeLogLikelihoodLoss", ["l", "b"], "c")]
    made = model(
        [node("Mine", ["x", "y"], "loss", domain="org.example")],
        *({"x": ("float32", ["N", "C"]), "y": ("int64", ["N"])}, {"loss": ("float32", [])}),
        domains=["org.example"],
    )
    made.functions.append(helper.make_function("org.example", "Mine", ["a", "b"], ["c"], inner, [opset]))
    result = ask(pool, saved(made, tmp_path), inputs())
    assert np.abs(result.gradient - exact("mean", None, None, np.asarray(1.5))[1]).max() < 1e-6


def test_a_file_that_asks_for_more_memory_than_there_is_is_told_so(pool: Pool, tmp_path: Path) -> None:
    nodes = [node("ConstantOfShape", ["size"], "zeros"), node("ReduceSum", ["zeros"], "none", keepdims=0)]
    nodes += [node("Add", ["x", "none"], "sum"), node("Softmax", ["sum"], "p", axis=1)]
    size = {"size": np.array([1 << 40])}
    made = model(nodes, {"x": ("float32", ["N", "C"])}, {"p": ("float32", ["N", "C"])}, constants=size)
    given = inputs(function=FunctionCall("softmax"), targets=None, upstream=np.ones((7, 11), np.float32))
    assert refusal(pool, saved(made, tmp_path), given).kind == "out_of_memory"
