import pytest

from gradaudit.rules.wrong_mathematics.missing_max_shift import RULE as BUG463
from gradaudit.rules.wrong_mathematics.unfused_logarithm import RULE as BUG461
from tests.rules.records import diagnosis, found, key, measurement

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
