from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from gradaudit.errors import PluginError
from gradaudit.records.case import Expectation
from gradaudit.records.finding import Finding
from gradaudit.records.measurement import Breach
from gradaudit.rules import judge as judging
from gradaudit.rules import registry
from gradaudit.rules.interface import Rule
from gradaudit.rules.judge import judge, meets
from tests.rules.records import (
    case,
    diagnosis,
    element,
    explanation,
    facts,
    failure,
    key,
    measured,
    measurement,
    quantity,
)

SATURATED = facts(saturated_rows=1)
DIAGNOSED = measurement(
    key=key(subject="torch", backend="torch", formulation="unfused"),
    diagnoses=(diagnosis("unfused-logarithm", row=0),),
)
CRASHED = failure("crashed")


def codes(findings: Iterable[Finding]) -> list[str]:
    return [finding.code for finding in findings]


def test_a_sound_case_has_no_findings() -> None:
    assert judge(measured(facts(), measurement())) == ((), ())


def test_worst_first_then_by_code_then_by_place_in_the_matrix() -> None:
    wrong = quantity(beyond=1, worst=(element(0.5, 0.25, 9.0),))
    places = [
        key(subject="torch", backend="torch"),
        key(dtype="float16"),
        key(formulation="unfused"),
        key(scale=2.0),
        key(),
    ]
    measurements = [
        measurement(key=place, explanation=explanation(explains=False), gradient=wrong) for place in places
    ]
    parts = [facts(underflowed=1, saturated_rows=1), *measurements, DIAGNOSED]
    forwards, _ = judge(measured(*parts, of=case(scale=(1.0, 2.0))))
    assert codes(forwards) == ["BUG461", *["DIV301"] * 5, "SAT201", "SAT203"]
    assert [(each.backend, each.formulation, each.dtype, each.scale) for each in forwards[1:6]] == [
        ("numpy", "fused", "float32", 1.0),
        ("numpy", "fused", "float32", 2.0),
        ("numpy", "fused", "float16", 1.0),
        ("numpy", "unfused", "float32", 1.0),
        ("torch", "fused", "float32", 1.0),
    ]
    backwards, _ = judge(measured(*reversed(parts), of=case(scale=(1.0, 2.0))))
    assert backwards == forwards


def test_subjects_and_probes_of_one_backend_stand_in_alphabetical_order() -> None:
    places = [key(subject="b"), key(subject="a", probe="ones"), key(subject="a"), key(subject="a", probe="offsets")]
    findings, _ = judge(measured(*(Breach("input-mutated", place, "it is", ()) for place in places)))
    assert [(each.subject, each.probe) for each in findings] == [
        ("a", None),
        ("a", "offsets"),
        ("a", "ones"),
        ("b", None),
    ]


def test_select_and_ignore_are_prefixes() -> None:
    parts = measured(facts(saturated_rows=1, vanished_rows=1, underflowed=1), DIAGNOSED)
    assert codes(judge(parts)[0]) == ["BUG461", "SAT201", "SAT202", "SAT203"]
    assert codes(judge(parts, select=("SAT",))[0]) == ["SAT201", "SAT202", "SAT203"]
    assert codes(judge(parts, select=("sat20", "BUG4"), ignore=("SAT201",))[0]) == ["BUG461", "SAT202", "SAT203"]
    assert codes(judge(parts, ignore=("SAT", "BUG461"))[0]) == []


def test_the_case_s_own_ignore_is_added() -> None:
    parts = measured(facts(saturated_rows=1, vanished_rows=1), DIAGNOSED, of=case(ignore=("SAT201",)))
    assert codes(judge(parts, ignore=("BUG",))[0]) == ["SAT202"]


def test_select_does_not_hide_what_could_not_be_audited() -> None:
    parts = measured(SATURATED, CRASHED)
    assert codes(judge(parts, select=("CAN",))[0]) == ["RUN601"]
    assert codes(judge(parts, select=("CAN",), ignore=("RUN601",))[0]) == []


