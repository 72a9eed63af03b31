"""Users' own losses in reports: verdicts, probes in one line, planted faults, and the JSON sections about them."""

import json
import math
from dataclasses import replace

import jsonschema
import pytest

from gradaudit.records.expression import Expression, Node
from gradaudit.records.function_call import FunctionCall
from gradaudit.records.measurement import SelfConsistency
from gradaudit.reports import concise, json_document, markdown
from gradaudit.reports.console import full
from gradaudit.reports.html import page as html_page
from gradaudit.reports.probes import probe_summaries, sentence
from gradaudit.reports.report_schema import report_schema
from gradaudit.reports.subject_verdicts import subject_verdicts
from gradaudit.reports.verdicts import verdicts
from tests.reports import sample_report, subject_report
from tests.reports.test_json_document import closed


@pytest.fixture(scope="module")
def case():
    return subject_report.subject_case()


@pytest.fixture(scope="module")
def report(case):
    return sample_report.sample_report(case)


@pytest.mark.parametrize("width", [80, 120])
def test_snapshot(report, snapshot, width):
    snapshot(f"subjects_{width}.txt", full.render(report, width=width))


def test_probes_take_one_line_for_each_subject(case):
    lines = [sentence(summary) for summary in probe_summaries(case)]
    assert lines == [
        "Right (torch) float32, 7 probes: all within tolerance, worst 0 on ignored-rows; 1 special: as due; "
        "1 failure: length-1",
        "Wrong (torch) float32, 7 probes: 6 of 6 beyond tolerance, worst first ignored-rows (1.1e6), "
        "length-1 (1.1e6), micro-batches (1.1e6), one-row (1.1e6), ones (1.1e6) and 1 more; "
        "1 special: all-ignored not as due",
    ]


def test_the_worst_probe_comes_first(case):
    worse = replace(case, measurements=(*case.measurements, subject_report.measured("Wrong", "worse", factor=3.0)))
    assert "worst first worse (" in sentence(probe_summaries(worse)[1])


def test_a_value_that_is_not_finite_is_the_worst(case):
    broken = subject_report.measured("Wrong", "broken", factor=1.01, non_finite=1)
    worse = replace(case, measurements=(*case.measurements, broken))
    assert "worst first broken (inf), " in sentence(probe_summaries(worse)[1])


def test_verdicts_speak_of_the_own_inputs_in_plain_words(case):
    assert [(each.text, each.sound) for each in verdicts(case)] == [
        ("Right (torch), float32: agreement with the exact gradient in all 6 elements", True),
        (
            "Wrong (torch), float32: gradient apart from the exact one in 6 of 6 elements, loss apart from the exact "
            "one",
            False,
        ),
        ("Short (torch), float32: not compared; see CON505", False),
    ]


def test_a_subject_against_its_own_forward(case):
    alone = replace(case, case=replace(case.case, function=FunctionCall("self")), measurements=(), failures=())
    told = [each.text for each in verdicts(alone)]
    assert told[0] == "Right (torch), float32: held against its own forward; nothing was found"
    assert told[2] == "Short (torch), float32: held against its own forward; see CON505"


def test_differences_say_what_they_found(case):
    kinds = {"agrees": (None, "ones"), "wrong": (None, "ones"), "too_noisy": (None,), "kink": (None,)}
    said = [
        SelfConsistency(subject_report.key("Right", probe), verdict, f"it {verdict}", 6, "float64", 1e-9, math.inf)
        for verdict, probes in kinds.items()
        for probe in probes
    ]
    alone = replace(case, case=replace(case.case, function=FunctionCall("self")), measurements=(), failures=())
    told = [(each.text, each.sound) for each in verdicts(replace(alone, self_consistency=tuple(said)))]
    assert told[:5] == [
        ("Right (torch), float32: it agrees", True),
        ("Right (torch), float32: it wrong", False),
        ("Right (torch), float32, probe ones: it wrong", False),
        ("Right (torch), float32: it too_noisy", False),
        ("Right (torch), float32: it kink", True),
    ]
    report = sample_report.sample_report(replace(alone, self_consistency=tuple(said)))
    document = json.loads(json_document.render(report))
    jsonschema.validate(document, closed(report_schema()))
    assert {each["dtype"] for each in document["cases"][0]["self_consistency"]} == {"float32"}
    assert {each["computed_in"] for each in document["cases"][0]["self_consistency"]} == {"float64"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"undecided": 2}, "in all 4 elements that their tolerance decides, of 6"),
        ({"undecided": 6}, "gradient undecided: the tolerance is as large as each of its elements"),
        ({"special_mismatch": 1}, "gradient apart from the exact one in 1 of 6 elements"),
        ({"non_finite": 2}, "gradient apart from the exact one in 2 of 6 elements"),
    ],
    ids=str,
)
def test_verdicts_count_what_is_undecided_or_special(case, changes, words):
    (verdict, *_) = verdicts(replace(case, measurements=(subject_report.measured("Right", **changes),)))
    assert verdict.text.endswith(words)


def test_evaluations_that_agree_share_a_sentence():
    (verdict,) = verdicts(sample_report.forum_case())
    assert verdict.text == (
        "numpy, torch and onnxruntime, float32: agreement with the exact Jacobian in all 4 elements"
    )


def test_no_probe_is_a_row_of_the_table(report):
    text = full.render(report, width=120)
    table = text[text.index("evaluations") : text.index("forward float32")]
    assert [line.split()[0] for line in table.splitlines() if "(torch)" in line] == ["Right", "Wrong"]
    assert "custom" not in text
    assert "mean denominator" in table
    assert "refused" not in text.split("probes:")[0]


def test_the_summary_tells_refused_probes_from_what_is_not_offered(report):
    assert "16 evaluations (1 refused by a subject)" in full.render(report, width=120)


