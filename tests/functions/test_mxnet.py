"""MXNet's operators in gradaudit's words: what they are translated to, and what their options mean."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest

from gradaudit.cli.explain import function_page
from gradaudit.functions import registry
from gradaudit.functions.interface import Setting
from gradaudit.functions.mxnet.softmax_output import NORMALISER
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.reference.truth import Truth

NAMES = ("SoftmaxCrossEntropyLoss", "SoftmaxOutput", "log_softmax", "softmax", "softmax_cross_entropy", "softmin")


def inputs(name: str, logits: object, targets: object = None, axis: int = -1, **options: object) -> Inputs:
    function = registry.get(f"mxnet.{name}")
    given = np.array(logits, np.float32)
    call = FunctionCall(
        function.name, MappingProxyType({each.name: each.default for each in function.parameters} | options)
    )
    labels = None if targets is None else np.array(targets)
    setting = Setting(call.parameters, given.shape, (axis % given.ndim,))
    dialect = function.dialect
    assert dialect is not None
    shape = given.shape if not function.has_row_output else (given.shape[0],)
    if dialect.output_shape is not None:
        shape = dialect.output_shape(setting)
    upstream = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)
    return Inputs(call, "float32", 1.0, (axis % given.ndim,), given, labels, upstream, False, None)


def exact(given: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Output and gradient to float64, in the logits' layout."""
    truth = Truth(registry.translated(given))
    gradient = truth.layout.restored(
        np.concatenate([truth.gradient(block, truth.units[0]).mid for block in truth.blocks()])
    )
    if truth.reduced:
        return truth.reduced_output().mid[:, 0], gradient
    output = np.concatenate([block.output.mid for block in truth.blocks()])
    return truth.layout.restored(output) if truth.elementwise else output[:, 0], gradient


def probabilities(x: np.ndarray, axis: int = -1) -> np.ndarray:
    w = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
    return np.asarray(w / w.sum(axis, keepdims=True))


def near(got: np.ndarray, due: np.ndarray) -> bool:
    """Equal to float64, but for some of its roundings."""
    return bool((np.abs(got - due) <= 64 * 2.0**-53 * (1.0 + np.abs(due))).all())


LOGITS = np.array([[0.5, -1.25, 2.0, 0.0], [3.0, 0.125, -2.0, 1.0]], np.float32)
CUBE = np.random.default_rng(3).normal(size=(2, 3, 4)).astype(np.float32)


def test_the_operators_are_registered_under_the_frameworks_name() -> None:
    assert registry.semantics() == ("mxnet",)
    assert registry.names("mxnet") == NAMES
    assert not set(registry.names()) & {f"mxnet.{name}" for name in NAMES}
    mathematics = {name: registry.mathematics(inputs(name, LOGITS, [0, 1]).function) for name in NAMES}
    assert mathematics == {
        "SoftmaxCrossEntropyLoss": "cross_entropy",
        "SoftmaxOutput": "mxnet.SoftmaxOutput",
        "log_softmax": "log_softmax",
        "softmax": "softmax",
        "softmax_cross_entropy": "cross_entropy",
        "softmin": "softmax",
    }


def test_softmin_is_the_softmax_of_what_is_negated() -> None:
    output, gradient = exact(inputs("softmin", LOGITS, temperature=0.5))
    p, g = probabilities(-2.0 * LOGITS), np.arange(1.0, 9.0).reshape(2, 4)
    assert near(output, p)
    assert near(gradient, -2.0 * p * (g - (p * g).sum(-1, keepdims=True)))


def test_softmin_of_plus_infinity_is_nothing() -> None:
    logits = LOGITS.copy()
    logits[0, 2] = np.inf
    output, gradient = exact(inputs("softmin", logits))
    kept = [0, 1, 3]
    assert output[0, 2] == gradient[0, 2] == 0.0
    assert near(output[0, kept], probabilities(-logits[:1, kept])[0])


