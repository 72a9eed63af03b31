from dataclasses import replace

import pytest

from gradaudit.records.location import Location
from gradaudit.records.measurement import Breach, Measurement
from gradaudit.reference.ladder import FLUSHED
from gradaudit.rules import registry
from gradaudit.rules.divergence.explained_by_weaker_profile import RULE as DIV304
from gradaudit.rules.interface import Rule
from gradaudit.rules.wrong_mathematics.low_precision_inside import RULE as BUG464
from gradaudit.rules.wrong_mathematics.missing_max_shift import RULE as BUG463
from gradaudit.rules.wrong_mathematics.undiagnosed import RULE as BUG499
from gradaudit.rules.wrong_mathematics.unfused_logarithm import RULE as BUG461
from tests.rules.records import (
    case,
    diagnosis,
    element,
    explanation,
    found,
    key,
    measured,
    measurement,
    named_fault,
    quantity,
    subject,
    sums,
)

RULES = pytest.mark.parametrize("rule", [BUG461, BUG463], ids=lambda rule: rule.code)


@RULES
def test_names_the_evaluation_and_the_numbers_of_the_diagnosis(rule: object) -> None:
    named = diagnosis(rule.name, row=0, gap=200.0, largest_log=88.7228, dtype="float32")
    (finding,) = found(rule, measurement(key=key(subject="torch", backend="torch"), diagnoses=(named,)))
    assert finding.message.startswith("torch fused float32: ")
    assert finding.message.endswith("(row 0, gap 200, largest log 88.72, dtype float32)")
    assert finding.severity == "error"
    assert dict(finding.evidence) == dict(named.evidence)


@RULES
def test_silent_on_other_faults(rule: object) -> None:
    assert found(rule, measurement(diagnoses=(diagnosis("sign-flipped"),))) == []
    assert found(rule, measurement()) == []


def test_each_evaluation_is_named_once() -> None:
    named = (diagnosis("unfused-logarithm", row=1), diagnosis("missing-max-shift", row=2))
    both = [measurement(diagnoses=named), measurement(key=key(dtype="float16"), diagnoses=named)]
    assert [finding.dtype for finding in found(BUG461, *both)] == ["float32", "float16"]
    assert [finding.evidence["row"] for finding in found(BUG463, *both)] == [2, 2]


@pytest.mark.parametrize(
    ("formulation", "named"),
    [("unfused", [BUG461]), ("unshifted", [BUG463]), ("fused", [BUG461, BUG463])],
)
def test_of_two_faults_that_fit_the_declared_formulation_s_own_is_named(
    formulation: str, named: list[object]
) -> None:
    both = (diagnosis("unfused-logarithm", row=1), diagnosis("missing-max-shift", row=1))
    ambiguous = measurement(key=key(formulation=formulation), diagnoses=both)
    assert [rule for rule in (BUG461, BUG463) if found(rule, ambiguous)] == named


@pytest.mark.parametrize("formulation", ["unfused", "unshifted"])
@RULES
def test_a_fault_that_fits_alone_is_named_whatever_the_formulation(rule: object, formulation: str) -> None:
    assert len(found(rule, measurement(key=key(formulation=formulation), diagnoses=(diagnosis(rule.name),)))) == 1


NAMED = [rule for rule in registry.rules() if rule.code.startswith("BUG4") and rule.code != "BUG499"]
LOSSES = case("cross_entropy", subjects=(subject(),), probes=("ordinary", "ignored-rows"))
OF_SUBJECT = {"subject": "losses.py:f", "backend": "torch", "formulation": "custom"}


@pytest.mark.parametrize("rule", NAMED, ids=lambda rule: rule.code)
class TestNamedFaults:
    def test_says_who_what_shown_how_what_to_do_and_what_else_it_might_be(self, rule: Rule) -> None:
        fault = named_fault(
            rule.name,
            key=key(**OF_SUBJECT, probe="ignored-rows"),
            alternatives=(("a factor of 5/7", "many-rows"), ("another loss", "")),
        )
        (finding,) = found(rule, fault, of=LOSSES)
        assert finding.message == (
            "losses.py:f (torch) float32 (shown by probe ignored-rows): gradient = reference x 0.714286 = 5/7: the "
            "mean also counts the 2 ignored rows; divide by the number of rows whose target is not -100; or: a "
            "factor of 5/7 (probe many-rows would tell them apart); or: another loss (no probe tells them apart)"
        )
        assert (finding.severity, finding.subject, finding.probe) == ("error", "losses.py:f", "ignored-rows")
        assert finding.evidence["rows"] == 7

    def test_several_ways_of_one_fault_are_one_finding(self, rule: Rule) -> None:
        first = named_fault(rule.name, alternatives=(("another denominator", "ignored-rows"),), advice="")
        second = named_fault(rule.name, statement="the rows are counted twice")
        (finding,) = found(rule, first, second, of=LOSSES)
        assert finding.message.endswith(
            "2 ignored rows; or: another denominator (probe ignored-rows would tell them apart); or: the rows are "
            "counted twice (no probe tells them apart)"
        )

    def test_says_that_the_backward_alone_is_wrong(self, rule: Rule) -> None:
        alone = Breach("forward-and-backward-disagree", key(**OF_SUBJECT), "the fault stands in losses.py:13", ())
        (finding,) = found(rule, named_fault(rule.name), alone, of=LOSSES)
        if rule.name != "detached-path":
            assert finding.message.endswith("not -100; the fault stands in losses.py:13")

    def test_speaks_of_its_own_fault_alone(self, rule: Rule) -> None:
        others = [named_fault(other.name) for other in NAMED if other is not rule]
        assert found(rule, *others, of=LOSSES) == []

    def test_each_dtype_is_told(self, rule: Rule) -> None:
        faults = [named_fault(rule.name, key=key(**OF_SUBJECT, dtype=dtype)) for dtype in ("float32", "float16")]
        findings = found(rule, *faults, of=LOSSES)
        assert [finding.dtype for finding in findings] == ["float32", "float16"]
        assert "(shown by the case's own inputs)" in findings[0].message


