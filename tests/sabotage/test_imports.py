"""A package whose import changes the process: told once, with the state before and after."""

from __future__ import annotations

from gradaudit import pipeline
from gradaudit.reports import json_document
from tests.sabotage.conftest import Audit

SPEC = """
    version: 1
    name: {name}
    function: softmax
    logits: [[0.5, -1.0, 2.0]]
    upstream: random
    backends: [{backends}]
"""


def test_flushing_on_import_is_a_warning_and_the_rest_information(audit: Audit) -> None:
    report = audit(
        SPEC.format(name="first", backends="numpy, flushing"), SPEC.format(name="next", backends="flushing")
    )
    first, following = ([each for each in case.findings if each.code == "RUN607"] for case in report.cases)
    assert [each.severity for each in first] == ["warning", "info"]
    assert {each.backend for each in first} == {"flushing"}
    assert first[0].message.endswith(
        ": subnormal operands: kept before, taken as zero after; subnormal results: kept before, flushed to zero "
        "after; sets OMP_DYNAMIC to true: what all code of the process computes with"
    )
    assert first[0].evidence["subnormal results"] == "kept -> flushed to zero"
    assert first[0].evidence["environment variable OMP_DYNAMIC"] == "nothing -> true"
    assert first[1].evidence["signals handled"] == "nothing -> SIGUSR1"
    assert "sets OF_THE_PACKAGE to 1" in first[1].message
    assert "OF_THE_ADAPTER" not in first[1].message
    assert following == [], "it is imported once"
    assert report.exit_status == 0


def test_the_state_before_and_after_is_in_the_report(audit: Audit) -> None:
    report = audit(SPEC.format(name="both", backends="numpy, flushing"))
    numpy, flushing = json_document.document(report)["environment"]["backends"]
    assert (numpy["name"], flushing["name"]) == ("numpy", "flushing")
    own = {fact["name"]: (fact["before"], fact["after"]) for fact in numpy["process"]}
    assert own["subnormal results"] == own["subnormal operands"] == ("kept", "kept")
    assert own["rounding"] == ("to nearest", "to nearest")
    assert own["floating-point traps"][0] == own["floating-point traps"][1]
    theirs = {fact["name"]: (fact["before"], fact["after"]) for fact in flushing["process"]}
    assert theirs["subnormal results"] == ("kept", "flushed to zero")
    assert theirs["rounding"] == ("to nearest", "to nearest")
    assert int(theirs["threads"][0]) <= int(theirs["threads"][1])


def test_what_only_informs_obeys_select_and_what_changes_numbers_does_not(audit: Audit) -> None:
    report = audit(SPEC.format(name="first", backends="flushing"), settings=pipeline.Settings(select=("CAN",)))
    assert [(each.code, each.severity) for each in report.cases[0].findings] == [("RUN607", "warning")]
