"""What people read: snapshots at two widths, and the statements that must stand in them."""

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from gradaudit.records.case import InlineArray, RandomArray, Upstream
from gradaudit.records.measurement import Explanation
from gradaudit.reports.console import full
from gradaudit.reports.console.cells import Cells
from gradaudit.reports.small_arrays import exact_row_sum
from tests.reports import sample_report


@pytest.mark.parametrize("width", [80, 120])
def test_snapshot(friendly_report, snapshot, width):
    snapshot(f"full_{width}.txt", full.render(friendly_report, width=width))


def test_snapshot_of_hostile_names(report, snapshot):
    hostile = replace(report, cases=report.cases[2:])
    snapshot("full_hostile.txt", full.render(hostile, width=80, verbose=True))


@pytest.mark.parametrize("first", ["standard", "truecolor"])
def test_colours_do_not_depend_on_the_page_before(friendly_report, first):
    full.render(friendly_report, color_system=first)
    assert "48;5;210" in full.render(friendly_report, color_system="256")
    assert "48;5;" not in full.render(friendly_report, color_system="standard")


def test_snapshot_in_colour(friendly_report, snapshot):
    text = full.render(replace(friendly_report, cases=friendly_report.cases[:1]), width=100, color_system="256")
    snapshot("full_colour.txt", text.replace("\x1b", "<ESC>"))


