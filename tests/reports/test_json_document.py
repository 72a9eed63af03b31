"""The JSON report: its fields, its validity against the schema, and what non-finite values become."""

import json
import math
from dataclasses import replace

import jsonschema
import ml_dtypes
import numpy as np
import pytest

from gradaudit.records.finding import Finding
from gradaudit.reports import json_document
from gradaudit.reports.json_document import document, render
from gradaudit.reports.report_schema import report_schema
from tests.reports import sample_report, subject_report

EVALUATION_FIELDS = {
    *("subject", "backend", "formulation", "dtype", "scale", "status", "profile", "seconds", "loss_dtype", "probe"),
    *("upstream", "formulation_needed", "precision_needed", "loss", "gradient", "jacobian", "values", "failure"),
}


def closed(schema):
    """The schema with every object shut to fields that it does not name."""
    if isinstance(schema, list):
        return [closed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    shut = {key: closed(value) for key, value in schema.items()}
    if "properties" in shut and "required" in shut:
        shut.setdefault("additionalProperties", False)
    return shut


def strict_json(text):
    def refuse(constant):
        raise AssertionError(f"bare {constant} in JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(report_schema())


def test_the_report_fits_the_schema_and_has_no_field_that_the_schema_leaves_out(report):
    jsonschema.validate(strict_json(render(report)), closed(report_schema()))


@pytest.mark.parametrize("path", [("cases", 0, "name"), ("counts", "failures"), ("tool", "version")])
def test_the_schema_refuses_a_report_that_lacks_a_field(report, path):
    broken = strict_json(render(report))
    *parents, last = path
    target = broken
    for step in parents:
        target = target[step]
    del target[last]
    with pytest.raises(jsonschema.ValidationError, match=f"'{last}' is a required property"):
        jsonschema.validate(broken, report_schema())


def test_every_evaluation_has_every_field(report):
    evaluations = [evaluation for case in document(report)["cases"] for evaluation in case["evaluations"]]
    assert {evaluation["status"] for evaluation in evaluations} == {"evaluated", "failed", "skipped"}
    for evaluation in evaluations:
        assert set(evaluation) >= EVALUATION_FIELDS
        assert (evaluation["failure"] is None) == (evaluation["status"] == "evaluated")
        assert set(evaluation["values"]) == {"loss", "gradient", "jacobian"}


def test_evaluations_stand_in_the_order_of_the_spec(report):
    case = document(report)["cases"][1]
    assert [(e["dtype"], e["scale"], e["formulation"], e["backend"]) for e in case["evaluations"]] == [
        ("float32", 1.0, "fused", "torch"),
        ("float32", 1.0, "fused", "onnxruntime"),
        ("float32", 100.0, "unfused", "torch"),
        ("bfloat16", 1.0, "fused", "torch"),
        ("bfloat16", 1.0, "fused", "onnxruntime"),
        ("bfloat16", 1.0, "unfused", "onnxruntime"),
    ]


def test_a_measurement_carries_its_numbers(report):
    case = document(report)["cases"][1]
    beyond = case["evaluations"][1]
    gradient = beyond["gradient"]
    assert gradient["beyond"] == 1
    assert gradient["worst"][0]["index"] == [1, 2]
    assert gradient["worst"][0]["got"] == -0.4002
    assert (gradient["sum"], gradient["sum_expected"], gradient["sum_tolerance"]) == (2e-7, 0.0, 1e-7)
    assert beyond["values"]["gradient"]["shape"] == [2, 3]
    assert beyond["values"]["gradient"]["reference"] == [-0.31, 0.2, 0.11, 0.1, 0.3, -0.4]
    assert (beyond["formulation_needed"], beyond["jacobian"]) == (None, None)
    low = case["evaluations"][3]
    assert (low["formulation_needed"], low["precision_needed"]) == ("fused", "bfloat16 statistics")
    assert (low["gradient"]["undecided_share"], low["gradient"]["vacuous_share"]) == (1.0, 1.0)


def test_a_jacobian_stands_in_its_own_place(report):
    evaluation = document(report)["cases"][0]["evaluations"][0]
    assert evaluation["gradient"] is None
    assert evaluation["jacobian"]["shape"] == [2, 2]
    assert evaluation["values"]["gradient"] is None
    assert len(evaluation["values"]["jacobian"]["got"]) == 4


def test_non_finite_floats_are_strings(report):
    case = strict_json(render(report))["cases"][1]
    broken = case["evaluations"][2]
    assert broken["values"]["loss"]["got"] == ["Infinity"]
    assert broken["values"]["gradient"]["got"][:3] == ["NaN", "NaN", "NaN"]
    evidence = next(f for f in case["findings"] if f["code"] == "DIV303")["evidence"]
    assert evidence == {"nan": 3, "largest": "Infinity", "smallest": "-Infinity", "mean": "NaN", "all": False}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.bool_(True), True),
        (ml_dtypes.bfloat16(1.5), 1.5),
        (np.float16(math.inf), "Infinity"),
    ],
)
def test_scalars_of_numpy_become_those_of_json(friendly_report, value, written):
    case = friendly_report.cases[0]
    finding = Finding("CAN101", "n", "info", "m", case.case.source, evidence={"value": value})
    changed = replace(friendly_report, cases=(replace(case, findings=(finding,)),))
    assert strict_json(render(changed))["cases"][0]["findings"][0]["evidence"]["value"] == written


def test_counts_tell_failed_from_skipped_and_expected_from_the_rest(report):
    assert document(report)["counts"] == {
        "cases": 3,
        "evaluations": 11,
        "failures": 2,
        "skipped": 1,
        "refused": 0,
        "findings": {"error": 3, "warning": 1, "info": 1},
        "expected": {"error": 0, "warning": 1, "info": 0},
        "known": {"error": 0, "warning": 0, "info": 0},
        "missing_expectations": 2,
    }


def test_rendering_is_sorted_deterministic_and_ascii(report):
    text = render(report)
    assert text == render(sample_report.sample_report())
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    assert text.isascii()
    assert sample_report.HOSTILE in {case["name"] for case in json.loads(text)["cases"]}


def test_a_large_inline_array_is_described_and_not_listed(friendly_report):
    case = friendly_report.cases[0]
    large = sample_report.InlineArray(np.zeros((5000, 2)))
    changed = replace(friendly_report, cases=(replace(case, case=replace(case.case, logits=large)),))
    assert document(changed)["cases"][0]["logits"] == {"kind": "inline", "shape": [5000, 2], "values": None}


def test_the_worst_elements_of_probes_that_no_finding_names_are_few(friendly_report, monkeypatch):
    monkeypatch.setattr(json_document, "WORST_OF_PROBES", 2)
    case = subject_report.subject_case()
    listed = {
        (each["subject"], each["probe"]): len(each["gradient"]["worst"])
        for each in document(replace(friendly_report, cases=(case,)))["cases"][0]["evaluations"]
        if each["gradient"] is not None
    }
    known = {(each.key.subject, each.key.probe): len(each.gradient.worst) for each in case.measurements}
    assert set(known.values()) == {3}
    told = {("Wrong", "ignored-rows"), *(place for place in known if place[1] is None)}
    assert listed == {place: 3 if place in told else 2 for place in known}
