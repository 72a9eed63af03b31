import math
from dataclasses import replace

import pytest

from gradaudit.records.measurement import Breach
from gradaudit.rules.divergence.backends_disagree import RULE as DIV302
from gradaudit.rules.divergence.beyond_tolerance import RULE as DIV301
from gradaudit.rules.divergence.execution_changes_result import RULE as DIV306
from gradaudit.rules.divergence.explained_by_weaker_profile import RULE as DIV304
from gradaudit.rules.divergence.non_finite import RULE as DIV303
from gradaudit.rules.divergence.special_values_differ import RULE as DIV305
from tests.rules.records import (
    case,
    diagnosis,
    element,
    explanation,
    found,
    key,
    measurement,
    named_fault,
    quantity,
    subject,
)

UNEXPLAINED = explanation(explains=False, rows_tried=("fused", "x - lse"))
TORCH = {"subject": "torch", "backend": "torch"}
NAN, INF = math.nan, math.inf


class TestBeyondTolerance:
    wrong = quantity(
        elements=12,
        beyond=3,
        max_error_over_tolerance=2.5e7,
        worst=(element(NAN, 0.25, INF, (0, 0)), element(0.5, 0.25, 2.5e7, (0, 1))),
    )

    def test_names_the_worst_finite_element(self) -> None:
        (finding,) = found(DIV301, measurement(explanation=UNEXPLAINED, gradient=self.wrong))
        assert finding.message == (
            "numpy fused float32: gradient[0, 1] is 0.5, the exact value 0.25, off by 2.5e7 times the tolerance "
            "1e-8; beyond: 3 of 12 elements of the gradient; none of 2 admissible formulations explains every "
            "element"
        )
        assert finding.severity == "error"
        assert finding.evidence["rows_tried"] == "fused, x - lse"

    def test_one_finding_an_evaluation_for_the_worse_quantity(self) -> None:
        loss = quantity("output", shape=(), elements=1, beyond=1, max_error_over_tolerance=5.0, worst=(), sums=None)
        (finding,) = found(DIV301, measurement(explanation=UNEXPLAINED, output=loss, gradient=self.wrong))
        assert finding.evidence["quantity"] == "gradient"
        assert "the only element of the output and 3 of 12 elements of the gradient" in finding.message

    @pytest.mark.parametrize(
        "other", [element(NAN, 0.25, INF), element(0.0, NAN, INF), element(0.25, 0.25, 1.0)], ids=str
    )
    def test_without_such_an_element_the_count_stands(self, other: object) -> None:
        crowded = quantity(beyond=1, max_error_over_tolerance=INF, worst=(other,))
        (finding,) = found(DIV301, measurement(explanation=UNEXPLAINED, gradient=crowded))
        assert "finite values of the gradient lie beyond their tolerance; beyond: 1 of 2 elements" in finding.message
        assert "got" not in finding.evidence

    @pytest.mark.parametrize(
        "changes",
        [
            {"explanation": UNEXPLAINED},
            {"gradient": wrong},
            {"explanation": UNEXPLAINED, "gradient": wrong, "diagnoses": (diagnosis("missing-max-shift"),)},
        ],
        ids=["nothing beyond", "explained", "diagnosed"],
    )
    def test_silent(self, changes: dict[str, object]) -> None:
        assert found(DIV301, measurement(**changes)) == []