def test_a_case_without_probes_need_not_say_what_shows_it() -> None:
    (finding,) = found(registry.get("BUG402"), named_fault("mean-denominator"), of=replace(LOSSES, probes=()))
    assert finding.message.startswith("losses.py:f (torch) float32: gradient = ")


def test_a_finding_stands_where_the_subject_is_defined() -> None:
    rule = registry.get("BUG402")
    known = measured(named_fault("mean-denominator"), of=LOSSES)
    assert [each.location for each in rule.check(known)] == [subject().location]
    defined = replace(known, definitions=(("losses.py:f", Location("losses.py", 12)),))
    assert [str(each.location) for each in rule.check(defined)] == ["losses.py:12"]


@RULES
def test_a_named_fault_is_not_told_a_second_time(rule: Rule) -> None:
    shown = [
        measurement(key=key(**OF_SUBJECT, probe=probe), diagnoses=(diagnosis(rule.name, row=1),)) for probe in "abcd"
    ]
    assert len(found(rule, *shown, named_fault(rule.name), of=LOSSES)) == 1
    (by_itself,) = found(rule, *shown, of=LOSSES)
    assert by_itself.message.endswith("; 4 of 4 evaluations show it (also probes b, c, d)")


class TestUndiagnosed:
    @staticmethod
    def wrong(**where: object) -> Measurement:
        beyond = quantity(beyond=1, max_error_over_tolerance=9.0, worst=(element(0.5, 0.25, 9.0),))
        unexplained = explanation(explains=False, rows_tried=("shifted", "x - lse"))
        return measurement(key=key(**OF_SUBJECT, **where), explanation=unexplained, gradient=beyond)

    def test_shows_the_element_and_what_was_tried(self) -> None:
        (finding,) = found(BUG499, self.wrong(), of=LOSSES)
        assert finding.message == (
            "losses.py:f (torch) float32: gradient[1] is 0.5, the exact value 0.25, off by 9 times the tolerance "
            "1e-8; beyond: 1 of 2 elements of the gradient; none of 2 admissible formulations explains every element"
        )
        assert (finding.severity, finding.evidence["got"]) == ("error", 0.5)

    def test_one_finding_for_all_scales_and_probes(self) -> None:
        many = [self.wrong(probe=probe) for probe in "abcdef"]
        (finding,) = found(BUG499, *many, self.wrong(scale=10.0), named_fault("undiagnosed"), of=LOSSES)
        assert finding.scale == 10.0
        assert "the mean also counts the 2 ignored rows; 7 of 7 evaluations show it" in finding.message

    @pytest.mark.parametrize("fault", ["mean-denominator", "unfused-logarithm", "detached-path"])
    def test_silent_where_a_fault_is_named(self, fault: str) -> None:
        assert found(BUG499, self.wrong(), named_fault(fault), of=LOSSES) == []

    def test_fires_beside_what_explains_no_values(self) -> None:
        second = named_fault("detached-path", evidence=(("derivative", "hessian"),))
        assert len(found(BUG499, self.wrong(), named_fault("undiagnosed"), of=LOSSES)) == 1
        assert len(found(BUG499, self.wrong(), second, of=LOSSES)) == 1

    def test_a_fault_at_another_dtype_explains_nothing_here(self) -> None:
        elsewhere = named_fault("mean-denominator", key=key(**OF_SUBJECT, dtype="float16"))
        assert len(found(BUG499, self.wrong(), elsewhere, of=LOSSES)) == 1

    def test_the_diagnosis_is_heard_where_no_element_stands_out(self) -> None:
        (finding,) = found(BUG499, measurement(key=key(**OF_SUBJECT)), named_fault("undiagnosed"), of=LOSSES)
        assert "gradient = reference x 0.714286" in finding.message

    @pytest.mark.parametrize("kind", ["non_finite", "special_mismatch"])
    def test_what_is_not_finite_or_special_is_told_elsewhere(self, kind: str) -> None:
        broken = measurement(key=key(**OF_SUBJECT), gradient=quantity(**{kind: 1}))
        assert found(BUG499, broken, named_fault("undiagnosed"), of=LOSSES) == []

    def test_silent_under_special_probes_and_on_backends(self) -> None:
        assert found(BUG499, replace(self.wrong(), special_probe=True), of=LOSSES) == []
        assert found(BUG499, self.wrong()) == []


