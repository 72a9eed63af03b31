"""What a baseline says of a report, in every format: known findings are shown as known and fail nothing; what is new,
worse, missing or added stands out; and all agree with the exit status."""

import json
from dataclasses import replace

import jsonschema
import pytest

from gradaudit import plugins
from gradaudit.errors import ReportError
from gradaudit.records.location import Location
from gradaudit.records.report import Shard
from gradaudit.regression import baseline, marking
from gradaudit.reports import (
    concise,
    github,
    gitlab,
    json_document,
    junit,
    markdown,
    measurements_csv,
    sarif,
)
from gradaudit.reports.console import full
from gradaudit.reports.html import page as html_page
from gradaudit.reports.issues import issues
from gradaudit.reports.merging import merged
from gradaudit.reports.read_document import read
from gradaudit.reports.report_schema import report_schema
from gradaudit.reports.summary import summary
from tests.regression import audits
from tests.regression.test_differences import FIRST, SECOND
from tests.reports import hostile, judges

FILE = "ci/base line.txt"


def held(now, *before, shard=None):
    """`now` against a baseline of the reports `before`."""
    kept = baseline.of_report(before[0]) if len(before) == 1 else before
    return marking.held_against(now, kept, FILE, read(json_document.render(now)))


@pytest.fixture(scope="module")
def fallen():
    """One evaluation broke, one worsened, one improved, and a finding is gone."""
    return held(SECOND, FIRST)


@pytest.fixture(scope="module")
def known():
    """The same report where the baseline holds it all."""
    return held(SECOND, SECOND)


@pytest.fixture(scope="module")
def everything():
    """Every kind of change: also probes that got worse, a case that is gone, and an evaluation that came."""
    probes = [audits.measured("worsens", 0.1, probe="ordinary"), audits.measured("worsens", 0.1, probe="far")]
    gone = audits.case_report(audits.measured(), name="gone", findings=[audits.finding()])
    before = audits.of_cases(
        audits.case_report(*FIRST.cases[0].measurements, *probes, findings=FIRST.cases[0].findings), gone
    )
    probes = [audits.measured("worsens", 0.1, probe="ordinary"), audits.measured("worsens", 0.4, probe="far")]
    case = audits.case_report(
        *SECOND.cases[0].measurements,
        audits.measured("came", 0.1),
        *probes,
        findings=[*SECOND.cases[0].findings, audits.crashed("dead")],
        failures=[audits.failed("dead")],
    )
    return held(audits.of_cases(case, status=3), before)


def junit_tests(report):
    return {test.name: test for suite in judges.junit(junit.render(report)) for test in suite}


def results(report):
    log = judges.sarif(sarif.render(report))
    return log["runs"][0]["results"]


def codes_and(key, found):
    return [(each["ruleId"], each.get(key)) for each in found]


# ------------------------------------------------------------------------------------------------- the JSON report


def test_the_report_says_what_the_baseline_says(fallen):
    document = json_document.document(fallen)
    jsonschema.Draft202012Validator(report_schema()).validate(document)
    assert (document["exit_status"], document["baseline"]["exit_status_alone"]) == (1, 1)
    assert document["baseline"]["counts"] == {
        **{"unaudited": 0, "new": 1, "worse": 2, "missing": 0, "added": 0, "better": 1, "resolved": 1, "same": 1}
    }
    (case,) = document["cases"]
    assert {each["subject"]: each["baseline"] for each in case["evaluations"]} == {
        **{"steady": "same", "worsens": "worse", "breaks": "worse", "improves": "better"}
    }
    assert [(each["code"], each["baseline"]) for each in case["findings"]] == [("BUG401", "new")]
    assert document["counts"]["known"]["error"] == 0


def test_a_known_finding_is_known_and_the_report_exits_0(known):
    document = json_document.document(known)
    assert (document["exit_status"], document["baseline"]["exit_status_alone"]) == (0, 1)
    assert document["cases"][0]["findings"][0]["baseline"] == "known"
    assert (document["counts"]["known"]["error"], document["counts"]["findings"]["error"]) == (1, 1)
    assert document["baseline"]["changes"] == []


