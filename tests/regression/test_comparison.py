"""Two reports side by side, and many in a row."""

import json
from dataclasses import replace

import pytest

from gradaudit.regression import told_comparison
from gradaudit.regression.comparison import comparison
from gradaudit.regression.trend import trends
from tests.regression import audits
from tests.regression.test_differences import FIRST, SECOND


def told(before, now):
    return [(change.kind, change.text) for change in comparison(before, now).changes]


def test_a_report_beside_itself():
    same = comparison(FIRST, FIRST)
    assert (same.changes, same.same, same.environment, same.profiles, same.exit_status) == ((), 4, (), (), 0)


def test_each_part_of_the_story_is_told_apart_with_the_growth():
    assert told(FIRST, SECOND) == [
        ("new", "BUG401 error reduction-factor: breaks (torch) float32: so and so"),
        ("worse", "shifted (declared) explained it, and no tolerance does now"),
        ("worse", "gradient 0.1 -> 0.3 of the tolerance (3 times), absolute error 1e-7 -> 3e-7"),
        ("better", "gradient 0.6 -> 0.2 of the tolerance (0.333 times), absolute error 6e-7 -> 2e-7"),
        ("resolved", "CAN103 warning"),
    ]
    assert comparison(FIRST, SECOND).exit_status == 1


def test_the_probes_of_a_subject_are_told_together_by_the_one_that_changed_most():
    before = audits.report(*(audits.measured(gradient=0.1, probe=each) for each in ("a", "b", "c", "d")))
    errors = {"a": 0.1, "b": 0.3, "c": 0.5, "d": 0.01}
    now = audits.report(*(audits.measured(gradient=error, probe=each) for each, error in errors.items()))
    worse, better = told(before, now)
    assert worse[1].startswith("on 2 of 4 probes; most on c: gradient 0.1 -> 0.5 of the tolerance (5 times)")
    assert better[1].startswith("on 1 of 4 probes; d: gradient 0.1 -> 0.01 of the tolerance (0.1 times)")


def test_what_came_does_not_fail_and_what_went_does():
    one = audits.report(audits.measured("a"))
    more = audits.report(audits.measured("a"), audits.measured("b"), audits.measured("b", probe="ones"))
    assert told(one, more) == [("added", "is in the last report alone"), ("added", "is in the last report alone")]
    assert told(more, one) == [("missing", "is no longer there"), ("missing", "is no longer there")]
    assert (comparison(one, more).exit_status, comparison(more, one).exit_status) == (0, 1)


def test_probes_that_came_or_went_are_counted_and_a_whole_subject_is_one_line():
    probes = [audits.measured("a", probe=each) for each in ("ones", "tiny", "equal")]
    whole, part = audits.report(audits.measured("a"), *probes), audits.report(audits.measured("a"), probes[0])
    assert told(whole, part) == [("missing", "2 of 3 probes are no longer there")]
    assert told(part, audits.report(audits.measured("a"), *probes[:2])) == [
        ("added", "1 of 2 probes is in the last report alone")
    ]
    lines = told_comparison.lines(comparison(whole, audits.report()), ("a", "b"))
    assert (
        "  specs/losses.yaml:2: two losses: 2 evaluations (a (torch) float32 and probes) are no longer there" in lines
    )


def test_special_values_that_are_not_as_due_count_before_errors_that_have_a_size():
    right = audits.report(audits.measured(gradient=0.5))
    wrong = audits.report(audits.measured(gradient=0.1, special_mismatch=2))
    assert told(right, wrong) == [("worse", "special values that are not as due: 0 -> 2")]
    assert told(wrong, right) == [("better", "special values that are not as due: 2 -> 0")]


