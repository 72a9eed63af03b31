import pytest

from gradaudit.records.measurement import Breach
from gradaudit.rules import registry
from gradaudit.rules.interface import Rule
from tests.rules.records import case, found, key, named_fault, subject

RULES = [rule for rule in registry.rules() if rule.code.startswith("CON")]
LOSSES = case("cross_entropy", subjects=(subject(),))
OF_SUBJECT = {"subject": "losses.py:f", "backend": "torch", "formulation": "custom"}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_breach_is_an_error_of_its_own_name(rule: Rule) -> None:
    breaches = [Breach(each.name, key(**OF_SUBJECT), f"it is {each.name}", (("bytes", 4),)) for each in RULES]
    (finding,) = found(rule, *breaches, of=LOSSES)
    assert finding.message == f"losses.py:f (torch) float32: it is {rule.name}"
    assert (finding.severity, finding.subject, finding.evidence["bytes"]) == ("error", "losses.py:f", 4)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_silent_where_there_is_none(rule: Rule) -> None:
    assert found(rule, of=LOSSES) == []
    assert found(rule, Breach("another", key(**OF_SUBJECT), "it is another", ()), of=LOSSES) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
@pytest.mark.parametrize("fault", ["wrong-axis", "undiagnosed", "detached-path"])
def test_what_a_named_fault_comes_down_to_is_not_told_twice(rule: Rule, fault: str) -> None:
    findings = found(rule, Breach(rule.name, key(**OF_SUBJECT), "it is", ()), named_fault(fault), of=LOSSES)
    follows = rule.code in {"CON503", "CON507"} and fault != "undiagnosed"
    assert len(findings) == (0 if follows else 1)