def test_without_a_baseline_nothing_is_said_of_one():
    document = json_document.document(SECOND)
    assert document["baseline"] is None
    assert document["cases"][0]["findings"][0]["baseline"] is None
    assert {each["baseline"] for each in document["cases"][0]["evaluations"]} == {None}


def test_what_is_expected_or_could_not_be_audited_is_in_no_baseline(everything):
    assert {issue.code: issue.finding.baseline for issue in issues(everything) if issue.finding} == {
        **{"BUG401": "new", "RUN601": None}
    }
    assert everything.exit_status == 3
    expected = replace(SECOND.cases[0].findings[0], expected=True)
    report = held(replace(SECOND, cases=(replace(SECOND.cases[0], findings=(expected,)),)), SECOND)
    assert report.cases[0].findings[0].baseline is None


def test_a_finding_that_became_more_severe_is_worse_and_a_lesser_one_better():
    lesser = replace(SECOND.cases[0].findings[0], severity="warning")
    milder = replace(SECOND, cases=(replace(SECOND.cases[0], findings=(lesser,)),), exit_status=0)
    assert held(SECOND, milder).cases[0].findings[0].baseline == "worse"
    assert held(SECOND, milder).exit_status == 1
    assert held(milder, SECOND).cases[0].findings[0].baseline == "better"
    assert held(milder, SECOND).exit_status == 0


@pytest.mark.parametrize("name", sorted(plugins.names("gradaudit.reports")))
@pytest.mark.parametrize("of", ["fallen", "known", "everything"])
def test_a_saved_report_says_the_same_in_every_format(name, of, request):
    report = request.getfixturevalue(of)
    render = plugins.get("gradaudit.reports", name)
    text = render(report)
    assert render(read(json_document.render(report))) == text
    assert render(report) == text


def test_marks_of_an_earlier_baseline_excuse_nothing_against_another(known):
    """The known findings of a report are new to a baseline that does not hold them."""
    again = held(known, FIRST)
    assert again.exit_status == 1
    assert again.cases[0].findings[0].baseline == "new"


# ------------------------------------------------------------------------------------------------------- for people


@pytest.mark.parametrize(("of", "meaning"), [("fallen", "falls short of"), ("known", "nothing is worse than")])
def test_the_closing_line_is_that_of_the_baseline(of, meaning, request):
    report = request.getfixturevalue(of)
    line = summary(report)[1]
    assert f"exit status {report.exit_status}: " in line
    assert meaning in line
    for text in (full.render(report, width=1000), github.render(report)):
        assert text.splitlines()[-1] == line
    assert line in markdown.render(report).replace("\\", "")
    assert line in html_page.render(report)


def test_the_closing_line_counts_what_is_known(known, fallen):
    assert summary(known)[1] == (
        "1 case, 4 evaluations, 1 error (1 known); against ci/base line.txt: 4 evaluations as before; exit status 0: "
        "nothing is worse than the baseline"
    )
    assert (
        "; against ci/base line.txt: 1 new, 2 worse, 1 better, 1 resolved, 1 evaluation as before; "
        in (summary(fallen)[1])
    )
    assert summary(known)[0] == ""


def test_lines_of_a_terminal_mark_findings_and_name_evaluations(fallen, known):
    assert concise.render(known) == "losses.py:7: BUG401 error: breaks (torch) float32: so and so (known)\n"
    new, *worse = concise.render(fallen).splitlines()
    assert new == "losses.py:7: BUG401 error: breaks (torch) float32: so and so (new)"
    assert [line[:60] for line in worse] == [
        "specs/losses.yaml:2: WORSE error: two losses: breaks (torch)",
        "specs/losses.yaml:2: WORSE error: two losses: worsens (torch",
    ]


