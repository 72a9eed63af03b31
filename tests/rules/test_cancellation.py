import math
from dataclasses import replace

import pytest

from gradaudit.records.measurement import Measurement
from gradaudit.records.profile import Profile
from gradaudit.reference.admissible import ROUNDED_ONCE, ROW_SUMS, STATISTICS
from gradaudit.reference.ladder import DECLARED
from gradaudit.rules.cancellation.common_offset_cancels import RULE as CAN104
from gradaudit.rules.cancellation.lossy_formulation import RULE as CAN105
from gradaudit.rules.cancellation.row_sum_residual import RULE as CAN102
from gradaudit.rules.cancellation.summed_outputs_cancel import RULE as CAN101
from gradaudit.rules.cancellation.target_gradient_cancelled import RULE as CAN103
from tests.rules.records import (
    case,
    diagnosis,
    element,
    explanation,
    facts,
    found,
    key,
    measurement,
    quantity,
    subject,
    sums,
    upstream,
)

LOSSES = case("cross_entropy", subjects=(subject(),), probes=("ordinary", "equal"))
OF_SUBJECT = {"subject": "losses.py:f", "backend": "torch", "formulation": "custom"}
ALWAYS = "the outputs of a row always add up to 1"


class TestSummedOutputsCancel:
    def test_names_the_exact_sum_beside_the_magnitudes(self) -> None:
        cancelled = facts(sums_outputs=True, cancelled_rows=2, cancelled_sum=1e-12, cancelled_magnitude=0.45272)
        (finding,) = found(CAN101, cancelled, of=case("log_softmax"))
        assert finding.message.startswith(
            "log_softmax in float32: the per-output gradients of 2 of 3 rows cancel: their exact sum is 1e-12 beside "
            "magnitudes that add up to 0.4527"
        )
        assert finding.severity == "warning"
        assert (finding.backend, finding.subject, finding.formulation) == (None, None, None)
        assert (finding.dtype, finding.scale) == ("float32", 1.0)
        assert finding.evidence["sum"] == 1e-12
        assert finding.evidence["magnitude"] == 0.45272

    def test_one_finding_for_each_dtype_and_scale(self) -> None:
        cancelled = {"sums_outputs": True, "cancelled_rows": 1}
        findings = found(CAN101, facts(**cancelled), facts(dtype="float16"), facts(scale=10.0, **cancelled))
        assert [(each.dtype, each.scale) for each in findings] == [("float32", 1.0), ("float32", 10.0)]
        assert "softmax in float32 at scale 10:" in findings[1].message

    @pytest.mark.parametrize(
        "silent",
        [facts(sums_outputs=True, cancelled_rows=0), facts(sums_outputs=False, cancelled_rows=3)],
        ids=["no row cancels", "one output at a time"],
    )
    def test_silent(self, silent: object) -> None:
        assert found(CAN101, silent) == []

    @pytest.mark.parametrize(
        ("of", "constant"),
        [
            (case(), True),
            (case(upstream=upstream(2.5, 2.5)), True),
            (case(upstream=upstream(2.5, 2.0)), False),
            (case("log_softmax"), False),
        ],
        ids=["softmax, ones", "softmax, constant", "softmax, other", "log_softmax, ones"],
    )
    def test_says_always_where_it_always_is(self, of: object, constant: bool) -> None:
        (finding,) = found(CAN101, facts(sums_outputs=True, cancelled_rows=1, cancelled_sum=1e-17), of=of)
        assert (ALWAYS in finding.message) is constant
        assert finding.evidence["sum"] == (0.0 if constant else 1e-17)


