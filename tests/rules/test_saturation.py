import math

import pytest

from gradaudit.rules.saturation.jacobian_vanishes import RULE as SAT202
from gradaudit.rules.saturation.probabilities_underflow import RULE as SAT203
from gradaudit.rules.saturation.softmax_saturated import RULE as SAT201
from tests.rules.records import case, facts, found, key, measurement, quantity, values


def test_saturated_softmax_names_complement_limit_and_gap() -> None:
    (finding,) = found(SAT201, facts(saturated_rows=1, complement=3.72e-44, max_probability=1.0))
    assert finding.message == (
        "in float32 the softmax of 1 of 3 rows is saturated: 1 - p = 3.72e-44 <= u/2 = 2.98e-8, so that the largest "
        "probability rounds to 1 (two classes: from a gap of 17.33)"
    )
    assert (finding.severity, finding.backend, finding.dtype, finding.scale) == ("warning", None, "float32", 1.0)


each_dtype = pytest.mark.parametrize("u", [2.0**-11, 2.0**-8, 2.0**-24, 2.0**-53])


@each_dtype
def test_the_gap_of_saturation_leaves_half_a_rounding_unit(u: float) -> None:
    (finding,) = found(SAT201, facts(saturated_rows=1, unit_roundoff=u))
    complement = 1 / (1 + math.exp(finding.evidence["gap_of_two_classes"]))
    assert complement / (u / 2) == pytest.approx(1, abs=1e-12)


@each_dtype
def test_the_gap_of_the_jacobian_leaves_the_unit_roundoff(u: float) -> None:
    (finding,) = found(SAT202, facts(vanished_rows=1, unit_roundoff=u))
    gap = finding.evidence["gap_of_two_classes"]
    assert 1 / (1 + math.exp(gap)) * (1 / (1 + math.exp(-gap))) / u == pytest.approx(1, abs=1e-12)


def test_vanished_jacobian_names_entry_and_limit() -> None:
    (finding,) = found(SAT202, facts(vanished_rows=3, largest_jacobian_entry=1.2e-22))
    assert finding.message == (
        "in float32 the softmax Jacobian of all 3 rows vanishes: its largest entry is 1.2e-22, below u = 5.96e-8 "
        "(two classes: from a gap of 16.64)"
    )
    assert finding.severity == "warning"


@pytest.mark.parametrize("function", ["cross_entropy", "log_softmax", "logsumexp"])
def test_vanished_jacobian_is_information_where_the_function_learns_on(function: str) -> None:
    (finding,) = found(SAT202, facts(vanished_rows=1), of=case(function))
    assert finding.severity == "info"
    assert f"of {function} is " in finding.message
    assert "no factor p" in finding.message or "adds up to 1" in finding.message


def test_underflow_names_counts_smallest_and_limit() -> None:
    (finding,) = found(SAT203, facts(underflowed=2, zero=1, smallest_probability=3.8e-44))
    assert finding.message == (
        "in float32 2 of 6 probabilities lie below the smallest normal number 1.175e-38 and 1 of them round to 0: "
        "the smallest is 3.8e-44 (two classes: from a gap of 87.34)"
    )
    assert finding.severity == "info"


def test_underflow_limit_is_that_of_the_dtype() -> None:
    (finding,) = found(SAT203, facts(dtype="float16", unit_roundoff=2.0**-11, underflowed=1))
    assert finding.evidence["limit"] == 2.0**-14


@pytest.mark.parametrize("rule", [SAT201, SAT202, SAT203], ids=lambda rule: rule.code)
def test_silent_below_the_limits(rule: object) -> None:
    near = facts(
        max_probability=0.99331, complement=0.0067, largest_jacobian_entry=6.6e-3, smallest_probability=4.5e-5
    )
    assert found(rule, near) == []


@pytest.mark.parametrize(
    ("rule", "field"), [(SAT201, "saturated_rows"), (SAT202, "vanished_rows"), (SAT203, "underflowed")]
)
def test_one_finding_for_each_dtype_and_scale(rule: object, field: str) -> None:
    findings = found(rule, facts(), facts(scale=10.0, **{field: 1}), facts(dtype="float16", scale=10.0, **{field: 2}))
    assert [(each.dtype, each.scale) for each in findings] == [("float32", 10.0), ("float16", 10.0)]
    assert "in float16 at scale 10 " in findings[1].message


class TestSurvivingGradient:
    saturated = facts(saturated_rows=1)

    def message(self, *parts: object, function: str = "cross_entropy") -> str:
        (finding,) = found(SAT201, self.saturated, *parts, of=case(function))
        return finding.message

    def test_gives_the_largest_exact_entry(self) -> None:
        kept = measurement(gradient=quantity(values=values(0.25, -1.0, float("nan"))))
        assert self.message(kept).endswith(
            "; the gradient of cross_entropy is p - y, which has no factor p (1 - p): its largest exact entry over "
            "the case is 1"
        )

    def test_reads_the_jacobian(self) -> None:
        kept = measurement(gradient=None, jacobian=quantity("jacobian", values=values(0.125)))
        assert self.message(kept).endswith("entry over the case is 0.125")

    @pytest.mark.parametrize(
        "other",
        [key(dtype="float16"), key(scale=10.0), key(probe="offsets")],
        ids=["another dtype", "another scale", "a probe"],
    )
    def test_takes_no_number_from_other_inputs(self, other: object) -> None:
        kept = measurement(key=other, gradient=quantity(values=values(0.25)))
        assert self.message(kept).endswith("has no factor p (1 - p)")

    def test_gives_no_number_where_values_are_not_kept_or_not_finite(self) -> None:
        nothing = quantity(values=values(float("nan"), float("inf")))
        assert self.message(measurement(), measurement(gradient=nothing)).endswith("has no factor p (1 - p)")

    def test_says_nothing_of_a_softmax(self) -> None:
        kept = measurement(gradient=quantity(values=values(0.25)))
        assert self.message(kept, function="softmax").endswith("17.33)")
