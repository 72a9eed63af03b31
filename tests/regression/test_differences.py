"""A report against a baseline: each kind of change is told from the others, and what fails is what got worse."""

import json
from dataclasses import replace

import pytest

from gradaudit.records.case import Expectation
from gradaudit.records.location import Location
from gradaudit.records.report import NotRun, Shard
from gradaudit.regression import told
from gradaudit.regression.baseline import EMPTY, of_report
from gradaudit.regression.differences import differences
from tests.regression import audits

FIRST = audits.report(
    audits.measured("steady", 0.2),
    audits.measured("worsens", 0.1),
    audits.measured("breaks", 0.1),
    audits.measured("improves", 0.6),
    findings=[audits.finding("CAN103", "target-gradient-cancelled", "warning", "improves")],
)
SECOND = audits.report(
    audits.measured("steady", 0.21),
    audits.measured("worsens", 0.3),
    audits.measured("breaks", 900.0, row=None),
    audits.measured("improves", 0.2),
    findings=[audits.finding("BUG401", "reduction-factor", "error", "breaks")],
    status=1,
)


def found(before, now):
    return differences(of_report(before), now)


def kinds(before, now):
    return [(change.kind, getattr(change.name, "subject", ""), change.fails) for change in found(before, now).changes]


def test_nothing_has_changed_since_itself():
    for report in (FIRST, SECOND):
        unchanged = found(report, report)
        assert (unchanged.changes, unchanged.same, unchanged.exit_status) == ((), 4, 0)


def test_each_part_of_the_story_is_told_apart():
    told_apart = found(FIRST, SECOND)
    assert kinds(FIRST, SECOND) == [
        ("new", "breaks", True),
        ("worse", "breaks", True),
        ("worse", "worsens", True),
        ("better", "improves", False),
        ("resolved", "improves", False),
    ]
    assert (told_apart.same, told_apart.exit_status) == (1, 1)
    texts = [change.text for change in told_apart.changes]
    assert texts == [
        "BUG401 error reduction-factor: breaks (torch) float32: so and so",
        "shifted (declared) explained it, and no tolerance does now",
        "gradient at most 0.125 of the tolerance before, now 0.3 of the tolerance, at least 2.4 times as large",
        "gradient at most 0.75 of the tolerance before, now 0.2 of the tolerance",
        "CAN103 warning",
    ]


def test_the_way_back_is_better_and_only_the_finding_that_comes_back_is_new():
    back = found(SECOND, FIRST)
    assert kinds(SECOND, FIRST) == [
        ("new", "improves", False),
        ("worse", "improves", True),
        ("better", "breaks", False),
        ("better", "worsens", False),
        ("resolved", "breaks", False),
    ]
    # The new finding is a warning, which fails nothing; the error that tripled does.
    assert back.exit_status == 1


@pytest.mark.parametrize(("severity", "fail_on", "status"), [("error", "error", 1), ("warning", "error", 0)])
def test_a_new_finding_fails_as_it_would_without_a_baseline(severity, fail_on, status):
    now = audits.report(findings=[audits.finding(severity=severity)], fail_on=fail_on)
    assert found(audits.report(), now).exit_status == status
    assert found(audits.report(), replace(now, fail_on="warning")).exit_status == 1
    assert found(now, replace(now, exit_status=1)).exit_status == 0


def test_a_finding_about_the_inputs_is_the_same_whichever_subjects_share_it():
    def told_of(subject="", dtype="", **changes):
        return audits.report(
            findings=[audits.finding("POW702", severity="info", subject=subject, backend="", dtype=dtype, **changes)]
        )

    assert kinds(told_of(dtype="float32"), told_of("loss", "float32")) == []
    assert kinds(told_of("loss", "float32"), told_of("loss")) == []
    assert [kind for kind, _, _ in kinds(told_of("loss"), told_of("other"))] == ["new", "resolved"]
    assert [kind for kind, _, _ in kinds(told_of(dtype="float32"), told_of(dtype="float64"))] == ["new", "resolved"]
    # An error is one of its subject.
    one, other = (audits.report(findings=[audits.finding(subject=each)]) for each in ("loss", ""))
    assert [kind for kind, _, _ in kinds(one, other)] == ["new", "resolved"]


def test_a_finding_that_became_more_severe_is_worse_and_the_other_way_round_better():
    mild, grave = (audits.report(findings=[audits.finding(severity=each)]) for each in ("warning", "error"))
    assert kinds(mild, grave) == [("worse", "loss", True)]
    assert kinds(grave, mild) == [("better", "loss", False)]


