"""Who is asked about probes: the subjects of a case, or its backends where they were asked for and it has none."""

from __future__ import annotations

from dataclasses import replace

from gradaudit import pipeline
from gradaudit.records.subject import Subject
from gradaudit.specs import probes
from gradaudit.specs.plan import plan
from tests.specs.conftest import one_case

TEXT = (
    "function: cross_entropy\nlogits: {random: {shape: [8, 16]}}\ntargets: {random: {seed: 1, ignored: 2}}\n"
    "backends: [numpy]\n"
)


def test_subjects_alone_are_asked_where_there_are_any() -> None:
    subject = Subject("mine", "torch", "losses.py:loss")
    case = replace(one_case(TEXT), subjects=(subject,), probes=("ones", "zero"))
    asked = [(each.probe, [key.subject for key in each.keys]) for each in plan((case,)).inputs]
    assert asked == [(None, ["numpy", "mine"]), ("ones", ["mine"]), ("zero", ["mine"])]


def test_backends_are_asked_where_there_is_no_subject() -> None:
    (case,) = (one_case(TEXT + "dtypes: [float32, float64]\nprobes: [ones, zero]\n"),)
    asked = [(each.dtype, each.probe, [key.probe for key in each.keys]) for each in plan((case,)).inputs]
    assert asked == [(dtype, probe, [probe]) for dtype in ("float32", "float64") for probe in (None, "ones", "zero")]
    assert [each.probe for each in plan((one_case(TEXT),)).inputs] == [None]


def test_a_backend_stands_all_standard_probes() -> None:
    case = one_case(TEXT + "probes: standard\n")
    report = pipeline.audit((case,), pipeline.Settings())
    (audited,) = report.cases
    errors = [finding.message for finding in audited.findings if finding.severity == "error"]
    assert errors == []
    answered = {each.key.probe for each in audited.measurements}
    refused = {"label-too-large", "label-negative"}
    assert answered | refused == {None, *probes.names(case)}
    special = {each.key.probe for each in audited.measurements if each.special_probe}
    assert special == {"minus-infinity", "infinite-row", "all-ignored"}
