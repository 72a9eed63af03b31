"""An ONNX file's gradient against the file's own values: what is named, and whom nothing is laid to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from gradaudit import workers
from gradaudit.backends.interface import STANDALONE
from gradaudit.measurement import sliced
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.self_consistency import audit_self
from gradaudit.measurement.subjects import audited, concluded
from gradaudit.records.case import SELF, Case, InlineArray
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import MeasuredCase
from gradaudit.records.subject import Subject
from gradaudit.reference.truth import Truth
from gradaudit.workers import requests
from gradaudit.workers.adapter import load_adapter
from gradaudit.workers.pool import Pool
from tests.backends.onnx_models import model, node, of_operator, saved, training

LOGITS = np.random.default_rng(5).normal(size=(7, 11)) * 2.0
LABELS = np.asarray([0, 3, 10, 2, 2, 7, 5])
ITSELF = FunctionCall(SELF, MappingProxyType({"reduction": "mean", "ignore_index": -100, "output": "loss"}))
MEAN = FunctionCall("cross_entropy", MappingProxyType({"reduction": "mean", "ignore_index": -100}))


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(workers.WorkerSettings()) as pool:
        yield pool


def entry(pool: Pool, made: Any, folder: Path, call: FunctionCall = ITSELF, **changes: Any) -> Audited:
    """What is known of a model's file after its experiments."""
    dtype = changes.get("dtype", "float32")
    fields = {"logits": LOGITS.astype(dtype), "targets": LABELS, "upstream": np.asarray(1.75, dtype)} | changes
    given = Inputs(*(call, dtype, 1.0, (1,), fields["logits"], fields["targets"], fields["upstream"], False, None))
    path = saved(made, folder)
    subject = Subject("loss.onnx", "onnxruntime", path.name, base_directory=str(folder))
    key = EvaluationKey("loss.onnx", "onnxruntime", "custom", dtype, 1.0)
    result = pool.submit(key, given, subject, experiments=True).result()
    assert isinstance(result, Evaluation), result
    return audited(given, None if call is ITSELF else Truth(given), subject, result, "values")


def faults(found: Audited) -> tuple[list[str], list[str]]:
    """The faults and breaches that are told of one evaluation where the truth is known."""
    subject = Subject("loss.onnx", "onnxruntime", "loss.onnx")
    case = Case(
        *("case", found.inputs.function, InlineArray(found.inputs.logits), found.inputs.logits.shape, (1,)),
        subjects=(subject,),
    )
    measured = MeasuredCase(case, (), (found.measurement,) if found.measurement else (), ())
    done = concluded(measured, {("loss.onnx", found.inputs.dtype): [found]})
    return [each.fault for each in done.faults], [each.statement for each in done.breaches]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_derived_gradient_agrees_with_differences_and_the_complex_step(
    pool: Pool, tmp_path: Path, dtype: str
) -> None:
    found = entry(pool, of_operator("SoftmaxCrossEntropyLoss", "mean", False, None, dtype), tmp_path, dtype=dtype)
    breaches, (said,) = audit_self([found])
    assert not breaches
    assert (said.verdict, said.dtype) == ("agrees", "float64")
    assert said.error < 1e-8
    # 5 directions, each within some roundings of float64
    assert "complex step within" in said.statement
    assert float(said.statement.split("complex step within ")[1].split(";")[0].rstrip(")")) < 2e-15


def test_a_training_graph_agrees_with_its_loss_in_every_element(pool: Pool, tmp_path: Path) -> None:
    for dtype in ("float32", "float64"):
        found = entry(pool, training(dtype=dtype), tmp_path, dtype=dtype)
        arrays = found.evaluation.experiments
        assert {f"sliced.{name}" for name in sliced.NAMES} <= set(arrays)
        assert arrays["sliced.own_wide"].dtype == np.float64
        assert not list(sliced.breaches([found]))
        assert not audit_self([found])[0]