class TestRowSumResidual:
    beyond = sums(row=2, got=3e-7, expected=0.0, residual=3e-7, tolerance=1e-7, rows_beyond=2)

    @pytest.mark.parametrize("name", ["gradient", "jacobian"])
    def test_names_the_row_its_sum_and_the_tolerance(self, name: str) -> None:
        plain = {"gradient": None, "jacobian": None}
        (finding,) = found(CAN102, measurement(**{**plain, name: quantity(name, sums=self.beyond)}))
        assert finding.message == (
            f"numpy fused float32: row 2 of the {name} adds up to 3e-7, the exact sum is 0: a residual of 3e-7 "
            "where rounding leaves at most 1e-7; 2 rows beyond"
        )
        assert (finding.severity, finding.backend, finding.evidence["rows_beyond"]) == ("warning", "numpy", 2)

    @pytest.mark.parametrize(
        "silent",
        [None, sums(residual=1e-8, tolerance=1e-8), sums(residual=math.nan, rows_beyond=1)],
        ids=["no sums", "at the tolerance", "a NaN in the row"],
    )
    def test_silent(self, silent: object) -> None:
        assert found(CAN102, measurement(gradient=quantity(sums=silent))) == []

    def test_the_output_has_no_row_sums_to_judge(self) -> None:
        assert found(CAN102, measurement(output=quantity("output", sums=self.beyond))) == []


class TestTargetGradientCancelled:
    def test_one_finding_an_evaluation_with_count_and_worst(self) -> None:
        lost = quantity(elements=6, cancelled=2, worst_cancelled=element(0.0, -2.06e-9, 0.3, (0, 1)))
        (finding,) = found(CAN103, measurement(gradient=lost))
        assert finding.message == (
            "numpy fused float32: 2 of 6 elements of the gradient lost all digits to cancellation; worst: "
            "gradient[0, 1] is 0, exact is -2.06e-9, a normal number of float32"
        )
        assert (finding.severity, finding.evidence["cancelled"], finding.evidence["index"]) == (
            "warning",
            2,
            "[0, 1]",
        )

    def test_is_told_once_of_a_subject_whatever_its_dtypes_and_scales(self) -> None:
        lost = quantity(cancelled=2, worst_cancelled=element(0.0, -2.06e-9, 0.5, (0, 1)))
        of = case(subjects=(subject(),))
        settings = [("float32", 1.0), ("float32", 30.0), ("float16", 1.0)]
        keys = [
            key(subject="losses.py:f", backend="torch", formulation="", dtype=dtype, scale=scale)
            for dtype, scale in settings
        ]
        (finding,) = found(CAN103, *(measurement(key=each, gradient=lost) for each in keys), of=of)
        assert (finding.subject, finding.dtype, finding.scale) == ("losses.py:f", None, None)
        assert finding.message.endswith("; 3 of 3 evaluations show it")

    def test_reads_the_jacobian_too(self) -> None:
        lost = quantity("jacobian", cancelled=1, worst_cancelled=element(0.0, 1e-9, 1.0))
        (finding,) = found(CAN103, measurement(gradient=None, jacobian=lost))
        assert "1 of 2 elements of the jacobian" in finding.message

    @pytest.mark.parametrize(
        "silent",
        [
            quantity(cancelled=0, worst_cancelled=element(0.0, 1e-9, 0.5)),
            quantity(cancelled=1, worst_cancelled=element(-0.5, 0.5, 1.0000001)),
            quantity(cancelled=1, worst_cancelled=element(-0.5, 0.5, math.nan)),
        ],
        ids=["none", "wrong rather than cancelled", "no ratio"],
    )
    def test_silent(self, silent: object) -> None:
        assert found(CAN103, measurement(gradient=silent)) == []


