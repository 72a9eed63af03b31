"""The text of a baseline: what was written is read, and what nobody wrote is told with its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradaudit.records.measurement import NamedFault
from gradaudit.regression import baseline, baseline_file
from gradaudit.regression.baseline import Baseline, Held
from gradaudit.regression.baseline_file import HEADER, BaselineSyntaxError
from gradaudit.regression.standing import EvaluationName, FindingName
from tests.regression import audits
from tests.reports import sample_report

EVALUATION = "evaluation case=a subject=b backend=torch formulation=custom dtype=float32 gradient=0.25 row=none"
REPORT = audits.report(
    audits.measured("b", 0.2),
    audits.measured("b", 0.3, probe="ones"),
    audits.measured("b", 0.1, loss=0.9, probe="tiny", row=1),
    audits.measured("a", 0.0, dtype="float64"),
    findings=[audits.finding(), audits.finding("CAN103", "target-gradient-cancelled", "info", "b", probe="ones")],
)


def lines(text):
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_one_sorted_line_for_each_thing():
    assert lines(baseline_file.text(baseline.of_report(REPORT))) == [
        'evaluation case="two losses" subject=a backend=torch formulation=custom dtype=float64 loss=faithful '
        'gradient=faithful row="shifted (declared)"',
        'evaluation case="two losses" subject=b backend=torch formulation=custom dtype=float32 inputs=probes loss=1 '
        'gradient=0.375 row="unshifted (declared)"',
        'evaluation case="two losses" subject=b backend=torch formulation=custom dtype=float32 loss=faithful '
        'gradient=0.25 row="shifted (declared)"',
        'finding case="two losses" code=BUG402 subject=loss backend=torch formulation=custom dtype=float32 scale=1.0 '
        "severity=error",
        'finding case="two losses" code=CAN103 subject=b backend=torch formulation=custom dtype=float32 scale=1.0 '
        "severity=info",
        "version of=numpy is=2.4.6",
        "version of=torch is=2.13.0",
    ]


def test_it_holds_no_line_number_and_no_path_of_the_report():
    text = "\n".join(lines(baseline_file.text(baseline.of_report(REPORT))))
    assert "losses.yaml" not in text
    assert "losses.py" not in text


def test_what_was_written_is_read():
    kept = baseline.of_report(REPORT)
    assert baseline_file.read(baseline_file.text(kept)) == kept
    everything = baseline.of_report(sample_report.sample_report())
    assert baseline_file.read(baseline_file.text(everything)) == everything


def test_the_same_report_makes_the_same_bytes_in_whatever_order_it_came():
    (case,) = REPORT.cases
    turned = audits.report(*reversed(case.measurements), findings=reversed(case.findings))
    assert baseline_file.text(baseline.of_report(turned)) == baseline_file.text(baseline.of_report(REPORT))


WORDS = st.text(max_size=20)


@given(WORDS, WORDS, st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 9))
def test_any_name_comes_back_and_stays_on_its_line(case, subject, scale, number):
    name = EvaluationName(case, subject, "torch", "custom", "float32", scale)
    finding = FindingName(case, "DIV301", subject, scale=scale, number=number)
    kept = Baseline({finding: "error"}, {name: Held({"loss": 0.5}, "")}, {case: subject})
    text = baseline_file.text(kept)
    assert baseline_file.read(text) == kept
    assert len(lines(text)) == 3
    assert all(line.isprintable() for line in lines(text))


def test_lines_in_any_order_comments_and_crlf_are_read():
    text = baseline_file.text(baseline.of_report(REPORT))
    body = lines(text)
    edited = "\r\n".join([HEADER, *reversed(body), "", "# why this one is accepted"])
    assert baseline_file.read(f"\ufeff{edited}") == baseline_file.read(text)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "no baseline of gradaudit: expected '# gradaudit baseline, version 1', not ''"),
        ('{"schema_version": 1}', 1, "no baseline of gradaudit"),
        ("# gradaudit baseline, version 2\n", 1, "a baseline of version 2, and this gradaudit reads version 1"),
        (f"{HEADER}\n<<<<<<< HEAD\n{EVALUATION}\n", 2, "an unresolved merge conflict: keep the lines of both sides"),
        (f"<<<<<<< ours\n{HEADER}\n", 1, "an unresolved merge conflict"),
        (f"{HEADER}\n{EVALUATION}\n=======\n", 3, "an unresolved merge conflict"),
        (f"{HEADER}\n{EVALUATION}\n\n{EVALUATION}\n", 4, "this stands on line 2 already: keep one of the two lines"),
        (f"{HEADER}\nfault case=a\n", 2, "unknown kind of line 'fault': expected finding, evaluation, version"),
        (f"{HEADER}\nversion of=a\n", 2, "is= is missing"),
        (f"{HEADER}\nversion of=a is=1 at=2\n", 2, "unknown field 'at' of version"),
        (f"{HEADER}\n{EVALUATION.replace('gradient', 'gradeint')}\n", 2, "evaluation; did you mean 'gradient'?"),
        (f"{HEADER}\nversion of=a of=b is=1\n", 2, "of= stands twice"),
        (f"{HEADER}\nversion of=a is=1 0\n", 2, "expected name=value or name=\"a text\" at '0'"),
        (f'{HEADER}\nversion of=a is="1\n', 2, "expected name=value"),
        (f'{HEADER}\nversion of=a is="\\x"\n', 2, "is no JSON string"),
        (
            f"{HEADER}\n{EVALUATION.replace('0.25', '0.3')}\n",
            2,
            "gradient=0.3: no step between errors; the next one up",
        ),
        (
            f"{HEADER}\n{EVALUATION.replace('gradient=0.25 ', '')}\n",
            2,
            "no error is given: expected loss=, gradient=",
        ),
        (f"{HEADER}\n{EVALUATION} scale=inf\n", 2, "scale='inf': expected a finite number"),
        (f"{HEADER}\n{EVALUATION} execution=slow\n", 2, "execution='slow': expected eager, graph, compiled"),
        (f"{HEADER}\n{EVALUATION} inputs=mine\n", 2, "inputs='mine': expected own, probes"),
        (f"{HEADER}\nfinding case=a code=DIV301 severity=bad\n", 2, "severity='bad': expected info, warning, error"),
        (f"{HEADER}\nfinding case=a code=DIV301 number=0 severity=info\n", 2, "number='0': expected a whole number"),
        (f"{HEADER}\nfinding\n", 2, "case= is missing"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text, line, message):
    with pytest.raises(BaselineSyntaxError) as caught:
        baseline_file.read(text)
    assert message in str(caught.value)
    assert caught.value.line == line


def test_noise_changes_no_line_of_a_baseline_that_is_updated():
    first = baseline.of_report(audits.report(audits.measured(gradient=0.249)))
    noisy = audits.report(audits.measured(gradient=0.26))
    assert baseline.of_report(noisy) != first
    assert baseline.of_report(noisy, first) == first
    grown = baseline.of_report(audits.report(audits.measured(gradient=0.51)), first)
    assert next(iter(grown.evaluations.values())).levels["gradient"] == 0.75


def test_what_could_not_be_audited_keeps_its_lines():
    first = baseline.of_report(
        audits.report(audits.measured("a"), audits.measured("a", probe="ones"), audits.measured())
    )
    later = audits.report(audits.measured(), failures=[audits.failed("a")], findings=[audits.crashed("a")], status=3)
    assert baseline.of_report(later, first) == first


def test_the_probe_that_shows_a_finding_best_is_no_part_of_its_name():
    one, other = (audits.report(findings=[audits.finding(probe=probe)]) for probe in ("ones", "tiny"))
    assert baseline.of_report(one) == baseline.of_report(other)


def test_nor_is_the_scale_at_which_a_fault_shows_best():
    def shown_at(scale):
        key = audits.measured().key
        fault = NamedFault("mean-denominator", key, "x 2", "divide", ())
        case = audits.case_report(findings=[audits.finding(scale=scale)], faults=(fault,))
        return baseline.of_report(audits.of_cases(case))

    assert shown_at(1.0) == shown_at(10.0)
    assert baseline.of_report(audits.report(findings=[audits.finding(scale=10.0)])) != shown_at(1.0)


def test_findings_of_one_name_are_numbered_and_expected_ones_left_to_the_spec():
    twice = audits.report(
        findings=[audits.finding(), audits.finding(), audits.finding(expected=True), audits.crashed()]
    )
    assert [name.number for name in baseline.of_report(twice).findings] == [1, 2]


def test_cases_of_one_name_are_told_apart():
    cases = [audits.case_report(audits.measured(gradient=each), name="spec") for each in (0.25, 0.5, 0.75)]
    named = baseline.of_report(audits.of_cases(*cases)).evaluations
    assert [name.case for name in named] == ["spec", "spec (2)", "spec (3)"]


def test_levels_under_another_tolerance_are_not_kept():
    first = baseline.of_report(audits.report(audits.measured(gradient=0.249, row=1)))
    (held,) = baseline.of_report(audits.report(audits.measured(gradient=0.26, row=0)), first).evaluations.values()
    assert held.levels["gradient"] == 0.375
