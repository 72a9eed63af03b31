"""What the formats for CI systems say: SARIF, JUnit, GitHub's commands, GitLab's code quality."""

import json
import shlex
from dataclasses import replace

import jsonschema
import pytest

from gradaudit.records.case import Expectation
from gradaudit.records.location import COMMAND_LINE, Location
from gradaudit.reports import concise, github, gitlab, json_document, junit, markdown, measurements_csv, sarif
from gradaudit.reports.console import full
from gradaudit.reports.html import page as html_page
from gradaudit.reports.issues import issues
from gradaudit.reports.read_document import report_of
from gradaudit.reports.reproduce import again
from gradaudit.reports.summary import summary
from tests.reports import judges, sample_report, subject_report


@pytest.fixture(scope="module")
def subjects():
    return sample_report.sample_report(subject_report.subject_case())


def results(report):
    return judges.sarif(sarif.render(report))["runs"][0]["results"]


def junit_tests(report):
    return {case.name: case for suite in judges.junit(junit.render(report)) for case in suite}


def with_findings(report, amount, **changes):
    """The first case with many findings that differ by their messages alone."""
    case = report.cases[0]
    findings = tuple(replace(case.findings[0], message=f"finding {index}", **changes) for index in range(amount))
    return replace(report, cases=(replace(case, findings=findings),))


def test_the_log_is_sarif_by_the_schema_of_oasis(full_report):
    schema = judges.sarif_schema()
    log = judges.sarif(sarif.render(full_report))
    jsonschema.Draft4Validator(schema).validate(log)
    broken = json.loads(sarif.render(full_report))
    del broken["runs"][0]["results"][0]["message"]
    assert not jsonschema.Draft4Validator(schema).is_valid(broken)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), "2.0.0"),
        (("runs", 0, "tool"), None),
        (("runs", 0, "columnKind"), "bytes"),
        (("runs", 0, "invocations", 0, "executionSuccessful"), None),
        (("runs", 0, "tool", "driver", "rules", 0, "id"), None),
        (("runs", 0, "results", 0, "message"), None),
        (("runs", 0, "results", 0, "message", "text"), 7),
        (("runs", 0, "results", 0, "level"), "fatal"),
        (("runs", 0, "results", 0, "ruleIndex"), "0"),
        (("runs", 0, "results", 0, "baselineState"), "known"),
        (("runs", 0, "results", 0, "colour"), "red"),
        (("runs", 0, "results", 0, "suppressions"), [{"justification": "x"}]),
        (("runs", 0, "results", 0, "partialFingerprints"), ["x"]),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region", "startLine"), 0),
    ],
)
def test_the_judge_of_sarif_that_is_always_at_hand_can_say_no(subjects, path, value):
    log = json.loads(sarif.render(subjects))
    *parents, last = path
    target = log
    for step in parents:
        target = target[step]
    if value is None:
        del target[last]
    else:
        target[last] = value
    with pytest.raises(ValueError, match=str(last)):
        judges.sarif(json.dumps(log))


def test_a_result_of_a_users_loss_stands_on_its_line_and_leads_to_the_spec(subjects):
    (result, other) = results(subjects)
    assert result["ruleId"] == "BUG402"
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "specs/losses.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 12},
    }
    assert result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "specs/losses.yaml"
    assert result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].startswith(
        "two losses of our own / Wrong"
    )
    assert "relatedLocations" not in other


def test_levels_rules_and_suppressions(friendly_report):
    log = judges.sarif(sarif.render(friendly_report))["runs"][0]
    rules = log["tool"]["driver"]["rules"]
    by_code = {result["ruleId"]: result for result in log["results"]}
    assert [rule["id"] for rule in rules] == sorted(by_code)
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in log["results"])
    assert {code: result["level"] for code, result in by_code.items()} == {
        "CAN101": "warning",
        "DIV301": "error",
        "RUN601": "error",
        "DIV303": "error",
        "EXPECTED": "error",
    }
    assert by_code["CAN101"]["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "expected by the spec at specs/forum.yaml:3:5"}
    ]
    assert "suppressions" not in by_code["DIV301"]
    assert by_code["EXPECTED"]["message"]["text"] == "SAT201 (bfloat16) expected, not found"
    assert rules[0]["help"]["text"] == "Read the Jacobian: per_output."
    assert log["invocations"][0]["exitCode"] == 3
    assert log["invocations"][0]["executionSuccessful"] is False