class TestLowPrecisionInside:
    @staticmethod
    def weaker(precision: str, **where: object) -> Measurement:
        needed = explanation(precision=precision, weaker=True)
        return measurement(key=key(**OF_SUBJECT, **where), explanation=needed, gradient=quantity(max_ulp=500.0))

    def test_names_the_precision_and_the_claim(self) -> None:
        (finding,) = found(BUG464, self.weaker("bfloat16 inside"), of=LOSSES)
        assert finding.message == (
            "losses.py:f (torch) float32: explained only by a lower precision than claimed: bfloat16 inside "
            "(claimed: compute float32, accumulate float32, statistics float32, storage float32); the gradient is "
            "off by up to 500 ULP, 1e-9 in absolute terms"
        )
        assert finding.severity == "error"
        assert found(DIV304, self.weaker("bfloat16 inside"), of=LOSSES) == []

    def test_flushed_subnormals_are_a_warning(self) -> None:
        (finding,) = found(BUG464, self.weaker(FLUSHED), of=LOSSES)
        assert finding.severity == "warning"

    def test_the_severe_one_is_shown(self) -> None:
        mixed = [self.weaker(FLUSHED), self.weaker("bfloat16 sums", probe="equal")]
        (finding,) = found(BUG464, *mixed, of=LOSSES)
        assert (finding.severity, finding.probe) == ("error", "equal")
        assert finding.message.endswith("; 1 of 2 evaluations shows it")

    def test_silent_where_a_fault_is_named_and_on_backends(self) -> None:
        assert found(BUG464, self.weaker("bfloat16 inside"), named_fault("wrong-axis"), of=LOSSES) == []
        assert found(BUG464, replace(self.weaker("bfloat16 inside"), special_probe=True), of=LOSSES) == []
        assert found(BUG464, self.weaker("bfloat16 inside")) == []


@pytest.mark.parametrize("rule", ["BUG464", "CAN102", "CAN103", "CAN104", "CAN105", "DIV305"])
def test_where_values_are_wrong_anyway_other_tolerances_are_no_news(rule: str) -> None:
    """One probe of a wrong loss that some looser, weaker or special reading happens to explain."""
    told = {
        "BUG464": {"explanation": explanation(precision="bfloat16 inside", weaker=True)},
        "CAN102": {"gradient": quantity(sums=sums(residual=1.0, rows_beyond=1))},
        "CAN103": {
            "gradient": quantity(cancelled=1, worst_cancelled=element(0.0, 1e-9, 0.5)),
            "explanation": explanation(looser=True),
        },
        "CAN104": {"explanation": explanation(looser=True, common_offset=True)},
        "CAN105": {"explanation": explanation(looser=True)},
        "DIV305": {"gradient": quantity(special_mismatch=1), "special_probe": True},
    }
    shown = measurement(key=key(**OF_SUBJECT, probe="ones"), **told[rule])
    assert len(found(registry.get(rule), shown, of=LOSSES)) == 1
    for wrong in (TestUndiagnosed.wrong(), named_fault("undiagnosed"), named_fault("wrong-axis")):
        assert found(registry.get(rule), shown, wrong, of=LOSSES) == []
    elsewhere = named_fault("undiagnosed", key=key(**OF_SUBJECT, dtype="float16"))
    assert len(found(registry.get(rule), shown, elsewhere, of=LOSSES)) == 1


def test_a_detached_path_may_be_a_breach() -> None:
    (finding,) = found(registry.get("BUG471"), Breach("detached-path", key(**OF_SUBJECT), "no graph", ()), of=LOSSES)
    assert finding.message == "losses.py:f (torch) float32 (shown by the case's own inputs): no graph"


def test_what_cancels_within_the_tightest_tolerance_is_told_beside_other_faults() -> None:
    lost = quantity(cancelled=1, worst_cancelled=element(0.0, 1e-9, 0.5))
    shown = measurement(key=key(**OF_SUBJECT, probe="gap-far-winner"), gradient=lost)
    (finding,) = found(registry.get("CAN103"), shown, named_fault("ignored-rows-leak"), of=LOSSES)
    assert finding.severity == "info"