class TestOneFindingForManyProbes:
    def shown(self, probe: str | None, ratio: float, **changes: object) -> object:
        wrong = quantity(beyond=1, max_error_over_tolerance=ratio, worst=(element(0.5, 0.25, ratio),))
        return measurement(key=key(**TORCH, probe=probe), explanation=UNEXPLAINED, gradient=wrong, **changes)

    def test_the_own_inputs_show_it_and_all_are_counted(self) -> None:
        sound = measurement(key=key(**TORCH, probe="sound"))
        evaluations = [self.shown("a", 9.0), sound, self.shown(None, 2.0), *(self.shown(p, 3.0) for p in "bcd")]
        (finding,) = found(DIV301, *evaluations)
        assert finding.message.startswith("torch fused float32: gradient[1] is 0.5, the exact value 0.25, off by 2 ")
        assert finding.message.endswith("; 5 of 6 evaluations show it (also probes a, b, c, ...)")

    def test_else_the_worst_probe_does(self) -> None:
        (finding,) = found(DIV301, measurement(key=key(**TORCH)), self.shown("a", 3.0), self.shown("b", 9.0))
        assert finding.probe == "b"
        assert finding.message.endswith("; 2 of 3 evaluations show it (also probe a)")

    def test_an_only_one_is_not_counted_as_many(self) -> None:
        (finding,) = found(DIV301, measurement(key=key(**TORCH)), self.shown("a", 3.0))
        assert finding.message.endswith("; 1 of 2 evaluations shows it")

    def test_a_user_s_own_function_is_left_to_the_diagnosis(self) -> None:
        assert found(DIV301, self.shown("a", 3.0), of=case(subjects=(subject("torch"),))) == []

    def test_a_named_fault_explains_what_is_not_finite(self) -> None:
        place = {"subject": "losses.py:f", "backend": "torch", "formulation": "custom"}
        broken = measurement(key=key(**place), gradient=quantity(non_finite=1))
        of = case(subjects=(subject(),))
        assert len(found(DIV303, broken, of=of)) == 1
        assert found(DIV303, broken, named_fault("unfused-logarithm"), of=of) == []
        assert len(found(DIV303, broken, named_fault("undiagnosed"), of=of)) == 1


class TestBackendsDisagree:
    @staticmethod
    def answering(name: str, answer: str, **where: object) -> object:
        output = quantity("output", sums=None, special_classes=(((), answer),))
        return measurement(key=key(subject=name, backend=name, **where), output=output)

    def test_names_who_answered_what(self) -> None:
        trio = [self.answering(*pair) for pair in (("numpy", "nan"), ("torch", "nan"), ("onnxruntime", "zero"))]
        (finding,) = found(DIV302, *trio)
        assert finding.message == (
            "fused in float32: output is nan from numpy and torch, zero from onnxruntime; each is admissible; "
            "answered differently: 1 element"
        )
        assert (finding.severity, finding.backend, finding.subject) == ("error", None, None)
        assert (finding.formulation, finding.dtype, finding.scale) == ("fused", "float32", 1.0)

    def test_is_a_warning_under_a_probe_of_special_values(self) -> None:
        pair = [
            replace(self.answering(name, answer, probe="all-ignored"), special_probe=True)
            for name, answer in (("numpy", "nan"), ("torch", "zero"))
        ]
        (finding,) = found(DIV302, *pair)
        assert (finding.severity, finding.probe) == ("warning", "all-ignored")

    def test_subjects_are_held_to_what_is_due_and_not_to_one_another(self) -> None:
        pair = [self.answering("numpy", "nan"), self.answering("torch", "zero")]
        assert found(DIV302, *pair, of=case(subjects=(subject("torch"),))) == []

    def test_counts_the_elements_and_shows_the_first(self) -> None:
        def jacobian(*answers: str) -> object:
            classes = tuple(((0, column), answer) for column, answer in enumerate(answers))
            return quantity("jacobian", special_classes=classes)

        one = measurement(gradient=None, jacobian=jacobian("nan", "nan", "inf"))
        other = measurement(
            key=key(subject="torch", backend="torch"), gradient=None, jacobian=jacobian("nan", "zero", "nan")
        )
        (finding,) = found(DIV302, one, other)
        assert "jacobian[0, 1] is nan from numpy, zero from torch" in finding.message
        assert finding.message.endswith("answered differently: 2 elements")

    def test_silent_where_they_agree(self) -> None:
        assert found(DIV302, self.answering("numpy", "nan"), self.answering("torch", "nan")) == []

    @pytest.mark.parametrize(
        "other",
        [{"dtype": "float16"}, {"scale": 2.0}, {"formulation": "unfused"}, {"probe": "zero-weights"}],
        ids=str,
    )
    def test_silent_between_different_questions(self, other: dict[str, object]) -> None:
        assert found(DIV302, self.answering("numpy", "nan"), self.answering("torch", "zero", **other)) == []