def test_the_page_of_a_terminal_lists_what_has_changed(fallen, known):
    text = full.render(fallen, width=200)
    assert "  error BUG401 reduction-factor (new)\n" in text
    _, _, below = text.partition("\nagainst ci/base line.txt:\n")
    assert below.startswith("new: 1\n  losses.py:7: two losses: BUG401 error reduction-factor: breaks")
    assert "\nresolved: 1\n  two losses: improves (torch) float32: CAN103 warning\n" in below
    assert "`gradaudit baseline update --file 'ci/base line.txt'` records what is better or resolved" in below
    assert "  error BUG401 reduction-factor (known)\n" in full.render(known)
    assert "\nagainst" not in full.render(known, width=500).replace("; against", "")


def test_markdown_and_the_page_list_what_has_changed_above_the_cases(fallen, known):
    text = markdown.render(fallen)
    judges.markdown(text)
    assert text.index("## Against ci/base line.txt") < text.index("two losses\n")
    assert "- ❌ **worse**: specs/losses.yaml:2: two losses: worsens (torch) float32: gradient at most 0.125" in text
    assert "- ✅ **resolved**: two losses: improves (torch) float32: CAN103 warning" in text
    assert "❌ two losses" in text
    assert "fails: 1 finding, 2 evaluations short of the baseline" in text
    page = html_page.render(fallen)
    (body,) = judges.html(page).iter(f"{judges.HTML}body")
    assert [each.tag.removeprefix(judges.HTML) for each in body] == ["a", "header", "main", "footer"], (
        "all has margins"
    )
    assert all("".join(each.itertext()) for each in body.iter(f"{judges.HTML}th")), "no column is without its name"
    assert "Short of the baseline: gradaudit report" in page
    assert "Against ci/base line.txt" in page
    calm = markdown.render(known)
    assert "# ✅ gradaudit" in calm
    assert "- ℹ️ **error BUG401 reduction-factor (known)**" in calm
    assert "passes, with 1 known finding" in calm
    assert "Nothing is worse than the baseline" in html_page.render(known)
    assert "error, known" in html_page.render(known)


def test_what_fails_nothing_is_shown_as_doubtful():
    before = audits.report(audits.measured("a"))
    now = audits.report(audits.measured("a"), findings=[audits.finding("CAN103", severity="warning")])
    report = held(now, before)
    assert [(change.kind, change.fails) for change in report.baseline.changes] == [("new", False)]
    assert '<span class="doubtful">! new</span>' in html_page.render(report)
    assert "- ⚠️ **new**: " in markdown.render(report)


def test_lists_for_people_put_what_is_known_last():
    before = replace(SECOND, cases=(replace(SECOND.cases[0], findings=(audits.finding("BUG499", "undiagnosed"),)),))
    findings = (audits.finding("BUG499", "undiagnosed"), audits.finding("BUG401", "reduction-factor"))
    now = replace(SECOND, cases=(replace(SECOND.cases[0], findings=findings),))
    few = replace(held(now, before), max_findings=1)
    assert concise.render(few) == "losses.py:7: BUG401 error: loss (torch) float32: so and so (new)\n"


def test_a_new_warning_comes_before_a_known_error():
    warning = audits.finding("CAN103", "target-gradient-cancelled", "warning")
    now = replace(SECOND, cases=(replace(SECOND.cases[0], findings=(*SECOND.cases[0].findings, warning)),))
    report = held(now, SECOND)
    text = full.render(report)
    assert text.index("warning CAN103 target-gradient-cancelled (new)") < text.index("error BUG401")
    assert "CAN103" in concise.render(replace(report, max_findings=1))


def test_an_evaluation_counts_among_what_is_listed(fallen):
    assert "of which the worst 2 are listed" in summary(replace(fallen, max_findings=2))[1]
    assert "listed" not in summary(replace(fallen, max_findings=3))[1]


# ------------------------------------------------------------------------------------------------------ for machines


