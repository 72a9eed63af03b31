"""A backend runs a function in several ways, and has formulations that it alone has; each is judged by itself."""

from __future__ import annotations

from gradaudit.records.finding import Finding
from gradaudit.records.report import Report
from tests.sabotage.conftest import Audit
from tests.sabotage.lies import LOSS, findings, spec

BOTH = f"{LOSS}\nexecution: [eager, compiled]"
LAYER = f"{LOSS}\nformulations: [fused, layer]\nupstream: {{values: -2.0}}"


def errors(report: Report) -> list[Finding]:
    return [finding for finding in findings(report) if finding.severity == "error"]


def test_what_is_wrong_when_compiled_is_told_apart_from_what_is_right(audit: Audit) -> None:
    report = audit(BOTH, LIE="wrong_when_compiled")
    (error,) = errors(report)
    assert (error.code, error.subject, error.backend) == ("BUG481", "lying, compiled", "lying")
    (differing,) = findings(report, "DIV306")
    assert dict(differing.evidence) == {"right": "eager", "wrong": "compiled"}
    assert "right in eager execution, wrong in compiled" in differing.message


def test_executions_that_agree_are_not_told_apart(audit: Audit) -> None:
    for lie, count in (("honest", 0), ("all_signs", 2)):
        report = audit(BOTH, LIE=lie)
        assert len(errors(report)) == count
        assert not findings(report, "DIV306")


def test_each_backend_runs_what_it_offers_of_what_is_asked(audit: Audit) -> None:
    report = audit(BOTH.replace("[lying]", "[lying, numpy]"), LIE="honest")
    (case,) = report.cases
    assert [(m.key.subject, m.key.execution) for m in case.measurements] == [
        ("lying", "eager"),
        ("lying, compiled", "compiled"),
        ("numpy", "eager"),
    ]
    assert not case.failures


def test_what_no_backend_offers_is_a_row_that_says_so(audit: Audit) -> None:
    report = audit(spec("softmax", "[0.1, 2.0]", execution="graph"), LIE="honest")
    (failure,) = report.cases[0].failures
    assert failure.kind == "unsupported"
    assert "has no graph execution; it has eager, compiled" in failure.message
    (finding,) = findings(report, "RUN603")
    assert failure.message in finding.message
    assert report.exit_status == 3


def test_a_fault_of_an_own_formulation_is_named_and_concerns_no_other(audit: Audit) -> None:
    report = audit(LAYER, LIE="layer_without_upstream")
    (error,) = errors(report)
    assert (error.code, error.formulation) == ("BUG411", "layer")
    assert {m.key.formulation: m.explanation.explains for m in report.cases[0].measurements} == {
        "fused": True,
        "layer": False,
    }


def test_a_backend_without_the_formulation_skips_it(audit: Audit) -> None:
    report = audit(LAYER.replace("[lying]", "[lying, numpy]"), LIE="honest")
    (failure,) = report.cases[0].failures
    assert (failure.key.backend, failure.key.formulation, failure.kind) == ("numpy", "layer", "unsupported")
