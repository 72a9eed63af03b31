"""Faults are named on one side of their thresholds and not on the other, and never for part of what is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gradaudit.measurement.diagnosis import hypotheses as faults
from gradaudit.measurement.diagnosis import missing_max_shift, unfused_logarithm
from gradaudit.measurement.diagnosis.hypotheses import WrongRows
from gradaudit.measurement.diagnosis.out_of_range import (
    candidate_formats,
    extremes,
    log_largest,
    log_vanishing,
    slack,
)
from gradaudit.numerics import formats
from gradaudit.records.measurement import Diagnosis
from gradaudit.records.profile import Profile
from tests.measurement.cases import truth

NONE = WrongRows(frozenset(), frozenset(), frozenset(), reduced_non_finite=False)
OVERFLOW = {"float16": 11.0899, "bfloat16": 88.7189, "float32": 88.7228, "float64": 709.7827}
VANISH = {"float16": 17.3287, "bfloat16": 92.8817, "float32": 103.9721, "float64": 745.1332}


def lost(*rows: int) -> WrongRows:
    """Rows whose gradient is no number."""
    return replace(NONE, gradient_non_finite=frozenset(rows))


def one_format(dtype: str) -> Profile:
    return Profile(dtype, dtype, dtype, dtype)


def number(diagnosis: Diagnosis, name: str) -> float:
    return float(dict(diagnosis.evidence)[name])


@pytest.mark.parametrize("dtype", formats.FORMATS)
def test_the_logarithms_of_a_formats_range(dtype: str) -> None:
    form = formats.get(dtype)
    assert log_largest(form) == pytest.approx(OVERFLOW[dtype], abs=5e-5)
    assert log_vanishing(form) == pytest.approx(VANISH[dtype], abs=5e-5)


def test_formats_that_may_have_been_left() -> None:
    kernel = Profile("float32", "float32", "float16", "float32")
    assert [form.name for form in candidate_formats(kernel)] == ["float16", "float32"]
    assert [form.name for form in candidate_formats(one_format("float32"))] == ["float32"]


def test_the_extremes_of_a_row() -> None:
    """Logits 3, 1, -2, label 1, upstream -2: its log p has the gradient 2, in size."""
    found = extremes(truth("cross_entropy", [[3.0, 1.0, -2.0]] * 2, targets=[1, -100], upstream=-2.0))
    lse = np.log(np.exp([3.0, 1.0, -2.0]).sum())
    assert found.counted.tolist() == [True, False]
    assert (found.size[0], found.top[0]) == (3.0, 3.0)
    assert found.logsumexp[0] == pytest.approx(lse, rel=1e-12)
    assert found.deepest[0] == pytest.approx(lse + 2.0, rel=1e-12)
    assert found.target[0] == pytest.approx(lse - 1.0, rel=1e-12)
    assert found.chain[0] == pytest.approx(lse - 1.0 + np.log(2.0), rel=1e-12)
    assert found.target[1] == -np.inf, "an ignored row has no gradient of a log-probability"


# ------------------------------------------------------------------------------------ the unfused logarithm


def unfused(gap: float, dtype: str, label: int, wrong: WrongRows, **options: float) -> Diagnosis | None:
    """Two classes `gap` apart, the first one larger."""
    found = truth("cross_entropy", [[0.0, -gap]], dtype, targets=[label], **options)
    return unfused_logarithm.explain(found, one_format(dtype), wrong)


def around(threshold: float, dtype: str) -> tuple[float, float]:
    """Numbers of the format close below and above a threshold, and beyond its slack."""
    step = 40.0 * threshold * formats.get(dtype).unit_roundoff
    return threshold - step, threshold + step


def overflow(dtype: str) -> float:
    return log_largest(formats.get(dtype))


def vanish(dtype: str) -> float:
    return log_vanishing(formats.get(dtype))


@pytest.mark.parametrize("dtype", formats.FORMATS)
def test_an_infinite_inverse_of_p_begins_where_it_overflows(dtype: str) -> None:
    """The losing class is the target: 1/p = exp(gap), less than the slack beside it."""
    below, above = around(overflow(dtype), dtype)
    assert unfused(below, dtype, 1, lost(0)) is None
    diagnosis = unfused(above, dtype, 1, lost(0))
    assert diagnosis is not None
    assert diagnosis.fault == "unfused-logarithm"
    assert number(diagnosis, "minus_log_p") >= number(diagnosis, "inverse_overflows_at")
    assert dict(diagnosis.evidence)["format"] == dtype


@pytest.mark.parametrize("dtype", formats.FORMATS)
def test_a_vanished_class_spoils_a_row_whose_target_has_won(dtype: str) -> None:
    """0 * inf at the other class: from -log(eta / 2) on, whatever the target."""
    below, above = around(vanish(dtype), dtype)
    assert unfused(below, dtype, 0, lost(0)) is None
    assert unfused(above, dtype, 0, lost(0)) is not None


def test_the_upstream_gradient_moves_the_overflow() -> None:
    """g / p with g = 1024 overflows log 1024 earlier."""
    assert unfused(82.0, "float32", 1, lost(0)) is None
    assert unfused(82.0, "float32", 1, lost(0), upstream=1024.0) is not None


def test_a_target_without_probability_must_have_been_lost() -> None:
    """A finite gradient at p = 0 cannot come from this chain: something else is wrong with the row."""
    wrong = replace(NONE, beyond=frozenset({0}))
    assert unfused(120.0, "float32", 1, wrong) is None
    assert unfused(120.0, "float32", 1, lost(0)) is not None
    assert unfused(95.0, "float32", 1, wrong) is not None, "where 1/p is only infinite it may be a wrong number"


def test_the_fault_explains_all_rows_or_none() -> None:
    found = truth("cross_entropy", [[0.0, -120.0], [0.0, -1.0]], targets=[1, 1])
    profile = one_format("float32")
    assert unfused_logarithm.explain(found, profile, lost(0)) is not None
    assert unfused_logarithm.explain(found, profile, lost(0, 1)) is None
    assert unfused_logarithm.explain(found, profile, NONE) is None


def test_a_lost_mean_is_explained_by_any_row_that_may_be_lost() -> None:
    wrong = replace(NONE, reduced_non_finite=True)
    deep, shallow = ([[0.0, -95.0], [0.0, -1.0]], [[0.0, -9.0], [0.0, -1.0]])
    for logits, expected in ((deep, True), (shallow, False)):
        found = truth("cross_entropy", logits, targets=[1, 1], reduction="mean")
        assert (unfused_logarithm.explain(found, one_format("float32"), wrong) is not None) == expected


def test_the_storage_format_is_suspected_before_the_kernels() -> None:
    kernel = Profile("float32", "float32", "float16", "float32")
    for gap, name in ((20.0, "float16"), (11.5, "float16")):
        found = truth("cross_entropy", [[0.0, -gap]], "float16", targets=[1])
        diagnosis = unfused_logarithm.explain(found, kernel, lost(0))
        assert diagnosis is not None
        assert dict(diagnosis.evidence)["format"] == name


def test_functions_without_a_logarithm_of_p_do_not_have_it() -> None:
    assert unfused_logarithm.explain(truth("softmax", [[0.0, -120.0]]), one_format("float32"), lost(0)) is None
    found = truth("log_softmax", [[0.0, -120.0]])
    assert unfused_logarithm.explain(found, one_format("float32"), lost(0)) is not None


# ----------------------------------------------------------------------------------------- the missing shift


def unshifted(logits: list[float], dtype: str, wrong: WrongRows) -> Diagnosis | None:
    """The fault by exponentials of the logits as they are."""
    found = missing_max_shift.explain(truth("softmax", [logits], dtype), one_format(dtype), wrong)
    return found if found is not None and dict(found.evidence)["shifted_by"] == "nothing" else None


@pytest.mark.parametrize("dtype", formats.FORMATS)
def test_exponentials_overflow_where_the_largest_number_ends(dtype: str) -> None:
    below, above = around(overflow(dtype), dtype)
    assert unshifted([below, 0.0], dtype, lost(0)) is None
    diagnosis = unshifted([above, 0.0], dtype, lost(0))
    assert diagnosis is not None
    assert diagnosis.fault == "missing-max-shift"
    assert number(diagnosis, "largest_logit") >= number(diagnosis, "exp_overflows_at")


def test_their_sum_overflows_before_any_of_them() -> None:
    """Eight logits of 87: log of the sum is 89.08."""
    assert unshifted([87.0] * 8, "float32", lost(0)) is not None
    assert unshifted([87.0] * 4, "float32", lost(0)) is None


@pytest.mark.parametrize("dtype", formats.FORMATS)
def test_far_below_zero_all_of_them_lose_their_digits(dtype: str) -> None:
    form = formats.get(dtype)
    threshold = -float(np.log(form.smallest_normal))
    above, below = (-gap for gap in around(threshold, dtype))
    assert unshifted([above, above], dtype, lost(0)) is None
    assert unshifted([below, below], dtype, lost(0)) is not None


def test_a_row_beyond_the_range_must_have_been_lost() -> None:
    finite = replace(NONE, beyond=frozenset({0}))
    assert unshifted([120.0, 0.0], "float32", finite) is None
    assert unshifted([-120.0, -120.0], "float32", finite) is None
    assert unshifted([-95.0, -95.0], "float32", finite) is not None, "digits were lost, not all of them"
    output = replace(NONE, output_non_finite=frozenset({0}))
    assert unshifted([120.0, 0.0], "float32", output) is not None


def test_rows_within_the_range_are_not_explained() -> None:
    found = truth("softmax", [[95.0, 0.0], [80.0, 0.0]])
    assert missing_max_shift.explain(found, one_format("float32"), lost(0)) is not None
    assert missing_max_shift.explain(found, one_format("float32"), lost(0, 1)) is None
    assert missing_max_shift.explain(found, one_format("float32"), NONE) is None


def test_a_row_far_below_the_batch_is_lost_to_the_maximum_of_another() -> None:
    found = truth("softmax", [[80.0, 0.0], [-40.0, -41.0]])
    diagnosis = missing_max_shift.explain(found, one_format("float32"), lost(1))
    assert diagnosis is not None
    assert dict(diagnosis.evidence)["shifted_by"] == "the largest logit of the batch"


@pytest.mark.parametrize(
    ("logits", "shifted_by"),
    [
        ([200.0, 0.0, 0.0, 0.0], "nothing"),
        ([1000.0, 1000.0, 700.0], "nothing"),
        ([-80.0, -80.0, 70.0], "the mean of the row"),
        ([-60.0, -61.0, -59.0], "the largest magnitude of the row"),
    ],
)
def test_a_row_is_lost_to_what_is_subtracted_from_it(logits: list[float], shifted_by: str) -> None:
    diagnosis = missing_max_shift.explain(truth("softmax", [logits]), one_format("float32"), lost(0))
    assert diagnosis is not None
    assert dict(diagnosis.evidence)["shifted_by"] == shifted_by


def test_a_row_that_no_shift_of_its_own_loses_is_not_explained() -> None:
    found = truth("softmax", [[3.0, 0.0, 1.0]])
    assert missing_max_shift.explain(found, one_format("float32"), lost(0)) is None


# --------------------------------------------------------------------------------------------------- both


def test_slack_grows_with_the_logits_and_ends_where_probabilities_do() -> None:
    """Four roundings of a logit, two of its gap, sixteen for exp and the sum."""
    form = formats.get("float32")
    rows = extremes(truth("softmax", [[0.0, -10.0], [1e4, 1e4 - 10.0], [0.0, -1e4]]))
    expected = [4 * 10.0 + 2 * 10.0, 4 * 1e4 + 2 * 10.0, 4 * 1e4 + 2 * log_vanishing(form)]
    for found, due in zip(slack(rows, form), expected, strict=True):
        assert found == pytest.approx(form.unit_roundoff * (due + 16.0), rel=1e-3)


@pytest.mark.parametrize(
    ("formulation", "expected"),
    [
        ("fused", ["unfused-logarithm", "missing-max-shift"]),
        ("unfused", ["unfused-logarithm"]),
        ("unshifted", ["missing-max-shift"]),
    ],
)
def test_a_formulations_own_fault_stands_before_others(formulation: str, expected: list[str]) -> None:
    """Logits 100 and -30: 1/p overflows at the target and exp at the other class."""
    found = truth("cross_entropy", [[100.0, -30.0]], targets=[1])
    diagnoses = faults.diagnose(found, one_format("float32"), lost(0), formulation)
    assert [diagnosis.fault for diagnosis in diagnoses] == expected


def test_logits_of_minus_infinity_are_diagnosed_without_a_warning() -> None:
    found = truth("cross_entropy", [[120.0, 0.0, -np.inf]], targets=[1])
    assert faults.diagnose(found, one_format("float32"), lost(0), "fused")