def test_a_finding_that_the_spec_expects_is_neither_new_nor_kept():
    expected = audits.report(findings=[audits.finding(expected=True)])
    assert kinds(audits.report(), expected) == []
    assert kinds(audits.report(findings=[audits.finding()]), expected) == [("resolved", "loss", False)]


def test_an_expectation_that_nothing_met_fails_still():
    case = audits.case_report(missing=(Expectation("SAT201", location=Location("specs/losses.yaml", 9)),))
    now = found(audits.report(), audits.of_cases(case, status=1))
    assert [change.text for change in now.changes] == ["SAT201 expected, not found"]
    assert now.exit_status == 1


def test_an_evaluation_that_is_gone_or_not_kept_yet_fails():
    both, one = audits.report(audits.measured("a"), audits.measured("b")), audits.report(audits.measured("a"))
    assert kinds(both, one) == [("missing", "b", True)]
    assert kinds(one, both) == [("added", "b", True)]
    assert found(both, one).exit_status == found(one, both).exit_status == 1
    other = found(both, audits.report(name="renamed"))
    assert {change.text for change in other.changes} == {
        "is in the baseline and not in the audit: no case of that name was audited"
    }


def test_arrays_that_are_measured_no_more_are_missing():
    (case,) = audits.report(audits.measured()).cases
    (measurement,) = case.measurements
    jacobian = replace(measurement, gradient=None, jacobian=replace(measurement.gradient, name="jacobian"))
    changed = found(audits.report(audits.measured()), audits.report(jacobian))
    (change,) = changed.changes
    assert (change.kind, change.text) == ("missing", "loss and gradient measured before, and loss and jacobian now")


def test_what_crashed_is_unaudited_and_not_missing():
    before = audits.report(audits.measured("a"), audits.measured("a", probe="ones"), audits.measured("b"))
    now = audits.report(audits.measured("b"), failures=[audits.failed("a")], findings=[audits.crashed("a")], status=3)
    assert kinds(before, now) == [("unaudited", "a", True)]
    assert found(before, now).exit_status == 3


def test_what_a_subject_refuses_now_is_missing():
    now = audits.report(failures=[audits.failed("a", "unsupported")])
    assert kinds(audits.report(audits.measured("a")), now) == [("missing", "a", True)]


@pytest.mark.parametrize(
    ("old", "new", "kind"), [(0, 1, "worse"), (1, 0, "better"), (0, None, "worse"), (None, 2, "better"), (1, 1, None)]
)
def test_the_tolerance_that_explains_it_counts_before_the_share_of_it(old, new, kind):
    # The looser the tolerance, the smaller the share: 0.1 of the second is more than 0.9 of the first.
    before, now = (
        audits.report(audits.measured(gradient=0.2, row=old)),
        audits.report(audits.measured(gradient=0.2, row=new)),
    )
    assert [change.kind for change in found(before, now).changes] == ([kind] if kind else [])


def test_of_probes_the_worst_counts_and_is_named():
    before = audits.report(*(audits.measured(gradient=each, probe=f"p{each}") for each in (0.1, 0.2)))
    now = audits.report(*(audits.measured(gradient=each, probe=f"p{each}") for each in (0.1, 0.9)))
    (change,) = found(before, now).changes
    assert change.text.endswith("now 0.9 of the tolerance, at least 3.6 times as large; worst on probe p0.9")
    assert str(change.name) == "two losses: loss (torch) float32, probes"


def test_more_than_two_ulp_are_worse_than_faithful():
    before = audits.report(audits.measured(gradient=0.0))
    assert not found(before, audits.report(audits.measured(gradient=0.3, ulp=2.0))).changes
    (change,) = found(before, audits.report(audits.measured(gradient=0.3, ulp=9.0))).changes
    assert change.text == "gradient within 1 ulp of the exact value before, now off by 9 ulp, 0.3 of the tolerance"


def test_part_of_an_audit_says_nothing_of_the_rest():
    whole = audits.of_cases(
        audits.case_report(audits.measured(), name="a", findings=[audits.finding()]),
        audits.case_report(audits.measured(), name="b", findings=[audits.finding()]),
    )
    first, _ = whole.cases
    part = audits.of_cases(first, shard=Shard(1, 2, (0,), 2, "digest"))
    assert found(whole, part).changes == ()
    stopped = audits.of_cases(first, not_run=(NotRun("b", audits.SPEC, "fail-fast"),))
    assert found(whole, stopped).changes == ()
    interrupted = audits.of_cases(first, interrupted=True, status=130)
    assert (found(whole, interrupted).changes, found(whole, interrupted).exit_status) == ((), 130)
    assert len(found(whole, audits.of_cases(first)).changes) == 2