@pytest.mark.parametrize(
    ("fault", "named", "words"),
    [
        ("sign", ["sign-flipped"], "in all of them it is -1 x the right one (the sign)"),
        ("factor", ["reduction-factor"], "in all of them it is 7 x the right one (the number of rows)"),
        ("element", None, "at [2, 3] it is"),
    ],
)
def test_a_fault_planted_into_a_training_graph_is_named(
    pool: Pool, tmp_path: Path, fault: str, named: list[str] | None, words: str
) -> None:
    found = entry(pool, training(fault), tmp_path, MEAN)
    told, statements = faults(found)
    assert any(words in each for each in statements), statements
    assert named is None or told == named
    alone = entry(pool, training(fault), tmp_path)
    breaches, (said,) = audit_self([alone])
    assert said.verdict == "wrong"
    assert words in breaches[0].statement


def test_one_wrong_element_is_found_by_comparing_with_the_part_up_to_the_loss(pool: Pool, tmp_path: Path) -> None:
    (breach,) = sliced.breaches([entry(pool, training("element"), tmp_path)])
    assert breach.fault == "forward-and-backward-disagree"
    assert "at [2, 3] it is" in breach.statement
    assert breach.evidence == (("elements", 1), ("of", 77))


@pytest.mark.parametrize(("factor", "count"), [(1.0, 0), (1.0 + 1e-4, 4)])
def test_a_gradient_that_cancels_where_the_derived_one_does_not_is_no_other_one(
    pool: Pool, tmp_path: Path, factor: float, count: int
) -> None:
    """sigma(d) - 1 is 0 in float64 too where d is 40, and the derivative of log(1 + exp(-d)) is not."""
    nodes = [
        node("MatMul", ["x", "signs"], "d"),
        node("Neg", ["d"], "minus_d"),
        node("Exp", ["minus_d"], "w"),
        node("Add", ["w", "one"], "s"),
        node("Log", ["s"], "losses"),
        node("ReduceSum", ["losses", "axes"], "loss", keepdims=0),
        node("Sigmoid", ["d"], "p"),
        node("Sub", ["p", "one"], "missing"),
        node("MatMul", ["missing", "back"], "grad_x"),
    ]
    made = model(
        nodes,
        {"x": ("float64", ["N", 2])},
        {"loss": ("float64", []), "grad_x": ("float64", ["N", 2])},
        constants={
            "signs": np.array([[1.0], [-1.0]]),
            "back": np.array([[1.0, -1.0]]) * factor,
            "axes": np.array([0, 1]),
            "one": np.array(1.0),
        },
    )
    logits = np.array([[40.0, 0.0], [0.5, 0.0], [3.0, 1.0]])
    found = entry(pool, made, tmp_path, logits=logits, targets=None, dtype="float64")
    own, derived = (found.evaluation.experiments[f"sliced.{name}_wide"] for name in ("own", "derived"))
    assert own[0, 0] == 0.0
    assert -2e-17 < derived[0, 0] < 0.0
    counted = [dict(breach.evidence)["elements"] for breach in sliced.breaches([found])]
    assert counted == ([count] if count else [])


def test_a_wrong_gradient_graph_is_laid_to_who_made_it_and_not_to_the_file(pool: Pool, tmp_path: Path) -> None:
    """onnx-ad 0.3.0 takes the derivative of a determinant for 0."""
    nodes = [
        node("Det", ["x"], "det"),
        node("ReduceSum", ["x", "axes"], "sum", keepdims=0),
        node("Add", ["det", "sum"], "loss"),
    ]
    made = model(
        nodes, {"x": ("float32", ["N", "N"])}, {"loss": ("float32", [])}, constants={"axes": np.array([0, 1])}
    )
    square = np.random.default_rng(2).normal(size=(3, 3)).astype(np.float32)
    breaches, (said,) = audit_self([entry(pool, made, tmp_path, logits=square, targets=None)])
    assert said.verdict == "wrong"
    assert "complex step sides with the value" in breaches[0].statement
    assert breaches[0].statement.endswith(
        "that is the gradient of the graph that onnx-ad 0.3.0 made of the file: the file is not at fault"
    )


