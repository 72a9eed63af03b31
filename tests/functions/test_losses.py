"""The losses beyond cross entropy against an oracle that shares nothing with them, at both precisions."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from flint import ctx  # noqa: TID253

from gradaudit.errors import RequestError
from gradaudit.functions import registry
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.inputs import Inputs
from gradaudit.reference.special_values import Enclosed
from gradaudit.reference.truth import Truth
from tests.oracle import by_difference, families

N = 5
ORACLE_ERROR = 1e-200
ALPHA = (0.25, 1.0, 0.5, 0.75, 2.0)

LOSSES: dict[str, tuple[str, dict[str, object]]] = {
    "softcap cross entropy": ("cross_entropy", {"softcap": 5.0, "temperature": 0.7}),
    "z-loss": ("cross_entropy", {"z_loss": 0.1, "label_smoothing": 0.1}),
    "z-loss, softcap, none": ("cross_entropy", {"z_loss": 0.01, "softcap": 3.0, "reduction": "none"}),
    "entropy": ("cross_entropy", {"entropy_regularization": 0.3}),
    "logit adjustment": ("cross_entropy", {"logit_adjustment": (0.5, -1.0, 0.1, 2.0, 0.0), "reduction": "sum"}),
    "z_loss": ("z_loss", {"coefficient": 0.01}),
    "softcap": ("softcap", {"cap": 3.0, "logit_scale": 2.5}),
    "focal": ("focal", {"gamma": 2.0, "alpha": ALPHA}),
    "focal 1.5": ("focal", {"gamma": 1.5, "reduction": "none"}),
    "focal 0.5": ("focal", {"gamma": 0.5, "reduction": "sum"}),
    "focal 0": ("focal", {"gamma": 0.0}),
    "poly": ("poly", {"epsilon": 2.0}),
    "kl_divergence": ("kl_divergence", {}),
    "kl_divergence none": ("kl_divergence", {"reduction": "none", "temperature": 3.0}),
    "additive margin": ("margin", {"kind": "additive", "margin": 0.35, "scale": 64.0}),
    "angular margin": ("margin", {"kind": "angular", "margin": 0.5, "scale": 30.0, "reduction": "none"}),
}
READ = ("cross_entropy", "focal", "poly", "kl_divergence")


def inputs_of(
    name: str, own: dict[str, object], logits: np.ndarray, dtype: str, reading: str = "logits", soft: bool = False
) -> Inputs:
    """A call with its defaults, targets (every fourth row ignored where rows can be) and a random upstream."""
    function = registry.get(name)
    parameters = {parameter.name: parameter.default for parameter in function.parameters} | own
    if name == "margin":
        logits = np.tanh(logits.astype(np.float64) / 2.0).astype(logits.dtype)
    targets = None
    if function.targets == "probabilities" or soft:
        targets = families.probabilities(logits, dtype, 1)
    elif function.takes_targets:
        targets = families.labels(logits, 1)
        targets[3::4] = -100
    shape = logits.shape if not function.has_row_output else logits.shape[:1]
    shape = shape if parameters.get("reduction", "none") == "none" else ()
    call = FunctionCall(name, MappingProxyType(parameters))
    upstream = families.upstream(shape, dtype, 3)
    return Inputs(call, dtype, 1.0, (1,), logits, targets, upstream, False, None, reading=reading)


def logits_of(dtype: str, rows: int = 4) -> list[np.ndarray]:
    wanted = ("normal_1", "normal_20", "gap_30", "offset_100", "lse_zero", "equal", "one_hot")
    return [z for family, z in families.families(dtype, N, rows, 0) if family in wanted]


def assert_enclosed(found: Enclosed, exact: np.ndarray) -> None:
    with ctx.workprec(by_difference.BITS):
        for index, due in np.ndenumerate(exact):
            if np.isfinite(found.mid[index]):
                low = 0.0 if found.low is None else float(found.low[index])
                error = abs(due - float(found.mid[index]) - low)
                assert error <= float(found.rad[index]) + ORACLE_ERROR, (index, found.mid[index], due)
            else:
                assert found.open is not None
                assert found.open[index]


def outputs_and_gradients(truth: Truth) -> tuple[list[Enclosed], list[Enclosed]]:
    blocks = list(truth.blocks())
    outputs = [truth.reduced_output()] if truth.reduced else [block.output for block in blocks]
    return outputs, [truth.gradient(block, None) for block in blocks]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_enclosures_contain_the_exact_values(loss: str, dtype: str) -> None:
    name, own = LOSSES[loss]
    for logits in logits_of(dtype):
        inputs = inputs_of(name, own, logits, dtype)
        output, gradient = by_difference.evaluate(inputs)
        found_outputs, found_gradients = outputs_and_gradients(Truth(inputs))
        assert_enclosed(found_outputs[0], output)
        assert_enclosed(found_gradients[0], gradient)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_enclosures_are_narrow(loss: str, dtype: str) -> None:
    """An infinite radius would contain everything; a float32 gradient is due to far below its own digits."""
    name, own = LOSSES[loss]
    for logits in logits_of(dtype):
        if name == "margin" and np.abs(logits.astype(np.float64)).max() > 10.0:
            continue  # cosines that round to 1 have no sine
        _, (gradient,) = outputs_and_gradients(Truth(inputs_of(name, own, logits, dtype)))
        scale = np.abs(gradient.mid).max()
        assert np.all(gradient.rad <= scale * (1e-12 if dtype == "float32" else 1e-28))


@pytest.mark.parametrize("reading", ["probabilities", "log_probabilities"])
@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_a_subject_reads_is_what_is_differentiated_by(name: str, reading: str, dtype: str) -> None:
    """At given p: -t / p, without a renormalisation; at given log p: -t."""
    logits = logits_of(dtype)[0].astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    given = (p if reading == "probabilities" else np.log(p)).astype(families.DTYPES[dtype])
    for soft in (False, True) if name == "cross_entropy" else (False,):
        inputs = inputs_of(name, {"temperature": 0.5}, given, dtype, reading, soft)
        output, gradient = by_difference.evaluate(inputs)
        truth = Truth(inputs)
        (block,) = truth.blocks()
        assert_enclosed(truth.reduced_output(), output)
        assert_enclosed(truth.gradient(block, None), gradient)
        assert np.any(block.rows.upstream.mid)


def test_the_gradient_at_given_probabilities_by_hand() -> None:
    p = np.array([[0.25, 0.5, 0.125]], dtype=np.float32)
    call = FunctionCall("cross_entropy", MappingProxyType({"reduction": "sum", "ignore_index": -100}))
    inputs = Inputs(call, "float32", 1.0, (1,), p, np.array([2]), np.ones((), np.float32), False, None)
    truth = Truth(replace(inputs, reading="probabilities"))
    (block,) = truth.blocks()
    assert truth.gradient(block, None).mid.tolist() == [[0.0, 0.0, -8.0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_target_gradients_are_minus_log_p_times_the_upstream_gradient(dtype: str) -> None:
    """With smoothing and class weights, w_j (1 - eps) of that; a divergence has 1 + log q more."""
    logits = logits_of(dtype)[0]
    weight = np.array([0.5, 2.0, 1.0, 0.25, 1.0], families.DTYPES[dtype])
    log_p = logits.astype(np.float64) - np.log(np.exp(logits.astype(np.float64)).sum(axis=1, keepdims=True))
    for name, own in (("cross_entropy", {"label_smoothing": 0.25}), ("kl_divergence", {})):
        inputs = inputs_of(name, own, logits, dtype, soft=True)
        if name == "cross_entropy":
            inputs = replace(inputs, weight=weight)
        assert inputs.targets is not None
        assert inputs.upstream is not None
        truth = Truth(inputs)
        (block,) = truth.blocks()
        found = truth.target_gradient(block)
        q = inputs.targets.astype(np.float64)
        due = -log_p * 0.75 * weight.astype(np.float64)
        if name == "kl_divergence":
            due = -log_p + 1.0 + np.log(np.where(q > 0.0, q, 1.0))
            assert found.open is not None
            assert np.array_equal(found.open, q == 0.0)
        due = due * float(inputs.upstream) / len(q)
        kept = np.isfinite(found.mid)
        assert kept.any()
        assert np.max(np.abs(found.mid - due)[kept]) <= 1e-13
        assert np.max(np.broadcast_to(found.rad, due.shape)[kept]) <= 1e-13


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", LOSSES)
def test_hessians_are_the_differences_of_gradients(loss: str, dtype: str) -> None:
    name, own = LOSSES[loss]
    logits = dict(families.families("float64", N, 4, 0))["normal_1"].astype(families.DTYPES[dtype])
    inputs = inputs_of(name, own, logits, dtype)
    direction = np.random.default_rng(0).standard_normal(logits.shape)
    truth = Truth(inputs)
    (block,) = truth.blocks()
    found = truth.hessian_vector(block, direction)
    step, ends = 2.0**-17, []
    for side in (step, -step):
        moved = Truth(replace(inputs, dtype="float64", logits=inputs.logits.astype(np.float64) + side * direction))
        ends.append(moved.gradient(next(iter(moved.blocks())), None).mid)
    due = (ends[0] - ends[1]) / (2.0 * step)
    scale = np.abs(due).max() + 1e-3
    assert np.max(np.abs(found.mid - due)) <= 1e-6 * scale
    assert np.max(np.broadcast_to(found.rad, due.shape)) <= 1e-10 * scale


def test_infinite_logits_under_a_cap_are_the_cap() -> None:
    infinite = np.array([[np.inf, -np.inf, 0.0, 1.0, -1.0]] * 2, dtype=np.float32)
    large = np.where(np.isinf(infinite), np.sign(infinite) * 1e5, infinite).astype(np.float32)
    for name, own in (("softcap", {"cap": 3.0}), ("cross_entropy", {"softcap": 3.0, "reduction": "none"})):
        results = []
        for logits in (infinite, large):
            truth = Truth(inputs_of(name, own, logits, "float32"))
            (block,) = truth.blocks()
            results.append((block.output.mid, truth.gradient(block, None).mid))
        assert np.isfinite(results[0][0]).all()
        assert np.array_equal(results[0][0], results[1][0])
        assert np.array_equal(results[0][1], results[1][1])


def test_a_probability_of_0_at_the_target_costs_an_infinite_loss() -> None:
    p = np.array([[0.0, 0.5, 0.25, 0.25, 0.0], [0.0, 0.5, 0.25, 0.25, 0.0]], dtype=np.float32)
    inputs = inputs_of("cross_entropy", {"reduction": "none"}, p, "float32", "probabilities")
    truth = Truth(replace(inputs, targets=np.array([0, 1])))
    (block,) = truth.blocks()
    assert block.output.mid[0, 0] == np.inf
    assert block.output.mid[1, 0] == pytest.approx(np.log(2.0), rel=1e-15)
    gradient = truth.gradient(block, None)
    assert gradient.open is not None
    assert np.array_equal(gradient.open, p == 0.0)


def test_what_has_no_meaning_is_refused() -> None:
    logits = logits_of("float32")[0]
    with pytest.raises(
        RequestError, match="z_loss is a function of logits, and has no meaning at given probabilities"
    ):
        Truth(inputs_of("z_loss", {}, logits, "float32", "probabilities"))
    with pytest.raises(RequestError, match="softcap is computed from logits, not from log-probabilities"):
        Truth(inputs_of("cross_entropy", {"softcap": 3.0}, logits, "float32", "log_probabilities"))
    beyond = replace(
        inputs_of("margin", {"kind": "angular"}, logits, "float32"), logits=np.full((4, N), 1.5, dtype=np.float32)
    )
    with pytest.raises(RequestError, match=r"logits\[0, 0\]: 1.5 is no cosine \(20 values are beyond -1 to 1\)"):
        Truth(beyond)