def test_junit_fails_by_what_is_new_or_worse_and_skips_what_is_known(fallen, known):
    tests = junit_tests(fallen)
    (broken,) = tests["breaks torch float32"].result
    assert type(broken).__name__ == "Failure"
    assert "error BUG401 reduction-factor (new): breaks (torch) float32: so and so" in broken.text
    assert "error WORSE worse-than-baseline: two losses: breaks (torch) float32: shifted (declared)" in broken.text
    (worse,) = tests["worsens torch float32"].result
    assert (type(worse).__name__, worse.type) == ("Failure", "WORSE")
    assert not tests["steady torch float32"].result
    assert not tests["improves torch float32"].result
    tests = junit_tests(known)
    (skipped,) = tests["breaks torch float32"].result
    assert (type(skipped).__name__, skipped.type) == ("Skipped", "known")
    assert skipped.message == "known: BUG401 breaks (torch) float32: so and so"
    assert "error BUG401 reduction-factor (known)" in tests["breaks torch float32"].system_out
    suites = judges.junit(junit.render(known))
    assert (suites.failures, suites.errors, suites.skipped) == (0, 0, 1)


def test_an_evaluation_that_is_wrong_by_a_known_finding_about_another_is_skipped():
    wrong = [audits.measured("loss", 900.0, row=None), audits.measured("loss", 900.0, row=None, probe="far")]
    now = audits.report(*wrong, findings=[audits.finding()], status=1)
    kinds = {
        name: [type(each).__name__ for each in test.result] for name, test in junit_tests(held(now, now)).items()
    }
    assert set(map(tuple, kinds.values())) == {("Skipped",)}
    assert len(kinds) == 2
    kinds = [type(each).__name__ for test in junit_tests(now).values() for each in test.result]
    assert kinds == ["Failure", "Failure"]


def test_junit_has_tests_for_what_has_no_evaluation(everything):
    tests = junit_tests(everything)
    gone = tests["MISSING missing-from-audit: gone: loss (torch) float32"]
    assert gone.classname == "gone"
    assert gone.result[0].type == "MISSING"
    assert tests["WORSE worse-than-baseline: two losses: worsens (torch) float32, probes"].result[0].type == "WORSE"
    assert tests["came torch float32"].result[0].type == "ADDED"
    assert type(tests["dead torch float32"].result[0]).__name__ == "Error"


def test_sarif_tells_the_state_of_each_result_and_has_no_absent_ones(everything, known, fallen):
    assert codes_and("baselineState", results(fallen)) == [("BUG401", "new"), ("WORSE", "new"), ("WORSE", "new")]
    assert codes_and("baselineState", results(known)) == [("BUG401", "unchanged")]
    (result,) = results(known)
    assert (result["level"], result["properties"]["fails"]) == ("error", False)
    assert "suppressions" not in result
    assert {each["baselineState"] for each in results(everything)} == {"new"}
    assert [each for each in results(SECOND) if "baselineState" in each] == []
    log = json.loads(sarif.render(known))["runs"][0]["invocations"][0]
    assert (log["exitCode"], log["exitCodeDescription"]) == (0, "nothing is worse than the baseline")