def test_what_others_derived_wrongly_accuses_no_file_of_a_fault(pool: Pool, tmp_path: Path) -> None:
    """A planted loss: right plus the determinant of nothing but zeros, whose derivative is not 0."""
    nodes = [
        node("LogSoftmax", ["x"], "log_p", axis=1),
        node("NegativeLogLikelihoodLoss", ["log_p", "y"], "right"),
        node("Slice", ["x", "zeros", "threes", "both"], "corner"),
        node("Det", ["corner"], "det"),
        node("Add", ["right", "det"], "loss"),
    ]
    both = {"zeros": np.array([0, 0]), "threes": np.array([3, 3]), "both": np.array([0, 1])}
    values = {"x": ("float32", ["N", "C"]), "y": ("int64", ["N"])}
    made = model(nodes, values, {"loss": ("float32", [])}, constants=both)
    found = entry(pool, made, tmp_path, MEAN)
    told, statements = faults(found)
    assert told == []
    assert any("the file is not at fault" in each for each in statements)


@pytest.fixture
def adapter() -> Any:
    """The adapter in this process, where its parts can be replaced."""
    loaded = load_adapter(STANDALONE / "onnx_subjects.py")
    loaded.hello(1)
    return loaded


def asked(folder: Path) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """A request to that adapter, and its arrays."""
    path = saved(of_operator("SoftmaxCrossEntropyLoss", "mean", False, None), folder)
    arrays = {"logits": LOGITS.astype(np.float32), "targets": LABELS, "upstream": np.asarray(1.75, np.float32)}
    given = Inputs(MEAN, "float32", 1.0, (1,), *arrays.values(), False, None)
    subject = Subject("loss.onnx", "onnxruntime", path.name, base_directory=str(folder))
    key = EvaluationKey("loss.onnx", "onnxruntime", "custom", "float32", 1.0)
    return requests.evaluate(key, given, subject, 60.0), arrays


def test_a_file_that_takes_long_is_not_walked_around(
    adapter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter._sibling("onnx_experiments"), "RUNS", 10**12)
    found = adapter.experiment(*asked(tmp_path))
    assert "again.gradient" in found["experiments"]
    assert "self.h" not in found["experiments"]
    refused = found["notes"]["self"]["refused"]
    assert list(refused) == ["float64", "float32"]
    assert "some 1000000000000 would be needed" in refused["float64"]


def test_without_onnx_ad_it_is_said_how_to_get_it(
    adapter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx_ad", None)
    with pytest.raises(
        adapter.MissingError, match="differentiated by onnx-ad, which is not installed; pip install"
    ) as no:
        adapter.evaluate(*asked(tmp_path))
    assert no.value.gradaudit_place == "loss.onnx"
    assert adapter.hello(1)["versions"]["onnx-ad"] == "missing"


@pytest.mark.parametrize(
    ("operator", "words"),
    [("Abs", "agrees with its own differences"), ("Erf", "agrees with its own differences")],
)
def test_differences_judge_where_no_complex_step_can(pool: Pool, tmp_path: Path, operator: str, words: str) -> None:
    nodes = [node(operator, ["x"], "z"), node("ReduceLogSumExp", ["z", "axis"], "loss", keepdims=0)]
    made = model(
        *(nodes, {"x": ("float32", ["N", "C"])}, {"loss": ("float32", ["N"])}), constants={"axis": np.array([1])}
    )
    ones = np.ones(7, np.float32)
    found = entry(pool, made, tmp_path, targets=None, upstream=ones)
    breaches, (said,) = audit_self([found])
    assert not breaches
    assert words in said.statement
    assert "complex step" not in said.statement
    note = found.evaluation.notes["self"]
    assert isinstance(note, dict)
    assert operator in str(note["jvp"])