def test_expected_findings_are_marked_and_others_are_not() -> None:
    wish = Expectation("BUG461", formulation="unfused")
    findings, missing = judge(measured(SATURATED, DIAGNOSED, of=case(expect=(wish,))))
    assert [(each.code, each.expected) for each in findings] == [("BUG461", True), ("SAT201", False)]
    assert missing == ()


def test_expectations_that_nothing_meets_are_missing_in_their_order() -> None:
    wishes = (Expectation("SAT203"), Expectation("BUG461", dtype="float16"), Expectation("BUG461", dtype="float32"))
    findings, missing = judge(measured(DIAGNOSED, of=case(expect=wishes)))
    assert [(each.code, each.expected) for each in findings] == [("BUG461", True)]
    assert missing == wishes[:2]


def test_an_expected_finding_that_is_ignored_is_not_missing() -> None:
    parts = measured(SATURATED, of=case(expect=(Expectation("SAT201"), Expectation("CAN103")), ignore=("SAT",)))
    assert judge(parts) == ((), (Expectation("CAN103"),))


def test_only_selected_expectations_can_be_missing() -> None:
    wishes = (Expectation("SAT203"), Expectation("CAN103"), Expectation("RUN601"))
    parts = measured(SATURATED, of=case(expect=wishes))
    assert judge(parts, select=("CAN",))[1] == wishes[1:]
    assert judge(parts, ignore=("CAN", "RUN"))[1] == wishes[:1]


SELECTORS = {"backend": "torch", "formulation": "fused", "dtype": "float16", "scale": 10.0, "subject": "my loss"}
OTHERS = {"backend": "numpy", "formulation": "unfused", "dtype": "float32", "scale": 1.0, "subject": "torch"}


class TestMeets:
    finding = Finding("BUG461", "unfused-logarithm", "error", "words", case().source, **SELECTORS)

    def test_a_bare_code_is_met_anywhere(self) -> None:
        assert meets(self.finding, Expectation("BUG461"))
        assert not meets(self.finding, Expectation("BUG463"))

    def test_all_selectors_together(self) -> None:
        assert meets(self.finding, Expectation("BUG461", **SELECTORS))

    @pytest.mark.parametrize("selector", sorted(SELECTORS))
    def test_one_selector_that_differs_is_enough(self, selector: str) -> None:
        assert meets(self.finding, Expectation("BUG461", **{selector: SELECTORS[selector]}))
        assert not meets(self.finding, Expectation("BUG461", **{**SELECTORS, selector: OTHERS[selector]}))

    @pytest.mark.parametrize("selector", sorted(SELECTORS))
    def test_what_holds_for_all_meets_each(self, selector: str) -> None:
        assert meets(replace(self.finding, **{selector: None}), Expectation("BUG461", **SELECTORS))


class TestCrashingRules:
    @pytest.fixture
    def only(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., object]], None]:
        def only(check: Callable[..., object]) -> None:
            rule: Rule = replace(registry.get("CAN101"), code="XYZ901", name="house-rule", check=check)
            monkeypatch.setattr(judging.registry, "rules", lambda: (rule,))

        return only

    def test_a_rule_that_raises_is_named_with_the_case(self, only: Callable[..., None]) -> None:
        def check(_: object) -> list[Finding]:
            return [1 / 0]

        only(check)
        with pytest.raises(
            PluginError,
            match=r"rule XYZ901 house-rule \(tests\.rules\.test_judge\) failed on case 'by hand' \(case\.yaml:3:1\): "
            "ZeroDivisionError: division by zero",
        ):
            judge(measured())

    @pytest.mark.parametrize(
        "returned",
        [
            ["words"],
            [Finding("CAN101", "summed-outputs-cancel", "error", "another rule's", case().source)],
            [Finding("XYZ901", "house-rule", "fatal", "words", case().source)],
        ],
        ids=["no finding", "another code", "unknown severity"],
    )
    def test_a_rule_that_returns_nonsense_is_named(self, only: Callable[..., None], returned: list[object]) -> None:
        only(lambda _: returned)
        with pytest.raises(PluginError, match=r"rule XYZ901 house-rule .* expected a Finding with the code XYZ901"):
            judge(measured())