def test_other_versions_are_told_and_fail_nothing():
    before = of_report(audits.report())
    older = replace(before, versions={"torch": "2.8.0", "jax": "0.10.2", "numpy": "2.4.6"})
    now = differences(older, audits.report())
    assert now.versions == (("jax", "0.10.2", ""), ("torch", "2.8.0", "2.13.0"))
    assert now.exit_status == 0
    assert "other versions: jax 0.10.2 -> absent, torch 2.8.0 -> 2.13.0" in told.lines(now)


def test_the_version_of_a_backend_is_that_of_its_own_interpreter():
    (torch, *_) = FIRST.environment.backends
    numpy = replace(torch, name="numpy", version="1.23.5")
    older = replace(FIRST, environment=replace(FIRST.environment, backends=(*FIRST.environment.backends, numpy)))
    assert dict(FIRST.environment.versions)["numpy"] == "2.4.6"
    assert found(FIRST, older).versions == (("numpy", "2.4.6", "1.23.5"),)


def test_a_case_that_came_or_went_is_one_line_and_what_fails_nothing_says_so():
    before = audits.report(audits.measured("a"), audits.measured("a", probe="ones"), name="old")
    now = audits.report(
        audits.measured("a"),
        audits.measured("a", probe="ones"),
        name="new",
        findings=[audits.finding("CAN103", severity="warning")],
    )
    lines = told.lines(found(before, now), "gradaudit-baseline.txt")
    both = "2 evaluations (a (torch) float32 and probes) are"
    assert f"  old: {both} in the baseline and not in the audit: no case of that name was audited" in lines
    assert f"  specs/losses.yaml:2: new: {both} not in the baseline" in lines
    assert "'new' is what 'old' was, if it was renamed" in lines
    (finding,) = [line for line in lines if "CAN103" in line]
    assert finding.endswith("so and so (fails nothing)")


def test_a_loss_that_was_renamed_is_guessed_where_there_is_one_guess():
    def renamed(*names):
        now = audits.report(audits.measured("stays"), *(audits.measured(name) for name in names))
        lines = told.lines(found(audits.report(audits.measured("stays"), audits.measured("old")), now), "file.txt")
        return [line for line in lines if "renamed" in line]

    assert renamed("new") == ["'new' is what 'old' was, if it was renamed"]
    assert renamed("one", "other") == renamed() == renamed("old") == []


def test_the_text_says_what_to_do():
    text = "\n".join(told.lines(found(FIRST, SECOND)))
    assert text.startswith(
        "new: 1\n  losses.py:7: two losses: BUG401 error reduction-factor: breaks (torch) float32:"
    )
    assert (
        "\nworse: 2\n  specs/losses.yaml:2: two losses: breaks (torch) float32: shifted (declared) explained it"
        in text
    )
    assert "`gradaudit baseline update` records what is better or resolved, so that it stays so" in text
    assert text.endswith(
        "1 new, 2 worse, 1 better, 1 resolved, 1 evaluation as before; exit status 1: the audit falls short of the "
        "baseline"
    )
    assert told.lines(found(FIRST, FIRST)) == (
        "4 evaluations as before; exit status 0: nothing is worse than the baseline",
    )


def test_the_json_holds_all_of_it():
    document = json.loads(told.document(found(FIRST, SECOND), "file.txt"))
    assert (document["exit_status"], document["baseline"]) == (1, "file.txt")
    assert document["counts"] == {
        "unaudited": 0, "new": 1, "worse": 2, "missing": 0, "added": 0, "better": 1, "resolved": 1, "same": 1
    }  # fmt: skip
    first, _, second = document["changes"][:3]
    assert (first["what"], first["code"], first["location"]) == (
        "finding", "BUG401", {"path": "losses.py", "line": 7, "column": None}
    )  # fmt: skip
    assert (second["what"], second["subject"], second["inputs"], second["fails"]) == (
        "evaluation",
        "worsens",
        "own",
        True,
    )


def test_everything_is_new_to_an_empty_baseline():
    assert {change.kind for change in differences(EMPTY, FIRST).changes} == {"new", "added"}