def test_what_stands_nowhere_else_stands_in_the_baseline(everything):
    (gone,) = [each for each in results(everything) if each["ruleId"] == "MISSING"]
    address = gone["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert address == "ci/base%20line.txt"
    (line,) = [line for line in judges.github(github.render(everything)) if "MISSING" in line]
    assert line.startswith("::error file=ci/base line.txt,title=MISSING missing-from-audit::gone: loss (torch)")


def test_known_findings_are_notices_to_github(fallen, known):
    (line,) = judges.github(github.render(known))
    assert line.startswith("::notice file=losses.py,line=7,title=BUG401 reduction-factor (known)::two losses: breaks")
    levels = [line.split()[0] for line in judges.github(github.render(fallen))]
    assert levels == ["::error", "::error", "::error"]


def test_known_findings_stay_with_gitlab_under_their_fingerprints(known):
    """Else the merge request that adds the baseline would seem to have mended them."""
    (issue,) = judges.gitlab(gitlab.render(known))
    (before,) = judges.gitlab(gitlab.render(SECOND))
    assert issue["fingerprint"] == before["fingerprint"]
    assert (before["severity"], issue["severity"]) == ("critical", "info")
    assert issue["description"].startswith("BUG401 reduction-factor (known): ")


def test_the_table_tells_the_state_of_each_evaluation(fallen, everything):
    rows = judges.csv_rows(measurements_csv.render(fallen))
    assert {(row["subject"], row["baseline"]) for row in rows} == {
        **{("steady", "same"): 0, ("worsens", "worse"): 0, ("breaks", "worse"): 0, ("improves", "better"): 0}
    }.keys()
    rows = judges.csv_rows(measurements_csv.render(everything))
    assert {row["baseline"] for row in rows if row["probe"]} == {"worse"}
    assert {row["baseline"] for row in rows if row["subject"] == "dead"} == {""}
    assert {row["baseline"] for row in judges.csv_rows(measurements_csv.render(SECOND))} == {""}


@pytest.mark.parametrize("of", ["fallen", "known", "everything"])
def test_every_format_agrees_with_the_exit_status(of, request):
    report = request.getfixturevalue(of)
    fails = report.exit_status != 0
    assert any(issue.fails for issue in issues(report)) == fails
    suites = judges.junit(junit.render(report))
    assert bool(suites.failures + suites.errors) == fails
    assert any(line.startswith("::error") for line in judges.github(github.render(report))) == fails
    assert any(each["severity"] == "critical" for each in judges.gitlab(gitlab.render(report))) == fails
    assert any(each["properties"]["fails"] for each in results(report)) == fails
    assert ("# ❌" in markdown.render(report)) == fails


# ------------------------------------------------------------------------------------------------------------ shards


def shards(cases, before, amount=2):
    """The audit of these cases in parts, each against a baseline of `before`."""
    names = tuple(case.case.name for case in cases)
    found = []
    for index in range(amount):
        positions = tuple(range(index, len(cases), amount))
        part = audits.of_cases(
            *(cases[position] for position in positions),
            status=max(int(bool(cases[position].findings)) for position in positions),
            shard=Shard(index + 1, amount, positions, len(cases), "plan", names),
        )
        found.append((f"{index + 1}.json", read(json_document.render(held(part, before)))))
    return found


def story(worse=False):
    found = [audits.finding()]
    return [
        audits.case_report(audits.measured(gradient=0.4 if worse else 0.1), name="a"),
        audits.case_report(audits.measured(), name="b", findings=found),
        audits.case_report(audits.measured(), name="a", findings=found),
    ]


@pytest.mark.parametrize("worse", [False, True])
def test_merged_shards_stand_against_the_baseline_as_the_whole_does(worse):
    gone = audits.case_report(audits.measured(), name="gone", findings=[audits.finding()])
    before = audits.of_cases(*story(), gone)
    whole = held(audits.of_cases(*story(worse), status=1), before)
    parts = shards(story(worse), before)
    assert [part.baseline.of_kind("missing") for _, part in parts] == [(), ()]
    for given in (parts, parts[::-1]):
        together = merged(given, whole.command)
        documents = [json_document.document(report) for report in (together, whole)]
        # The sample's backends are in no order.
        assert [{**each, "environment": None} for each in documents[1:]] == [{**documents[0], "environment": None}]
    assert [change.case for change in together.baseline.changes if change.kind == "missing"] == ["gone"]
    assert together.exit_status == 1


def test_merged_shards_without_a_change_have_none():
    before = audits.of_cases(*story())
    together = merged(shards(story(), before), ("gradaudit", "merge"))
    assert (together.exit_status, together.baseline.changes, together.baseline.same) == (0, (), 3)
    assert together.baseline.exit_status_alone == 1


def test_shards_against_different_baselines_are_no_whole():
    before = audits.of_cases(*story())
    (name, first), second = shards(story(), before)
    other = replace(first, baseline=replace(first.baseline, path="other.txt"))
    with pytest.raises(ReportError, match=r"2\.json: the baseline is ci/base line\.txt, and other\.txt in 1\.json"):
        merged([second, (name, other)], ())
    with pytest.raises(ReportError, match=r"2\.json: the baseline is ci/base line\.txt, and absent in 1\.json"):
        merged([(name, replace(first, baseline=None)), second], ())


def test_versions_that_one_shard_alone_uses_are_told_of_the_whole():
    before = baseline.of_report(audits.of_cases(*story()))
    older = replace(before, versions={**before.versions, "torch": "1.0", "jax": "0.1"})
    parts = []
    for name, part in shards(story(), audits.of_cases(*story())):
        states = part.environment.backends if name == "1.json" else ()
        alone = replace(part, environment=replace(part.environment, backends=states), baseline=None)
        parts.append((name, marking.held_against(alone, older, FILE, alone)))
    whole = merged(parts, ())
    torch = next(state.version for state in whole.environment.backends if state.name == "torch")
    assert whole.baseline.versions == (("jax", "0.1", ""), ("torch", "1.0", torch))


# ----------------------------------------------------------------------------------------------------------- hostile


def attacked(report, payload):
    """The report with hostile names everywhere, among them where files stand and where evaluations were saved."""
    document = hostile.attacked(json.loads(json_document.render(report)), payload)
    for case in document["cases"]:
        for finding in case["findings"]:
            finding["replay"] = f"-f {payload}"
            document["files"][finding["location"]["path"]] = f"sub/{payload}"
        document["files"][case["source"]["path"]] = f"a\n::error::{payload}"
    return read(json.dumps(document))


@pytest.mark.parametrize("payload", hostile.PAYLOADS)
@pytest.mark.parametrize("name", sorted(judges.JUDGES))
def test_hostile_names_do_no_harm(everything, name, payload):
    render = plugins.get("gradaudit.reports", name)
    judges.JUDGES[name](render(attacked(everything, hostile.PAYLOADS[payload])))


@pytest.mark.parametrize("payload", [payload for payload in hostile.PAYLOADS if not payload.startswith("long")])
@pytest.mark.parametrize("render", [full.render, concise.render])
def test_hostile_names_do_no_harm_on_a_terminal(everything, render, payload):
    assert judges.github(render(attacked(everything, hostile.PAYLOADS[payload]))) == []


def test_attacks_reach_what_is_said_of_the_baseline(everything):
    report = attacked(everything, "ATTACK")
    for name in ("junit", "sarif", "github", "gitlab", "concise", "full", "markdown", "html"):
        text = plugins.get("gradaudit.reports", name)(report)
        assert "ATTACKci/base" in text.replace("\n", "").replace("\\", "").replace("%20", " ")


# --------------------------------------------------------------------------------------------------------- locations


def test_places_are_told_from_the_root_of_the_repository(fallen):
    moved = replace(fallen, files={"losses.py": "src/losses.py", "specs/losses.yaml": "sub/specs/losses.yaml"})
    new = results(moved)[0]
    assert new["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "src/losses.py"
    related = new["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert related == "sub/specs/losses.yaml"
    paths = [issue["location"]["path"] for issue in judges.gitlab(gitlab.render(moved))]
    assert paths == ["src/losses.py", "sub/specs/losses.yaml", "sub/specs/losses.yaml"]
    assert judges.github(github.render(moved))[0].startswith("::error file=src/losses.py,line=7,")
    assert 'file="sub/specs/losses.yaml"' in junit.render(moved)
    assert "losses.py:7" in concise.render(moved)
    assert "src/losses.py" not in full.render(moved), "people read paths from where they are"


def test_an_absolute_path_has_the_fingerprint_of_the_relative_one(fallen):
    location = Location("/home/me/specs/losses.yaml", 2, 1)
    case = fallen.cases[0]
    typed = replace(
        fallen,
        cases=(replace(case, case=replace(case.case, source=location)),),
        files={location.path: "specs/losses.yaml"},
    )
    assert [issue.fingerprint for issue in issues(typed)] == [issue.fingerprint for issue in issues(fallen)]
