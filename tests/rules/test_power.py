import pytest

from gradaudit.rules.power.audit_cannot_fail import RULE as POW701
from tests.rules.records import found, key, measurement, quantity

VACUOUS = quantity(elements=4, vacuous=4, undecided=1)
UNDECIDED = quantity(elements=4, vacuous=3, undecided=4)
POWERFUL = quantity(elements=4, vacuous=3, undecided=3)
TORCH = {"subject": "torch", "backend": "torch"}


def test_one_finding_where_no_evaluation_could_fail() -> None:
    (finding,) = found(POW701, measurement(gradient=VACUOUS), measurement(key=key(**TORCH), gradient=UNDECIDED))
    assert finding.message.startswith(
        "in float32 the audit of the gradient cannot fail, with all 4 elements passing as 0: a gradient of zeros "
        "passes too"
    )
    assert (finding.severity, finding.backend, finding.dtype, finding.scale) == ("warning", None, "float32", 1.0)
    assert finding.evidence["vacuous"] == 4


def test_undecided_elements_have_no_power_either() -> None:
    (finding,) = found(POW701, measurement(gradient=UNDECIDED))
    assert "with all 4 elements undecided, the tolerance as large as the value:" in finding.message


def test_one_finding_for_each_evaluation_where_they_differ() -> None:
    findings = found(POW701, measurement(gradient=POWERFUL), measurement(key=key(**TORCH), gradient=VACUOUS))
    assert [each.backend for each in findings] == ["torch"]
    assert findings[0].message.startswith("torch fused float32: the audit of the gradient cannot fail")


def test_dtypes_and_scales_stand_alone() -> None:
    powerless = [measurement(key=key(**where), gradient=VACUOUS) for where in ({"dtype": "float16"}, {"scale": 10.0})]
    findings = found(POW701, measurement(gradient=POWERFUL), *powerless)
    assert [(each.dtype, each.scale) for each in findings] == [("float16", 1.0), ("float32", 10.0)]


def test_a_probe_that_is_meant_to_be_zero_is_no_audit_by_itself() -> None:
    assert found(POW701, measurement(gradient=POWERFUL), measurement(key=key(probe="zero"), gradient=VACUOUS)) == []


def test_a_probe_with_power_makes_up_for_the_own_inputs() -> None:
    probed = measurement(key=key(probe="sizes"), gradient=POWERFUL)
    assert found(POW701, measurement(gradient=VACUOUS), probed) == []
    elsewhere = measurement(key=key(probe="sizes", dtype="float16"), gradient=POWERFUL)
    assert len(found(POW701, measurement(gradient=VACUOUS), elsewhere)) == 1


@pytest.mark.parametrize("silent", [POWERFUL, quantity(elements=0)], ids=["one element decides", "nothing to decide"])
def test_silent(silent: object) -> None:
    assert found(POW701, measurement(gradient=silent)) == []


def test_reads_the_jacobian_and_not_the_output() -> None:
    (finding,) = found(POW701, measurement(gradient=None, jacobian=quantity("jacobian", elements=4, vacuous=4)))
    assert "the audit of the jacobian" in finding.message
    assert found(POW701, measurement(output=quantity("output", elements=4, vacuous=4), gradient=POWERFUL)) == []