def test_what_may_explain_it_is_told():
    (case,) = FIRST.cases
    weaker = [replace(each, profile=replace(each.profile, accumulate="bfloat16")) for each in case.measurements]
    torch, missing = FIRST.environment.backends
    environment = replace(
        FIRST.environment,
        python="3.12.1",
        versions=(("numpy", "2.5.0"),),
        backends=(replace(torch, version="2.14.0", flush_to_zero=True), missing),
    )
    now = replace(FIRST, environment=environment, cases=(replace(case, measurements=tuple(weaker)),))
    found = comparison(FIRST, now)
    text = "\n".join(told_comparison.lines(found, ("a.json", "b.json")))
    assert text.startswith("from a.json to b.json\n\nwhat computed:\n  version numpy: 2.4.6 -> 2.5.0\n")
    assert "  version torch: 2.13.0 -> 2.14.0\n" in text
    assert "  environment python: 3.11.9 -> 3.12.1\n" in text
    assert "  torch flushes to zero: False -> True\n" in text
    assert "\ndeclared arithmetic:\n  steady torch custom float32 accumulate: float32 -> bfloat16\n" in text
    assert found.exit_status == 0


@pytest.mark.parametrize(
    ("errors", "direction", "since"),
    [
        ((0.1, 0.11, 0.19, 0.12), "steady", None),
        ((0.1, 0.1, 0.4, 0.5), "worse", 2),
        ((0.1, 0.5, 0.1, 0.5), "worse", 3),
        ((0.5, 0.1, 0.1, 0.1), "better", 1),
        # It creeps: no step is large, and the way from the first to the last is.
        ((0.1, 0.15, 0.22, 0.33), "worse", 3),
        ((0.1, 0.1, None, None), "missing", 2),
        ((None, None, 0.1, 0.1), "added", 2),
    ],
)
def test_a_trend_is_how_the_last_stands_beside_the_first(errors, direction, since):
    reports = [audits.report(*([] if each is None else [audits.measured(gradient=each)])) for each in errors]
    (trend,) = [each for each in trends(reports) if each.quantity == "gradient"]
    assert (trend.direction, trend.since) == (direction, since)


def test_trends_are_told_worst_first_with_the_row_where_it_changes():
    third = audits.report(
        audits.measured("steady", 0.2), audits.measured("worsens", 0.3, row=1), audits.measured("improves", 0.0)
    )
    reports, names = (FIRST, SECOND, third), ("1.json", "2.json", "3.json")
    went = trends(reports)
    text = "\n".join(told_comparison.lines(comparison(FIRST, third), names, went))
    start = text.index("error / tolerance over 3 reports:")
    lines = [line.strip() for line in text[start:].splitlines()[1:] if "gradient" in line]
    assert lines == [
        "worse since 2.json: two losses: worsens (torch) float32: gradient 0.1 -> 0.3 -> 0.3 (unshifted (declared))",
        "missing since 3.json: two losses: breaks (torch) float32: gradient 0.1 -> 900 (no tolerance explains it) -> "
        "absent",
        "better since 2.json: two losses: improves (torch) float32: gradient 0.6 -> 0.2 -> faithful",
    ]
    assert "steady throughout: 3 arrays" in text


def test_what_came_back_is_shown_and_what_never_moved_is_counted():
    text = "\n".join(told_comparison.lines(comparison(FIRST, FIRST), ("a", "b", "a"), trends((FIRST, SECOND, FIRST))))
    assert "  steady: two losses: worsens (torch) float32: gradient 0.1 -> 0.3 -> 0.1\n" in text
    assert "  steady throughout: 4 arrays\n" in text
    assert "steady (torch)" not in text


def test_two_reports_show_no_trend():
    assert "error / tolerance over" not in "\n".join(
        told_comparison.lines(comparison(FIRST, SECOND), ("a", "b"), trends((FIRST, SECOND)))
    )


def test_the_json_holds_all_of_it():
    text = told_comparison.document(comparison(FIRST, SECOND), ("a", "b"), trends((FIRST, SECOND)))
    document = json.loads(text)
    assert document["reports"] == ["a", "b"]
    assert document["counts"]["worse"] == 2
    trend = next(
        each for each in document["trends"] if (each["subject"], each["quantity"]) == ("worsens", "gradient")
    )
    assert trend["direction"] == "worse"
    assert [each["ratio"] for each in trend["errors"]] == pytest.approx([0.1, 0.3], rel=1e-6)
    assert text == told_comparison.document(comparison(FIRST, SECOND), ("a", "b"), trends((FIRST, SECOND)))
