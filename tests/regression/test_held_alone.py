"""`function: self`: what is held against its own values has a place in baselines and comparisons, too."""

import math

import pytest

from gradaudit.regression import baseline_file
from gradaudit.regression.baseline import of_report
from gradaudit.regression.comparison import comparison
from gradaudit.regression.differences import differences
from gradaudit.regression.trend import trends
from tests.regression import audits


def report(*said):
    return audits.of_cases(audits.case_report(self_consistency=said))


def changes(before, now):
    """By the baseline of `before`, as it is read from its file, and by the reports themselves."""
    held = baseline_file.read(baseline_file.text(of_report(before)))
    return tuple([(change.kind, change.text) for change in found.changes] for found in (
        differences(held, now), comparison(before, now)
    ))  # fmt: skip


def kinds(before, now):
    held, compared = changes(before, now)
    assert [kind for kind, _ in held] == [kind for kind, _ in compared]
    return [kind for kind, _ in held]


def test_a_line_for_the_own_inputs_and_one_for_all_probes():
    said = report(audits.alone(), audits.alone(probe="ones", apart=3e-6), audits.alone(probe="tiny", apart=2e-6))
    lines = [line for line in baseline_file.text(of_report(said)).splitlines() if line.startswith("evaluation")]
    name = 'evaluation case="two losses" subject=loss backend=torch formulation=custom dtype=float32'
    assert lines == [f"{name} apart=1.43e-6 row=agrees", f"{name} inputs=probes apart=3.81e-6 row=agrees"]
    assert changes(said, said) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("agrees", "kink", []),
        ("agrees", "too_noisy", ["worse"]),
        ("too_noisy", "not_tried", ["worse"]),
        ("agrees", "wrong", ["worse"]),
        ("wrong", "agrees", ["better"]),
        ("not_tried", "agrees", ["better"]),
    ],
)
def test_what_is_said_of_it(old, new, kind):
    assert kinds(report(audits.alone(old)), report(audits.alone(new))) == kind


def test_that_it_can_be_told_no_more_is_said_in_words():
    held, compared = changes(report(audits.alone()), report(audits.alone("too_noisy", None)))
    text = "its gradient beside its own values: agrees before, too noisy to tell now"
    assert held == compared == [("worse", text)]


def test_a_gradient_that_went_further_from_that_in_float64_is_worse():
    near, far = report(audits.alone(apart=1e-6)), report(audits.alone(apart=4e-6))
    assert kinds(near, report(audits.alone(apart=1.9e-6))) == []
    assert (kinds(near, far), kinds(far, near)) == (["worse"], ["better"])
    ((_, held),), ((_, compared),) = changes(near, far)
    assert held == (
        "gradient off that in float64 by at most 1.43e-6 of the largest before, now 4e-6 of the largest, at least "
        "2.8 times as large"
    )
    assert compared == "gradient off that in float64 by 1e-6 -> 4e-6 of the largest (4 times)"
    # Of few elements that is chance.
    few, fewer = (report(audits.alone(apart=each, elements=8)) for each in (1e-6, 4e-6))
    assert kinds(few, fewer) == []


def test_within_an_ulp_is_faithful_and_not_a_number_is_not():
    ulp = 2.0**-23
    exact = report(audits.alone(apart=0.9 * ulp))
    assert "apart=faithful" in baseline_file.text(of_report(exact))
    assert kinds(exact, report(audits.alone(apart=1.9 * ulp))) == []
    ((_, held),), _ = changes(exact, report(audits.alone(apart=6 * ulp)))
    assert held == "gradient within 1 ulp of that in float64 before, now off by 6 ulp, 7.15e-7 of the largest"
    assert kinds(exact, report(audits.alone(apart=math.nan))) == ["worse"]


def test_in_float64_there_is_nothing_to_be_apart_from():
    wide = report(audits.alone(apart=None, dtype="float64"))
    assert "dtype=float64 row=agrees" in baseline_file.text(of_report(wide))
    assert kinds(wide, wide) == []
    assert kinds(wide, report(audits.alone("too_noisy", None, dtype="float64"))) == ["worse"]
    assert kinds(wide, report()) == ["missing"]
    assert trends((wide, wide, wide)) == ()


def test_the_worst_probe_is_named():
    before = report(audits.alone(probe="ones"), audits.alone(probe="tiny"))
    now = report(audits.alone(probe="ones"), audits.alone("too_noisy", None, probe="tiny"))
    ((kind, held),), ((_, compared),) = changes(before, now)
    assert kind == "worse"
    assert held.endswith("too noisy to tell now; worst on probe tiny")
    assert compared.startswith("on 1 of 2 probes; tiny: its gradient beside its own values")
