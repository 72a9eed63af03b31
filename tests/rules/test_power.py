from dataclasses import replace

import pytest

from gradaudit.records.measurement import Exposure, SelfConsistency
from gradaudit.rules.power.audit_cannot_fail import RULE as POW701
from gradaudit.rules.power.fault_not_exposed import RULE as POW702
from tests.rules.records import case, found, key, measurement, quantity, subject

VACUOUS = quantity(elements=4, vacuous=4, undecided=1)
UNDECIDED = quantity(elements=4, vacuous=3, undecided=4)
COMPARED = measurement(key=key(subject="losses.py:f", backend="torch", formulation="custom"))
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


class TestFaultNotExposed:
    without = case("cross_entropy", subjects=(subject(),))
    probed = case("cross_entropy", subjects=(subject(),), probes=("ordinary", "ones"))
    hidden = Exposure("losses.py:f", "float32", ("wrong-axis", "sign-flipped"), (), ("mean-denominator", "clamped"))

    def test_without_probes_it_is_a_warning_that_lists_them(self) -> None:
        (finding,) = found(POW702, COMPARED, self.hidden, of=self.without)
        assert finding.message == (
            "the case's inputs alone could not have exposed 2 of 4 kinds of fault: mean-denominator, clamped"
        )
        assert (finding.severity, finding.subject, finding.dtype) == ("warning", "losses.py:f", "float32")
        assert finding.evidence["hidden"] == "mean-denominator, clamped"

    def test_with_probes_it_is_information(self) -> None:
        exposed = replace(self.hidden, probes=("mean-denominator",), hidden=("clamped",), named=("wrong-axis",))
        (finding,) = found(POW702, COMPARED, exposed, of=self.probed)
        assert finding.message == (
            "the case's inputs and 2 probes could not have exposed 1 of 4 kinds of fault: clamped; of the 3 that it "
            "exposes, it names 1"
        )
        assert finding.severity == "info"

    def test_many_are_counted_and_all_stand_in_the_evidence(self) -> None:
        names = tuple(f"fault-{n}" for n in range(11))
        (finding,) = found(POW702, COMPARED, replace(self.hidden, own=(), hidden=names), of=self.without)
        assert "11 of 11 kinds of fault: fault-0, " in finding.message
        assert finding.message.endswith("fault-7 and 3 more")
        assert finding.evidence["hidden"] == ", ".join(names)

    def test_subjects_and_dtypes_with_the_same_list_are_one_finding(self) -> None:
        others = [replace(self.hidden, dtype="float16"), replace(self.hidden, subject="losses.py:g")]
        compared = [
            measurement(key=key(subject=f"losses.py:{name}", backend="torch", dtype=dtype))
            for name, dtype in (("f", "float32"), ("f", "float16"), ("g", "float32"))
        ]
        (finding,) = found(POW702, *compared, self.hidden, *others, of=self.without)
        assert (finding.subject, finding.dtype) == (None, None)

    def test_silent_where_nothing_is_hidden(self) -> None:
        assert found(POW702, COMPARED, replace(self.hidden, hidden=()), of=self.without) == []

    def test_silent_of_a_subject_that_returned_nothing_to_compare(self) -> None:
        assert found(POW702, self.hidden, of=self.without) == []


class TestAgainstItself:
    alone = case("self", subjects=(subject(),))

    @staticmethod
    def said(verdict: str, probe: str | None = None) -> SelfConsistency:
        place = key(subject="losses.py:f", backend="torch", formulation="custom", probe=probe)
        return SelfConsistency(place, verdict, "it cannot be told", 6, "float32", 0.5, 0.1)

    @pytest.mark.parametrize("verdict", ["too_noisy", "not_tried"])
    def test_what_no_difference_can_tell_is_a_warning(self, verdict: str) -> None:
        (finding,) = found(POW701, self.said(verdict), self.said("too_noisy", "ones"), of=self.alone)
        assert finding.message == "losses.py:f (torch) float32: it cannot be told"
        assert (finding.severity, finding.evidence["verdict"]) == ("warning", verdict)

    @pytest.mark.parametrize("verdict", ["agrees", "wrong", "kink"])
    def test_silent_where_some_inputs_tell(self, verdict: str) -> None:
        assert found(POW701, self.said("too_noisy"), self.said(verdict, "ones"), of=self.alone) == []