def test_what_is_beyond_a_length_takes_no_part_whatever_it_is() -> None:
    logits = LOGITS.copy()
    logits[0, 2:] = np.nan, np.inf
    output, gradient = exact(inputs("softmax", logits, use_length=True, length=(2, 4)))
    assert near(output, np.array([[*probabilities(logits[:1, :2])[0], 0.0, 0.0], probabilities(logits[1:])[0]]))
    assert gradient[0, 2:].tolist() == [0.0, 0.0]


def test_lengths_are_counted_along_any_axis() -> None:
    output, _ = exact(inputs("softmax", CUBE, axis=1, use_length=True, length=(3, 1, 2, 3, 2, 2, 1, 3)))
    assert near(output[0, :, 1], np.array([1.0, 0.0, 0.0]))
    assert near(output[1, :2, 0], probabilities(CUBE[1, :2, 0]))


@pytest.mark.parametrize(
    ("options", "labels", "normaliser"),
    [
        ({}, [[0, 2, 1], [3, 0, 0]], 1),
        ({"normalization": "batch"}, [[0, 2, 1], [3, 0, 0]], 6),
        ({"normalization": "valid"}, [[0, 2, 1], [3, 0, 0]], 6),
        ({"normalization": "valid", "ignore_label": 0}, [[0, 2, 1], [3, 0, 0]], 3),
        ({"normalization": "valid", "ignore_label": 0, "use_ignore": True}, [[0, 0, 0], [0, 0, 0]], 1),
        ({"multi_output": True}, [[2, 0, 2, 0], [0, 1, 0, 1]], 4),
        ({"multi_output": True, "normalization": "batch"}, [[2, 0, 2, 0], [0, 1, 0, 1]], 8),
        ({"multi_output": True, "normalization": "valid"}, [[2, 0, 2, 0], [0, 1, 0, 1]], 8),
        ({"multi_output": True, "normalization": "valid", "ignore_label": 0}, [[2, 0, 2, 0], [0, 1, 0, 1]], 4),
    ],
    ids=str,
)
def test_what_mxnet_1_9_1_divides_softmax_outputs_gradient_by(
    options: dict[str, object], labels: list[list[int]], normaliser: float
) -> None:
    """The numbers are MXNet's own: the ratio of p - t to what it returned for these shapes and labels."""
    axis = 1 if options.get("multi_output") else 2
    given = inputs("SoftmaxOutput", CUBE, labels, axis, preserve_shape=axis == 2, **options)
    assert registry.translated(given).function.parameters[NORMALISER] == normaliser
    _, gradient = exact(given)
    p = probabilities(CUBE, axis)
    due = p - np.moveaxis(np.eye(CUBE.shape[axis])[np.array(labels)], -1, axis)
    if options.get("use_ignore"):
        due = np.zeros_like(due)
    assert near(gradient, due / normaliser)


def test_softmax_outputs_options() -> None:
    p, hot = probabilities(LOGITS), np.eye(4)[[2, 0]]
    plain = exact(inputs("SoftmaxOutput", LOGITS, [2, 0], 1))
    assert near(plain[0], p)
    assert near(plain[1], p - hot)
    assert near(exact(inputs("SoftmaxOutput", LOGITS, [2, 0], 1, grad_scale=-0.25))[1], -(p - hot) / 4)
    head = np.arange(1.0, 9.0).reshape(2, 4)
    assert near(exact(inputs("SoftmaxOutput", LOGITS, [2, 0], 1, out_grad=True))[1], (p - hot) * head)
    smoothed = np.where(hot == 1.0, 0.9, 0.1 / 3)
    assert near(exact(inputs("SoftmaxOutput", LOGITS, [2, 0], 1, smooth_alpha=0.1))[1], p - smoothed)
    ignoring = exact(inputs("SoftmaxOutput", LOGITS, [2, 0], 1, use_ignore=True, ignore_label=2))
    assert near(ignoring[0], p)
    assert ignoring[1][0].tolist() == [0.0] * 4
    assert near(ignoring[1][1], (p - hot)[1])