class TestLooserFormulations:
    offset = explanation(formulation="x - lse", looser=True, common_offset=True)
    lossy = explanation(formulation="log(softmax)", looser=True)

    def test_common_offset_names_row_error_and_offset(self) -> None:
        wide = quantity("gradient", max_ulp=340.0, max_abs_error=2e-4)
        (finding,) = found(CAN104, facts(offset=5000.0), measurement(explanation=self.offset, gradient=wide))
        assert finding.message == (
            "numpy fused float32: digits lost to a common offset of the logits (an offset of 5000 times the row's "
            "spread): the gradient is off by up to 340 ULP, 0.0002 in absolute terms, which the shifted formulation "
            "does not explain and 'x - lse', charged u |logsumexp|, does"
        )
        assert finding.severity == "warning"
        assert finding.evidence["offset"] == 5000.0

    def test_a_probe_has_inputs_of_its_own(self) -> None:
        (finding,) = found(
            CAN104, facts(offset=5000.0), measurement(key=key(probe="offsets"), explanation=self.offset)
        )
        assert "5000" not in finding.message
        assert finding.evidence["offset"] is None

    def test_lossy_formulation_names_row_and_error(self) -> None:
        wide = quantity("output", max_ulp=12.0, max_abs_error=3e-3, sums=None)
        (finding,) = found(CAN105, measurement(explanation=self.lossy, output=wide))
        assert "the output is off by up to 12 ULP, 0.003 in absolute terms" in finding.message
        assert "'log(softmax)' does" in finding.message
        assert finding.severity == "warning"

    @pytest.mark.parametrize("rule", [CAN104, CAN105], ids=lambda rule: rule.code)
    @pytest.mark.parametrize("common_offset", [True, False])
    @pytest.mark.parametrize(
        "fields", [{"explains": False, "looser": True}, {"explains": True, "looser": False}], ids=str
    )
    def test_silent(self, rule: object, common_offset: bool, fields: dict[str, bool]) -> None:
        silent = explanation(common_offset=common_offset, **fields)
        assert found(rule, measurement(explanation=silent)) == []

    def test_each_leaves_the_other_its_own(self) -> None:
        assert found(CAN105, measurement(explanation=self.offset)) == []
        assert found(CAN104, measurement(explanation=self.lossy)) == []

    def test_a_named_fault_is_not_repeated_as_lossy(self) -> None:
        named = measurement(explanation=self.lossy, diagnoses=(diagnosis("unfused-logarithm"),))
        assert found(CAN105, named) == []


class TestStatisticsInSixteenBits:
    @staticmethod
    def stored(precision: str, **where: object) -> Measurement:
        held_to = Profile("float16", "float32", "float16", "float16")
        place = key(**OF_SUBJECT, dtype="float16", **where)
        return measurement(key=place, profile=held_to, explanation=explanation(precision=precision))

    def test_statistics_in_sixteen_bits_are_a_warning(self) -> None:
        (finding,) = found(CAN105, self.stored(f"{ROUNDED_ONCE}, {STATISTICS} in float16"), of=LOSSES)
        assert finding.severity == "warning"
        assert "a row's sum and its logarithm kept in float16, beside steps of higher precision" in finding.message
        assert "from a gap of 7.625 on" in finding.message

    @pytest.mark.parametrize("precision", [ROUNDED_ONCE, f"{DECLARED}, {STATISTICS} in float32"])
    def test_silent_where_they_are_kept_in_more(self, precision: str) -> None:
        assert found(CAN105, self.stored(precision), of=LOSSES) == []

    @pytest.mark.parametrize("precision", [DECLARED, f"{DECLARED}, {ROW_SUMS} in float32"])
    def test_silent_where_every_operation_is_rounded(self, precision: str) -> None:
        statistics = self.stored(f"{ROUNDED_ONCE}, {STATISTICS} in float16")
        assert found(CAN105, self.stored(precision), of=LOSSES) == []
        assert found(CAN105, statistics, self.stored(precision, probe="equal"), of=LOSSES) == []

    def test_silent_where_they_are_claimed(self) -> None:
        statistics = self.stored(f"{ROUNDED_ONCE}, {STATISTICS} in float16")
        claimed = replace(statistics, profile=Profile("float16", "float16", "float16", "float16"))
        assert found(CAN105, claimed, of=LOSSES) == []
