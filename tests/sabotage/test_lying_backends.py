"""A backend that lies is found out through the whole pipeline.

What tells that it might not be: the same search over an honest backend's results, and by a tool that is broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from gradaudit.measurement import built_in, comparison, evaluation
from gradaudit.measurement.diagnosis import hypotheses
from gradaudit.records.report import Report
from gradaudit.reference import ladder
from gradaudit.rules import registry
from gradaudit.rules.power import audit_cannot_fail
from tests.sabotage.conftest import Audit, run
from tests.sabotage.lies import LIES, Lie, assert_caught, assert_nothing_is_wrong, findings, ids

each_lie = pytest.mark.parametrize("lie", LIES, ids=ids)


@each_lie
def test_a_lie_is_caught(audit: Audit, lie: Lie) -> None:
    report = audit(lie.spec, LIE=lie.name)
    assert_caught(report, lie)
    assert report.exit_status == {"RUN": 3, "POW": 0}.get(lie.code[:3], 1)


def test_zeros_pass_where_the_audit_says_that_it_cannot_fail(audit: Audit) -> None:
    """The right gradient is 0: the lie is the truth, and the report says that this proves nothing."""
    (lie,) = [lie for lie in LIES if lie.code == "POW701"]
    assert_nothing_is_wrong(audit(lie.spec, LIE=lie.name))


def test_beside_a_liar_the_others_are_judged_on_their_own(audit: Audit) -> None:
    (lie,) = [lie for lie in LIES if (lie.name, lie.code) == ("all_signs", "BUG481") and "targets" in lie.spec]
    report = audit(lie.spec.replace("[lying]", "[lying, numpy]"), LIE=lie.name)
    assert {f.backend for f in findings(report) if f.severity == "error"} == {"lying"}
    assert [m.key.backend for m in report.cases[0].measurements] == ["lying", "numpy"]


# ------------------------------------------------------------------------------------ it can be seen to fail


@pytest.fixture(scope="module")
def honest() -> dict[str, Report]:
    """Every case, answered honestly; all in one audit."""
    specs = tuple(dict.fromkeys(lie.spec for lie in LIES))
    report = run(specs)
    return {spec: dataclasses.replace(report, cases=(case,)) for spec, case in zip(specs, report.cases, strict=True)}


@each_lie
def test_an_honest_answer_is_not_caught(honest: dict[str, Report], lie: Lie) -> None:
    if lie.code == "POW701":
        assert_caught(honest[lie.spec], lie)  # it is a statement on the inputs: the honest gradient is 0 too
        return
    with pytest.raises(AssertionError, match=f"{lie.code} was not found"):
        assert_caught(honest[lie.spec], lie)


Break = Callable[[pytest.MonkeyPatch], None]


def compares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison.Comparison, "add", lambda *_, **__: None)


def passes_over_special_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison.Comparison, "_special", lambda *_: None)


def passes_over_masked_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison.Comparison, "add_masked", lambda *_: None)


def knows_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hypotheses, "HYPOTHESES", ())


def searches_for_no_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built_in, "diagnose", lambda *_: ())


def knows_no_lower_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "precisions", lambda profile: (("declared", profile),))


def believes_in_any_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every explanation is as good as the declared one."""
    right = evaluation.Explanation
    monkeypatch.setattr(evaluation, "Explanation", lambda *a: right(*a[:3], False, *a[4:]))


def has_no_rules_on_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    left = tuple(rule for rule in registry.rules() if not rule.code.startswith("RUN"))
    monkeypatch.setattr(registry, "rules", lambda: left)


def believes_in_its_power(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_cannot_fail, "_powerless", lambda _: None)


BREAKS: dict[str, tuple[Break, ...]] = {
    "DIV301": (compares_nothing,),
    "DIV305": (passes_over_masked_classes,),
    "DIV303": (passes_over_special_values,),
    "DIV304": (compares_nothing, knows_no_lower_precision, believes_in_any_precision),
    "BUG411": (searches_for_no_cause,),
    "BUG454": (searches_for_no_cause,),
    "BUG461": (knows_no_fault,),
    "BUG463": (knows_no_fault,),
    "BUG471": (searches_for_no_cause,),
    "BUG481": (searches_for_no_cause,),
    "RUN605": (has_no_rules_on_failures,),
    "POW701": (believes_in_its_power,),
}
# One lie of each code and breakage in every run; the others, which cost a worker each, with the slow tests.
BROKEN = [(lie, broken) for code, breaks in BREAKS.items() for broken in breaks for lie in LIES if lie.code == code]


SEEN_OFTEN = {(lie.code, broken): (lie, broken) for lie, broken in reversed(BROKEN)}.values()


@pytest.mark.parametrize(
    ("lie", "broken"),
    [
        pytest.param(
            lie,
            broken,
            id=f"{ids(lie)}-{broken.__name__}",
            marks=() if (lie, broken) in SEEN_OFTEN else pytest.mark.slow,
        )
        for lie, broken in BROKEN
    ],
)
def test_a_broken_tool_is_seen(monkeypatch: pytest.MonkeyPatch, audit: Audit, lie: Lie, broken: Break) -> None:
    broken(monkeypatch)
    report = audit(lie.spec, LIE=lie.name)
    with pytest.raises(AssertionError, match="was not found"):
        assert_caught(report, lie)


def test_every_lie_is_told_to_a_broken_tool() -> None:
    assert {ids(lie) for lie, _ in BROKEN} == {ids(lie) for lie in LIES}