def test_probability_labels_pass_over_what_mxnet_passes_over() -> None:
    q = np.full((2, 4), 0.25, np.float32)
    options = {"normalization": "batch", "smooth_alpha": 0.3, "grad_scale": 2.0, "use_ignore": True}
    _, gradient = exact(inputs("SoftmaxOutput", LOGITS, q, 1, **options))
    assert near(gradient, 2.0 * (probabilities(LOGITS) - q))


def test_softmax_cross_entropy_is_a_sum_of_shape_one() -> None:
    given = inputs("softmax_cross_entropy", LOGITS, [2, 0], 1)
    loss, gradient = exact(replace(given, upstream=np.array([3.0], np.float32)))
    p = probabilities(LOGITS)
    assert near(loss, np.array([-np.log(p[0, 2]) - np.log(p[1, 0])]))
    assert near(gradient, 3.0 * (p - np.eye(4)[[2, 0]]))


@pytest.mark.parametrize(("batch_axis", "others"), [(0, (1,)), (1, (0,)), (-2, (0,))])
def test_gluon_averages_over_all_axes_but_the_batchs(batch_axis: int, others: tuple[int, ...]) -> None:
    labels = np.array([[0, 2, 1], [3, 0, 0]])
    given = inputs("SoftmaxCrossEntropyLoss", CUBE, labels, 2, batch_axis=batch_axis, weight=0.5)
    loss, gradient = exact(given)
    hot, p = np.eye(4)[labels], probabilities(CUBE)
    losses = -0.5 * np.log((p * hot).sum(-1))
    assert near(loss, losses.mean(others))
    assert given.upstream is not None
    g = np.expand_dims(given.upstream.astype(np.float64), others) / losses.shape[others[0]]
    assert near(gradient, 0.5 * g[..., None] * (p - hot))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_axis", [0, 1])
def test_a_sample_may_lie_in_several_blocks(batch_axis: int, dtype: str) -> None:
    shape = (5, 7, 8000) if dtype == "float32" else (3, 4, 22500)
    rng = np.random.default_rng(5)
    logits, labels = rng.normal(size=shape), rng.integers(0, shape[2], size=shape[:2])
    given = inputs("SoftmaxCrossEntropyLoss", logits, labels, 2, batch_axis=batch_axis)
    given = replace(given, dtype=dtype, logits=logits.astype(dtype))
    truth = Truth(registry.translated(given))
    assert len(truth.layout.blocks()) > 1
    found = truth.reduced_output()
    log_p = np.log(probabilities(given.logits))
    due = -np.take_along_axis(log_p, labels[..., None], -1)[..., 0].mean(1 - batch_axis)
    assert found.mid.shape == found.rad.shape == (shape[batch_axis], 1)
    assert (np.abs(found.mid[:, 0] - due) <= 1e4 * 2.0**-53 * due).all()
    exact = truth.exact_reduced()
    assert exact.low is not None
    distance = np.abs((found.mid - exact.mid) - (exact.low if found.low is None else exact.low - found.low))
    assert (distance <= found.rad + exact.rad).all()


def test_gluon_from_logits_only_picks() -> None:
    log_p = np.log(probabilities(LOGITS)).astype(np.float32)
    loss, gradient = exact(inputs("SoftmaxCrossEntropyLoss", log_p, [2, 0], 1, from_logits=True))
    assert loss.tolist() == [-log_p[0, 2], -log_p[1, 0]]
    assert gradient.tolist() == [[0.0, 0.0, -1.0, 0.0], [-2.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("softmaxoutput", "mxnet.SoftmaxOutput"),
        ("mxnet.Softmin", "mxnet.softmin"),
        ("softmax", "softmax"),
        ("MXNET.SOFTMAX", "mxnet.softmax"),
        ("softmacks", None),
    ],
)
def test_a_function_is_found_by_its_name_in_any_case(text: str, name: str | None) -> None:
    assert registry.spelled(text) == name


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_is_explained(name: str) -> None:
    page = function_page(registry.get(f"mxnet.{name}"), 100)
    for section in ("What it computes", "Its gradient", "Source"):
        assert f"\n{section}\n" in page
    for parameter in registry.get(f"mxnet.{name}").parameters:
        assert f"  {parameter.name} (" in page
