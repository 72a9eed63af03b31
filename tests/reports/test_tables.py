"""The measurements as CSV, and the report as Markdown."""

import csv
import io
from dataclasses import replace

import pytest

from gradaudit.reports import markdown, measurements_csv
from tests.reports import judges, sample_report, subject_report


@pytest.fixture(scope="module")
def rows(friendly_report):
    return judges.csv_rows(measurements_csv.render(friendly_report))


def cells(tokens):
    """The text of every table cell, row by row."""
    rows, row = [], []
    for index, token in enumerate(tokens):
        if token.type in {"th_open", "td_open"}:
            row.append("".join(child.content for child in tokens[index + 1].children))
        elif token.type == "tr_close":
            rows.append(row)
            row = []
    return rows


def test_one_row_for_each_array_and_one_for_each_evaluation_without(rows, friendly_report):
    measured = sum(2 * len(case.measurements) for case in friendly_report.cases)
    failed = sum(len(case.failures) for case in friendly_report.cases)
    assert len(rows) == measured + failed
    assert [row["quantity"] for row in rows[:2]] == ["loss", "jacobian"]


def test_numbers_have_all_their_digits(rows, friendly_report):
    measurement = friendly_report.cases[0].measurements[0]
    assert float(rows[1]["max_error_over_tolerance"]) == measurement.jacobian.max_error_over_tolerance
    assert int(rows[1]["elements"]) == 4
    assert (rows[1]["row_sum"], rows[1]["row_sum_tolerance"]) == ("0.0", "3.1e-08")


def test_a_wrong_evaluation_a_nan_and_a_crash_are_told_apart(rows):
    by_name = {
        (row["subject"], row["formulation"], row["dtype"], row["scale"], row["quantity"]): row for row in rows[6:]
    }
    wrong = by_name["onnxruntime", "fused", "float32", "1.0", "gradient"]
    assert (wrong["sound"], wrong["beyond"], wrong["explained_by"]) == ("false", "1", "")
    broken = by_name["torch", "unfused", "float32", "100.0", "loss"]
    assert (broken["non_finite"], broken["max_error_over_tolerance"]) == ("1", "NaN")
    assert broken["faults"] == "unfused-logarithm"
    crashed = by_name["onnxruntime", "fused", "bfloat16", "1.0", ""]
    assert (crashed["status"], crashed["failure_kind"], crashed["seconds"]) == ("failed", "crashed", "")
    weaker = by_name["torch", "fused", "bfloat16", "1.0", "gradient"]
    assert (weaker["sound"], weaker["precision"]) == ("false", "bfloat16 statistics")


def test_a_table_of_nothing_has_its_header(friendly_report):
    text = measurements_csv.render(replace(friendly_report, cases=()))
    assert [*csv.reader(io.StringIO(text))] == [[*measurements_csv.COLUMNS]]


def test_the_cases_and_their_evaluations_are_tables(friendly_report):
    tokens = judges.markdown(markdown.render(friendly_report))
    rows = cells(tokens)
    assert rows[1] == ["the forum's cancelling sum", "specs/forum.yaml:3", "✅ as the spec expects"]
    assert rows[2] == ["smoothed cross entropy", "specs/[/foo] wrong.yaml:12", "❌ could not be audited in full"]
    assert rows[3][0] == "evaluation"
    assert rows[3][-1] == "explained by"
    assert [row[0] for row in rows[4:7]] == ["numpy", "torch", "onnxruntime"]
    assert rows[-1][-1] == "unsupported"


def test_findings_come_worst_first_with_the_commands_that_show_them_again(friendly_report):
    text = markdown.render(friendly_report)
    assert text.startswith("# ❌ gradaudit\n")
    second = text[text.index("smoothed cross entropy", text.index("##")) :]
    assert second.index("DIV301") < second.index("RUN601") < second.index("EXPECTED")
    assert "`gradaudit check 'specs/[/foo] wrong.yaml' --dtype float32 --scale 1`" in second
    assert "`gradaudit explain DIV301`" in second
    assert "`gradaudit explain SAT201`" in second


def test_a_case_from_flags_is_shown_again_by_its_command(friendly_report):
    case = friendly_report.cases[0]
    flags = replace(case, case=replace(case.case, source=sample_report.Location("<command line>")))
    text = markdown.render(
        replace(friendly_report, cases=(flags,), command=("gradaudit", "check", "--logits", "0.1, 2"))
    )
    assert "`gradaudit check --logits '0.1, 2'`" in text


def test_verdicts_on_subjects_and_probes_are_listed():
    text = markdown.render(sample_report.sample_report(subject_report.subject_case()))
    judges.markdown(text)
    assert "- ✅ Right (torch): float32: within tolerance" in text
    assert "- ❌ Wrong (torch): float32: wrong (BUG402)" in text
    assert "7 probes" in text


def test_a_summary_that_github_would_refuse_is_cut(friendly_report):
    case = friendly_report.cases[1]
    findings = tuple(replace(case.findings[0], message=f"{index} {'x' * 900}") for index in range(40))
    many = tuple(replace(case, findings=findings) for _ in range(40))
    text = markdown.render(replace(friendly_report, cases=many))
    assert len(text.encode()) < 2**20
    judges.markdown(text)
    assert "further cases stand in the JSON report" in text