@pytest.mark.parametrize("width", [30, 60, 80, 200])
def test_no_line_is_wider_than_the_page_and_nothing_is_cut(friendly_report, width):
    text = full.render(friendly_report, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    letters = re.sub(r"\s", "", text)
    for case in friendly_report.cases:
        for finding in case.findings:
            assert re.sub(r"\s", "", finding.message) in letters


def test_what_explains_an_evaluation_is_folded_between_words_and_not_cut():
    """Widths that Rich's own layout made a column too wide for the page at, and so cut the last letters off."""
    wide = sample_report.quantity(
        "output", [0.1, 0.2], [0.1, 0.2], 1e-8, max_error_over_tolerance=0.0601, max_ulp=1410
    )
    sums = sample_report.Sums(0, -0.00045, 0.0, 0.00045, 0.01, 0, 0.0, 0.0)
    gradient = sample_report.quantity(
        "gradient", [0.1, 0.2], [0.1, 0.2], 1e-8, sums=sums, max_error_over_tolerance=0.0984, max_ulp=1410
    )
    row = Explanation("shifted", "bfloat16 row statistics", True, True, False, False, ())
    measured = tuple(
        sample_report.measurement(name, wide, gradient=gradient, explanation=row)
        for name in ("numpy", "torch", "onnxruntime")
    )
    case = replace(sample_report.forum_case(), measurements=measured)
    for width in range(78, 90):
        text = full.render(sample_report.sample_report(case), width=width)
        table = text[text.index("explained") : text.index("forward float32")]
        words = table.split()
        assert words.count("statistics") == words.count("row") == words.count("bfloat16") == 3, table


@pytest.mark.parametrize("width", [32, 44, 56, 60, 68, 72])
def test_a_narrow_table_breaks_no_word_and_leaves_out_ulp_alone(friendly_report, width):
    def table(page):
        text = full.render(replace(friendly_report, cases=friendly_report.cases[:1]), width=page)
        return text[text.index("evaluations ") : text.index("forward float32")]

    rows = [line.split() for line in table(120).splitlines() if line.startswith(("  numpy", "  torch"))]
    assert len(rows) == 2
    narrow = table(width)
    for row in rows:
        # Its name, e/t, ULP, e/t, ULP, what is undecided, its sum, and what explains it.
        assert set(row[:2] + row[3:4] + row[5:]) <= set(narrow.split()), narrow
    assert ("ULP" in narrow) is (width >= 72)
    assert {"evaluation", "explained"} & set(narrow.split())
    assert max(map(len, narrow.splitlines())) <= width


def test_a_wrong_special_value_is_no_small_error():
    case = sample_report.forum_case()
    first = case.measurements[0]
    wrong = replace(first, output=replace(first.output, special_mismatch=1))
    report = sample_report.sample_report(replace(case, measurements=(wrong, *case.measurements[1:])))
    lines = [line.split() for line in full.render(report, width=80).splitlines()]
    assert ["numpy", "inf", "inf"] in [line[:3] for line in lines]
    assert ["torch", "0.188", "1.25"] in [line[:3] for line in lines]


@pytest.mark.parametrize(
    ("changes", "present", "absent"),
    [
        ({"cancelled_rows": 0, "cancelled_magnitude": 0.0}, "per-output gradients cancel in no row", "add up to 0,"),
        ({"offset": math.inf}, "beside logits that are all equal", "inf times"),
        ({"max_probability": 0.0}, "unit roundoff", "largest probability"),
        ({"max_probability": 0.0}, "unit roundoff", "condition number"),
    ],
)
def test_facts_that_do_not_apply_are_not_stated(changes, present, absent):
    case = replace(sample_report.forum_case(), facts=(sample_report.facts(**changes),))
    text = full.render(sample_report.sample_report(case), width=200)
    assert present in text
    assert absent not in text


def test_the_last_digits_stand_under_one_another(friendly_report):
    text = full.render(replace(friendly_report, cases=friendly_report.cases[:1]), width=80)
    lines = text[text.index("forward float32") :].splitlines()[2:5]
    assert {line.index("0.130108") for line in lines} == {lines[0].index("0.130108")}
    assert ["*" in line for line in lines] == [False, True, True]


@pytest.mark.parametrize(
    ("source", "shown"),
    [(InlineArray(np.array([1.0, 2.0])), "given"), (RandomArray("normal", (2,), 3), "random")],
)
def test_where_the_upstream_gradient_comes_from(source, shown):
    case = sample_report.forum_case()
    case = replace(case, case=replace(case.case, upstream=Upstream("values", source)))
    assert f"upstream {shown}\n" in full.render(sample_report.sample_report(case), width=80)


def test_the_per_output_gradients_stand_beside_the_exact_ones_with_their_sums(friendly_report):
    text = full.render(friendly_report, width=200)
    (titles,) = re.findall(r"^  exact .*onnxruntime$", text, re.MULTILINE)
    assert titles.split() == ["exact", "numpy", "torch", "onnxruntime"]
    (row,) = re.findall(r"^  \[0\].*$", text, re.MULTILINE)
    assert row.split()[:4] == ["[0]", "0.11318", "-0.11318", "0"]
    assert "-0.11318*" in row


def test_a_jacobian_that_is_too_wide_goes_below_with_fewer_digits():
    wide = full.render(sample_report.sample_report(eight_classes()), width=300)
    narrow = full.render(sample_report.sample_report(eight_classes()), width=80)
    assert "0.109375" in wide
    assert "0.109375" not in narrow
    assert narrow.count(" 0.11 ") == 3 * 8
    assert max(map(len, narrow.splitlines())) <= 80


def test_a_case_with_more_classes_shows_no_values():
    case = eight_classes()
    large = replace(case, case=replace(case.case, shape=(9,)))
    assert "Jacobian float32" not in full.render(sample_report.sample_report(large), width=80)


def test_verbose_adds_details_and_what_was_printed(report):
    plain, verbose = (full.render(report, width=200, verbose=flag) for flag in (False, True))
    assert "Segmentation fault" not in plain
    assert "Segmentation fault" in verbose
    assert " printed" not in plain
    assert " printed" in verbose


def test_expected_findings_are_marked(friendly_report):
    text = full.render(friendly_report, width=80)
    assert "warning CAN101 summed-outputs-cancel (expected)" in text
    assert "error DIV301 beyond-tolerance\n" in text


def test_neighbours_of_one_rule_share_their_advice(friendly_report):
    case = friendly_report.cases[0]
    twice = replace(friendly_report, cases=(replace(case, findings=case.findings * 2),))
    text = full.render(twice, width=80)
    assert text.count("the per-output gradients add up to exactly 0") == 2
    assert text.count("next: ") == 1


def test_a_failure_without_a_finding_is_told(friendly_report):
    case = friendly_report.cases[1]
    silent = replace(friendly_report, cases=(replace(case, findings=()),))
    assert "crashed onnxruntime fused bfloat16: the worker died of signal 11" in full.render(silent, width=200)
    assert "crashed onnxruntime fused bfloat16: the worker" not in full.render(friendly_report, width=200)


def test_the_exact_sum_of_midpoints_is_not_their_rounding_error():
    row = np.array([0.1, 0.2, -0.3])
    assert float(np.sum(row)) != 0
    assert exact_row_sum(row) == 0
    assert exact_row_sum(np.array([1.0, -1.0, 1e-12])) == pytest.approx(1e-12)
    assert np.isnan(exact_row_sum(np.array([np.nan, 1.0])))


def test_cells_tell_sign_and_magnitude_and_the_worst_one():
    cells = Cells(np.array([1.0, -0.5]), 6)
    strong, weak = cells.cell(0.9), cells.cell(0.001)
    assert strong.style != weak.style
    assert cells.cell(-0.9).style != strong.style
    assert cells.cell(0.9, True).plain == "0.9*"
    assert "reverse" in str(cells.cell(0.9, True).style)
    assert cells.cell(np.nan).plain.strip() == "NaN"


def eight_classes():
    """A softmax Jacobian of eight equal logits, which two backends return."""
    exact = np.eye(8) / 8 - 1 / 64
    measured = tuple(
        sample_report.measurement(
            name,
            sample_report.quantity("output", np.full(8, 0.125), np.full(8, 0.125), 1e-8),
            jacobian=sample_report.quantity("jacobian", exact, exact, 1e-8),
            upstream="per_output",
        )
        for name in ("numpy", "torch")
    )
    case = sample_report.forum_case()
    return replace(case, case=replace(case.case, shape=(8,)), measurements=measured)
