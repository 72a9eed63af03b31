"""The JSON report read again: nothing that a format needs is lost on the way, and what is no report is told."""

import copy
import json
from dataclasses import replace

import pytest

from gradaudit import plugins
from gradaudit.errors import ReportError
from gradaudit.records.case import FORMULA, FileArray, GridArray, InlineArray, RandomArray, Upstream
from gradaudit.records.evaluation import EvaluationKey
from gradaudit.records.expression import Expression, Node
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.measurement import SecondOrder, SelfConsistency
from gradaudit.reports import json_document
from gradaudit.reports.read_document import read, report_of
from tests.reports import sample_report

FORMATS = sorted(plugins.names("gradaudit.reports"))
OWN = EvaluationKey("Right", "torch", "custom", "float32", 1.0)


@pytest.fixture(scope="module")
def everything(full_report):
    """The full report with every kind of array, a formula, and what subjects add."""
    first, second, third, last = full_report.cases
    random = RandomArray("normal", (2, 3), 5)
    formula = FunctionCall(FORMULA, {"gamma": 2.0}, Expression((Node("input", (), "z"),), "logsumexp(z) * gamma"))
    large = InlineArray(sample_report.np.zeros((5000, 2)))
    first = replace(
        first, case=replace(first.case, function=formula, logits=large, upstream=Upstream("values", random))
    )
    second = replace(second, case=replace(second.case, logits=GridArray((0.0, 1.0, 3), (2.0, 3.0, 4))))
    third = replace(
        third,
        case=replace(third.case, logits=FileArray("a.npz", (2, 3), "float32", "key")),
        self_consistency=(SelfConsistency(OWN, "agrees", "as its differences", 3, "float64", 1e-9, float("nan")),),
        second_order=(SecondOrder(OWN, "second order", "cut", "it is 0", 6, 6, 6, float("inf"), None, 0.0),),
    )
    return replace(full_report, cases=(first, second, third, last), fail_on="warning", interrupted=True)


def test_what_is_written_is_read_and_written_again(everything):
    text = json_document.render(everything)
    assert json_document.render(read(text)) == text


def test_fields_of_a_later_version_are_passed_over(full_report):
    document = json.loads(json_document.render(full_report))
    document["later"] = document["cases"][0]["later"] = document["cases"][0]["evaluations"][0]["later"] = {"a": [1]}
    assert json_document.render(report_of(document)) == json_document.render(full_report)


def test_fields_that_came_later_have_their_defaults(full_report):
    document = json.loads(json_document.render(full_report))
    del document["fail_on"], document["cases"][0]["evaluations"][0]["execution"]
    assert report_of(document).fail_on == "error"
    assert report_of(document).cases[0].measurements[0].key.execution == "eager"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_a_function_of_the_json_report(everything, name):
    render = plugins.get("gradaudit.reports", name)
    saved = read(json_document.render(everything))
    assert render(saved) == render(report_of(json_document.document(everything)))
    assert render(saved) == render(saved)


@pytest.mark.parametrize("name", FORMATS)
def test_formats_lose_nothing_to_the_json_report(full_report, name):
    render = plugins.get("gradaudit.reports", name)
    assert render(report_of(json_document.document(full_report))) == render(full_report)


@pytest.mark.parametrize("name", FORMATS)
def test_times_alone_differ_between_two_runs(full_report, name):
    slower = copy.deepcopy(json_document.document(full_report))
    for case in slower["cases"]:
        for evaluation in case["evaluations"]:
            evaluation["seconds"] = None if evaluation["seconds"] is None else 7.25
    render = plugins.get("gradaudit.reports", name)
    changed = render(report_of(slower)) != render(full_report)
    assert changed == (name in {"json", "junit", "csv"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not JSON: Expecting value at line 1, column 1"),
        ("{]", "it is not JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        ('{"a": NaN}', "it is not valid JSON: NaN is no number of JSON"),
        ("[" * 100_000, "it is nested too deeply to be a report of gradaudit"),
        ("[]", "it is no JSON report of gradaudit, which `gradaudit check --report json=report.json` writes"),
        ('{"version": "2.1.0", "runs": []}', "it is no JSON report of gradaudit"),
        ('{"tool": {"name": "other"}, "schema_version": 1}', "it is no JSON report of gradaudit"),
        (
            '{"tool": {"name": "gradaudit", "version": "9.0"}, "schema_version": 2}',
            "it has schema version 2, written by gradaudit 9.0; this gradaudit reads version 1",
        ),
        ('{"tool": {"name": "gradaudit"}}', "it has schema version None"),
        ('{"tool": {"name": "gradaudit"}, "schema_version": 1}', "rules: expected an object, not null"),
    ],
)
def test_what_is_no_report_is_told(text, message):
    with pytest.raises(ReportError) as caught:
        read(text)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("exit_status",), "0", "report.exit_status: expected a whole number, not '0'"),
        (("exit_status",), True, "report.exit_status: expected a whole number, not True"),
        (("command",), "check", "report.command: expected a list, not 'check'"),
        (("command", 0), 7, "report.command[0]: expected a text, not 7"),
        (("cases",), {}, "cases: expected a list, not an object"),
        (("cases", 0, "name"), None, "cases[0].name: expected a text, not null"),
        (("cases", 0, "logits", "kind"), "drawn", "cases[0].logits.kind: expected inline, random, file, grid"),
        (
            ("cases", 0, "logits", "values"),
            [[1.0], [2.0, 3.0]],
            "cases[0].logits.values: expected lists of one length",
        ),
        (("cases", 0, "logits", "values"), ["x"], "cases[0].logits.values: expected a whole number or a number"),
        (("cases", 0, "evaluations", 0, "loss"), None, "cases[0].evaluations[0]: expected a loss and either"),
        (("cases", 0, "evaluations", 0, "gradient"), "same", "cases[0].evaluations[0].gradient: expected an object"),
        (
            ("cases", 0, "evaluations", 0, "loss", "worst", 0, "got"),
            "Inf",
            "cases[0].evaluations[0].loss.worst[0].got: expected a number, not 'Inf'",
        ),
        (
            ("cases", 2, "faults", 0, "alternatives", 0, "probe"),
            1,
            "cases[2].faults[0].alternatives[0].probe: expected a text, not 1",
        ),
        (("environment", "backends", 0, "versions"), [["torch"]], "environment.backends[0].versions[0]: expected 2"),
    ],
)
def test_what_does_not_fit_is_told_with_its_path(full_report, path, value, message):
    document = json.loads(json_document.render(full_report))
    *parents, last = path
    target = document
    for step in parents:
        target = target[step]
    target[last] = value
    with pytest.raises(ReportError) as caught:
        report_of(document)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "path", [("environment", "python"), ("cases", 0, "facts"), ("cases", 0, "evaluations", 0, "profile")]
)
def test_what_is_missing_is_told_with_its_path(full_report, path):
    document = json.loads(json_document.render(full_report))
    *parents, last = path
    target = document
    for step in parents:
        target = target[step]
    del target[last]
    with pytest.raises(ReportError, match=last):
        report_of(document)
