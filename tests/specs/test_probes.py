"""Probes: sized so that the constants of faults stay apart, on either side of every threshold, bit for bit again."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest

from gradaudit.numerics import formats
from gradaudit.records.case import Case, InlineArray
from gradaudit.records.inputs import Inputs
from gradaudit.records.subject import Subject
from gradaudit.specs import probes
from gradaudit.specs.probes import catalogue
from gradaudit.specs.probes.setting import Setting
from gradaudit.specs.rounding import rounded
from tests.specs.conftest import one_case

DTYPES = ("float16", "bfloat16", "float32", "float64")
MEAN = "function: cross_entropy\nlogits: {random: {shape: [128, 256]}}\ntargets: {random: {seed: 1}}\n"
NONE = "function: {name: cross_entropy, reduction: none}\n" + MEAN.split("\n", 1)[1]
IGNORING = MEAN.replace("{seed: 1}", "{seed: 1, ignored: 4}")
SOFT = MEAN.replace("{seed: 1}", "{seed: 1, kind: probabilities}")
WEIGHTED = (
    "function: {name: cross_entropy, weight: [1, 0, 3, 2, 4, 5], masked_classes: [2, 3], temperature: 2}\n"
    "logits: {random: {shape: [9, 6]}}\ntargets: {random: {seed: 1}}\n"
)
IMAGE = (
    "function: {name: cross_entropy, ignore_index: 0, logit_scale: 14.3}\n"
    "logits: {random: {shape: [2, 6, 4]}}\naxis: 1\ntargets: {random: {seed: 1}}\n"
)
TWO_AXES = "function: softmax\nlogits: {random: {shape: [2, 3, 11]}}\naxis: [1, 2]\n"
ONE_ROW = "function: logsumexp\nlogits: [1, 2, 3]\n"
CASES = {
    "mean": MEAN,
    "none": NONE,
    "ignoring": IGNORING,
    "soft": SOFT,
    "weighted": WEIGHTED,
    "image": IMAGE,
    "two axes": TWO_AXES,
    "log_softmax": "function: log_softmax\nlogits: {random: {shape: [3, 11, 7]}}\naxis: 1\n",
    "one row": ONE_ROW,
    "one labelled row": "function: cross_entropy\nlogits: [1, 2, 3]\ntargets: 1\n",
}


def made(text: str, probe: str, dtype: str = "float32", seed: int = 0) -> Inputs:
    return probes.inputs(one_case(text), probe, dtype, seed)


def as_rows(inputs: Inputs) -> np.ndarray:
    """The scaled logits as [rows, classes], in float64."""
    parameters = inputs.function.parameters
    factor = float(parameters["logit_scale"]) / float(parameters["temperature"])  # type: ignore[arg-type]
    logits = inputs.logits.astype(np.float64) * factor
    order = [i for i in range(logits.ndim) if i not in inputs.axis] + list(inputs.axis)
    classes = math.prod(logits.shape[axis] for axis in inputs.axis)
    return logits.transpose(order).reshape(-1, classes)


EVERY = [(case, dtype) for case in CASES for dtype in DTYPES]


@pytest.mark.parametrize(("case", "dtype"), EVERY)
def test_every_standard_probe_fits_its_case(case: str, dtype: str) -> None:
    own = replace(one_case(CASES[case]), dtypes=DTYPES)
    setting = Setting(own)
    for name in probes.names(own):
        inputs = probes.inputs(own, name, dtype, 0)
        assert inputs.probe == name
        assert inputs.logits.dtype == formats.dtype(dtype), name
        assert inputs.logits.ndim == len(own.shape), name
        assert inputs.axis == own.axis
        assert inputs.upstream is not None
        assert inputs.upstream.shape == setting.output_shape(inputs.logits.shape), name
        assert inputs.upstream.dtype == formats.dtype(dtype), name
        assert np.isfinite(inputs.logits.astype(np.float64)).all() or inputs.special, name
        assert inputs.logits.size <= catalogue.MOST_ELEMENTS, name
        if inputs.targets is None:
            assert own.targets is None
        elif setting.soft:
            assert inputs.targets.shape == inputs.logits.shape
            assert inputs.targets.dtype == formats.dtype(dtype)
        else:
            classes = math.prod(inputs.logits.shape[axis] for axis in own.axis)
            valid = (inputs.targets >= 0) & (inputs.targets < classes) & ~np.isin(inputs.targets, setting.masked)
            assert (valid | (inputs.targets == setting.ignore_index)).all() != inputs.expects_error, name


@pytest.mark.parametrize("name", sorted(CASES))
def test_equal_seeds_give_equal_bits_and_others_do_not(name: str) -> None:
    own = one_case(CASES[name])
    for probe in probes.names(own):
        first, again, other = (probes.inputs(own, probe, "float32", seed) for seed in (3, 3, 4))
        for field in ("logits", "targets", "upstream", "weight"):
            one, two = getattr(first, field), getattr(again, field)
            assert (one is None and two is None) or one.tobytes() == two.tobytes(), (probe, field)
        assert probe == "equal" or first.logits.tobytes() != other.logits.tobytes(), probe


def test_constants_of_different_faults_differ() -> None:
    inputs = made(IGNORING, "ignored-rows")
    rows, classes = inputs.logits.shape
    assert inputs.targets is not None
    valid = int((inputs.targets != -100).sum())
    upstream = 1.7
    constants = [rows, 1 / rows, classes, 1 / classes, valid, 1 / valid, valid / rows, rows / valid]
    constants += [2, 3, 1 / 2, 1 / 3, upstream, 1 / upstream, valid / (2 * 2), valid / (3 * 1), 1]
    assert (rows, classes, valid) == (7, 11, 5)
    for one, other in itertools.combinations(constants, 2):
        assert abs(one / other - 1) > 0.02
    assert len(set(inputs.targets[inputs.targets >= 0])) == valid
    assert inputs.upstream is not None
    assert inputs.upstream == np.float32(upstream)


@pytest.mark.parametrize(("probe", "parts"), [("ignored-rows", (2, 3)), ("micro-batches", (2, 3, 4, 6))])
def test_ignored_rows_stand_unequally_in_the_chunks(probe: str, parts: tuple[int, ...]) -> None:
    targets = made(IGNORING, probe).targets
    assert targets is not None
    for count in parts:
        even = np.array_split(targets, count)
        size = -(-len(targets) // count)
        ceiling = [targets[start : start + size] for start in range(0, len(targets), size)]
        for chunks in (even, ceiling):
            shares = {float((chunk != -100).mean()) for chunk in chunks}
            assert len(shares) > 1, (count, shares)


def test_axes_are_those_of_the_case_with_coprime_sizes() -> None:
    assert made(TWO_AXES, "ordinary").logits.shape == (7, 4, 11)
    assert made(IMAGE, "ordinary").logits.shape == (3, 11, 7)
    assert made(ONE_ROW, "ordinary").logits.shape == (11,)
    assert made(TWO_AXES, "many-classes").logits.shape == (7, 1, 517)
    assert made(IMAGE, "many-rows").logits.shape == (2053, 3, 1)


def test_what_holds_one_number_for_each_class_keeps_the_classes_of_the_case() -> None:
    assert made(WEIGHTED, "ordinary").logits.shape == (7, 6)
    assert "many-classes" not in probes.names(one_case(WEIGHTED))
    assert {"equal", "masked-logit", "zero-weights"} <= set(probes.names(one_case(WEIGHTED)))
    for kwargs in ({"num_classes": 256}, {"alpha": {"tensor": [0.5] * 256}}, {"weights": [1.0] * 256}):
        subject = Subject("mine", "torch", "losses.py:Loss", kwargs=kwargs)
        bound = replace(one_case(MEAN), subjects=(subject,))
        assert probes.inputs(bound, "ordinary", "float32", 0).logits.shape == (7, 256), kwargs
    subject = Subject("mine", "torch", "losses.py:Loss", kwargs={"smoothing": 0.1, "reduce": True})
    free = replace(one_case(MEAN), subjects=(subject,))
    assert probes.inputs(free, "ordinary", "float32", 0).logits.shape == (7, 11)


def test_a_case_with_very_many_classes_of_its_own_has_no_probe_beyond_the_limit() -> None:
    wide = replace(one_case(WEIGHTED), shape=(2, 5000), function=replace(one_case(WEIGHTED).function))
    function = replace(wide.function, parameters={**wide.function.parameters, "weight": (1.0,) * 5000})
    chosen = probes.names(replace(wide, function=function))
    assert "many-rows" not in chosen
    assert "ordinary" in chosen


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("side", ["loser", "winner"])
def test_gaps_stand_on_both_sides_of_the_thresholds_of_the_dtype(dtype: str, side: str) -> None:
    form, one = formats.get(dtype), np.ones((), dtype=formats.dtype(dtype))

    def gaps(name: str) -> np.ndarray:
        inputs = made(MEAN, f"gap-{name}-{side}", dtype)
        z, labels = as_rows(inputs), inputs.targets
        assert labels is not None
        rows = np.arange(len(z))
        top, second = np.sort(z, axis=1)[:, -1], np.sort(z, axis=1)[:, -2]
        at_label = z[rows, labels]
        assert (at_label == (top if side == "winner" else second)).all()
        return top - second

    def both(seen: np.ndarray) -> bool:
        return bool(seen.any() and not seen.all())

    small = gaps("rounding")
    assert both((one + rounded(np.exp(-small), dtype)) == one)
    large = gaps("overflow")
    assert both(large > math.log(form.largest))
    assert not (large > math.log(2.0) - math.log(form.smallest_subnormal)).any()
    vanishing = gaps("underflow")
    assert both(rounded(np.exp(-vanishing), dtype) == 0.0)
    assert (gaps("far") >= 799.0).all()
    assert ((gaps("moderate") > -math.log(1e-8)) & (gaps("moderate") < 30.0)).all()
    assert (gaps("moderate") > -math.log(1e-12)).any()
    if side == "loser":
        assert len(np.unique(np.round(gaps("sweep")))) == 7


@pytest.mark.parametrize("dtype", DTYPES)
def test_offsets_overflow_what_is_not_shifted(dtype: str) -> None:
    limit = math.log(formats.get("float32" if dtype != "float64" else dtype).largest)
    assert as_rows(made(MEAN, "offset-overflow", dtype)).min() > limit
    assert as_rows(made(MEAN, "offset-below", dtype)).max() < -limit
    apart = as_rows(made(MEAN, "rows-apart", dtype))
    assert apart[0].min() - apart[1:4].max() > limit
    assert apart[4].min() - apart[5:].max() > limit
    assert apart.mean() < apart[0].min() - limit
    large = made(MEAN, "offset-large", dtype)
    spacing = formats.ulp(np.abs(large.logits.astype(np.float64)), formats.get(dtype)).max()
    assert spacing >= 64 * formats.get(dtype).unit_roundoff
    assert len(np.unique(large.logits.astype(np.float64))) > 4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_equal_logits_are_so_many_that_a_sum_in_the_dtype_sticks(dtype: str) -> None:
    inputs = made(MEAN, "equal", dtype)
    classes = inputs.logits.shape[1]
    one = np.ones((), dtype=formats.dtype(dtype))
    total = one
    for _ in range(classes - 1):
        total = (total + one).astype(one.dtype)
    assert float(total) <= classes / 2
    assert len(np.unique(inputs.logits.astype(np.float64))) == 1


def test_no_block_divides_the_long_rows() -> None:
    classes = made(MEAN, "many-classes").logits.shape[1]
    assert all(classes % block for block in (2, 4, 8, 16, 32, 64, 128, 256, 512))
    assert all(made(MEAN, f"length-{n}").logits.shape == (7, n) for n in range(1, 18))
    assert made(MEAN, "many-rows").logits.shape[0] > 2048


def test_nothing_overflows_in_float16_but_what_has_to() -> None:
    own = replace(one_case(MEAN), dtypes=("float16",))
    for temperature in (0.01, 1.0, 50.0):
        function = replace(own.function, parameters={**own.function.parameters, "temperature": temperature})
        case = replace(own, function=function)
        for name in probes.names(case):
            inputs = probes.inputs(case, name, "float16", 0)
            raw = inputs.logits.astype(np.float64)
            assert np.isfinite(raw).all() or inputs.special, name
            finite = raw[np.isfinite(raw)]
            assert np.abs(finite).max() / temperature * len(inputs.logits) < 7 * 65504, (name, temperature)


def test_upstream_gradients() -> None:
    ordinary, one_hot = (made(NONE, name).upstream for name in ("ordinary", "one-hot"))
    assert ordinary is not None
    assert one_hot is not None
    assert len(set(np.abs(ordinary))) == 7
    assert sorted(one_hot) == [0.0] * 6 + [1.0]
    assert one_hot[0] == one_hot[-1] == 0.0
    for name, (low, high), layout in (
        ("ones", (1.0, 1.0), "contiguous"),
        ("zero", (0.0, 0.0), "contiguous"),
        ("expanded", (np.float32(1.7),) * 2, "expanded"),
        ("strided-upstream", (-2.0, 2.0), "strided"),
        ("negative", (-2.0, -0.5), "contiguous"),
    ):
        inputs = made(NONE, name)
        assert inputs.upstream is not None
        assert inputs.upstream_layout == layout
        assert low <= inputs.upstream.min() <= inputs.upstream.max() <= high
    assert made(MEAN, "negative").upstream == -np.float32(1.7)
    assert not {"one-hot", "expanded", "strided-upstream"} & set(probes.names(one_case(MEAN)))
    softmax = made(TWO_AXES, "one-hot").upstream
    assert softmax is not None
    assert softmax.shape == (7, 4, 11)
    assert softmax.sum() == 1.0


def test_layouts() -> None:
    assert made(MEAN, "strided").layout == "strided"
    assert made(MEAN, "transposed").layout == "transposed"
    assert "transposed" not in probes.names(one_case(ONE_ROW))


def test_ignored_rows() -> None:
    assert not made(MEAN, "ignored-rows").special
    image = made(IMAGE, "ignored-rows").targets
    assert image is not None
    assert int((image == 0).sum()) == 6
    everything = made(MEAN, "all-ignored")
    assert everything.special
    assert everything.targets is not None
    assert (everything.targets == -100).all()
    assert not {"ignored-rows", "all-ignored", "micro-batches"} & set(probes.names(one_case(SOFT)))


def test_infinities_are_nobodys_target() -> None:
    hard, soft = made(MEAN, "minus-infinity"), made(SOFT, "minus-infinity")
    assert hard.targets is not None
    assert soft.targets is not None
    assert (hard.logits[:, 0] == -np.inf).all()
    assert (hard.targets != 0).all()
    assert (soft.targets[:, 0] == 0).all()
    assert np.abs(soft.targets.sum(axis=1) - 1).max() < 1e-6
    assert hard.special
    row = made(IGNORING, "infinite-row")
    assert row.targets is not None
    assert (row.logits[1] == -np.inf).all()
    assert row.targets[1] == -100
    assert row.special
    assert (made(TWO_AXES, "infinite-row").logits[1] == -np.inf).all()
    assert "infinite-row" not in probes.names(one_case(SOFT))


def test_labels_that_are_no_class_expect_an_error() -> None:
    large, negative = made(MEAN, "label-too-large"), made(MEAN, "label-negative")
    assert large.targets is not None
    assert negative.targets is not None
    assert sorted(large.targets)[-1] == 13
    assert sorted(negative.targets)[0] == -1
    assert large.expects_error
    assert negative.expects_error
    minus_one = MEAN.replace("cross_entropy", "{name: cross_entropy, ignore_index: -1}")
    other = made(minus_one, "label-negative").targets
    assert other is not None
    assert sorted(other)[0] == -2


def test_masses() -> None:
    ordinary, twice, zeros = (made(SOFT, name) for name in ("ordinary", "mass", "zero-masses"))
    for inputs, total in ((ordinary, 1.0), (twice, 2.0), (zeros, 1.0)):
        assert inputs.targets is not None
        assert np.abs(inputs.targets.sum(axis=1, dtype=np.float64) - total).max() < 1e-6
    assert ordinary.targets is not None
    assert zeros.targets is not None
    assert (ordinary.targets > 0).all()
    assert 0.2 < (zeros.targets == 0).mean() < 0.8
    assert sorted(zeros.targets[0])[-2:] == [0.0, 1.0]
    assert twice.special
    own = replace(one_case(SOFT), targets=InlineArray(np.full((128, 256), 0.5)))
    assert not probes.inputs(own, "mass", "float32", 0).special
    assert not {"mass", "zero-masses"} & set(probes.names(one_case(MEAN)))


def test_masked_and_weightless_classes() -> None:
    masked = made(WEIGHTED, "masked-logit")
    z = as_rows(masked)
    assert (z[:, [2, 3]] == 800.0).all()
    assert np.delete(z, [2, 3], axis=1).max() < 20
    weightless = made(WEIGHTED, "zero-weights")
    assert weightless.targets is not None
    assert (weightless.targets == 1).all()
    assert weightless.special
    assert "zero-weights" not in probes.names(one_case(MEAN))


def test_standard_probes_are_in_order_and_known() -> None:
    for text in CASES.values():
        chosen = probes.names(one_case(text))
        assert chosen[0] == "ordinary"
        assert list(chosen) == [name for name in probes.KNOWN if name in chosen]
        assert all(probes.applies(one_case(text), name) and probes.summary(name) for name in chosen)
    assert len(set(probes.KNOWN)) == len(probes.KNOWN)


def _subject_case() -> Case:
    return replace(one_case(MEAN), subjects=(Subject("mine", "torch", "losses.py:loss"),))


def test_the_key_probes() -> None:
    case = one_case(MEAN)
    assert case.probes == ()
    assert one_case(MEAN + "probes: none\n").probes == one_case(MEAN + "probes: []\n").probes == ()
    assert one_case(MEAN + "probes: standard\n").probes == probes.names(case)
    assert one_case(MEAN + "probes: ones\n").probes == ("ones",)
    assert one_case(MEAN + "probes: [length-7, standard]\n").probes[:2] == ("length-7", "ordinary")
    assert probes.names(_subject_case()) == probes.names(case)