class TestNonFinite:
    wrong = quantity(elements=3, non_finite=2, worst=(element(0.5, 0.25, INF), element(-INF, 0.25, INF, (2,))))

    def test_names_the_counts_and_an_element(self) -> None:
        loss = quantity("output", elements=1, non_finite=1, worst=(), sums=None)
        (finding,) = found(DIV303, measurement(output=loss, gradient=self.wrong))
        assert finding.message == (
            "numpy fused float32: not finite where a finite value is due: the only element of the output and 2 of 3 "
            "elements of the gradient; gradient[2] is -inf, the exact value 0.25"
        )
        assert (finding.severity, finding.evidence["non_finite_gradient"]) == ("error", 2)

    def test_leaves_out_the_element_where_none_is_kept(self) -> None:
        (finding,) = found(DIV303, measurement(gradient=quantity(non_finite=1)))
        assert finding.message.endswith("where a finite value is due: 1 of 2 elements of the gradient")

    @pytest.mark.parametrize(
        "changes", [{}, {"gradient": wrong, "diagnoses": (diagnosis("unfused-logarithm"),)}], ids=["finite", "named"]
    )
    def test_silent(self, changes: dict[str, object]) -> None:
        assert found(DIV303, measurement(**changes)) == []


class TestExplainedByWeakerProfile:
    def test_names_what_was_needed_and_what_was_declared(self) -> None:
        weaker = explanation(precision="statistics float16", weaker=True)
        (finding,) = found(DIV304, measurement(explanation=weaker, gradient=quantity(max_ulp=53.0)))
        assert (
            "explained only by a lower precision than declared: statistics float16 (declared: compute float32, "
            in (finding.message)
        )
        assert "the gradient is off by up to 53 ULP" in finding.message
        assert (finding.severity, finding.evidence["precision_needed"]) == ("error", "statistics float16")

    @pytest.mark.parametrize(
        "silent", [explanation(), explanation(weaker=True, explains=False)], ids=["declared", "unexplained"]
    )
    def test_silent(self, silent: object) -> None:
        assert found(DIV304, measurement(explanation=silent)) == []