def test_planted_faults_are_a_table(report):
    text = full.render(report, width=120)
    line = "power of Right float32: the case's inputs expose 2 of 4 kinds of fault, probes 1 more; hidden: 1\n"
    assert line in text
    rows = [line.split() for line in text[text.index("kind of fault ") :].splitlines()]
    assert ["wrong-axis", "own", "inputs", "yes"] in rows
    assert ["mean-denominator", "probes", "no"] in rows
    assert ["clamped", "hidden", "-"] in rows


def test_a_formula_is_shown_as_it_was_written(report, case):
    formula = FunctionCall("formula", {}, Expression((Node("input", (), "z"),), "logsumexp(z) - take(z, y)"))
    changed = replace(report, cases=(replace(case, case=replace(case.case, function=formula)),))
    assert "formula logsumexp(z) - take(z, y); logits" in full.render(changed, width=120)
    (document,) = json_document.document(changed)["cases"]
    assert document["function"] == {"name": "formula", "formula": "logsumexp(z) - take(z, y)"}


def test_concise_stands_at_the_line_of_the_loss(report):
    assert concise.render(report).startswith(
        "specs/losses.py:12: BUG402 error: Wrong (torch) float32 (shown by probe ignored-rows): gradient = reference"
    )
    assert "[" not in concise.render(report).splitlines()[0]


def test_the_json_report_holds_every_evaluation_and_what_they_say_together(report):
    document = json.loads(json_document.render(report))
    jsonschema.validate(document, closed(report_schema()))
    (case,) = document["cases"]
    assert len(case["evaluations"]) == 16
    assert {item["probe"] for item in case["evaluations"]} == {None, *case["probes"]}
    assert sum(item["special_probe"] for item in case["evaluations"]) == 2
    assert case["derivatives"] == 1
    assert [(each["name"], each["input"], each["formulation"]) for each in case["subjects"]] == [
        ("Right", "logits", "custom"),
        ("Wrong", "probabilities", "custom"),
        ("Short", "logits", "custom"),
    ]
    (fault,) = case["faults"]
    assert (fault["fault"], fault["subject"], fault["probe"]) == ("mean-denominator", "Wrong", "ignored-rows")
    assert fault["evidence"] == {"factor": 5 / 7, "rows": 7}
    assert [each["probe"] for each in fault["alternatives"]] == ["micro-batches", None]
    (breach,) = case["breaches"]
    assert (breach["fault"], breach["subject"], breach["evidence"]) == (
        "wrong-shape-or-dtype",
        "Short",
        {"due": "[]"},
    )
    assert [each["named"] for each in case["exposures"]] == [None, ["wrong-axis"]]
    assert [each["sound"] for each in case["verdicts"]] == [True, False, False]


def test_a_live_callable_stays_out_of_the_document(report, case):
    live = replace(case, case=replace(case.case, subjects=(subject_report.subject("Right", live=print),)))
    (document,) = json_document.document(replace(report, cases=(live,)))["cases"]
    assert "live" not in document["subjects"][0]


def test_names_of_probes_and_subjects_are_made_harmless(report, case):
    hostile = sample_report.HOSTILE
    evil = replace(
        case,
        measurements=(subject_report.measured(hostile), subject_report.measured(hostile, hostile, factor=2.0)),
        exposures=(replace(case.exposures[1], subject=hostile, own=(hostile,), named=(hostile,)),),
    )
    text = full.render(replace(report, cases=(evil,)), width=80, verbose=True)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not any(line.startswith("::") for line in text.splitlines())


def test_every_element_is_listed_for_the_own_inputs_alone(report):
    (case,) = json_document.document(report)["cases"]
    measured = [item for item in case["evaluations"] if item["loss"] is not None]
    assert all(item["values"]["gradient"] is None for item in measured if item["probe"] is not None)
    assert any(item["gradient"]["worst"] for item in measured if item["probe"] is not None)


def test_a_subject_is_summed_up_in_one_line(case):
    assert [verdict.text for verdict in subject_verdicts(case)] == [
        "Right (torch): float32: within tolerance",
        "Wrong (torch): float32: wrong (BUG402)",
        "Short (torch): float32: wrong (CON505)",
    ]


def test_a_narrow_dtype_that_passes_is_said_to_be_too_coarse(case):
    narrow = [
        replace(item, key=replace(item.key, dtype="bfloat16"))
        for item in case.measurements
        if item.key.subject == "Right"
    ]
    as_wrong = [replace(item, key=replace(item.key, subject="Wrong")) for item in narrow]
    both = replace(
        case,
        case=replace(case.case, dtypes=("float32", "bfloat16")),
        measurements=(*case.measurements, *narrow, *as_wrong),
    )
    right, wrong, short = (verdict.text for verdict in subject_verdicts(both))
    assert right == "Right (torch): float32, bfloat16: within tolerance"
    assert wrong == (
        "Wrong (torch): float32: wrong (BUG402); "
        "bfloat16: within tolerance, though float32 is wrong: bfloat16 is too coarse to tell"
    )
    assert short == "Short (torch): float32: wrong (CON505); bfloat16: not audited"


def test_what_was_not_audited_is_neither_right_nor_wrong(case):
    silent = replace(case, measurements=(), findings=(), faults=(), self_consistency=())
    assert [(each.text, each.tone) for each in subject_verdicts(silent)] == [
        (f"{name} (torch): float32: not audited", "doubtful") for name in ("Right", "Wrong", "Short")
    ]
    report = sample_report.sample_report(silent)
    assert "! Right (torch): float32: not audited" in html_page.render(report)
    assert "⚠️ Right (torch): float32: not audited" in markdown.render(report)
    assert [each.tone for each in subject_verdicts(case)] == ["good", "wrong", "wrong"]