def test_an_address_is_percent_encoded_and_the_command_line_has_none(friendly_report):
    (result,) = [each for each in results(friendly_report) if each["ruleId"] == "DIV301"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "specs/%5B/foo%5D%20wrong.yaml"
    for path, uri in (("/a b.py", "file:///a%20b.py"), ("C:\\a\\b.py", "file:///C%3A/a/b.py"), ("./x.py", "x.py")):
        moved = with_findings(friendly_report, 1, location=Location(path, 3))
        artifact = results(moved)[0]["locations"][0]["physicalLocation"]["artifactLocation"]
        assert artifact["uri"] == uri
        assert ("uriBaseId" in artifact) == (not uri.startswith("file:"))
    assert (
        "physicalLocation" not in results(with_findings(friendly_report, 1, location=COMMAND_LINE))[0]["locations"][0]
    )


def test_a_fingerprint_outlives_moved_lines_and_other_numbers(subjects):
    prints = [result["partialFingerprints"] for result in results(subjects)]
    case = subjects.cases[0]
    moved = [
        replace(each, message=f"{each.message} 7", location=Location(each.location.path, 99))
        for each in case.findings
    ]
    later = replace(subjects, cases=(replace(case, findings=tuple(moved)),))
    assert [result["partialFingerprints"] for result in results(later)] == prints
    other = replace(subjects, cases=(replace(case, findings=(replace(case.findings[0], dtype="float16"),)),))
    assert results(other)[0]["partialFingerprints"] != prints[0]


def test_a_fingerprint_outlives_another_probe_and_another_order(subjects):
    case = subjects.cases[0]
    shown = replace(case.findings[0], probe="ordinary", scale=1.0)
    other = replace(shown, probe="far", message="another one")

    def prints(*findings):
        changed = replace(subjects, cases=(replace(case, findings=findings),))
        found = judges.gitlab(gitlab.render(changed))
        return {issue["description"].rsplit(":")[-1]: issue["fingerprint"] for issue in found}

    assert [*prints(shown).values()] == [*prints(replace(shown, probe="far")).values()], (
        "the probe that shows it best"
    )
    assert prints(shown, other) == prints(other, shown), "each keeps its own, in whatever order they are found"
    assert len(set(prints(shown, other).values())) == 2
    fault = case.faults[0]
    named = replace(case.findings[0], name=fault.fault, subject=fault.key.subject)
    assert [*prints(named).values()] == [*prints(replace(named, scale=10.0)).values()], "a fault holds at all scales"
    assert [*prints(shown).values()] != [*prints(replace(shown, name="other", scale=10.0)).values()]


@pytest.mark.parametrize(
    "changes",
    [{"code": "BUG403"}, {"subject": "Other"}, {"backend": "numpy"}, {"formulation": "fused"}, {"dtype": "float16"}],
)
def test_another_finding_has_another_fingerprint(subjects, changes):
    case = subjects.cases[0]
    both = (case.findings[0], replace(case.findings[0], **changes))
    found = [issue.fingerprint for issue in issues(replace(subjects, cases=(replace(case, findings=both),)))]
    assert len(set(found)) == 2
    alone = issues(replace(subjects, cases=(replace(case, findings=both[1:]),)))
    assert alone[0].fingerprint == found[1]


def test_cases_of_one_name_in_two_files_have_fingerprints_of_their_own(subjects):
    case = subjects.cases[0]
    moved = replace(case, case=replace(case.case, source=Location("specs/other.yaml", 1)))
    both, turned = (issues(replace(subjects, cases=cases)) for cases in ((case, moved), (moved, case)))
    assert len({issue.fingerprint for issue in both}) == len(both)
    half = len(both) // 2
    assert [issue.fingerprint for issue in both] == [issue.fingerprint for issue in (*turned[half:], *turned[:half])]


def test_findings_that_differ_by_their_numbers_alone_stay_apart(friendly_report):
    report = with_findings(friendly_report, 3, expected=False)
    assert len(judges.gitlab(gitlab.render(report))) == len(results(report)) == 3


def test_every_evaluation_is_a_test_and_every_expectation(friendly_report):
    suites = judges.junit(junit.render(friendly_report))
    assert [(suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) for suite in suites] == [
        ("the forum's cancelling sum", 5, 0, 0, 0),
        ("smoothed cross entropy", 7, 3, 1, 1),
    ]
    tests = junit_tests(friendly_report)
    assert {name: type(case.result[0]).__name__ for name, case in tests.items() if case.result} == {
        "onnxruntime fused float32": "Failure",
        "torch unfused float32 at scale 100": "Failure",
        "onnxruntime fused bfloat16": "Error",
        "onnxruntime unfused bfloat16": "Skipped",
        "expects SAT201 (bfloat16)": "Failure",
    }
    assert "expects CAN101" in tests
    failure = tests["onnxruntime fused float32"].result[0]
    assert failure.type == "DIV301"
    assert "1 of 6 gradient elements lies outside" in failure.message
    assert "at specs/[/foo] wrong.yaml:12\nnext: Compare the worst element by hand." in failure.text
    assert "(expected): the per-output gradients" in tests["CAN101 summed-outputs-cancel: float32"].system_out


def test_every_wrong_evaluation_fails_by_the_finding_of_its_subject(subjects):
    """BUG402 is shown by one probe; the others are no less wrong."""
    tests = junit_tests(subjects)
    failed = {name for name, case in tests.items() if case.result and case.result[0].type == "BUG402"}
    assert failed == {"Wrong torch float32"} | {
        f"Wrong torch float32 probe {probe}"
        for probe in ("ordinary", "ignored-rows", "ones", "length-1", "micro-batches", "one-row")
    }
    assert "apart from the exact values" in tests["Wrong torch float32"].result[0].text
    assert not tests["Right torch float32"].result
    assert not tests["Wrong torch float32 probe all-ignored"].result
    assert tests["CON505 wrong-shape-or-dtype: Short torch float32"].result


def test_an_evaluation_whose_finding_is_expected_does_not_fail_by_that_of_another(friendly_report):
    case = friendly_report.cases[1]
    (nan,) = [each for each in case.findings if each.code == "DIV303"]
    other = replace(nan, scale=1.0, message="at another scale")
    report = replace(friendly_report, cases=(replace(case, findings=(replace(nan, expected=True), other)),))
    assert not junit_tests(report)["torch unfused float32 at scale 100"].result
    both = replace(friendly_report, cases=(replace(case, findings=(other,)),))
    assert "at another scale" in junit_tests(both)["torch unfused float32 at scale 100"].result[0].text
    assert not junit_tests(both)["torch fused float32"].result


def test_warnings_fail_where_the_audit_fails_on_them(friendly_report):
    case = friendly_report.cases[0]
    warned = replace(friendly_report, cases=(replace(case, findings=(replace(case.findings[0], expected=False),)),))
    name = "CAN101 summed-outputs-cancel: float32"
    assert not junit_tests(warned)[name].result
    assert junit_tests(replace(warned, fail_on="warning"))[name].result
    assert [result["properties"]["fails"] for result in results(replace(warned, fail_on="info"))] == [True]


def test_annotations_come_worst_first_on_the_lines_they_are_about(full_report):
    commands = judges.github(github.render(full_report))
    assert [command.partition(" ")[0] for command in commands] == ["::error"] * 7 + ["::notice"]
    assert commands[0] == (
        "::error file=specs/[/foo] wrong.yaml,line=12,col=1,title=DIV301 beyond-tolerance::smoothed cross entropy: "
        "1 of 6 gradient elements lies outside every admissible formulation [onnxruntime fused float32]"
        "%0ANext: Compare the worst element by hand."
    )
    assert any(command.startswith("::error file=specs/losses.py,line=12,title=BUG402") for command in commands)
    assert not any("CAN101" in command for command in commands), "it is expected"
    assert github.render(full_report).splitlines()[-1].startswith("4 cases, ")


def test_no_more_annotations_than_github_shows_and_the_rest_is_counted(friendly_report):
    text = github.render(with_findings(friendly_report, 14, severity="error", expected=False))
    assert len(judges.github(text)) == 10
    assert "Further findings, for which GitHub has no room beside the code: 4 of severity error." in text


def test_a_property_cannot_be_ended_by_a_name(friendly_report):
    report = with_findings(friendly_report, 1, expected=False, location=Location("a,b:c%.yaml", 3))
    (command,) = judges.github(github.render(report))
    assert command.startswith("::warning file=a%2Cb%3Ac%25.yaml,line=3,title=CAN101")


def test_code_quality_has_what_is_not_expected(full_report):
    found = judges.gitlab(gitlab.render(full_report))
    assert [(issue["check_name"], issue["severity"]) for issue in found][:4] == [
        ("DIV301 beyond-tolerance", "critical"),
        ("RUN601 crashed", "critical"),
        ("DIV303 non-finite", "critical"),
        ("EXPECTED expected-finding-missing", "critical"),
    ]
    (fault,) = [issue for issue in found if issue["check_name"].startswith("BUG402")]
    assert fault["location"] == {"path": "specs/losses.py", "lines": {"begin": 12}}
    assert found[-2]["severity"] == "info"


def test_nothing_found_is_said_in_each_format(friendly_report):
    clean = replace(friendly_report, cases=(replace(friendly_report.cases[0], findings=()),), exit_status=0)
    assert results(clean) == []
    assert judges.github(github.render(clean)) == []
    assert gitlab.render(clean) == "[]\n"
    assert judges.junit(junit.render(clean)).failures == 0
    nothing = replace(clean, cases=())
    assert judges.junit(junit.render(nothing)).tests == 0
    assert results(nothing) == []


def test_a_missing_expectation_that_the_case_no_longer_names_fails_too(friendly_report):
    case = replace(friendly_report.cases[0], missing=(Expectation("SAT201", location=Location("a.yaml", 4)),))
    report = report_of(json_document.document(replace(friendly_report, cases=(case,))))
    assert junit_tests(report)["expects SAT201"].result[0].type == "EXPECTED"


def test_lists_for_people_end_where_the_reader_wishes_and_say_so(full_report):
    few = replace(full_report, max_findings=2)
    assert "of which the worst 2 are listed" in summary(few)[1]
    assert "listed" not in summary(full_report)[1]
    assert "listed" not in summary(replace(full_report, max_findings=500))[1]
    assert len(concise.render(full_report).splitlines()) == len(results(full_report))
    kept = concise.render(few).splitlines()
    assert [line.split(": ")[1] for line in kept] == ["DIV301 error", "RUN601 error"]
    assert len(judges.github(github.render(few))) == 2
    page = judges.html(html_page.render(few))
    articles = [*page.iter(f"{judges.HTML}article")]
    assert len(articles) == 2
    assert "2 more findings stand in the JSON report." in html_page.render(few)
    text = markdown.render(few)
    judges.markdown(text)
    assert text.count("gradaudit explain") == 2
    assert text.count("could not be audited in full") == 2, "verdicts know all findings"
    shown = full.render(few)
    assert "DIV301 beyond-tolerance" in shown
    assert "BUG402 mean-denominator" not in shown
    for render in (sarif.render, gitlab.render, junit.render, measurements_csv.render, json_document.render):
        assert render(few) == render(full_report)


# ------------------------------------------------------------------------------------------ commands that show it


def commands(report):
    return [again(report, issue) for issue in issues(report)]


def test_a_finding_names_the_command_that_shows_it(friendly_report, subjects):
    forum, *wrong = commands(friendly_report)
    assert forum == "gradaudit check specs/forum.yaml"
    assert wrong[0] == "gradaudit check 'specs/[/foo] wrong.yaml' --dtype float32 --scale 1"
    seeded = replace(subjects, environment=replace(subjects.environment, seed=7))
    assert commands(seeded)[0] == "gradaudit check specs/losses.yaml --seed 7"
    wide = "again: gradaudit check 'specs/[/foo] wrong.yaml'"
    assert f"{wide} --dtype float32 --scale 1" in junit.render(friendly_report)
    assert f"  {wide}\n" in full.render(friendly_report, width=200)
    properties = [result["properties"]["reproduce"] for result in results(friendly_report)]
    assert properties == commands(friendly_report)
    for render in (markdown.render, html_page.render):
        assert render(friendly_report).count("gradaudit check") >= len(properties)


def test_what_was_saved_is_replayed(subjects):
    case = subjects.cases[0]
    findings = (replace(case.findings[0], replay="failures/wrong-1a"), *case.findings[1:])
    report = replace(subjects, cases=(replace(case, findings=findings),))
    assert commands(report)[0] == "gradaudit replay failures/wrong-1a"
    assert results(report)[0]["properties"]["reproduce"] == "gradaudit replay failures/wrong-1a"
    for render in (junit.render, full.render, markdown.render, html_page.render):
        assert "gradaudit replay failures/wrong-1a" in render(report)


@pytest.mark.parametrize(
    "command",
    [
        ("gradaudit", "check", "--logits", "0.1, 2", "--function", "softmax"),
        ("gradaudit", "check", "specs/losses.yaml", "--dtype=float16"),
        ("gradaudit", "replay", "failures/wrong-1a"),
    ],
)
def test_what_no_file_holds_is_shown_by_the_command_that_was_given(subjects, command):
    report = replace(subjects, command=command)
    assert set(commands(report)) == {shlex.join(command)}
    assert "again:" not in full.render(report), "whoever typed it need not be told"


def test_flags_that_leave_the_specs_alone_do_not_stand_in_the_way(subjects):
    flags = ("-q", "--output-format=github", "--report", "json=r.json", "--select", "BUG", "--baseline", "b.txt")
    report = replace(subjects, command=("gradaudit", "check", "specs/", *flags))
    assert set(commands(report)) == {"gradaudit check specs/losses.yaml"}


def test_a_path_that_looks_like_a_flag_is_none(subjects):
    case = subjects.cases[0]
    source = Location("--report=json=x.yaml", 3)
    report = replace(subjects, cases=(replace(case, case=replace(case.case, source=source)),))
    assert set(commands(report)) == {"gradaudit check ./--report=json=x.yaml"}