class TestSpecialValuesDiffer:
    wrong = quantity(elements=3, special_mismatch=2, worst=(element(NAN, 0.0, INF, (2,)),))

    def test_is_an_error_on_the_case_s_own_inputs(self) -> None:
        (finding,) = found(DIV305, measurement(gradient=self.wrong))
        assert finding.message == (
            "numpy fused float32: not the value that is due at special inputs: 2 of 3 elements of the gradient; "
            "gradient[2] is NaN, due is 0 (a NaN comes of 0 times an infinity, as 0 * log 0, or of two that cancel: "
            "the limit is a number)"
        )
        assert finding.severity == "error"

    def test_an_infinity_is_no_indeterminate_form(self) -> None:
        wrong = quantity(elements=3, special_mismatch=1, worst=(element(INF, 0.0, INF, (2,)),))
        (finding,) = found(DIV305, measurement(gradient=wrong))
        assert "gradient[2] is +inf, due is 0" in finding.message.replace("is inf", "is +inf")
        assert "0 * log 0" not in finding.message

    def test_is_a_warning_under_a_probe_of_special_values(self) -> None:
        special = measurement(key=key(probe="all-ignored"), gradient=self.wrong, special_probe=True)
        (finding,) = found(DIV305, special)
        assert (finding.severity, finding.probe) == ("warning", "all-ignored")
        assert "probe all-ignored (every row ignored: no row is left for the mean): " in finding.message

    @pytest.mark.parametrize(
        "differing",
        [{"gradient": quantity(non_finite=1)}, {"explanation": UNEXPLAINED, "gradient": quantity(beyond=1)}],
        ids=["not finite", "beyond"],
    )
    def test_a_special_probe_makes_a_warning_of_whatever_differs(self, differing: dict[str, object]) -> None:
        special = measurement(key=key(probe="all-ignored"), special_probe=True, **differing)
        (finding,) = found(DIV305, special)
        assert finding.severity == "warning"
        assert found(DIV301, special) == found(DIV303, special) == []

    def test_a_coarser_row_of_a_special_probe_is_none_of_its_business(self) -> None:
        assert found(DIV305, measurement(key=key(probe="p"), special_probe=True, gradient=quantity(beyond=1))) == []

    def test_the_own_inputs_outweigh_a_special_probe(self) -> None:
        special = measurement(key=key(probe="all-ignored"), gradient=self.wrong, special_probe=True)
        (finding,) = found(DIV305, special, measurement(gradient=self.wrong))
        assert (finding.severity, finding.probe) == ("error", None)
        assert finding.message.endswith("; 2 of 2 evaluations show it (also probe all-ignored)")

    def test_a_named_fault_is_mended_before_its_special_probes(self) -> None:
        of = case(subjects=(subject(),))
        place = {"subject": "losses.py:f", "backend": "torch", "formulation": "custom"}
        special = measurement(key=key(**place, probe="all-ignored"), gradient=self.wrong, special_probe=True)
        assert len(found(DIV305, special, of=of)) == 1
        assert found(DIV305, special, named_fault("mean-denominator"), of=of) == []
        own = measurement(key=key(**place), gradient=self.wrong)
        assert len(found(DIV305, special, own, named_fault("mean-denominator"), of=of)) == 1

    @pytest.mark.parametrize(("probe", "severity"), [(None, "error"), ("out-of-range", "warning")])
    def test_what_should_have_been_refused_is_a_breach(self, probe: str | None, severity: str) -> None:
        accepted = Breach(
            "special-values-differ", key(probe=probe), "returned 0.5 for the label 11", (("label", 11),)
        )
        (finding,) = found(DIV305, accepted)
        assert finding.message.endswith("returned 0.5 for the label 11")
        assert (finding.severity, finding.probe, finding.evidence["label"]) == (severity, probe, 11)

    def test_is_an_error_under_any_other_probe(self) -> None:
        (finding,) = found(DIV305, measurement(key=key(probe="stride-0"), gradient=self.wrong))
        assert finding.severity == "error"

    def test_silent_without_a_mismatch(self) -> None:
        assert found(DIV305, measurement()) == []


class TestExecutionChangesResult:
    def test_a_subject_that_is_wrong_when_compiled_is_an_error(self) -> None:
        place = key(subject="losses.py:f", backend="torch", formulation="custom")
        parted = Breach("execution-changes-result", place, "its gradient changes when compiled", (("elements", 1),))
        (finding,) = found(DIV306, parted, of=case(subjects=(subject(),)))
        assert (finding.severity, finding.evidence["elements"]) == ("error", 1)
        assert finding.message.endswith("its gradient changes when compiled")

    def test_a_backend_s_wrong_execution_is_told_beside_its_own_error(self) -> None:
        right = measurement(key=key(**TORCH))
        wrong = measurement(
            key=key(subject="torch, compiled", backend="torch", execution="compiled"),
            explanation=UNEXPLAINED,
            gradient=quantity(beyond=1, max_error_over_tolerance=2.0, worst=(element(0.5, 0.25, 2.0),)),
        )
        (finding,) = found(DIV306, right, wrong)
        assert (finding.severity, finding.subject) == ("warning", "torch, compiled")
        assert len(found(DIV301, right, wrong)) == 1
        assert found(DIV306, wrong) == []
