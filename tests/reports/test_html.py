"""The page: verdicts at a glance, tables, pictures told in words, findings; it needs nothing from outside."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

from gradaudit.records.measurement import HISTOGRAM_EDGES
from gradaudit.reports.html import page
from gradaudit.reports.html.charts import BAR, heat_map, histogram
from gradaudit.reports.html.curves import Limit, curve
from gradaudit.reports.html.markup import Html, join, tag
from tests.reports import judges, sample_report, subject_report
from tests.reports.judges import HTML, SVG


@pytest.fixture(scope="module")
def tree(full_report):
    return judges.html(page.render(full_report))


def text_of(element):
    return " ".join("".join(element.itertext()).split())


def tables_of(element):
    return {text_of(each.find(f"{HTML}caption")): each for each in element.iter(f"{HTML}table")}


def sections(tree):
    return [each for each in tree.iter(f"{HTML}section") if each.attrib.get("class") == "case"]


def test_the_verdict_comes_first_and_every_case_is_linked(tree, full_report):
    banner = next(each for each in tree.iter(f"{HTML}p") if "banner" in each.attrib.get("class", ""))
    assert text_of(banner) == "✗ Something could not be audited"
    (navigation,) = tree.iter(f"{HTML}nav")
    links = [each.attrib["href"] for each in navigation.iter(f"{HTML}a")]
    verdicts = [text_of(row[1]) for row in navigation.iter(f"{HTML}tr")][1:]
    assert dict(zip(links, verdicts, strict=True)) == {
        "#case-2": "✗ could not be audited in full",
        "#case-3": "✗ fails: 2 findings",
        "#case-1": "✓ as the spec expects",
        "#case-4": "✗ fails: 1 finding",
    }
    assert links == ["#case-2", "#case-3", "#case-4", "#case-1"], "those that fail come first"
    assert text_of(next(navigation.iter(f"{HTML}caption"))) == "Cases, those that fail first"
    assert [each.attrib["id"] for each in sections(tree)] == [f"case-{index}" for index in range(1, 5)]


def test_a_keyboard_and_a_screen_reader_find_their_way(tree):
    html = next(tree.iter(f"{HTML}html"))
    assert html.attrib["lang"] == "en"
    first = next(tree.iter(f"{HTML}a"))
    assert (text_of(first), first.attrib["href"]) == ("Skip to the cases", "#cases")
    levels = [int(each.tag[-1]) for each in tree.iter() if re.fullmatch(r"h[1-6]", each.tag.rpartition("}")[2])]
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    for frame in tree.iter(f"{HTML}div"):
        if frame.attrib.get("class") == "scroll":
            assert (frame.attrib["tabindex"], frame.attrib["role"]) == ("0", "region")
            assert frame.attrib["aria-label"]


def test_findings_have_their_explanation_and_the_way_to_see_them_again(tree):
    case = sections(tree)[1]
    articles = [*case.iter(f"{HTML}article")]
    assert [text_of(each.find(f"{HTML}h3")) for each in articles] == [
        "DIV301 beyond-tolerance",
        "RUN601 crashed",
        "DIV303 non-finite",
        "EXPECTED expected-finding-missing",
    ]
    told = text_of(articles[0])
    assert "✗ error" in told
    assert "What it flags: values apart" in told
    assert "Next: Compare the worst element by hand." in told
    block = next(articles[0].iter(f"{HTML}pre"))
    assert "".join(block.itertext()) == (
        "gradaudit check 'specs/[/foo] wrong.yaml' --dtype float32 --scale 1\ngradaudit explain DIV301\n"
    )


def test_the_values_of_small_cases_stand_beside_the_exact_ones(tree):
    tables = tables_of(sections(tree)[0])
    jacobian = tables["Jacobian, numpy fused float32"]
    rows = [[text_of(cell) for cell in row] for row in jacobian.iter(f"{HTML}tr")]
    assert rows[0] == ["entry", "[0]", "[1]", "sum"]
    assert rows[1] == ["exact output 0", "0.11318", "-0.11318", "0"]
    assert rows[2][:3] == ["returned output 0", "0.11318", "-0.11318"]
    assert (rows[3][0], rows[3][3]) == ("e/t output 0", "")
    assert all(float(ratio) <= 1 for ratio in rows[3][1:3])
    forward = [[text_of(cell) for cell in row] for row in tables["forward, numpy fused float32"].iter(f"{HTML}tr")]
    assert forward[0] == ["entry", "[0]", "[1]"]


def test_the_table_of_evaluations_names_the_derivative_that_was_audited(tree):
    headers = [text_of(each) for each in next(sections(tree)[0].iter(f"{HTML}thead")).iter(f"{HTML}th")]
    assert headers[:6] == ["evaluation", "dtype", "forward e/t", "forward ULP", "Jacobian e/t", "Jacobian ULP"]
    headers = [text_of(each) for each in next(sections(tree)[1].iter(f"{HTML}thead")).iter(f"{HTML}th")]
    assert "gradient e/t" in headers


def test_what_a_rule_flags_is_told_once_in_a_case(friendly_report):
    case = next(case for case in friendly_report.cases if case.findings)
    twice = replace(friendly_report, cases=(replace(case, findings=(case.findings[0], case.findings[0])),))
    articles = [*sections(judges.html(page.render(twice)))[0].iter(f"{HTML}article")]
    assert [text_of(each).count("What it flags:") for each in articles[:2]] == [1, 0]
    assert [text_of(each).count("Next:") for each in articles[:2]] == [1, 1]


def test_the_words_of_the_page_are_explained_on_it(tree):
    guide = next(each for each in tree.iter(f"{HTML}details") if each.attrib.get("class") == "guide")
    explained = {text_of(each) for each in guide.iter(f"{HTML}dt")}
    headers = {text_of(each) for each in sections(tree)[1].iter(f"{HTML}th") if each.attrib.get("scope") == "col"}
    spoken = {word for header in headers for word in explained if word in header}
    assert spoken >= {"e/t", "ULP", "forward", "gradient", "undecided", "sum (exact)", "explained by"}


def test_pictures_say_in_words_what_they_show(tree):
    labels = [each.attrib["aria-label"] for each in sections(tree)[1].iter(f"{SVG}svg")]
    wrong = next(label for label in labels if label.startswith("gradient (rows down, classes across): error over"))
    assert wrong.endswith("2 rows, 3 columns, largest 2000 at [1, 2]")
    assert any("no finite value" in label or "not finite" in label for label in labels)
    assert any(label.startswith("gradient: error over tolerance of 6 elements: up to 0.00391: 5") for label in labels)


def test_verdicts_on_subjects_lead_their_case():
    tree = judges.html(page.render(sample_report.sample_report(subject_report.subject_case())))
    said = [text_of(each) for each in sections(tree)[0].find(f"{HTML}ul")]
    assert said[0] == "✗ Wrong (torch): float32: wrong (BUG402)", "what is wrong comes first"
    good = [text.startswith("✓") for text in said]
    assert good == sorted(good)
    assert "✓ Right (torch): float32: within tolerance" in said


def headline(report):
    banner = next(
        each for each in judges.html(page.render(report)).iter(f"{HTML}p") if "banner" in each.attrib["class"]
    )
    return text_of(banner)


def test_the_headline_says_what_is_worst(friendly_report):
    sound, wrong = friendly_report.cases
    assert headline(replace(friendly_report, exit_status=130, interrupted=True)).startswith("✗ Interrupted")
    assert headline(replace(friendly_report, exit_status=3)) == "✗ Something could not be audited"
    assert headline(replace(friendly_report, exit_status=1)) == "✗ Findings in 1 of 2 cases"
    assert headline(replace(friendly_report, cases=(wrong,), exit_status=1)) == "✗ Findings"
    assert headline(replace(friendly_report, cases=(), exit_status=1)) == "✗ Findings"
    passed = replace(friendly_report, cases=(sound,), exit_status=0)
    assert headline(passed) == "✓ Nothing found beyond what is expected"
    unexpected = tuple(replace(finding, expected=False) for finding in sound.findings)
    warned = replace(passed, cases=(replace(sound, findings=unexpected),))
    assert {finding.severity for finding in unexpected} == {"warning"}
    assert headline(warned) == "! Nothing fails, but there are warnings"


def test_a_report_of_nothing_is_a_page():
    empty = replace(sample_report.sample_report(), cases=(), rules=())
    assert not sections(judges.html(page.render(empty)))


def test_text_is_escaped_where_markup_is_built():
    assert tag("p", "<b>", class_='"x"') == '<p class="&quot;x&quot;">&lt;b&gt;</p>'
    assert join("a", Html("<br/>"), ["&", tag("i", "x")]) == "a<br/>&amp;<i>x</i>"
    assert tag("p", "\x1b\u202e") == "<p>\\x1b\\u202e</p>"
    assert tag("meta", charset="utf-8", name=None) == '<meta charset="utf-8"/>'


def test_a_heat_map_tells_signs_and_depth_apart():
    cells = np.array([[1.0, -0.25], [0.0, np.nan]])
    drawn = heat_map(cells, "x", np.isnan(cells))
    kinds = re.findall(r'class="(positive|negative|nonfinite)"(?: fill-opacity="([0-9.]+)")?', drawn)
    assert kinds == [("positive", ""), ("negative", "0.5"), ("positive", "0"), ("nonfinite", "")]
    assert drawn.count('class="mark"') == 1
    assert 'aria-label="x; 2 rows, 2 columns, largest 1 at [0, 0], 1 not finite"' in drawn


def test_a_keyboard_stops_at_pictures_that_may_have_to_be_scrolled():
    none = np.zeros((1, 40), dtype=bool)
    assert heat_map(np.ones((1, 40)), "x", none).startswith('<figure tabindex="0">')
    assert heat_map(np.ones((1, 8)), "x", none[:, :8]).startswith("<figure><svg ")
    assert heat_map(np.ones((1, 8)), "x", none[:, :8]).endswith("<figcaption>x</figcaption></figure>")


def test_errors_are_drawn_on_one_scale():
    small, large = (heat_map(np.array([[value]]), "x", np.array([[False]]), errors=True) for value in (0.01, 7.0))
    assert 'class="bar" fill-opacity="0.1"' in small
    assert 'class="beyond" x=' in large


def test_a_histogram_counts_what_lies_beyond():
    counts = [3, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0]
    drawn = histogram(counts, "x")
    assert (drawn.count('class="bar"'), drawn.count('class="beyond"')) == (2, 1)
    named = {name: int(x) for x, name in re.findall(r'<text x="(\d+)" y="115"[^>]*>([^<]+)<', drawn)}
    edges = {name: HISTOGRAM_EDGES[x // BAR] for name, x in named.items()}
    assert edges == {"0": 0, "1/16": 1 / 16, "1/4": 1 / 4, "1": 1, "8": 8}
    assert 'aria-label="x: up to 0.00391: 3; 0.5 to 1: 1; 2 to 8: 2"' in drawn
    assert histogram([0] * 11, "x").count("no elements") == 1


def test_a_curve_over_scales_shows_where_errors_leave_their_tolerance():
    case = sample_report.forum_case()
    scales = (1.0, 10.0, 100.0, 1000.0)
    ratios = (0.0, 0.5, 40.0, float("inf"))
    measured = tuple(
        replace(
            case.measurements[0],
            key=replace(case.measurements[0].key, scale=scale),
            output=replace(case.measurements[0].output, max_error_over_tolerance=0.0),
            jacobian=replace(
                case.measurements[0].jacobian, max_error_over_tolerance=ratio, non_finite=int(np.isinf(ratio))
            ),
        )
        for scale, ratio in zip(scales, ratios, strict=True)
    )
    facts = tuple(
        sample_report.facts(scale=scale, complement=10.0**-exponent) for exponent, scale in enumerate(scales)
    )
    scaled = replace(case, case=replace(case.case, scale=scales), measurements=measured, facts=facts)
    tree = judges.html(page.render(sample_report.sample_report(scaled)))
    tables = tables_of(sections(tree)[0])
    rows = tables["Largest error over tolerance by the scale of the logits; beyond 1 it is no rounding"].iter(
        f"{HTML}tr"
    )
    assert [text_of(cell) for cell in [*rows][1]] == ["numpy fused float32", "0", "0.5", "40", "inf"]
    labels = [each.attrib["aria-label"] for each in sections(tree)[0].iter(f"{SVG}svg")]
    assert labels[0].endswith("scale 1: 0; scale 10: 0.5; scale 100: 40; scale 1000: inf")
    assert labels[1].startswith("float32: 1 - p of the most saturated row")
    headers = [text_of(each) for each in next(sections(tree)[0].iter(f"{HTML}thead")).iter(f"{HTML}th")]
    assert headers[1:3] == ["dtype", "scale"]


def test_the_points_of_a_curve_stand_by_their_logarithm():
    points = [(1.0, 0.01), (2.0, 0.1), (4.0, 1.0), (8.0, float("nan"))]
    drawn = curve(points, "x", Limit(1.0, "1", highest=True), (-2.3, 0.3), "y")
    heights = [float(y) for y in re.findall(r'cy="([0-9.]+)"', drawn)]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
    assert heights[3] < heights[2] < heights[1]
    assert re.findall(r'circle class="([a-z]+)"', drawn) == ["bar", "bar", "bar", "beyond"]
    assert re.findall(r">([^<>]+)</text>", drawn) == ["1", "0.01", "1", "0.1", "2", "1", "4", "NaN", "8"]
    drawn = curve([(1.0, 0.5), (2.0, 0.01)], "x", Limit(0.1, "u/2", highest=False), (-2.3, 0.3), "y")
    assert re.findall(r'circle class="([a-z]+)"', drawn) == ["bar", "beyond"]


def test_a_case_with_one_scale_has_no_curve(tree):
    assert not any("by the scale" in (each.text or "") for each in sections(tree)[0].iter(f"{HTML}caption"))
