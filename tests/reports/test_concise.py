"""One finding a line."""

from dataclasses import replace

from gradaudit.records.finding import Finding
from gradaudit.records.location import Location
from gradaudit.reports.concise import render
from gradaudit.reports.findings import evidence
from tests.reports import sample_report


def test_lines(friendly_report, snapshot):
    snapshot("concise.txt", render(friendly_report))


def test_one_physical_line_for_each_finding_and_missing_expectation(report):
    findings = sum(len(case.findings) + len(case.missing) for case in report.cases)
    text = render(report)
    assert text.endswith("\n")
    assert len(text.splitlines()) == text.count("\n") == findings


def test_evidence_that_the_message_holds_is_not_repeated():
    location = Location("a.yaml", 1)
    numbers = {"limit": 2.98e-8, "rows": 15836, "ratio": 1 / 3, "kept": 7}
    finding = Finding(
        "SAT201", "n", "info", "1 - p <= 2.98e-08 in 15,836 rows, 0.3333 of u", location, evidence=numbers
    )
    assert evidence(finding) == "kept = 7"


def test_nothing_found_is_an_empty_text(friendly_report):
    case = replace(friendly_report.cases[0], findings=(), missing=())
    assert render(replace(friendly_report, cases=(case,))) == ""


def test_a_name_that_the_message_leaves_out_follows_it():
    finding = Finding(
        "DIV301",
        "beyond-tolerance",
        "error",
        "torch is off by 3 tolerances",
        Location("<command line>"),
        subject="losses.py:Mine",
        backend="torch",
        formulation="fused",
        dtype="float16",
        scale=10.0,
        probe="one-hot",
    )
    report = sample_report.sample_report(replace(sample_report.forum_case(), findings=(finding,)))
    assert render(report) == (
        "<command line>: DIV301 error: torch is off by 3 tolerances "
        "[losses.py:Mine fused float16 at scale 10 probe one-hot]\n"
    )
