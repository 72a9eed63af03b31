"""Planted faults are what faulty code computes, and an audit's inputs are credited with what they expose, no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from gradaudit.backends import claimed
from gradaudit.measurement.audited import Audited
from gradaudit.measurement.power import exposures
from gradaudit.measurement.power.plants import PLANTS
from gradaudit.measurement.power.scene import Scene, stand_in
from gradaudit.records.case import Case
from gradaudit.records.evaluation import Evaluation, EvaluationKey
from gradaudit.records.inputs import Inputs
from gradaudit.records.measurement import Exposure
from gradaudit.records.subject import Subject
from gradaudit.reference import admissible
from gradaudit.reference.truth import Truth
from gradaudit.specs import probes
from gradaudit.specs.loading import load_text
from gradaudit.specs.materialise import materialise

SUBJECT = Subject("mine", "torch", "losses.py:loss")
SHAPE = "logits: {random: {shape: [7, 11], scale: 3, seed: 1}}\n"
LABELS = "targets: {random: {seed: 1, ignored: 2}}\nupstream: random\n"
WEIGHT = "[0.71, 1.93, 0.38, 1.27, 2.41, 0.55, 1.09, 0.83, 1.61, 0.47, 2.03]"
MEAN = "function: cross_entropy\n" + SHAPE + LABELS
SMOOTHED = "function: {name: cross_entropy, label_smoothing: 0.1}\n" + SHAPE + LABELS
WEIGHTED = f"function: {{name: cross_entropy, weight: {WEIGHT}}}\n" + SHAPE + LABELS
WARM = "function: {name: cross_entropy, temperature: 2, reduction: none}\n" + SHAPE + LABELS
SOFT = "function: cross_entropy\n" + SHAPE + "targets: {random: {seed: 1, kind: probabilities}}\n"
SOFTMAX = "function: softmax\nupstream: random\n" + SHAPE
LOGARITHM = SOFTMAX.replace("softmax", "log_softmax")


def case_of(text: str) -> Case:
    (case,) = load_text("version: 1\n" + text, "spec.yaml")
    return case


def no_draw(distribution: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    raise AssertionError("torch was asked to draw")


def own(text: str, dtype: str = "float64") -> Inputs:
    return materialise(case_of(text), dtype, 1.0, 0, no_draw)


def entry(inputs: Inputs) -> Audited:
    """An evaluation whose results play no part."""
    key = EvaluationKey("mine", "torch", "custom", inputs.dtype, 1.0, inputs.probe)
    nothing = np.zeros(())
    truth = None if inputs.expects_error else Truth(inputs)
    return Audited(inputs, truth, Evaluation(key, nothing, np.zeros(inputs.logits.shape), None, 0.0), None)


def exposure(text: str, dtype: str, *names: str, prove: bool = False) -> Exposure:
    case = case_of(text)
    entries = [entry(own(text, dtype)), *(entry(probes.inputs(case, name, dtype, 0)) for name in names)]
    rows = admissible.rows(case.function, dtype, claimed.profile_of(SUBJECT, dtype))
    (found,) = exposures("mine", dtype, entries, rows, prove=prove)
    return found


# -- plants against faulty code ------------------------------------------------------------------------------------

torch = pytest.importorskip("torch")
F = torch.nn.functional
Faulty = Callable[..., "torch.Tensor"]


def halves(logits, labels):
    first = (logits.shape[1] + 1) // 2
    normaliser = torch.stack([logits[:, :first].logsumexp(1), logits[:, first:].logsumexp(1)], 1)
    return normaliser.gather(1, (labels >= first).long()[:, None])[:, 0] - logits.gather(1, labels[:, None])[:, 0]


def of_kept(losses, labels):
    return losses[labels != -100].mean()


def smoothed(logits, labels):
    log_p = F.log_softmax(logits, 1)
    hit = log_p.gather(1, labels.clamp(min=0)[:, None])[:, 0]
    return -(0.9 * hit + 0.1 / 10 * (log_p.sum(1) - hit))


def chunk_means(logits, labels):
    return sum(F.cross_entropy(x, y) for x, y in zip(logits.tensor_split(2), labels.tensor_split(2), strict=True)) / 2


def clamped(logits, labels):
    p = torch.softmax(logits, 1).clamp(min=1e-7)
    return of_kept(-torch.log(p.gather(1, labels.clamp(min=0)[:, None])[:, 0]), labels)


def down(logits, labels):
    return of_kept(-F.log_softmax(logits, 0).gather(1, labels.clamp(min=0)[:, None])[:, 0], labels)


def unweighted(logits, labels):
    weight = logits.new_tensor([float(part) for part in WEIGHT.strip("[]").split(",")])
    return F.cross_entropy(logits, labels, reduction="sum") / weight[labels[labels != -100]].sum()


def next_label(logits, labels):
    return F.cross_entropy(logits, torch.where(labels >= 0, (labels + 1) % 11, labels))


FORWARDS: dict[tuple[str, str], Faulty] = {
    ("mean-denominator", MEAN): lambda x, y: F.cross_entropy(x, y, reduction="sum") / len(x),
    ("mean-over-classes", MEAN): lambda x, y: F.cross_entropy(x, y) / x.shape[1],
    ("mean-of-means", MEAN): chunk_means,
    ("smoothing-convention", SMOOTHED): lambda x, y: of_kept(smoothed(x, y), y),
    ("class-weights", WEIGHTED): unweighted,
    ("partition-local-normaliser", MEAN): lambda x, y: of_kept(halves(x, y.clamp(min=0)), y),
    ("partition-local-normaliser", SOFTMAX): lambda x: torch.cat([x[:, :6].softmax(1), x[:, 6:].softmax(1)], 1),
    ("partition-local-normaliser", LOGARITHM): lambda x: torch.cat(
        [x[:, :6].log_softmax(1), x[:, 6:].log_softmax(1)], 1
    ),
    ("wrong-axis", MEAN): down,
    ("wrong-axis", SOFTMAX): lambda x: x.softmax(0),
    ("wrong-axis", LOGARITHM): lambda x: x.log_softmax(0),
    ("softmax-applied-twice", MEAN): lambda x, y: F.cross_entropy(x.softmax(1), y),
    ("softmax-applied-twice", SOFT): lambda x, t: F.cross_entropy(x.softmax(1), t),
    ("softmax-applied-twice", SOFTMAX): lambda x: x.softmax(1).softmax(1),
    ("labels-misaligned", MEAN): next_label,
    ("labels-misaligned", SOFT): lambda x, t: F.cross_entropy(x, t.roll(1, 1)),
    ("clamped-probability", MEAN): clamped,
    ("clamped-probability", LOGARITHM): lambda x: x.softmax(1).clamp(min=1e-7).log(),
}
"""Faults of the forward pass: the gradient is that of the faulty loss."""


def planted(fault: str, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    (plant,) = (each for each in PLANTS if each.fault == fault)
    scene = Scene(Truth(inputs), claimed.profile_of(SUBJECT, inputs.dtype))
    found = plant.make(scene)
    assert found is not None, fault
    return found.output, found.gradient


@pytest.mark.parametrize(("fault", "text"), sorted(FORWARDS))
def test_a_plant_is_what_code_with_the_fault_computes(fault: str, text: str) -> None:
    inputs = own(text)
    output, gradient = planted(fault, inputs)
    logits = torch.tensor(inputs.logits, requires_grad=True)
    arguments = () if inputs.targets is None else (torch.tensor(inputs.targets),)
    result = FORWARDS[fault, text](logits, *arguments)
    result.backward(torch.tensor(inputs.upstream))
    size = np.abs(output).max()
    assert np.abs(output.reshape(result.shape) - result.detach().numpy()).max() < 2.0**-40 * size
    assert np.abs(gradient - logits.grad.numpy()).max() < 2.0**-40 * np.abs(gradient).max()


def test_faults_of_the_backward_leave_the_output_right() -> None:
    inputs = own(WARM)
    scene = Scene(Truth(inputs), claimed.profile_of(SUBJECT, "float64"))
    labels, upstream = inputs.targets, inputs.upstream
    assert labels is not None
    assert upstream is not None
    p = torch.tensor(inputs.logits / 2).softmax(1).numpy()
    hot = np.eye(11)[labels.clip(0)] * (labels >= 0)[:, None]
    kept = (labels >= 0)[:, None]
    due = upstream[:, None] * (p - hot) * kept / 2
    expected = {
        "upstream-gradient": (p - hot) * kept / 2,
        "ignored-rows-leak": upstream[:, None] * (p - hot) / 2,
        "logit-transform-factor": due * 2,
        "sign-flipped": -due,
        "truncated-jacobian": due * hot,
    }
    for fault, gradient in expected.items():
        output, found = planted(fault, inputs)
        assert np.array_equal(output, scene.output), fault
        assert np.abs(found - gradient).max() < 2.0**-45, fault
    assert np.abs(scene.gradient - due).max() < 2.0**-45


def test_faults_beyond_a_range_leave_no_numbers() -> None:
    case = case_of(MEAN)
    for fault, probe, clean in (
        ("missing-max-shift", "offset-overflow", "gap-far-loser"),
        ("unfused-logarithm", "gap-far-loser", "offset-overflow"),
    ):
        output, gradient = planted(fault, probes.inputs(case, probe, "float32", 0))
        assert not np.isfinite(output)
        assert np.isnan(gradient).all()
        output, gradient = planted(fault, probes.inputs(case, clean, "float32", 0))
        assert np.isfinite(output)
        assert np.isfinite(gradient).all()


# -- what is exposed -----------------------------------------------------------------------------------------------

PLAIN = "function: cross_entropy\n" + SHAPE + "targets: {random: {seed: 1}}\n"


def test_inputs_are_credited_with_what_they_expose() -> None:
    alone = exposure(PLAIN, "float32")
    assert alone.probes == ()
    assert set(alone.hidden) == {
        "mean-denominator",
        "upstream-gradient",
        "ignored-rows-leak",
        "unfused-logarithm",
        "missing-max-shift",
        "clamped-probability",
    }
    assert "reduction-factor" in alone.own
    assert alone.named is None
    probed = exposure(PLAIN, "float32", "ordinary", "ignored-rows", "gap-far-loser", "offset-overflow")
    assert probed.own == alone.own
    assert set(probed.probes) == set(alone.hidden)
    assert probed.hidden == ()


def test_what_a_function_cannot_have_is_not_counted() -> None:
    counted = {*exposure(SOFTMAX, "float32").own, *exposure(SOFTMAX, "float32").hidden}
    assert "truncated-jacobian" in counted
    assert not counted & {"reduction-factor", "mean-denominator", "labels-misaligned", "class-weights", "target-mass"}
    soft = exposure(SOFT, "float32", "mass")
    assert "target-mass" in soft.probes
    assert not {*soft.own, *soft.hidden} & {"ignored-rows-leak", "smoothing-convention", "mean-denominator"}
    row = exposure("function: cross_entropy\nlogits: [1, 2, 3]\ntargets: 1\n", "float32")
    assert not {*row.own, *row.hidden} & {"reduction-factor", "mean-denominator", "wrong-axis", "ignored-rows-leak"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("text", [MEAN, SMOOTHED, WARM, LOGARITHM], ids=["mean", "smoothed", "warm", "log_softmax"])
def test_standard_probes_leave_nothing_hidden(text: str, dtype: str) -> None:
    case = replace(case_of(text), dtypes=(dtype,))
    found = exposure(text, dtype, *probes.names(case))
    # Code that rounds every step to 16 bits may be as far off as a coarse sum, or as eps / (C - 1) is from eps / C.
    hidden = {"float16": {"low-precision-inside"}, "bfloat16": {"low-precision-inside", "smoothing-convention"}}
    assert set(found.hidden) <= hidden.get(dtype, set())


def test_an_upstream_gradient_of_ones_hides_what_softmax_does() -> None:
    flat = exposure(SOFTMAX.replace("random", "ones", 1), "float32")
    assert {"sign-flipped", "upstream-gradient"} <= set(flat.hidden)
    assert "sign-flipped" in exposure(SOFTMAX, "float32").own


def test_a_jacobian_exposes_what_its_cotangents_do() -> None:
    found = exposure(SOFTMAX.replace("random", "per_output", 1), "float32")
    assert {"truncated-jacobian", "sign-flipped", "wrong-axis"} <= set(found.own)


def test_some_rows_stand_for_many_the_extreme_ones_among_them() -> None:
    inputs = own(PLAIN.replace("[7, 11]", "[5000, 11]"), "float32")
    logits = inputs.logits.copy()
    logits[4321] += 900
    logits[1234, 3] -= 700
    truth = stand_in(Truth(replace(inputs, logits=logits)))
    assert truth.layout.rows < 2000
    assert logits.max() in truth.inputs.logits
    assert logits.min() in truth.inputs.logits
    small = Truth(inputs)
    assert stand_in(small).inputs.logits.size <= 1 << 14


def test_a_probe_of_special_values_or_without_a_truth_counts_for_nothing() -> None:
    alone = exposure(PLAIN, "float32")
    special = exposure(PLAIN, "float32", "minus-infinity", "all-ignored", "label-too-large")
    assert (special.own, special.hidden) == (alone.own, alone.hidden)


@pytest.mark.slow
def test_a_proof_names_planted_faults() -> None:
    found = exposure(PLAIN, "float32", "ordinary", "ignored-rows", "offset-overflow", prove=True)
    assert found.named is not None
    assert set(found.named) <= {*found.own, *found.probes}
    assert {"reduction-factor", "mean-denominator", "sign-flipped", "missing-max-shift"} <= set(found.named)
